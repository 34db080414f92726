"""Secrets for containers: made once; then each service gets its own and no others.

The volume has one directory for each service, which only the service's user can read. The whole set
is beside them, for root alone: only the one-shot that runs this reads it.
"""

import json
import os
import secrets as random
import shlex
import shutil
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tradewind.endpoints import (
    ObjectStore,
    PostgresServer,
    RedisServer,
    read_objects_url,
    read_postgres_url,
    read_redis_url,
)
from tradewind.errors import SecretsError
from tradewind.stack import minio, redis
from tradewind.stack.backup.elsewhere import WITHHELD
from tradewind.stack.secrets import OF_OTHERS, Secrets

__all__ = [
    "OWNERS",
    "PREFIX",
    "Servers",
    "files",
    "hand_out",
    "keep_logins",
    "own_volumes",
    "read_share",
    "servers",
]

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
    "existing-postgres": 10012,
    "existing-redis": 10013,
    "existing-objects": 10014,
    "adopt": 10015,
    "backup": 10016,
    "proxy": 10017,
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
    "tls": "proxy",
}
ADDED = {"tls"}
"""Volumes that only some projects have."""

PLACES = ("postgres", "redis", "minio")
"""Services of ours that only hold the place of a team's, where that is used."""

MASTER = "secrets.json"
# What a restore has left for the next start, in the folder of `backup`.
RESTORED = "restored.json"
# Of the folder and its files, where others of the group read them: a restore runs as the user that
# bars belong to, and in this group besides.
SHARED_MODES = {"backup": (0o770, 0o640)}
_OF_STORES = ("postgres_", "redis_", "minio_", "objects_")
SHARE = "secrets.json"  # of who looks at a team's services
ADOPTED = "logins.json"
_NAMES = {field.name for field in fields(Secrets)}
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
        found |= _of_data(json.loads(restored.read_text()))
    chosen = _adopted(root) | chosen
    whole = Secrets(**{name: found[name] for name in _NAMES & found.keys()} | chosen)
    # A secret of a newer version is kept: a return to an older image must not lose it.
    _write(root, MASTER, json.dumps(found | asdict(whole), indent=2), 0)
    shares = _shares(whole, servers(given, whole), acl_template)
    for service in OWNERS.keys() - shares.keys():  # of a service that is no longer used
        shutil.rmtree(root / service, ignore_errors=True)
    for service, files in shares.items():
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


def _of_data(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return what belongs to data: the stores have passwords of their own since they were made."""
    return {name: value for name, value in secrets.items() if not name.startswith(_OF_STORES)}


@dataclass(frozen=True)
class Servers:
    """Where the stores are that containers use: by the names of ours, or as ``.env`` says.

    Attributes
    ----------
    postgres, redis
    objects
        The team's bucket; None for that of our MinIO.
    """

    postgres: PostgresServer
    redis: RedisServer
    objects: ObjectStore | None


def servers(given: Mapping[str, str | None], whole: Secrets) -> Servers:
    """Return where the stores are.

    Raises
    ------
    SecretsError
        If `given` names one by what is no address.
    """

    def read(name: str, reader: Callable[[str], Any]) -> Any:  # noqa: ANN401 - as the reader says
        text = given.get(name)
        if not text:
            return None
        try:
            found = reader(text)
        except ValueError as error:
            raise SecretsError(f".env: {name} {error}") from error
        host = urlsplit(text).hostname
        if host in PLACES:
            raise SecretsError(
                f".env: {name} must name the service by its container (docker ps), such as "
                f"team-{host}-1, not {host}: a service of ours has that name"
            )
        return found

    broker = read("TRADEWIND_REDIS_URL", read_redis_url)
    if broker is not None and whole.redis_login:
        broker = broker.sharing(whole.redis_login)
    return Servers(
        read("TRADEWIND_POSTGRES_URL", read_postgres_url) or PostgresServer("postgres"),
        broker or RedisServer("redis"),
        read("TRADEWIND_OBJECTS_URL", read_objects_url),
    )


def own_volumes(root: Path) -> None:
    """Give each volume to the user that writes it: a new volume belongs to root."""
    for name, service in VOLUME_OWNERS.items():
        if name not in ADDED or (root / name).exists():
            _own(root / name, OWNERS[service])


def _chosen(given: Mapping[str, str | None]) -> dict[str, str]:
    known = _NAMES
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


def _shares(whole: Secrets, where: Servers, acl_template: str) -> dict[str, dict[str, str]]:
    postgres = where.postgres
    database = postgres.url("airflow", whole.postgres_airflow)
    tradewind = postgres.url("tradewind", whole.postgres_tradewind)
    trading = where.redis.url("trading", whole.redis_trading)
    airflow = _environment(
        **postgres.for_asyncpg("airflow", whole.postgres_airflow),
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database,
        AIRFLOW__CELERY__RESULT_BACKEND=f"db+{database}",
        AIRFLOW__CELERY__BROKER_URL=where.redis.url("airflow", whole.redis_airflow),
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
                **postgres.environment(),
                PGDATABASE=postgres.name("mlflow"),
                PGUSER=postgres.name("mlflow"),
                PGPASSWORD=whole.postgres_mlflow,
                MLFLOW_AUTH_ADMIN_PASSWORD=whole.mlflow_admin,
                MLFLOW_FLASK_SERVER_SECRET_KEY=whole.mlflow_flask_secret_key,
                **_files(whole, where.objects),
            )
        },
        "airflow": {
            "env": airflow
            + _environment(
                MLFLOW_TRACKING_PASSWORD=whole.mlflow_admin,
                TRADEWIND_DATABASE_URL=tradewind,
                AIRFLOW_CONN_TRADING=redis.airflow_connection(
                    where.redis, "trading", whole.redis_trading
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
        "backup": {SHARE: json.dumps(_of_backups(whole, where), indent=2)},
        **_of_existing(whole, where),
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


def files(whole: Secrets, objects: ObjectStore | None) -> tuple[ObjectStore, tuple[str, str]]:
    """Return where MLflow keeps its files, in the team's bucket or in ours, and its login there."""
    if objects is None:
        return ObjectStore("http://minio:9000", minio.BUCKET), (minio.USER, whole.minio_root)
    key, _, secret = whole.objects_login.partition(":")
    return objects, (key, secret)


def _files(whole: Secrets, objects: ObjectStore | None) -> dict[str, str]:
    store, login = files(whole, objects)
    return {"MLFLOW_ARTIFACTS_DESTINATION": store.destination, **store.environment(*login)}


def _of_backups(whole: Secrets, where: Servers) -> dict[str, str]:
    """Return what belongs to data, and what the stores let a backup and a restore in with."""
    # A restore takes out of a team's Redis what waits there for us; ours is empty then.
    shut = tuple(each for each in WITHHELD if not (where.redis.theirs and each == "redis_"))
    found = {name: each for name, each in asdict(whole).items() if not name.startswith(shut)}
    return {name: each for name, each in found.items() if name != "redis_admin"}


def _of_existing(whole: Secrets, where: Servers) -> dict[str, dict[str, str]]:
    """Return what each that watches a team's service logs in with, and no other secret."""
    wanted = {
        "postgres": where.postgres.theirs,
        "redis": where.redis.theirs,
        "objects": where.objects is not None,
    }
    kinds = [kind for kind, theirs in wanted.items() if theirs]
    found = {f"existing-{kind}": {SHARE: _only(whole, kind)} for kind in kinds}
    return found | ({"adopt": {SHARE: _only(whole, *kinds)}} if kinds else {})


def _only(whole: Secrets, *kinds: str) -> str:
    """Return secrets of some kinds of service as JSON, the others empty, and none of an admin."""
    administrators = {"postgres_superuser", "redis_admin"}
    kept = {
        name: value if name.startswith(kinds) and name not in administrators else ""
        for name, value in asdict(whole).items()
    }
    return json.dumps(kept)


def read_share(root: Path, service: str) -> Secrets:
    """Return what a service was given that has to do with a team's services.

    Raises
    ------
    SecretsError
        If it was given nothing: ``.env`` names no such service.
    """
    path = root / service / SHARE
    if not path.exists():
        raise SecretsError(
            "nothing was handed out for it: name the service in .env (docs/existing-services.md)"
        )
    return Secrets(**json.loads(path.read_text()))


def keep_logins(root: Path, whole: Secrets) -> None:
    """Keep the logins that were adopted, for `hand_out` to take up when it is run next."""
    text = json.dumps({name: getattr(whole, name) for name in OF_OTHERS})
    _write(root / "adopt", ADOPTED, text, OWNERS["adopt"])


def _adopted(root: Path) -> dict[str, str]:
    path = root / "adopt" / ADOPTED
    found = json.loads(path.read_text()) if path.exists() else {}
    return {name: found[name] for name in OF_OTHERS & found.keys() if found[name]}


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
