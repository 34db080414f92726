"""The real stack, used as a user would use it."""

import json
import os
import signal
import socket
import stat
from collections import Counter
from datetime import timedelta
from pathlib import Path

import httpx
import jwt
import psutil
import psycopg2
import pytest
import redis

from tests.stack.airflow import Airflow
from tests.stack.conftest import NewStack, Stack, WaitUntil
from tradewind.stack.layout import Layout
from tradewind.stack.processes import session_members
from tradewind.stack.secrets import Secrets, load_secrets
from tradewind.stack.state import read_state

ROLES = ("airflow", "mlflow", "tradewind")


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def secrets(stack: Stack) -> Secrets:
    return load_secrets(Layout(stack.settings.state))


def test_every_service_is_healthy_and_tells_its_memory(stack: Stack) -> None:
    found = stack.status()
    assert found["healthy"]
    running = [row for row in found["services"] if not row["step"]]
    assert {"postgres", "redis", "mlflow", "airflow-webserver", "airflow-worker-2"} <= {
        row["service"] for row in running
    }
    assert all(row["pid"] and row["memory"] > 2**20 for row in running)


def test_a_second_up_finds_the_stack_running(stack: Stack) -> None:
    before = stack.service("airflow-webserver")["pid"]
    stack.ok("up", "--detach")
    assert stack.service("airflow-webserver")["pid"] == before


def test_a_task_finds_the_research_libraries_imported(airflow: Airflow) -> None:
    run_id = airflow.trigger("warm")
    assert airflow.finished("warm", run_id)[0] == "success"
    assert airflow.returned("warm", run_id, "missing") == []


def test_what_is_forked_has_no_thread_that_a_fork_would_lose(stack: Stack) -> None:
    server = stack.service("forkserver")["pid"]
    names = [path.read_text().strip() for path in Path(f"/proc/{server}/task").glob("*/comm")]
    extra = Counter(names) - Counter([Path(f"/proc/{server}/comm").read_text().strip()])
    # jemalloc sees to its own; polars' other one deletes files that a query has spilled.
    assert set(extra) <= {"jemalloc_bg_thd", "polars-ooc-clea"}


def test_nothing_listens_beyond_this_machine(stack: Stack) -> None:
    state = read_state(Layout(stack.settings.state))
    assert state is not None
    members = session_members(state.sessions())
    ours = {pid for pids in members.values() for pid in pids}
    listening = [
        c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.pid in ours
    ]
    assert len(listening) >= 5
    assert {c.laddr.ip if c.laddr else None for c in listening} == {"127.0.0.1"}


@pytest.mark.parametrize("page", ["airflow", "mlflow"])
def test_a_page_opens_behind_a_port_that_is_forwarded_under_another_number(
    stack: Stack, page: str
) -> None:
    port = getattr(stack.settings, f"{page}_port")
    login = stack.json("credentials")[page]
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"Host": "localhost:9"}, timeout=60,
        auth=(login["user"], login["password"]), trust_env=False,
    ) as browser:  # fmt: skip
        answer = browser.get("/")
        while answer.has_redirect_location:
            assert answer.next_request is not None
            assert answer.next_request.url.host in ("127.0.0.1", "localhost")
            assert answer.next_request.url.port in (port, 9)
            answer = browser.get(answer.next_request.url.raw_path.decode())
    assert answer.status_code == 200


def test_secrets_are_for_their_owner_alone(stack: Stack, secrets: Secrets) -> None:
    path = Layout(stack.settings.state).secrets_file
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    values = set(vars(secrets).values()) - {""}  # no login of services that a team runs
    lines = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    assert lines
    assert not [line for line in lines if any(value in line for value in values)]


def test_both_pages_ask_for_a_login(stack: Stack) -> None:
    logins = json.loads(stack.ok("credentials", "--json"))
    airflow, mlflow = logins["airflow"], logins["mlflow"]
    dags = f"{airflow['address']}/api/v2/dags"
    assert httpx.get(dags).status_code == 401
    token = httpx.post(
        f"{airflow['address']}/auth/token",
        json={"username": airflow["user"], "password": airflow["password"]},
        timeout=30,
    ).json()["access_token"]
    assert httpx.get(dags, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    wrong = httpx.post(
        f"{airflow['address']}/auth/token", json={"username": "admin", "password": "x"}, timeout=30
    )
    assert wrong.status_code == 401
    experiments = f"{mlflow['address']}/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert httpx.get(experiments).status_code == 401
    assert httpx.get(experiments, auth=("admin", "wrong")).status_code == 401
    assert httpx.get(experiments, auth=("admin", mlflow["password"])).status_code == 200


@pytest.mark.parametrize("moved", [timedelta(minutes=50), -timedelta(days=1, minutes=-50)])
def test_a_token_holds_when_the_clock_is_set_by_less_than_an_hour(
    stack: Stack, secrets: Secrets, moved: timedelta
) -> None:
    """Of a user; the server checks a task's token by the same leeway."""
    url = stack.settings.airflow_url
    login = {"username": "admin", "password": secrets.airflow_admin}
    token = httpx.post(f"{url}/auth/token", json=login).json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    for claim in ("iat", "nbf", "exp"):
        claims[claim] += moved.total_seconds()
    moved_token = jwt.encode(claims, secrets.airflow_jwt_secret, algorithm="HS512")
    answer = httpx.get(f"{url}/api/v2/dags", headers={"Authorization": f"Bearer {moved_token}"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("role", ROLES)
def test_a_role_owns_its_database_and_enters_no_other(
    stack: Stack, secrets: Secrets, role: str
) -> None:
    def connect(database: str) -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host="127.0.0.1",
            port=stack.settings.postgres_port,
            user=role,
            password=getattr(secrets, f"postgres_{role}"),
            dbname=database,
        )

    own = connect(role)
    try:
        with own.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE probe (x int)")
            cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            assert cursor.fetchone() == (False,)
    finally:
        own.close()
    others = [name for name in (*ROLES, "postgres") if name != role]
    assert len(others) == 3
    for other in others:
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            connect(other)


@pytest.mark.parametrize("application", ["airflow", "trading"])
def test_redis_holds_an_application_to_its_keys(
    stack: Stack, secrets: Secrets, application: str
) -> None:
    other = {"airflow": "trading", "trading": "airflow"}[application]
    port = stack.settings.redis_port
    password = getattr(secrets, f"redis_{application}")
    with redis.Redis(port=port, username=application, password=password) as client:
        client.set(f"{application}:probe", "1", ex=5)
        for forbidden in (
            lambda: client.get(f"{other}:probe"),
            lambda: client.set("unprefixed", "1"),
            lambda: client.publish(f"{other}:/0.x", "1"),
            client.flushall,
            client.scan,  # it would name the other's keys
            client.randomkey,
            lambda: client.config_get("maxmemory"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                forbidden()
    with redis.Redis(port=port) as stranger, pytest.raises(redis.exceptions.AuthenticationError):
        stranger.ping()


def test_a_service_that_dies_is_started_again(stack: Stack, wait_until: WaitUntil) -> None:
    before = stack.service("airflow-triggerer")
    os.kill(before["pid"], signal.SIGKILL)

    def back() -> bool:
        now = stack.service("airflow-triggerer")
        return now["healthy"] and now["pid"] != before["pid"]

    wait_until(back, 90)
    assert stack.service("airflow-triggerer")["restarts"] == before["restarts"] + 1


def test_a_stopped_scheduler_turns_unhealthy(stack: Stack, wait_until: WaitUntil) -> None:
    pid = stack.service("airflow-scheduler")["pid"]
    members = session_members([pid])[pid]
    for member in members:
        os.kill(member, signal.SIGSTOP)
    try:
        wait_until(lambda: stack.service("airflow-scheduler")["state"] == "unhealthy", 90)
    finally:
        for member in members:
            os.kill(member, signal.SIGCONT)
    wait_until(lambda: stack.status()["healthy"], 90)


def test_recovery_after_everything_was_killed(stack: Stack, secrets: Secrets) -> None:
    state = read_state(Layout(stack.settings.state))
    assert state is not None
    os.kill(state.pid, signal.SIGKILL)
    found = stack.run("status", "--json")
    assert found.returncode == 1
    assert not json.loads(found.stdout)["running"]
    survivors = [pid for pids in session_members(state.sessions()).values() for pid in pids]
    assert survivors  # orphans, which the next start must find
    mlflow = state.services["mlflow"].pid
    assert mlflow is not None
    for pid in {mlflow, *survivors[::2]}:  # a leader dies, its children live on
        os.kill(pid, signal.SIGKILL)
    stack.ok("up", "--detach", timeout=600)
    assert stack.status()["healthy"]
    assert not [pid for pid in survivors if alive(pid)]
    assert load_secrets(Layout(stack.settings.state)) == secrets


def test_a_taken_port_is_named_with_its_holder_and_its_setting(
    new_stack: NewStack, tmp_path: Path
) -> None:
    other = new_stack(tmp_path / "other")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        other.environment["TRADEWIND_MLFLOW_PORT"] = str(port)
        result = other.run("up", "--detach")
    assert result.returncode == 1
    assert f"port {port}, which mlflow needs" in result.stderr
    assert f"pid {os.getpid()}" in result.stderr
    assert "TRADEWIND_MLFLOW_PORT" in result.stderr
    assert result.stderr.count("error:") == 1
    assert not other.status()["services"]
