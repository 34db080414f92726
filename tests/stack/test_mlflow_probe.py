"""MLflow is well if a run could be logged; if not, `status` says why, and nothing is restarted."""

import json
from collections.abc import Iterator

import httpx
import psycopg2
import pytest

from tests.stack.test_disk import ROOT, NoGrowth, SmallDisk
from tests.support import wait_until
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets

PART = ("postgres", "databases", "forkserver", "mlflow-migrate", "mlflow")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk | NoGrowth]:
    from tests.stack.conftest import make_stack

    stack = make_stack(tmp_path_factory.mktemp("mlflow") / "home").part(*PART)
    made = (SmallDisk if ROOT else NoGrowth)(stack)
    try:
        made.stack.ok("up", "--detach", timeout=1800)
        yield made
    finally:
        made.stack.run("down")
        made.close()


def detail(disk: SmallDisk | NoGrowth) -> str:
    """Return what is wrong with MLflow; empty when nothing is."""
    rows = json.loads(disk.stack.run("status", "--json").stdout)["services"]
    return next(row["detail"] for row in rows if row["service"] == "mlflow")


def sql(disk: SmallDisk | NoGrowth, *statements: str) -> None:
    settings = disk.stack.settings
    connection = psycopg2.connect(
        host="127.0.0.1", port=settings.postgres_port, user="postgres", dbname="postgres",
        password=load_secrets(Layout(disk.state)).postgres_superuser,
    )  # fmt: skip
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def test_nobody_asks_without_a_login(disk: SmallDisk | NoGrowth) -> None:
    login = json.loads(disk.stack.ok("credentials", "--json"))["mlflow"]
    address = f"{login['address']}/api/2.0/tradewind/writable"
    assert httpx.get(address, trust_env=False).status_code == 401
    answer = httpx.get(address, auth=(login["user"], login["password"]), trust_env=False)
    assert (answer.status_code, answer.text) == (200, "writable")


def test_a_database_that_is_read_only(disk: SmallDisk | NoGrowth) -> None:
    try:
        sql(disk, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        wait_until(lambda: "read-only transaction" in detail(disk), 60, of=lambda: detail(disk))
        assert "503: the database takes no write" in detail(disk)
    finally:
        sql(
            disk,
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )
    wait_until(lambda: detail(disk) == "", 60, of=lambda: detail(disk))


def test_a_folder_of_artifacts_that_takes_no_file(disk: SmallDisk | NoGrowth) -> None:
    folder = Layout(disk.state).artifacts_dir
    aside = folder.with_name("artifacts-aside")
    folder.rename(aside)
    folder.touch()  # a file in the folder's place stops even root
    try:
        wait_until(lambda: "the artifact store takes no write" in detail(disk), 60)
    finally:
        folder.unlink()
        aside.rename(folder)
    wait_until(lambda: detail(disk) == "", 60, of=lambda: detail(disk))
    assert list(folder.iterdir()) == []


def test_a_disk_that_is_full(disk: SmallDisk | NoGrowth) -> None:
    def told() -> bool:
        disk.fill()  # each time: what others delete meanwhile makes room
        return disk.reason in detail(disk)

    try:
        wait_until(told, 60, of=lambda: detail(disk))
        assert "takes no write" in detail(disk)
    finally:
        disk.free()
    wait_until(lambda: detail(disk) == "", 60, of=lambda: detail(disk))
