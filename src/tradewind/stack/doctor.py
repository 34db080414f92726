"""Checks of a stack: what is wrong, and how to mend it."""

import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tradewind.endpoints import ROLES
from tradewind.errors import SecretsError, TradewindError
from tradewind.own_packages import unmet
from tradewind.settings import Settings
from tradewind.stack import minio
from tradewind.stack.adoption import adopt
from tradewind.stack.checks import Check, guarded
from tradewind.stack.doors import doors
from tradewind.stack.half_restored import half_restored
from tradewind.stack.identity import identity_provider
from tradewind.stack.isolation import isolation, longest_celery_task
from tradewind.stack.layout import Layout
from tradewind.stack.processes import holder_of_port, session_members
from tradewind.stack.secrets import Secrets, are_lost, load_secrets
from tradewind.stack.servers import postgres_server, stores
from tradewind.stack.state import ServiceState, StackState, read_state
from tradewind.stack.theirs import connect

__all__ = ["databases", "diagnose", "environment_of", "import_error"]

# A task of these is deferred until somebody answers; no worker holds it meanwhile.
WAITS_FOR_A_PERSON = "airflow.providers.standard.operators.hitl"
SET_RIGHT = (
    "tradewind down, then tradewind up --detach: a start sets roles, passwords and rights as "
    "config/postgres/init.sql and the secrets file say"
)
FREE_SPACE = 1 * 2**30  # bytes; PostgreSQL stops where it cannot write
# Secrets that several components must agree on, by the variable that carries each.
SHARED_SECRETS = {
    "AIRFLOW__API_AUTH__JWT_SECRET": "airflow_jwt_secret",
    "AIRFLOW__API__SECRET_KEY": "airflow_api_secret_key",
    "AIRFLOW__CORE__FERNET_KEY": "airflow_fernet_key",
    "MLFLOW_TRACKING_PASSWORD": "mlflow_worker",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "mlflow_flask_secret_key",
    "MINIO_ROOT_PASSWORD": "minio_root",
    "AWS_SECRET_ACCESS_KEY": "minio_mlflow",
}


def diagnose(settings: Settings) -> Iterator[Check]:
    """Look at everything that can be looked at, one check after the other.

    Yields
    ------
    Check
        Never raises for what it finds: a check that cannot be made is itself a problem.
    """
    layout = Layout(settings.state)
    yield _python()
    yield guarded("packages of your own", lambda: _own_packages(settings))
    yield guarded("state directory", lambda: _state_directory(layout))
    if found := half_restored(layout):
        yield Check("restore", found, "tradewind restore, as the message says")
    state = read_state(layout)
    running = state is not None and state.supervised()
    yield from _ports(settings, state if running else None)
    if (provider := identity_provider(settings)) is not None:
        yield provider
    try:
        secrets = load_secrets(layout)
    except SecretsError as error:
        if running or layout.secrets_file.exists() or are_lost(layout):
            yield Check("secrets", str(error), "see the message")
        return
    yield Check("secrets file")
    if state is None or not running:
        yield Check("services", "the stack is not running", "tradewind up --detach")
        return
    yield _services(state)
    yield guarded("secrets agree", lambda: _secrets_agree(state, secrets))
    yield from databases(settings, secrets)
    yield from _theirs(settings)
    workers = {
        application: sum(name.startswith(f"{application}-worker") for name in state.services)
        for application in ("airflow", "trading")
    }
    longest = {
        "airflow": lambda _: _longest_airflow_task(settings, secrets),
        "trading": longest_celery_task,
    }
    yield from isolation(settings, secrets, workers, longest)
    yield from doors(settings, secrets, state, lambda record: environment_of(record, state))
    yield guarded("airflow login", lambda: _airflow_login(settings, secrets))
    yield guarded("mlflow login", lambda: _mlflow_login(settings, secrets))
    yield guarded("mlflow artifacts", lambda: _artifacts(settings, secrets))
    yield guarded("dag files", lambda: _dag_imports(settings, secrets))


def _theirs(settings: Settings) -> Iterator[Check]:
    """Look at the services that a team runs, with what our own may ask of them."""
    try:
        parts = adopt(settings, {}).parts
    except TradewindError as error:
        yield Check("services of the team", str(error), "tradewind adopt")
        return
    for part in parts:
        for each in part.findings:
            name = f"{part.service} {each.what}"
            if each.state in ("to do", "in the way"):
                yield Check(name, each.said, "tradewind adopt says what is to do, and where")
            else:
                yield Check(name, note=each.said if each.state == "note" else "")


def _python() -> Check:
    if (3, 11) <= sys.version_info < (3, 14):
        return Check("python")
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", f"{version} is not supported", "use Python 3.11, 3.12 or 3.13")


def _own_packages(settings: Settings) -> Check:
    mend = "tradewind down, then tradewind up --detach, which installs them"
    return Check("packages of your own", "\n".join(unmet(settings.home)), mend)


def _state_directory(layout: Layout) -> Check:
    name = "state directory"
    if not layout.root.exists():
        return Check(name)
    try:
        layout.create()
    except TradewindError as error:
        return Check(name, str(error), "free space, or set TRADEWIND_STATE_DIR")
    free = shutil.disk_usage(layout.root).free
    if free < FREE_SPACE:
        return Check(
            name,
            f"{free / 2**20:.0f} MB are free at {layout.root}",
            "free at least 1 GB, or set TRADEWIND_STATE_DIR to another disk",
        )
    return Check(name)


def _ports(settings: Settings, state: StackState | None) -> Iterator[Check]:
    members = session_members(state.sessions()) if state else {}
    ours = {pid for pids in members.values() for pid in pids}
    names = ["airflow_port", "mlflow_port", "scheduler_health_port"]
    names += [] if settings.postgres_url else ["postgres_port"]
    followed = stores(settings).redis.sentinels  # with a server of ours that leads there
    names += [] if settings.redis_url and not followed else ["redis_port"]
    if not settings.objects_url and minio.is_used(Layout(settings.state)):
        names += ["minio_port", "minio_console_port"]
    for name in names:
        port = getattr(settings, name)
        holder = holder_of_port(port)
        if holder is None or holder[0] in ours:
            yield Check(f"port {port}")
        else:
            yield Check(
                f"port {port}",
                f"taken by {holder[1]} (pid {holder[0]})",
                f"stop it, or set TRADEWIND_{name.upper()} to a free port",
            )


def _services(state: StackState) -> Check:
    sick = [s for s in state.services.values() if s.state not in ("healthy", "done")]
    if not sick:
        return Check("services")
    problem = "; ".join(f"{s.name} is {s.state} {s.detail}".strip() for s in sick)
    return Check("services", problem, f"tradewind logs {sick[0].name}")


def _secrets_agree(state: StackState, secrets: Secrets) -> Check:
    differing = set()
    looked_at = 0
    for record in state.services.values():
        if record.pid is None or record.step:
            continue
        variables = environment_of(record, state)
        for variable, name in SHARED_SECRETS.items():
            if variable in variables:
                looked_at += 1
                if variables[variable] != getattr(secrets, name):
                    differing.add(f"{record.name} has another {variable}")
    if not looked_at:
        return Check("secrets agree", "no component's environment could be read", "run as its user")
    if differing:
        return Check(
            "secrets agree",
            "; ".join(sorted(differing)),
            "put the old secrets file back, or tradewind down and up",
        )
    return Check("secrets agree")


def environment_of(record: ServiceState, state: StackState) -> dict[str, str]:
    """Return the environment that a service was started with, where it can be read."""
    try:
        for entry in Path(f"/proc/{state.pid}/fd").iterdir():
            # What was given to a service that was forked is a file in its supervisor's memory.
            if str(entry.readlink()).startswith(f"/memfd:{record.name} "):
                given: dict[str, str] = json.loads(entry.read_bytes())["environment"]
                return given
        text = Path(f"/proc/{record.pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def databases(settings: Settings, secrets: Secrets) -> Iterator[Check]:
    """Look whether each role is let into its own database, and into no other."""
    for role in ROLES:
        yield guarded(f"database {role}", partial(_database, settings, secrets, role))


def _database(settings: Settings, secrets: Secrets, role: str) -> Check:
    import psycopg2

    name = f"database {role}"

    server = postgres_server(settings)

    def enter(database: str) -> None:
        login = server.name(role), getattr(secrets, f"postgres_{role}")
        # That one is the server's own, and has its name everywhere.
        whole = database if database == "postgres" else server.name(database)
        connect(server, login, whole).close()

    own = ROLES[role]
    try:
        enter(own)
    except psycopg2.OperationalError as error:
        said = str(error).strip()
        return Check(name, f"role {role} cannot enter it: {said}", _way_into_database(said))
    entered = []
    for other in sorted({*ROLES.values(), "postgres"} - {own}):
        try:
            enter(other)
        except psycopg2.OperationalError as error:
            if "permission denied" not in str(error):
                raise
        else:
            entered.append(other)
    if server.theirs and "postgres" in entered:
        entered.remove("postgres")
        note = (
            f"role {role} can also enter postgres, which is not ours to close: REVOKE CONNECT ON "
            "DATABASE postgres FROM PUBLIC"
        )
    else:
        note = ""
    if entered:
        return Check(name, f"role {role} can also enter {', '.join(entered)}", SET_RIGHT, note)
    return Check(name, note=note)


def _way_into_database(said: str) -> str:
    """Return how to mend what keeps a role out, by PostgreSQL's own words for it."""
    if "too many c" in said or "connection slots" in said:
        return (
            "end what holds so many connections (a notebook, a tool of your own), or raise "
            "max_connections in config/postgres/postgresql.conf; then tradewind down and tradewind "
            "up --detach"
        )
    if "refused" in said or "starting up" in said or "shutting down" in said:
        return "tradewind status; tradewind logs postgres"
    return SET_RIGHT


def _airflow_login(settings: Settings, secrets: Secrets) -> Check:
    import httpx

    answer = httpx.post(
        f"{settings.airflow_url}/auth/token",
        json={"username": "admin", "password": secrets.airflow_admin}, timeout=15, trust_env=False,
    )  # fmt: skip
    return _login("airflow", refused=answer.status_code == httpx.codes.UNAUTHORIZED)


def _mlflow_login(settings: Settings, secrets: Secrets) -> Check:
    import httpx

    answer = httpx.get(
        f"{settings.mlflow_url}/api/2.0/mlflow/experiments/get?experiment_id=0",
        auth=("admin", secrets.mlflow_admin), timeout=15, trust_env=False,
    )  # fmt: skip
    return _login("mlflow", refused=answer.status_code == httpx.codes.UNAUTHORIZED)


def _login(page: str, *, refused: bool) -> Check:
    if not refused:
        return Check(f"{page} login")
    return Check(
        f"{page} login",
        f"{page} refuses the password of admin that `tradewind credentials` prints: it was changed "
        "on the page",
        f"tradewind password {page} sets a new one, with --ask the one that you say",
    )


def _artifacts(settings: Settings, secrets: Secrets) -> Check:
    import httpx

    path = f"doctor-{os.getpid()}-{uuid.uuid4().hex}"
    url = f"{settings.mlflow_url}/api/2.0/mlflow-artifacts/artifacts/{path}"
    try:
        with httpx.Client(
            auth=("admin", secrets.mlflow_admin), timeout=15, trust_env=False
        ) as client:
            written = client.put(url, content=path.encode())
            read = client.get(url)
            client.delete(url)
        answer = f"{written.status_code}, {read.status_code}"
        well = written.is_success and read.is_success and read.text == path
    except httpx.HTTPError as error:
        answer, well = str(error) or type(error).__name__, False
    if not well:
        return Check(
            "mlflow artifacts",
            f"a file written through MLflow did not come back ({answer})",
            f"is {Layout(settings.state).artifacts_dir} (or MinIO) there and writable? "
            "tradewind logs mlflow",
        )
    return Check("mlflow artifacts")


def _dag_imports(settings: Settings, secrets: Secrets) -> Check:
    with _airflow(settings, secrets) as get:
        errors = get("/importErrors")["import_errors"]
    if not errors:
        return Check("dag files")
    problem = "; ".join(f"{e['filename']}: {import_error(e['stack_trace'])}" for e in errors)
    mend = "mend the file; Airflow reads it again by itself"
    if "import timeout" in problem:
        mend = f"move what takes long from the file itself into its tasks: {mend}"
    return Check("dag files", problem, mend)


def import_error(trace: str) -> str:
    """Return the line that says what is wrong with a DAG file; advice may come after it."""
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Timeout|Exit)\b", line)]
    return (errors or lines or ["it cannot be read"])[-1]


def _longest_airflow_task(settings: Settings, secrets: Secrets) -> tuple[float | None, str]:
    """Return the seconds that the longest task may hold a worker, or None, and its name."""
    longest = 0.0, "no task"
    with _airflow(settings, secrets) as get:
        dags = get("/dags?limit=1000")["dags"]
        for dag_id in (dag["dag_id"] for dag in dags):
            for task in get(f"/dags/{quote(dag_id)}/tasks")["tasks"]:
                if task["class_ref"]["module_path"] == WAITS_FOR_A_PERSON:
                    continue
                name = f"{task['task_id']} of {dag_id}"
                limit = task["execution_timeout"]
                if limit is None:
                    return None, name
                seconds = limit["days"] * 86400 + limit["seconds"]
                longest = max(longest, (seconds, name))
    return longest


@contextmanager
def _airflow(settings: Settings, secrets: Secrets) -> Iterator[Callable[[str], Any]]:
    """Log in to Airflow's REST interface."""
    import httpx

    with httpx.Client(base_url=settings.airflow_url, timeout=15, trust_env=False) as client:
        token = client.post(
            "/auth/token", json={"username": "admin", "password": secrets.airflow_admin}
        )
        token.raise_for_status()
        client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

        def get(path: str) -> Any:  # noqa: ANN401 - JSON
            answer = client.get(f"/api/v2{path}")
            answer.raise_for_status()
            return answer.json()

        yield get
