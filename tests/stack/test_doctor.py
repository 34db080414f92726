"""Each fault that the doctor knows is injected into the running stack, found, and mended."""

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg2
import pytest
import redis

from tests.redis_server import RedisClient
from tests.stack.airflow import Airflow
from tests.stack.conftest import NewStack, Stack, WaitUntil
from tradewind.stack.checks import Check
from tradewind.stack.doctor import diagnose
from tradewind.stack.isolation import isolation
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets


def told(stack: Stack) -> dict[str, str]:
    """What the command says is wrong."""
    checks = json.loads(stack.run("doctor", "--json").stdout)
    assert checks
    return {c["name"]: c["problem"] + " | " + c["mend"] for c in checks if c["problem"]}


def wrong(stack: Stack) -> dict[str, str]:
    """The same of the stack alone, without the seconds that the command takes to start."""
    return of(diagnose(stack.settings))


def wrong_with_redis(stack: Stack) -> dict[str, str]:
    """The same of Redis alone."""
    return of(isolation(stack.settings, load_secrets(Layout(stack.settings.state)), {}, {}))


def of(checks: Iterable[Check]) -> dict[str, str]:
    found = list(checks)
    assert found
    return {c.name: f"{c.problem} | {c.mend}" for c in found if c.problem}


@contextmanager
def superuser(stack: Stack) -> Iterator[Callable[[str], None]]:
    connection = psycopg2.connect(
        host="127.0.0.1", port=stack.settings.postgres_port, user="postgres", dbname="postgres",
        password=load_secrets(Layout(stack.settings.state)).postgres_superuser,
    )  # fmt: skip
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor.execute
    finally:
        connection.close()


@pytest.fixture
def redis_admin(stack: Stack) -> Iterator[RedisClient]:
    password = load_secrets(Layout(stack.settings.state)).redis_admin
    with redis.Redis(port=stack.settings.redis_port, username="admin", password=password) as client:
        yield client


def test_a_well_stack_is_called_well(stack: Stack) -> None:
    assert told(stack) == wrong(stack) == {}
    assert stack.run("doctor").returncode == 0


def test_an_open_database(stack: Stack) -> None:
    with superuser(stack) as sql:
        sql("GRANT CONNECT ON DATABASE mlflow TO airflow")
        try:
            found = told(stack)
            assert set(found) == {"database airflow"}
            assert "can also enter mlflow" in found["database airflow"]
            assert found == wrong(stack)
            assert stack.run("doctor").returncode == 1
        finally:
            sql("REVOKE CONNECT ON DATABASE mlflow FROM airflow")
    assert wrong(stack) == {}


def test_a_role_that_cannot_log_in(stack: Stack) -> None:
    with superuser(stack) as sql:
        sql("ALTER ROLE tradewind NOLOGIN")
        try:
            assert set(wrong(stack)) == {"database tradewind"}
        finally:
            sql("ALTER ROLE tradewind LOGIN")


def test_an_evicting_redis(stack: Stack, redis_admin: RedisClient) -> None:
    redis_admin.config_set("maxmemory-policy", "allkeys-lru")
    try:
        found = wrong(stack)
        assert set(found) == {"redis eviction"}
        assert "allkeys-lru" in found["redis eviction"]
    finally:
        redis_admin.config_set("maxmemory-policy", "noeviction")


def test_a_redis_that_is_full(
    stack: Stack, redis_admin: RedisClient, airflow: Airflow, wait_until: WaitUntil
) -> None:
    before = redis_admin.config_get("maxmemory")["maxmemory"]
    redis_admin.config_set("maxmemory", 1)
    try:
        assert "are used" in wrong(stack)["redis memory"]
        wait_until(lambda: stack.service("redis")["state"] == "unhealthy", 60)
        assert "maxmemory" in stack.service("redis")["detail"]
        run_id = airflow.trigger("warm")
    finally:
        redis_admin.config_set("maxmemory", before)  # as is advised, without the restart
    airflow.finished("warm", run_id)
    wait_until(lambda: wrong(stack) == {}, 60)


def test_a_password_that_was_changed_on_the_page(stack: Stack, wait_until: WaitUntil) -> None:
    page = stack.json("credentials")["mlflow"]
    login, changed = (page["user"], page["password"]), "a password of their own"
    answer = httpx.patch(
        f"{page['address']}/api/2.0/mlflow/users/update-password", auth=login, timeout=60,
        json={"username": page["user"], "password": changed, "current_password": login[1]},
    )  # fmt: skip
    assert answer.is_success, answer.text
    found: dict[str, str] = {}

    def is_refused() -> bool:
        found.update(wrong(stack))
        return "mlflow login" in found

    try:
        # Each of MLflow's processes remembers a login for a minute, and not all for the same one:
        # who asks again may be let in once more.
        wait_until(is_refused, 120, of=lambda: found)
        assert "tradewind password mlflow" in found["mlflow login"]
    finally:  # all other tests log in
        done = subprocess.run(
            [*stack.program, "password", "mlflow", "--ask"], cwd=stack.home, env=stack.environment,
            input=f"{page['password']}\n" * 2, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wait_until(lambda: wrong(stack) == {}, 60, of=lambda: wrong(stack))
    assert stack.json("credentials")["mlflow"] == page


def test_a_redis_that_forgets(
    stack: Stack, redis_admin: RedisClient, wait_until: WaitUntil
) -> None:
    redis_admin.config_set("appendonly", "no")
    try:
        found = wrong(stack)
        assert set(found) == {"redis persistence"}
        assert "appendonly is no" in found["redis persistence"]
    finally:
        redis_admin.config_set("appendonly", "yes")
    wait_until(lambda: not redis_admin.info("persistence")["aof_rewrite_in_progress"], 60)
    assert wrong(stack) == {}


def test_a_redis_that_may_not_read_its_own_file(stack: Stack, redis_admin: RedisClient) -> None:
    redis_admin.execute_command("ACL", "SETUSER", "default", "-@all")
    try:
        found = wrong_with_redis(stack)
        assert set(found) == {"redis persistence"}
        assert "a restart loses" in found["redis persistence"]
    finally:
        redis_admin.execute_command("ACL", "LOAD")


def test_a_redis_that_lets_everybody_in(stack: Stack, redis_admin: RedisClient) -> None:
    redis_admin.execute_command("ACL", "SETUSER", "default", "on", "nopass")
    try:
        assert set(wrong_with_redis(stack)) == {"redis strangers"}
    finally:
        redis_admin.execute_command("ACL", "LOAD")


@pytest.mark.parametrize(
    ("user", "more", "said"),
    [
        ("trading", ["allkeys"], "read keys airflow:*, write keys airflow:*, read keys *"),
        ("airflow", ["%R~trading:*"], "may read keys trading:* "),
        ("trading", ["%W~airflow:*"], "may write keys airflow:* "),
        ("airflow", ["&trading:*"], "may publish to trading:*, subscribe to trading:* "),
        ("trading", ["+flushall"], "may FLUSHALL "),
        ("airflow", ["+scan"], "may SCAN 0 "),
    ],
)
def test_a_redis_user_beyond_its_prefix(
    stack: Stack, redis_admin: RedisClient, user: str, more: list[str], said: str
) -> None:
    redis_admin.execute_command("ACL", "SETUSER", user, *more)
    try:
        found = wrong_with_redis(stack)
        assert set(found) == {f"redis user {user}"}
        assert said in found[f"redis user {user}"]
    finally:
        redis_admin.execute_command("ACL", "LOAD")


def test_two_applications_in_one_database(stack: Stack) -> None:
    password = load_secrets(Layout(stack.settings.state)).redis_trading
    with redis.Redis(
        port=stack.settings.redis_port, username="trading", password=password, db=0
    ) as stray:
        stray.set("trading:stray", "1", ex=5)
        found = wrong(stack)
    assert set(found) == {"redis databases"}
    assert "trading uses database 0, 1" in found["redis databases"]


def test_a_task_that_outlasts_its_message(stack: Stack, wait_until: WaitUntil) -> None:
    """A DAG whose task may take a day is the longest, and a day is what a message waits."""
    path = stack.home / "dags" / "slow_dag.py"
    path.write_text(
        "from datetime import timedelta\n"
        "from airflow.sdk import dag, task\n"
        "@task(execution_timeout=timedelta(days=1))\n"
        "def wait(): ...\n"
        "@dag\n"
        "def slow():\n"
        "    wait()\n"
        "slow()\n"
    )
    try:
        wait_until(lambda: "visibility timeout airflow" in wrong(stack), 60)
        found = wrong(stack)["visibility timeout airflow"]
        assert "after 86400 s" in found
        assert "wait of slow may take 86400 s" in found
    finally:
        path.unlink()
    wait_until(lambda: wrong(stack) == {}, 90)


def test_secrets_that_others_can_read(stack: Stack) -> None:
    path = Layout(stack.settings.state).secrets_file
    path.chmod(0o644)
    try:
        found = wrong(stack)
        assert set(found) == {"secrets"}
        assert "chmod 600" in found["secrets"]
    finally:
        path.chmod(0o600)


def test_secrets_that_disagree_with_what_runs(stack: Stack) -> None:
    path = Layout(stack.settings.state).secrets_file
    good = path.read_text()
    changed = json.loads(good) | {"airflow_jwt_secret": "another"}
    path.write_text(json.dumps(changed))
    try:
        found = wrong(stack)
        assert set(found) == {"secrets agree"}
        assert "AIRFLOW__API_AUTH__JWT_SECRET" in found["secrets agree"]
    finally:
        path.write_text(good)


def test_an_artifact_store_that_cannot_be_written(stack: Stack) -> None:
    folder = Layout(stack.settings.state).artifacts_dir
    aside = folder.with_name("artifacts-aside")
    folder.rename(aside)
    folder.touch()  # a file in the folder's place stops even root
    try:
        found = wrong(stack)
        assert "mlflow artifacts" in found
        assert str(folder) in found["mlflow artifacts"] + found.get("state directory", "")
    finally:
        folder.unlink()
        aside.rename(folder)


def test_a_dag_file_with_an_error(stack: Stack, wait_until: WaitUntil) -> None:
    broken = stack.home / "dags" / "broken_dag.py"
    broken.write_text("from airflow.sdk import dag\nraise RuntimeError('a typo')\n")
    try:
        wait_until(lambda: "a typo" in wrong(stack).get("dag files", ""), 60)
    finally:
        broken.unlink()
    wait_until(lambda: wrong(stack) == {}, 60)


def test_a_wrong_strategy_file(stack: Stack) -> None:
    path = stack.home / "strategies" / "typo.yaml"
    text = (stack.home / "strategies" / "momentum.yaml").read_text()
    path.write_text(text.replace("name: momentum", "name: typo").replace("horizon:", "horizn:"))
    try:
        found = told(stack)
        assert set(found) == {"strategy typo"}
        assert "horizn" in found["strategy typo"]
    finally:
        path.unlink()


def test_a_port_of_a_stopped_stack_that_somebody_else_took(
    new_stack: NewStack, tmp_path: Path
) -> None:
    other = new_stack(tmp_path / "other")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", other.settings.airflow_port))
        holder.listen()
        found = wrong(other)
    problem = found[f"port {other.settings.airflow_port}"]
    assert str(os.getpid()) in problem
    assert "TRADEWIND_AIRFLOW_PORT" in problem
