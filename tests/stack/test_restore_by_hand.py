"""The backup and the restore of docs/operations.md, line by line, on stores of their own."""

import json
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.conftest import CHECKOUT, Stack, make_stack
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets

PAGE = CHECKOUT / "docs" / "operations.md"


def documented() -> tuple[str, str]:
    """What the page says to run: for a backup, and for a restore."""
    [section] = re.findall(
        r"^## Backup and restore\n(.*?)^## ", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    backup, restore = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)
    return backup, restore


def carry_out(stack: Stack, commands: str, folder: Path) -> tuple[int, str, str]:
    """Run commands as a shell does that ends with the first that fails; return what it said."""
    programs = stack.home / "programs"
    programs.mkdir(exist_ok=True)
    docker = programs / "docker"
    stand_in = shlex.join([sys.executable, "-X", "utf8", "-m", "tests.stack.docker_stand_in"])
    docker.write_text(
        f'#!/bin/sh\nexec env PYTHONPATH={shlex.quote(str(CHECKOUT))} {stand_in} "$@"\n'
    )
    docker.chmod(0o755)
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands],
        cwd=folder, capture_output=True, text=True, check=False,
        env={
            **stack.environment,
            "PATH": f"{programs}:{stack.environment['PATH']}", "STAND_IN_HOME": str(stack.home),
        },
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("where backup is")


def test_what_was_backed_up_is_restored_without_a_complaint(tmp_path: Path, folder: Path) -> None:
    backup, restore = documented()
    before, after = (make_stack(tmp_path / name) for name in ("b e ä", "after"))
    stores = [each.part("postgres", "databases") for each in (before, after)]
    try:
        stores[0].ok("up", "--detach")
        for database in ("airflow", "mlflow", "tradewind"):
            before.rows(
                "CREATE TABLE kept AS SELECT n, %s AS said FROM generate_series(1, 1000) n; "
                "COMMIT; SELECT 1", "it's; \\ ä", database=database,
            )  # fmt: skip
        layout = Layout(before.settings.state)
        kept = {"artifacts/0/model.bin": bytes(range(256)), "market/bars/_delta_log/0.json": b"{}"}
        for name, content in kept.items():
            (layout.root / name).parent.mkdir(parents=True, exist_ok=True)
            (layout.root / name).write_bytes(content)
        secrets = load_secrets(layout)

        assert carry_out(before, backup, folder) == (0, "", "")
        assert stat.S_IMODE((folder / "backup").stat().st_mode) == 0o700
        stores[0].ok("down")

        assert carry_out(after, restore, folder) == (0, "", "")
        restored = Layout(after.settings.state)
        assert load_secrets(restored) == secrets
        for name, content in kept.items():
            assert (restored.root / name).read_bytes() == content
        for database in ("airflow", "mlflow", "tradewind"):
            # As the role that owns it, with its password of before.
            assert after.rows(
                "SELECT count(*), sum(n), min(said) FROM kept", database=database
            ) == [(1000, 500500, "it's; \\ ä")]
        checks = json.loads(after.run("doctor", "--json").stdout)
        found = {each["name"]: each["problem"] for each in checks}
        assert [found[f"database {name}"] for name in ("airflow", "mlflow", "tradewind")] == [
            ""
        ] * 3
    finally:
        for each in stores:
            each.run("down")


def test_an_error_within_the_restore_ends_it(tmp_path: Path) -> None:
    """As the page says: what cannot be restored is not passed over."""
    _, restore = documented()
    [command] = re.findall(r"sed -E .*\|\n.*", restore)
    made = make_stack(tmp_path / "home")
    stores = made.part("postgres", "databases")
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "databases.sql").write_text(
        "DROP ROLE IF EXISTS postgres;\nCREATE ROLE postgres;\nCREATE TABLE one ();\n"
        "CREATE TABLE no_such_schema.two ();\nCREATE TABLE three ();\n"
    )
    try:
        stores.ok("up", "--detach")
        code, _, said = carry_out(made, command, tmp_path)
        assert code != 0
        [problem] = [line for line in said.splitlines() if "ERROR" in line]
        assert 'schema "no_such_schema" does not exist' in problem
    finally:
        stores.run("down")
