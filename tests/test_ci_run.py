"""`.ci/run` ends as its checks did, and stops the engine that it started."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CI_RUN = Path(__file__).parents[1] / ".ci" / "run"


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("failing", "others_engine", "code", "engine_was_told"),
    [
        ("nothing", False, 0, ["up", "down"]),
        ("test-stacks", False, 2, ["up", "down"]),
        ("nothing", True, 0, ["up"]),
    ],
)
def test_ci_ends_as_its_checks_did_and_stops_only_its_own_engine(
    tmp_path: Path, failing: str, others_engine: bool, code: int, engine_was_told: list[str]
) -> None:
    told, made = tmp_path / "told", tmp_path / "made"
    checkout, commands = tmp_path / "checkout", tmp_path / "bin"
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(CI_RUN, checkout / ".ci" / "run")
    script(checkout / "tests/compose/engine/engine", f'echo "$1" >>"{told}"')
    script(commands / "docker", f"exit {0 if others_engine else 1}")
    script(commands / "sudo", '"$@"')
    script(commands / "apt-get", "exit 0")  # whatever this machine lacks
    script(commands / "make", f'echo "$1" >>"{made}"; [ "$1" != {failing} ] || exit 2')

    ended = subprocess.run(
        [checkout / ".ci" / "run"],
        check=False,
        env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )

    assert ended.returncode == code, ended.stderr
    assert told.read_text().split() == engine_was_told
    wanted = ["lint", "test-alone", "test-stacks"]
    assert made.read_text().split() == (
        wanted if failing == "nothing" else wanted[: wanted.index(failing) + 1]
    )
