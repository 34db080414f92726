"""A container's secrets come from its file; what a user sets beside them is refused by name."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "with-secrets"
SECRET = "postgresql+psycopg2://airflow:a'b%20$c@postgres:5432/airflow"
NAME = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the script as it is, with the test's folders in the place of its own."""
    share = tmp_path / "airflow"
    share.mkdir()
    quoted = SECRET.replace("'", "'\"'\"'")
    (share / "env").write_text(f"{NAME}='{quoted}'\nAIRFLOW__CORE__FERNET_KEY=key\n")
    script = tmp_path / "with-secrets"
    text = SCRIPT.read_text().replace("/tmp/started", f"{tmp_path}/started")
    text = text.replace("/run/secrets", str(tmp_path))
    script.write_text(text)

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", str(script), "sh", "-c", f'printf %s "${NAME}"'],
            env={"PATH": os.environ["PATH"], "SERVICE_USER": "airflow", **environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def test_the_command_has_the_secrets(run: Run) -> None:
    done = run(OTHER="x", AIRFLOW__CORE__LOAD_EXAMPLES="true")
    assert (done.returncode, done.stdout) == (0, SECRET)


@pytest.mark.parametrize(
    "name", [NAME, f"{NAME}_CMD", f"{NAME}_SECRET", "AIRFLOW__CORE__FERNET_KEY"]
)
@pytest.mark.parametrize("value", ["postgresql://me@mine/airflow", "x y", "'", '"', "$HOME", "*"])
def test_what_a_user_set_beside_them_is_refused_by_name(run: Run, name: str, value: str) -> None:
    done = run(**{name: value})
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {name} is set for this container")
    assert "me@mine" not in done.stderr  # a value may have a password in it
    assert done.stdout == ""


def test_who_has_them_already_may_run_it_again(run: Run) -> None:
    assert run(**{NAME: SECRET}).stdout == SECRET
