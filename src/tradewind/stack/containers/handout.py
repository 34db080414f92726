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
from tradewind.stack import minio, redis
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
    "backup": 10012,
}
"""User (and group) of each service's processes, and of its directory."""

VOLUME_OWNERS = {
    "postgres": "postgres",
    "redis": "redis",
    "minio": "minio",
    "scratch": "mlflow",
    "logs": "airflow",
    "state": "airflow",
    "backups": "backup",
}
MASTER = "secrets.json"
# What a restore has left for the next start, in the folder of `backup`.
RESTORED = "restored.json"
# Of the folder and its files, where others of the group read them: a restore runs as the user that
# bars belong to, and in this group besides.
SHARED_MODES = {"backup": (0o770, 0o640)}
_OF_STORES = ("postgres_", "redis_", "minio_")
REDIS = ("redis", 6379)  # host and port of its container
# Files that an older version wrote for a service, and that are removed.
WITHDRAWN = {"airflow": ("admin",)}
LEAST_CHARACTERS = {"mlflow_admin": 12, "minio_root": 8}  # what MLflow and MinIO insist on


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
    restored = root / "backup" / RESTORED
    if restored.exists():
        found |= _not_of_stores(json.loads(restored.read_text()))
    known = {field.name for field in fields(Secrets)}
    whole = Secrets(**{name: found[name] for name in known & found.keys()} | chosen)
    # A secret of a newer version is kept: a return to an older image must not lose it.
    _write(root, MASTER, json.dumps(found | asdict(whole), indent=2), 0)
    for service, files in _shares(whole, acl_template).items():
        folder = root / service
        folder_mode, mode = SHARED_MODES.get(service, (0o700, 0o600))
        folder.mkdir(mode=folder_mode, exist_ok=True)
        for name, text in files.items():
            _write(folder, name, text, OWNERS[service], mode)
        for gone in WITHDRAWN.get(service, ()):
            (folder / gone).unlink(missing_ok=True)
        _own(folder, OWNERS[service])
        folder.chmod(folder_mode)
    restored.unlink(missing_ok=True)


def _of_a_backup(whole: Secrets) -> dict[str, str]:
    """Return what belongs to data, and what the stores let a backup in with."""
    entrances = ("postgres_superuser", "redis_")
    return {k: v for k, v in asdict(whole).items() if not k.startswith(entrances)}


def _not_of_stores(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return what belongs to data: the stores have passwords of their own since they were made."""
    return {name: value for name, value in secrets.items() if not name.startswith(_OF_STORES)}


def own_volumes(root: Path) -> None:
    """Give each volume to the user that writes it: a new volume belongs to root."""
    for name, service in VOLUME_OWNERS.items():
        _own(root / name, OWNERS[service])


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
    database = _database("airflow", whole.postgres_airflow)
    tradewind = _database("tradewind", whole.postgres_tradewind)
    trading = redis.address("trading", whole.redis_trading, *REDIS)
    airflow = _environment(
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database,
        AIRFLOW__CELERY__RESULT_BACKEND=f"db+{database}",
        AIRFLOW__CELERY__BROKER_URL=redis.address("airflow", whole.redis_airflow, *REDIS),
        AIRFLOW__CORE__FERNET_KEY=whole.airflow_fernet_key,
        AIRFLOW__API__SECRET_KEY=whole.airflow_api_secret_key,
        AIRFLOW__API_AUTH__JWT_SECRET=whole.airflow_jwt_secret,
    )
    return {
        "postgres": {
            "superuser": whole.postgres_superuser,
            "airflow": whole.postgres_airflow,
            "mlflow": whole.postgres_mlflow,
            "tradewind": whole.postgres_tradewind,
        },
        "redis": {"users.acl": redis.render_users(acl_template, whole), "admin": whole.redis_admin},
        "minio": {"root-user": minio.USER, "root-password": whole.minio_root},
        "mlflow": {
            "env": _environment(
                PGPASSWORD=whole.postgres_mlflow,
                MLFLOW_AUTH_ADMIN_PASSWORD=whole.mlflow_admin,
                MLFLOW_FLASK_SERVER_SECRET_KEY=whole.mlflow_flask_secret_key,
                AWS_ACCESS_KEY_ID=minio.USER,
                AWS_SECRET_ACCESS_KEY=whole.minio_root,
            )
        },
        "airflow": {
            "env": airflow
            + _environment(
                MLFLOW_TRACKING_PASSWORD=whole.mlflow_admin,
                TRADEWIND_DATABASE_URL=tradewind,
                AIRFLOW_CONN_TRADING=redis.airflow_connection(
                    "trading", whole.redis_trading, *REDIS
                ),
            ),
        },
        "airflow-init": {"env": airflow, "admin": whole.airflow_admin},
        "trading": {
            "env": _environment(
                CELERY_BROKER_URL=trading,
                CELERY_RESULT_BACKEND=trading,
                TRADEWIND_DATABASE_URL=tradewind,
            )
        },
        "backup": {MASTER: json.dumps(_of_a_backup(whole), indent=2)},
        "credentials": {
            "logins.json": json.dumps(
                {
                    "airflow": {"user": "admin", "password": whole.airflow_admin},
                    "mlflow": {"user": "admin", "password": whole.mlflow_admin},
                    "minio": {"user": minio.USER, "password": whole.minio_root},
                }
            )
        },
    }


def _database(role: str, password: str) -> str:
    return f"postgresql+psycopg2://{role}:{quote(password, safe='')}@postgres:5432/{role}"


def _environment(**values: str) -> str:
    """Return lines that a shell can read, whatever characters the values have."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _write(folder: Path, name: str, text: str, owner: int, mode: int = 0o600) -> None:
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
            os.fchmod(file.fileno(), mode)  # whatever the umask is
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _own(folder: Path, owner: int) -> None:
    if folder.stat().st_uid != owner:
        os.chown(folder, owner, owner)
