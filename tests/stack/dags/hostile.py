"""A task that tries every door that is no business of a task's, and says how it was refused.

What it is told of a door that it tries is in the run's configuration: ids of an administrator's run
and model in MLflow, and digests of secrets, by which it knows one that it finds in its memory.
"""

import hashlib
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import BaseTrigger, TriggerEvent

Door = Callable[[dict[str, Any]], object]
DOORS: dict[str, tuple[Door, str]] = {}
STATE = Path(os.environ.get("TRADEWIND_STATE_DIR", "/nowhere"))
IN_CONTAINER = Path("/run/secrets").is_dir()
# Where the triggerer may write, and tasks may look.
MADE_BY_TRIGGERER = Path(os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"], "made-by-triggerer")


class NothingThereError(Exception):
    """Raised where what is looked for is not there."""


def door(name: str, refusal: str) -> Callable[[Door], Door]:
    """Register a door, and the words with which it has to be shut."""

    def register(found: Door) -> Door:
        DOORS[name] = found, refusal
        return found

    return register


# --- Secrets: in the environment, in files, in memory, in other processes.

for variable in (
    "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__CORE__FERNET_KEY",
    "AWS_SECRET_ACCESS_KEY", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "PGPASSWORD",
):  # fmt: skip

    @door(f"environment: {variable}", "not set")
    def _(told: dict[str, Any], variable: str = variable) -> object:
        from airflow.sdk.configuration import conf

        section, _, key = variable.removeprefix("AIRFLOW__").partition("__")
        found = [os.environ.get(variable, ""), conf.get(section.lower(), key.lower(), fallback="")]
        with suppress(PermissionError):  # where a process may not even read its own
            for entry in Path("/proc/self/environ").read_text(errors="replace").split("\0"):
                found += [entry.partition("=")[2]] * entry.startswith(f"{variable}=")
        # Airflow makes one up, for itself, where it is not told.
        if _digests(found) & set(told["digests"].values()):
            return variable
        raise NothingThereError("not set")


def _digests(texts: list[str]) -> set[str]:
    return {hashlib.sha256(text.rstrip("=").encode()).hexdigest() for text in texts if text}


@door("environment: the owner of Airflow's database", "not set|not-allowed")
def _(_told: dict[str, Any]) -> object:
    address = os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "not set")
    raise NothingThereError(address if "postgres" not in address else "there")


def _memory() -> Iterator[bytes]:
    """Yield what this process can write in its memory, which it has from its worker, in parts."""
    size, overlap = 2**24, 4096
    with Path("/proc/self/maps").open() as maps, Path("/proc/self/mem").open("rb") as memory:
        for line in maps:
            where, rights = line.split()[:2]
            start, end = (int(each, 16) for each in where.split("-"))
            if not rights.startswith("rw") or "[v" in line:
                continue
            for begin in range(start, end, size):
                memory.seek(begin)
                yield memory.read(min(size + overlap, end - begin))


@door("memory: secrets of others", "none found|Permission denied")
def _(told: dict[str, Any]) -> object:
    digests = {digest: name for name, digest in told["digests"].items()}
    found = set()
    for part in _memory():
        for begin in told["begins"]:
            where = part.find(begin.encode())
            while where >= 0:
                word = re.match(rb"[A-Za-z0-9_-]+", part[where : where + 128])
                name = word and digests.get(hashlib.sha256(word[0]).hexdigest())
                found |= {name} if name else set()
                where = part.find(begin.encode(), where + 1)
    if found:
        return sorted(found)
    raise NothingThereError(f"none found of {len(digests)}")


def _others() -> dict[int, str]:
    """Return the command lines of all processes but this one."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found[int(path.name)] = (path / "cmdline").read_text(errors="replace")
    found.pop(os.getpid(), None)
    return found


@door("processes: secrets in the environment of another", "no secret of others")
def _(told: dict[str, Any]) -> object:
    texts = []
    for pid in _others():
        with suppress(OSError):
            texts += Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    words = [word for text in texts for word in re.findall(r"[A-Za-z0-9_-]{20,}", text)]
    if _digests(words) & set(told["digests"].values()):
        return "found"
    raise NothingThereError("no secret of others")


@door("processes: the memory of its worker", "Permission denied")
def _(_told: dict[str, Any]) -> object:
    return Path(f"/proc/{os.getppid()}/mem").open("rb")


@door("processes: a signal to another service", "Operation not permitted|none is here")
def _(_told: dict[str, Any]) -> object:
    services = (
        "api-server",
        "api_server",
        "dag-processor",
        "postgres",
        "redis-server",
        "scheduler",
    )
    for pid, command in _others().items():
        if any(service in command for service in services):
            os.kill(pid, signal.SIG_DFL)  # 0, which does nothing
            return f"sent to {command!r}"
    raise NothingThereError("none is here")


BELOW = "/run/secrets/" if IN_CONTAINER else f"{STATE}/"
FILES = (
    [f"/run/secrets/{name}" for name in (
        "secrets.json", "airflow/env", "airflow-init/admin", "airflow-dag-processor/env",
        "credentials/logins.json", "minio/root-password", "minio-init/env", "mlflow/env",
        "postgres/superuser", "redis/users.acl", "trading/env", "trading-migrate/env",
    )]
    if IN_CONTAINER
    else [str(STATE / name) for name in (
        "secrets.json", "run/users.acl", "run/state.json", "postgres/data/PG_VERSION",
        "redis/appendonlydir", "artifacts", "logs/airflow-webserver.log", "logs/trading-worker.log",
        "airflow", "airflow/airflow.cfg",
    )]
)  # fmt: skip
for file in FILES:

    @door(f"files: {file.removeprefix(BELOW)}", "Permission denied")
    def _(_told: dict[str, Any], file: str = file) -> object:
        path = Path(file)
        path.open("ab") if path.is_file() else (path / "x").write_text("x")
        return "written"


@door("files: the code of all services", "Permission denied|Read-only")
def _(_told: dict[str, Any]) -> object:
    import tradewind

    return Path(tradewind.__file__).open("ab")


@door("files: the settings of all services", "Permission denied|Read-only|No such file")
def _(_told: dict[str, Any]) -> object:
    return Path(os.environ["TRADEWIND_HOME"], "config", "airflow.env").open("ab")


# --- PostgreSQL.


OWN = "TRADEWIND_DATABASE_URL"


def _sql(role: str, database: str, statement: str, *, own: str = OWN) -> object:
    import psycopg2

    address = urlsplit(os.environ[own].replace("db+", "").replace("+psycopg2", ""))
    connection = psycopg2.connect(
        host=address.hostname, port=address.port, user=role or address.username, dbname=database,
        password=address.password, connect_timeout=10,
    )  # fmt: skip
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            connection.commit()
            return statement
    finally:
        connection.close()


for role in ("postgres", "airflow", "airflow_dags", "desk", "mlflow", "tradewind", "trading"):

    @door(f"PostgreSQL: as {role}", "password authentication failed")
    def _(_told: dict[str, Any], role: str = role) -> object:
        return _sql(role, role if role in {"postgres", "mlflow"} else "airflow", "SELECT 1")


for database in ("airflow", "mlflow", "postgres"):

    @door(f"PostgreSQL: database {database}", "permission denied for database")
    def _(_told: dict[str, Any], database: str = database) -> object:
        return _sql("", database, "SELECT 1")


DENIED = "permission denied|must be owner|row-level security"
for name, statement in {
    "an order": "INSERT INTO trading.orders SELECT * FROM trading.orders LIMIT 0",
    "an order's state": "INSERT INTO trading.order_events (client_order_id) VALUES ('x')",
    "a fill": "INSERT INTO trading.fills SELECT * FROM trading.fills LIMIT 0",
    "another fill": "UPDATE trading.fills SET price = price WHERE false",
    "a position": "INSERT INTO trading.bookings (account, session, symbol, kind, shares, price, "
    "amount, reference) VALUES ('hostile', '2020-01-02', 'X', 'buy', 1, 1, -1, 'x')",
    "equity": "INSERT INTO trading.equity (account, session, cash, positions, equity) "
    "VALUES ('hostile', '2020-01-02', 1, 0, 1)",
    "the kill switch, taken off": "INSERT INTO trading.halts (account, halted, reason) "
    "VALUES (NULL, false, 'hostile')",
    "the kill switch, changed": "UPDATE trading.halts SET halted = false",
    "the kill switch, forgotten": "DELETE FROM trading.halts",
    "the kill switch, dropped": "DROP TABLE trading.halts",
    "the paper broker": "SELECT * FROM paper.orders",
    "the ledger of trials": "DELETE FROM trial_ledger",
    "signals": "UPDATE signals SET weight = 0",
    "a trap in public": "CREATE FUNCTION public.hashtext(text) RETURNS int "
    "LANGUAGE sql AS 'SELECT 1'",
    "another role": "SET ROLE tradewind",
    "a program": "COPY (SELECT 1) TO PROGRAM 'true'",
    "a file": "SELECT pg_read_file('PG_VERSION')",
}.items():

    @door(f"database tradewind: {name}", DENIED)
    def _(_told: dict[str, Any], statement: str = statement) -> object:
        return _sql("", "tradewind", statement)


for name in ("ab_user", "connection", "variable", "task_instance", "serialized_dag"):

    @door(f"database airflow: {name}", "permission denied|does not exist")
    def _(_told: dict[str, Any], name: str = name) -> object:
        statement = f"SELECT * FROM public.{name} LIMIT 1"
        return _sql("", "airflow", statement, own="AIRFLOW__CELERY__RESULT_BACKEND")


@door("database airflow: a trap for who reads results", "permission denied")
def _(_told: dict[str, Any]) -> object:
    trap = "CREATE FUNCTION celery.trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'"
    return _sql("", "airflow", trap, own="AIRFLOW__CELERY__RESULT_BACKEND")


# --- Redis.


def _redis(*words: str, user: str | None = None) -> object:
    from redis import Redis

    address = urlsplit(os.environ["AIRFLOW__CELERY__BROKER_URL"])
    assert address.hostname is not None
    with Redis(
        host=address.hostname, port=address.port or 6379, username=user or address.username,
        password=address.password, socket_timeout=10,
    ) as client:  # fmt: skip
        return repr(client.execute_command(*words))


for name, words in {
    "keys of trading": ("GET", "trading:x"),
    "the queue of trading": ("LPUSH", "trading:trading", "x"),
    "all keys": ("KEYS", "*"),
    "forget everything": ("FLUSHALL",),
    "users": ("ACL", "LIST"),
    "settings": ("CONFIG", "GET", "*"),
}.items():

    @door(f"Redis: {name}", "no permissions|NOPERM|No permissions")
    def _(_told: dict[str, Any], words: tuple[str, ...] = words) -> object:
        return _redis(*words)


@door("Redis: as admin", "invalid username-password|WRONGPASS")
def _(_told: dict[str, Any]) -> object:
    return _redis("PING", user="admin")


# --- MLflow.


def _mlflow(
    method: str, path: str, content: dict[str, Any], user: str | None = None, api: str = "api/2.0"
) -> object:
    import httpx

    login = user or os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]
    answer = httpx.request(
        method, f"{os.environ['MLFLOW_TRACKING_URI']}/{api}/mlflow/{path}", auth=login,
        params=content if method == "GET" else None, json=None if method == "GET" else content,
        timeout=60, trust_env=False,
    )  # fmt: skip
    answer.raise_for_status()
    return answer.text


FORBIDDEN = "403"
NEW = {"username": "hostile", "password": "a password of a hostile task"}
MLFLOW: dict[str, tuple[str, str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "a new user": ("POST", "users/create", lambda _: NEW),
    "all users": ("GET", "users/list", lambda _: {}),
    "the password of admin": (
        "PATCH", "users/update-password", lambda _: {**NEW, "username": "admin"},
    ),
    "to be an administrator": (
        "PATCH", "users/update-admin", lambda _: {"username": "tradewind", "is_admin": True},
    ),
    "a permission": (
        "POST", "users/permissions/grant", lambda told: {
            "username": "reader", "resource_type": "experiment",
            "resource_id": told["experiment_id"], "resource_pattern": told["experiment_id"],
            "permission": "MANAGE",
        },
    ),
    "another's run, deleted": ("POST", "runs/delete", lambda told: {"run_id": told["run_id"]}),
    "another's experiment, deleted": (
        "POST", "experiments/delete", lambda told: {"experiment_id": told["experiment_id"]},
    ),
    "another's model, deleted": (
        "DELETE", "registered-models/delete", lambda told: {"name": told["model"]},
    ),
}  # fmt: skip
for name, (method, path, content) in MLFLOW.items():

    @door(f"MLflow: {name}", FORBIDDEN)
    def _(
        told: dict[str, Any], method: str = method, path: str = path,
        content: Callable[[dict[str, Any]], dict[str, Any]] = content,
    ) -> object:  # fmt: skip
        return _mlflow(method, path, content(told))


@door("MLflow: its own experiment, deleted", FORBIDDEN)
def _(_told: dict[str, Any]) -> object:
    import mlflow

    client = mlflow.MlflowClient()
    made = client.get_experiment_by_name("hostile")
    own = made.experiment_id if made else client.create_experiment("hostile")
    return _mlflow("POST", "experiments/delete", {"experiment_id": own})


@door("MLflow: the assistant, which runs commands on its machine", FORBIDDEN)
def _(_told: dict[str, Any]) -> object:
    return _mlflow("GET", "assistant/config", {}, api="ajax-api/3.0")


@door("MLflow: keys for others' models", FORBIDDEN)
def _(_told: dict[str, Any]) -> object:
    return _mlflow("GET", "gateway/secrets/list", {}, api="api/3.0")


@door("MLflow: files of its machine, by a link in an experiment's folder", "400")
def _(_told: dict[str, Any]) -> object:
    import tempfile

    import httpx
    import mlflow

    folder = Path(tempfile.mkdtemp(dir=MADE_BY_TRIGGERER.parent))
    client = mlflow.MlflowClient()
    experiment = client.create_experiment(folder.name, artifact_location=folder.as_uri())
    run_id = client.create_run(experiment).info.run_id
    (folder / run_id).mkdir()
    (folder / run_id / "artifacts").symlink_to("/run/secrets/mlflow" if IN_CONTAINER else STATE)
    answer = httpx.get(
        f"{os.environ['MLFLOW_TRACKING_URI']}/get-artifact",
        params={"run_uuid": run_id, "path": "env" if IN_CONTAINER else "secrets.json"},
        auth=(os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]),
        timeout=60, trust_env=False,
    )  # fmt: skip
    answer.raise_for_status()
    return answer.text


@door("MLflow: as admin", "401")
def _(_told: dict[str, Any]) -> object:
    return _mlflow("GET", "users/list", {}, user="admin")


# --- Airflow.


def _airflow(path: str, token: str) -> object:
    import httpx

    server = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].removesuffix("/execution/")
    answer = httpx.post(
        f"{server}/api/v2/{path}", headers={"Authorization": f"Bearer {token}"},
        json={"key": "hostile", "value": "was here"}, timeout=60, trust_env=False,
    )  # fmt: skip
    answer.raise_for_status()
    return answer.text


@door("Airflow: a forged token of the administrator", "401|403")
def _(_told: dict[str, Any]) -> object:
    import time

    import jwt

    key = os.environ.get("AIRFLOW__API_AUTH__JWT_SECRET") or os.environ["MLFLOW_TRACKING_PASSWORD"]
    now = int(time.time())
    claims = {"sub": "1", "aud": "apache-airflow", "iat": now, "nbf": now, "exp": now + 600}
    return _airflow("variables", jwt.encode(claims, key * 3, algorithm="HS512"))


@door("Airflow: the token of its task, at the API of people", "401|403|no token|Permission denied")
def _(_told: dict[str, Any]) -> object:
    tokens: set[bytes] = set()
    for part in _memory():
        where = part.find(b"eyJ")
        while where >= 0:
            token = re.match(
                rb"eyJ[\w-]{10,}\.eyJ[\w-]{20,}\.[\w-]{20,}", part[where : where + 4096]
            )
            tokens |= {token[0]} if token else set()
            where = part.find(b"eyJ", where + 1)
    if not tokens:
        raise NothingThereError("no token")
    return [_airflow("variables", token.decode()) for token in sorted(tokens)[:3]]


@door("Airflow: as the administrator, by a password it has", "401|403")
def _(_told: dict[str, Any]) -> object:
    import httpx

    server = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].removesuffix("/execution/")
    content = {"username": "admin", "password": os.environ["MLFLOW_TRACKING_PASSWORD"]}
    answer = httpx.post(f"{server}/auth/token", json=content, timeout=60, trust_env=False)
    answer.raise_for_status()
    return answer.text


def _tried(name: str, told: dict[str, Any]) -> dict[str, Any]:
    found, refusal = DOORS[name]
    try:
        said, shut = f"open: {found(told)!r}", False
    except Exception as error:  # noqa: BLE001 - what it says is looked at
        said = f"{type(error).__name__}: {error}"
        shut = re.search(refusal, said) is not None
    return {"shut": shut, "said": said[:500]}


class Program(BaseTrigger):
    """Has the triggerer, which has Airflow's keys, call what runs a program."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "subprocess.Popen", {"args": ["touch", str(MADE_BY_TRIGGERER)]}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent("not this")


@door("triggerer: a program", "No such file")
def _(_told: dict[str, Any]) -> object:
    return MADE_BY_TRIGGERER.stat()  # the task before this one asked for it


with DAG("hostile", schedule=None, is_paused_upon_creation=False):

    @task(retries=0)
    def defers() -> None:
        MADE_BY_TRIGGERER.unlink(missing_ok=True)
        trigger = Program()  # type: ignore[no-untyped-call] # Airflow's
        raise TaskDeferred(trigger=trigger, method_name="execute")

    @task(trigger_rule="all_done")
    def tries() -> dict[str, dict[str, Any]]:
        from airflow.sdk import get_current_context

        told = dict(get_current_context()["dag_run"].conf or {})
        return {name: _tried(name, told) for name in DOORS}

    defers() >> tries()
