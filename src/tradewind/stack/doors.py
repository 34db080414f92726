"""Doors that must be shut: each is tried, with the logins that the running services have.

A door is what somebody with a service's login could do and has no business with. What would change
something, were the door open, is tried in a transaction that is rolled back, or with something that
does not exist. ``python -m tradewind.stack.doors PID`` tries those of this machine, as a task
would.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from tradewind.endpoints import ROLES
from tradewind.host import landlock
from tradewind.settings import Settings, load_settings
from tradewind.stack import minio
from tradewind.stack.checks import Check, guarded
from tradewind.stack.confined import NOT_ENFORCED, PACKAGE, confine
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import Secrets
from tradewind.stack.servers import postgres_server
from tradewind.stack.state import ServiceState, StackState
from tradewind.stack.theirs import connect

__all__ = ["HELD", "doors"]

Environments = Callable[[ServiceState], dict[str, str]]

HELD: Final = {
    "forkserver": frozenset[str](),
    "airflow-worker": frozenset(
        {"redis_airflow", "redis_trading", "postgres_airflow_results", "postgres_research",
         "mlflow_worker", "tiingo_key", "alpaca_key"}
    ),
    "airflow-dag-processor": frozenset({"postgres_airflow_dags", "airflow_fernet_key"}),
    "trading-worker": frozenset({"redis_trading", "postgres_trading", "broker_login"}),
}  # fmt: skip
"""Secrets that a service which runs an author's code may have, by how its name begins."""

_HALT_OFF = (
    "INSERT INTO trading.halts (account, halted, reason) VALUES (NULL, false, 'the doctor tries')"
)
_HALTS: Final = {
    "change a halt": "UPDATE trading.halts SET halted = false WHERE false",
    "forget a halt": "DELETE FROM trading.halts WHERE false",
}
# Names of roles stand in braces: a team's server may call them otherwise.
_OWNER: Final = {
    "become the owner": "SET ROLE {tradewind}",
    "make a table in public": "CREATE TABLE public.door (i int)",
}
_STATEMENTS: Final = {
    "research": {
        "take a halt off": _HALT_OFF,
        **_HALTS,
        "write an order": "INSERT INTO trading.orders SELECT * FROM trading.orders WHERE false",
        "write an order's state": "INSERT INTO trading.order_events SELECT * FROM "
        "trading.order_events WHERE false",
        "write a fill": "INSERT INTO trading.fills SELECT * FROM trading.fills WHERE false",
        "book a trade": "INSERT INTO trading.bookings (account, session, symbol, kind, shares, "
        "price, amount, reference) VALUES ('the doctor', '2000-01-03', 'X', 'buy', 1, 1, -1, '')",
        "write equity": "INSERT INTO trading.equity (account, session, cash, positions, equity) "
        "VALUES ('the doctor', '2000-01-03', 1, 0, 1)",
        "read the paper broker": "SELECT FROM paper.orders LIMIT 0",
        "change the ledger of trials": "DELETE FROM public.trial_ledger WHERE false",
        "change signals": "UPDATE public.signals SET weight = weight WHERE false",
        "read the server's files": "SELECT pg_read_file('PG_VERSION')",
        **_OWNER,
    },
    "trading": {
        **_HALTS,
        "change a fill": "UPDATE trading.fills SET price = price WHERE false",
        "read the ledger of trials": "SELECT FROM public.trial_ledger LIMIT 0",
        "read the server's files": "SELECT pg_read_file('PG_VERSION')",
        **_OWNER,
    },
    "desk": {
        **_HALTS,
        "write an order": "INSERT INTO trading.orders SELECT * FROM trading.orders WHERE false",
        "write a fill": "INSERT INTO trading.fills SELECT * FROM trading.fills WHERE false",
        "open an account": "INSERT INTO trading.accounts SELECT * FROM trading.accounts "
        "WHERE false",
        "read the ledger of trials": "SELECT FROM public.trial_ledger LIMIT 0",
        "read the server's files": "SELECT pg_read_file('PG_VERSION')",
        **_OWNER,
    },
    "airflow_results": {
        "read users": "SELECT FROM public.ab_user LIMIT 0",
        "read connections": "SELECT FROM public.connection LIMIT 0",
        "read variables": "SELECT FROM public.variable LIMIT 0",
        "make a table among results": "CREATE TABLE celery.door (i int)",
        "change a task's state": "UPDATE public.task_instance SET state = state WHERE false",
        "become the owner": "SET ROLE {airflow}",
    },
    "airflow_dags": {
        "read users": "SELECT FROM public.ab_user LIMIT 0",
        "change a connection": "UPDATE public.connection SET host = host WHERE false",
        "change a variable": "UPDATE public.variable SET val = val WHERE false",
        "begin a run": "INSERT INTO public.dag_run SELECT * FROM public.dag_run WHERE false",
        "change a task's state": "UPDATE public.task_instance SET state = state WHERE false",
        "let a role to connections": "INSERT INTO public.ab_permission_view_role "
        "(id, permission_view_id, role_id) SELECT -1, p.id, r.id FROM public.ab_permission_view p "
        "JOIN public.ab_view_menu v ON v.id = p.view_menu_id CROSS JOIN public.ab_role r "
        "WHERE v.name = 'Connections' LIMIT 1",
        "become the owner": "SET ROLE {airflow}",
    },
}  # fmt: skip

_NONE: Final = "999999999"
# Of something that does not exist, which MLflow says to who may ask; below its API, or at its root.
_REQUESTS: Final[dict[str, dict[str, tuple[str, str, dict[str, Any]]]]] = {
    "tradewind": {
        "see users": ("GET", "users/list", {}),
        "make a user": ("POST", "users/create", {}),
        "make an administrator": (
            "PATCH", "users/update-admin", {"username": "nobody", "is_admin": True},
        ),
        "set a password": (
            "PATCH", "users/update-password", {"username": "nobody", "password": "x" * 20},
        ),
        "delete a user": ("DELETE", "users/delete", {"username": "nobody"}),
        "delete an experiment": ("POST", "experiments/delete", {"experiment_id": _NONE}),
        "delete a model": ("DELETE", "registered-models/delete", {"name": "no model"}),
        "ask the assistant": ("GET", "/ajax-api/3.0/mlflow/assistant/config", {}),
        "see keys of others": ("GET", "/api/3.0/mlflow/gateway/secrets/list", {}),
    },
    "reader": {
        "see users": ("GET", "users/list", {}),
        "make an experiment": ("POST", "experiments/create", {}),
        "make a model": ("POST", "registered-models/create", {}),
        "log a run": ("POST", "runs/create", {"experiment_id": _NONE}),
        "delete an experiment": ("POST", "experiments/delete", {"experiment_id": _NONE}),
        "empty the bin": ("POST", "/api/2.0/tradewind/housekeeping", {"dry_run": True}),
    },
}  # fmt: skip

_AGAIN: Final = "tradewind down, then tradewind up --detach: a start sets accounts and rights anew"


def doors(
    settings: Settings, secrets: Secrets, state: StackState, environment: Environments
) -> Iterator[Check]:
    """Try the doors of the running stack.

    Parameters
    ----------
    settings, secrets, state
    environment : callable
        Returns what a service was started with.

    Yields
    ------
    Check
        One a door, by its name; never raises for what it finds.
    """
    for record in state.services.values():
        for begin, allowed in HELD.items():
            if record.name.startswith(begin) and record.pid is not None:
                name = f"door {record.name}: secrets of others"
                yield guarded(name, partial(_held, name, environment(record), allowed, secrets))
    for role in _STATEMENTS:
        yield from _of_role(settings, secrets, role)
    yield from _of_account(settings, "tradewind", secrets.mlflow_worker)
    yield from _of_account(settings, "reader", secrets.mlflow_reader)
    if minio.is_used(Layout(settings.state)):
        name = "door MinIO's mlflow: another bucket"
        yield guarded(name, partial(_other_bucket, name, settings, secrets))
    yield from _machine(settings, state.pid)


def _held(
    name: str, environment: dict[str, str], allowed: frozenset[str], secrets: Secrets
) -> Check:
    if not environment:
        return Check(name, "its environment could not be read", "run as its user")
    whole = "\n".join(environment.values())
    given = {field: value for field, value in asdict(secrets).items() if value}
    if allowed & {"redis_airflow", "redis_trading"}:
        shared = given.pop("redis_login", None)  # of a team's Redis, for all applications
        if given.get("redis_sentinel_login") == shared:
            given.pop("redis_sentinel_login", None)
    found = {field for field, value in given.items() if value in whole} - allowed
    if found:
        return Check(name, f"it was given {', '.join(sorted(found))}", "tradewind down and up")
    return Check(name)


def _of_role(settings: Settings, secrets: Secrets, role: str) -> Iterator[Check]:
    import psycopg2
    from psycopg2 import sql

    who, server = f"role {role}", postgres_server(settings)
    names = {each: sql.Identifier(server.name(each)) for each in ROLES}
    login = server.name(role), getattr(secrets, f"postgres_{role}")
    try:
        connection = connect(server, login, server.name(ROLES[role]))
    except psycopg2.OperationalError as error:
        yield _not_tried(who, error)
        return

    def is_open(statement: str) -> bool:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = 2000")
                cursor.execute(sql.SQL(statement).format(**names))
        except psycopg2.errors.InsufficientPrivilege:
            return False
        finally:
            connection.rollback()
        return True

    try:
        for door, statement in _STATEMENTS[role].items():
            yield _tried(who, door, partial(is_open, statement))
    finally:
        connection.close()


def _of_account(settings: Settings, account: str, password: str) -> Iterator[Check]:
    import httpx

    who = f"MLflow's {account}"
    with httpx.Client(
        base_url=settings.mlflow_url, auth=(account, password), timeout=15,
        trust_env=False,
    ) as client:  # fmt: skip

        def is_open(method: str, path: str, content: dict[str, Any]) -> bool:
            whole = path if path.startswith("/") else f"/api/2.0/mlflow/{path}"
            answer = client.request(method, whole, json=content)
            return answer.status_code != httpx.codes.FORBIDDEN

        try:
            client.get(
                "/api/2.0/mlflow/experiments/get", params={"experiment_id": "0"}
            ).raise_for_status()
        except httpx.HTTPError as error:
            yield _not_tried(who, error)
            return
        for door, request in _REQUESTS[account].items():
            yield _tried(who, door, partial(is_open, *request))


def _tried(who: str, door: str, is_open: Callable[[], bool]) -> Check:
    name = f"door {who}: {door}"
    return guarded(name, lambda: Check(name, "it is open", _AGAIN) if is_open() else Check(name))


def _not_tried(who: str, error: Exception) -> Check:
    said = " ".join(str(error).split()) or type(error).__name__
    return Check(f"doors of {who}", f"they could not be tried: {said}", "tradewind status")


def _other_bucket(name: str, settings: Settings, secrets: Secrets) -> Check:
    import boto3
    from botocore.exceptions import ClientError

    login = minio.client_environment(settings, minio.MLFLOW_USER, secrets.minio_mlflow)
    client = boto3.client(
        "s3",
        endpoint_url=login["MLFLOW_S3_ENDPOINT_URL"],
        aws_access_key_id=login["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=login["AWS_SECRET_ACCESS_KEY"],
        region_name=login["AWS_DEFAULT_REGION"],
    )
    try:
        client.list_objects_v2(Bucket=f"door-{uuid.uuid4()}", MaxKeys=1)
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDenied":
            return Check(name)
    finally:
        client.close()
    return Check(name, "it is open", _AGAIN)


def _machine(settings: Settings, supervisor: int) -> Iterator[Check]:
    if not landlock.version():
        yield Check(f"doors of this machine: {NOT_ENFORCED}")
        return
    done = subprocess.run(
        [sys.executable, "-m", "tradewind.stack.doors", str(supervisor)],
        env={**os.environ, **settings.as_environment()}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip()[-300:]
        yield Check("doors of this machine", f"they could not be tried: {said}", "tradewind status")
        return
    for door, is_open in json.loads(done.stdout).items():
        name = f"door this machine: {door}"
        mend = "see that the state directory is no link, and the kernel's Landlock is on"
        yield Check(name, "a task finds it open", mend) if is_open else Check(name)


def _try_machine(supervisor: int) -> dict[str, bool]:
    """Return, of each door of this machine, whether a task could go through it."""
    settings = load_settings()
    layout = Layout(settings.state)
    # A team's own services have their files elsewhere.
    files = {
        door: path.read_bytes
        for door, path in {
            "read the secrets": layout.secrets_file,
            "read Redis's users": layout.run_dir / "users.acl",
            "read PostgreSQL's files": layout.postgres_dir / "data" / "PG_VERSION",
            "read the log of a service": layout.service_log("airflow-webserver"),
        }.items()
        if path.exists()
    }
    confine(settings)

    def signalled() -> None:
        os.kill(supervisor, 0)

    def opened(path: Path, mode: str) -> None:
        path.open(mode).close()

    attempts: dict[str, Callable[[], object]] = {
        **files,
        "read the environment of another process": Path(f"/proc/{supervisor}/environ").read_bytes,
        "read the memory of another process": partial(
            opened, Path(f"/proc/{supervisor}/mem"), "rb"
        ),
        "signal another process": signalled,
        "change the code of services": partial(opened, PACKAGE / "__init__.py", "ab"),
        "change the settings of Airflow": partial(
            opened, layout.airflow_home / "airflow.cfg", "ab"
        ),
    }
    return {door: _is_open(attempt) for door, attempt in attempts.items()}


def _is_open(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except PermissionError:
        return False
    return True


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_try_machine(int(sys.argv[1]))))
