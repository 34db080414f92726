"""MLflow is well if a run could be logged; if not, `status` says why, and nothing is restarted."""

import json
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import psycopg2
import pytest

from tests.stack.test_disk import ROOT, NoGrowth, SmallDisk
from tests.support import wait_until
from tradewind.registry.server.writable import WRITABLE
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


def asked(disk: SmallDisk | NoGrowth) -> Callable[[], httpx.Response]:
    """Return what asks, with a login, whether MLflow takes a write."""
    login = json.loads(disk.stack.ok("credentials", "--json"))["mlflow"]
    return partial(
        httpx.get, f"{login['address']}{WRITABLE}", auth=(login["user"], login["password"]),
        trust_env=False, timeout=60,
    )  # fmt: skip


def test_nobody_asks_without_a_login(disk: SmallDisk | NoGrowth) -> None:
    ask = asked(disk)
    assert httpx.get(str(ask().request.url), trust_env=False).status_code == 401
    assert (ask().status_code, ask().text) == (200, "writable")


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
    ask = asked(disk)

    def told() -> bool:
        disk.fill()  # each time: what others delete meanwhile makes room
        answer = ask()
        return answer.status_code == 503 and disk.reason in answer.text

    try:
        # Asked where the probe asks: on a disk as full as that, no state is written down either.
        wait_until(told, 120, of=lambda: ask().text)
        assert "takes no write" in ask().text
        assert not disk.stack.status()["healthy"]
    finally:
        disk.free()
    wait_until(lambda: ask().text == "writable", 60, of=lambda: ask().text)
    wait_until(lambda: detail(disk) == "", 60, of=lambda: detail(disk))
