"""Secrets for containers: made once; then each service gets its own and no others.

The volume has one directory for each service, which only the service's user can read. The whole set
is beside them, for root alone: only the one-shot that runs this reads it.
"""

import json
import os
import secrets as random
import shlex
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from urllib.parse import quote

from tradewind.errors import SecretsError
from tradewind.stack import minio, postgres, redis
from tradewind.stack.reread import NO_DATABASE
from tradewind.stack.secrets import Secrets

__all__ = ["OWNERS", "PREFIX", "hand_out", "own_volumes"]

PREFIX = "SECRET_"
"""What a name in ``.env`` starts with: ``SECRET_AIRFLOW_ADMIN`` sets ``airflow_admin``."""

OWNERS = {
    "postgres": 999,  # its image's own user, for initdb needs an account with a name
    "airflow": 10001,
    "mlflow": 10002,
    "trading": 10003,
    "minio": 10004,
    "redis": 10005,
    "credentials": 10006,
    "airflow-init": 10007,
    # These run what authors of strategies and DAG files write: they share no file of secrets with
    # Airflow's other services, only their group, for the logs of tasks.
    "airflow-worker": 10008,
    "airflow-dag-processor": 10009,
    "trading-migrate": 10010,
    "minio-init": 10011,
}
"""User of each service's processes, and of its directory."""

SHARED_GROUP = ("airflow", "airflow-worker", "airflow-dag-processor")
"""Who writes the logs of tasks, or shows them; the group is the first one's number."""

VOLUME_OWNERS = {
    "postgres": "postgres",
    "redis": "redis",
    "minio": "minio",
    "scratch": "mlflow",
    "logs": "airflow",
    "logs/tasks": "airflow",
    "logs/dag-processor": "airflow-dag-processor",
    "state": "airflow-worker",
}
MASTER = "secrets.json"
REDIS = ("redis", 6379)  # host and port of its container
# Files that an older version wrote for a service, and that are removed.
WITHDRAWN = {"airflow": ("admin",)}
LEAST_CHARACTERS = {
    "mlflow_admin": 12,
    "mlflow_reader": 12,
    "mlflow_worker": 12,
    "minio_mlflow": 8,
    "minio_root": 8,
}  # what MLflow and MinIO insist on


def hand_out(root: Path, given: Mapping[str, str | None], acl_template: str, data: Path) -> None:
    """Make the secrets that are missing, and write each service's share.

    Another run changes nothing, unless a secret is missing or `given` sets one.

    Parameters
    ----------
    root : Path
        The volume of secrets.
    given : mapping
        Content of ``.env``; names that start with `PREFIX` set a secret.
    acl_template : str
        Text of ``config/users.acl.template``.
    data : Path
        PostgreSQL's data directory: existing data can only be opened with their own passwords.

    Raises
    ------
    SecretsError
        If `given` names no secret of ours or a malformed one, or the passwords of existing data
        are gone.
    """
    chosen = _chosen(given)
    master = root / MASTER
    if not master.exists() and (data / "PG_VERSION").exists():
        raise SecretsError(
            "the volume of secrets is empty, but PostgreSQL's data is still there and only its "
            "passwords open it. Restore the volume `secrets` from a backup, or remove all volumes "
            "(`docker compose down --volumes`) to start anew."
        )
    found = json.loads(master.read_text()) if master.exists() else {}
    known = {field.name for field in fields(Secrets)}
    whole = Secrets(**{name: found[name] for name in known & found.keys()} | chosen)
    # A secret of a newer version is kept: a return to an older image must not lose it.
    _write(root, MASTER, json.dumps(found | asdict(whole), indent=2), 0)
    for service, files in _shares(whole, acl_template).items():
        folder = root / service
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, text in files.items():
            _write(folder, name, text, OWNERS[service])
        for gone in WITHDRAWN.get(service, ()):
            (folder / gone).unlink(missing_ok=True)
        _own(folder, OWNERS[service], OWNERS[service])


def own_volumes(root: Path) -> None:
    """Give each volume to the user that writes it: a new volume belongs to root.

    One that an earlier version gave to another user is handed over with all that is in it.
    """
    for name, service in VOLUME_OWNERS.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        owner, group = OWNERS[service], group_of(service)
        if folder.stat().st_uid not in {0, owner}:
            for path in folder.rglob("*"):
                os.chown(path, owner, group, follow_symlinks=False)
        _own(folder, owner, group)
        if service in SHARED_GROUP:
            folder.chmod(0o2775)


def group_of(service: str) -> int:
    """Return the group of a service's processes."""
    return OWNERS[SHARED_GROUP[0] if service in SHARED_GROUP else service]


def _chosen(given: Mapping[str, str | None]) -> dict[str, str]:
    known = {field.name for field in fields(Secrets)}
    chosen: dict[str, str] = {}
    for key, value in given.items():
        if not key.startswith(PREFIX):
            continue
        name = key.removeprefix(PREFIX).lower()
        if name not in known:
            names = ", ".join(PREFIX + field.upper() for field in sorted(known))
            raise SecretsError(f".env sets {key}, which is no secret. There are: {names}")
        if not value:
            continue
        if "\n" in value or "\0" in value:
            raise SecretsError(f"{key} in .env has more than one line")
        least = LEAST_CHARACTERS.get(name, 1)
        if len(value) < least:
            raise SecretsError(f"{key} in .env must have at least {least} characters")
        chosen[name] = value
    fernet = chosen.get("airflow_fernet_key")
    if fernet is not None:
        try:
            length = len(urlsafe_b64decode(fernet))
        except ValueError:
            length = 0
        if length != 32:  # noqa: PLR2004 - Fernet's definition
            raise SecretsError(
                f"{PREFIX}AIRFLOW_FERNET_KEY in .env must be 32 bytes in URL-safe base64"
            )
    return chosen


def _shares(whole: Secrets, acl_template: str) -> dict[str, dict[str, str]]:
    trading = redis.address("trading", whole.redis_trading, *REDIS)
    results = "db+" + _database("airflow_results", whole)
    # What a service needs to hand out tasks, and to hear how they ended.
    celery = {
        "AIRFLOW__CELERY__RESULT_BACKEND": results,
        "AIRFLOW__CELERY__BROKER_URL": redis.address("airflow", whole.redis_airflow, *REDIS),
    }
    connection = {
        "AIRFLOW_CONN_TRADING": redis.airflow_connection("trading", whole.redis_trading, *REDIS)
    }
    airflow = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _database("airflow", whole),
        **celery,
        "AIRFLOW__CORE__FERNET_KEY": whole.airflow_fernet_key,
        "AIRFLOW__API__SECRET_KEY": whole.airflow_api_secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": whole.airflow_jwt_secret,
    }
    return {
        "postgres": {
            "superuser": whole.postgres_superuser,
            **{role: getattr(whole, f"postgres_{role}") for role in postgres.ROLES},
        },
        "redis": {"users.acl": redis.render_users(acl_template, whole), "admin": whole.redis_admin},
        "minio": {"root-user": minio.USER, "root-password": whole.minio_root},
        "minio-init": {
            "env": _environment(
                AWS_ACCESS_KEY_ID=minio.USER,
                AWS_SECRET_ACCESS_KEY=whole.minio_root,
                MINIO_MLFLOW_PASSWORD=whole.minio_mlflow,
            )
        },
        "mlflow": {
            "env": _environment(
                PGPASSWORD=whole.postgres_mlflow,
                MLFLOW_AUTH_ADMIN_PASSWORD=whole.mlflow_admin,
                MLFLOW_WORKER_PASSWORD=whole.mlflow_worker,
                MLFLOW_READER_PASSWORD=whole.mlflow_reader,
                MLFLOW_FLASK_SERVER_SECRET_KEY=whole.mlflow_flask_secret_key,
                AWS_ACCESS_KEY_ID=minio.MLFLOW_USER,
                AWS_SECRET_ACCESS_KEY=whole.minio_mlflow,
            )
        },
        "airflow": {"env": _environment(**airflow, **connection)},
        "airflow-init": {"env": _environment(**airflow), "admin": whole.airflow_admin},
        "airflow-worker": {
            "env": _environment(
                AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=NO_DATABASE,
                **celery,
                **connection,
                MLFLOW_TRACKING_PASSWORD=whole.mlflow_worker,
                TRADEWIND_DATABASE_URL=_database("research", whole),
            )
        },
        "airflow-dag-processor": {
            "env": _environment(
                AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=_database("airflow_dags", whole),
                # What the watchers of streams are told is written with it.
                AIRFLOW__CORE__FERNET_KEY=whole.airflow_fernet_key,
            )
        },
        "trading-migrate": {
            "env": _environment(TRADEWIND_DATABASE_URL=_database("tradewind", whole))
        },
        "trading": {
            "env": _environment(
                CELERY_BROKER_URL=trading,
                CELERY_RESULT_BACKEND=trading,
                TRADEWIND_DATABASE_URL=_database("trading", whole),
            )
        },
        "credentials": {
            "logins.json": json.dumps(
                {
                    "airflow": {"user": "admin", "password": whole.airflow_admin},
                    "mlflow": {"user": "admin", "password": whole.mlflow_admin},
                    "mlflow-reader": {"user": "reader", "password": whole.mlflow_reader},
                    "minio": {"user": minio.USER, "password": whole.minio_root},
                }
            )
        },
    }


def _database(role: str, whole: Secrets) -> str:
    password = quote(getattr(whole, f"postgres_{role}"), safe="")
    return f"postgresql+psycopg2://{role}:{password}@postgres:5432/{postgres.ROLES[role]}"


def _environment(**values: str) -> str:
    """Return lines that a shell can read, whatever characters the values have."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _write(folder: Path, name: str, text: str, owner: int) -> None:
    """Replace a file as a whole; leave it alone where it has this text already."""
    path = folder / name
    if path.exists() and path.read_text() == text:
        return
    temporary = folder / f".{name}.{random.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchown(file.fileno(), owner, owner)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _own(folder: Path, owner: int, group: int) -> None:
    found = folder.stat()
    if (found.st_uid, found.st_gid) != (owner, group):
        os.chown(folder, owner, group)
