"""Secrets for containers: made once; then each service gets its own and no others.

The volume has one directory for each service, which only the service's user can read. The whole set
is beside them, for root alone: only the one-shot that runs this reads it.
"""

import json
import os
import secrets as random
import shlex
import shutil
import stat
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from urllib.parse import urlsplit

from tradewind.broker_login import LOGIN
from tradewind.endpoints import ROLES, ObjectStore, PostgresServer, RedisServer
from tradewind.errors import SecretsError
from tradewind.stack import minio, redis
from tradewind.stack.backup.elsewhere import WITHHELD
from tradewind.stack.reread import NO_DATABASE
from tradewind.stack.secrets import OF_OTHERS, Secrets, vendor_keys
from tradewind.stack.servers import Servers, read_servers

__all__ = [
    "OIDC_CLIENT_FILE",
    "OWNERS",
    "PREFIX",
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
    # These run what authors of strategies and DAG files write: they share no file of secrets with
    # Airflow's other services, only their group, for the logs of tasks.
    "airflow-worker": 10008,
    "airflow-dag-processor": 10009,
    "trading-migrate": 10010,
    "minio-init": 10011,
    "existing-postgres": 10012,
    "existing-redis": 10013,
    "existing-objects": 10014,
    "adopt": 10015,
    "backup": 10016,
    "proxy": 10017,
}
"""User of each service's processes, and of its directory."""

SHARED_GROUP = ("airflow", "airflow-worker", "airflow-dag-processor")
"""Who writes the logs of tasks, or shows them; the group is the first one's number."""

_OF_A_GROUP = 0o775

VOLUME_OWNERS = {
    "postgres": "postgres",
    "redis": "redis",
    "minio": "minio",
    "scratch": "mlflow",
    "logs": "airflow",
    "logs/tasks": "airflow",
    "logs/dag-processor": "airflow-dag-processor",
    "state": "airflow-worker",
    "state/market": "airflow-worker",
    "backups": "backup",
    "tls": "proxy",
}
ADDED = {"tls"}
"""Volumes that only some projects have."""

MINIO = ObjectStore("http://minio:9000", minio.BUCKET)  # by the name of its container
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
OIDC_CLIENT_FILE = "oidc-client-secret"  # of who shows a page, if people log in by a provider
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
    restored = root / "backup" / RESTORED
    if restored.exists():
        found |= _of_data(json.loads(restored.read_text()))
    chosen = _adopted(root) | chosen
    whole = Secrets(**{name: found[name] for name in _NAMES & found.keys()} | chosen)
    if given.get("TRADEWIND_OIDC_ISSUER") and not whole.oidc_client_secret:
        raise SecretsError(
            f".env sets TRADEWIND_OIDC_ISSUER: set {PREFIX}OIDC_CLIENT_SECRET, too, by which the "
            "provider knows both pages"
        )
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
        for gone in {*WITHDRAWN.get(service, ()), OIDC_CLIENT_FILE} - files.keys():
            (folder / gone).unlink(missing_ok=True)
        _own(folder, OWNERS[service], OWNERS[service])
        folder.chmod(folder_mode)
    restored.unlink(missing_ok=True)


def _of_data(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return what belongs to data: the stores have passwords of their own since they were made."""
    return {name: value for name, value in secrets.items() if not name.startswith(_OF_STORES)}


def servers(given: Mapping[str, str | None], whole: Secrets) -> Servers:
    """Return where the stores are: by the names of our containers, or as ``.env`` says.

    Raises
    ------
    SecretsError
        If `given` names one by what is no address, or by the name of a container of ours.
    """
    own = Servers(PostgresServer("postgres"), RedisServer("redis"))
    try:
        found = read_servers(given, own, whole.redis_login)
    except ValueError as error:
        raise SecretsError(f".env: {error}") from error
    if found.redis.sentinels:
        raise SecretsError(
            ".env: TRADEWIND_REDIS_URL names sentinels, which only `tradewind up` follows. In "
            "containers name an address that moves with the master, as redis:// or rediss:// "
            "(docs/existing-services.md#redis-sentinel)"
        )
    objects = urlsplit(found.objects.endpoint).hostname if found.objects else None
    named = {
        "POSTGRES": found.postgres.host if found.postgres.theirs else None,
        "REDIS": found.redis.host if found.redis.theirs else None,
        "OBJECTS": objects,
    }
    for kind, host in named.items():
        if host in PLACES:
            raise SecretsError(
                f".env: TRADEWIND_{kind}_URL must name the service by its container (docker ps), "
                f"such as team-{host}-1, not {host}: a service of ours has that name"
            )
    return found


def own_volumes(root: Path) -> None:
    """Give each volume to the user that writes it: a new volume belongs to root.

    One that an earlier version gave to another user is handed over with all that is in it.
    """
    for name, service in VOLUME_OWNERS.items():
        folder = root / name
        if name in ADDED and not folder.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        owner, group = OWNERS[service], group_of(service)
        if folder.stat().st_uid not in {0, owner}:
            for path in folder.rglob("*"):
                os.chown(path, owner, group, follow_symlinks=False)
        _own(folder, owner, group)
        if service in SHARED_GROUP and stat.S_IMODE(folder.stat().st_mode) != _OF_A_GROUP:
            # Of an earlier version, in which one user wrote all of it.
            for path in [*folder.rglob("*"), folder]:  # done when the folder itself is
                if not path.is_symlink():
                    more = _OF_A_GROUP if path.is_dir() else stat.S_IWGRP
                    path.chmod(stat.S_IMODE(path.stat().st_mode) | more)


def group_of(service: str) -> int:
    """Return the group of a service's processes."""
    return OWNERS[SHARED_GROUP[0] if service in SHARED_GROUP else service]


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
    def database(role: str) -> str:
        return where.postgres.url(role, getattr(whole, f"postgres_{role}"))

    trading = where.redis.url("trading", whole.redis_trading)
    # What a service needs to hand out tasks, and to hear how they ended.
    celery = {
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database('airflow_results')}",
        "AIRFLOW__CELERY__BROKER_URL": where.redis.url("airflow", whole.redis_airflow),
    }
    connection = {
        "AIRFLOW_CONN_TRADING": redis.airflow_connection(
            where.redis, "trading", whole.redis_trading
        )
    }
    airflow = {
        **where.postgres.for_asyncpg("airflow", whole.postgres_airflow),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database("airflow"),
        **celery,
        "AIRFLOW__CORE__FERNET_KEY": whole.airflow_fernet_key,
        "AIRFLOW__API__SECRET_KEY": whole.airflow_api_secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": whole.airflow_jwt_secret,
    }
    by_provider = {OIDC_CLIENT_FILE: whole.oidc_client_secret} if whole.oidc_client_secret else {}
    return {
        "postgres": {
            "superuser": whole.postgres_superuser,
            **{role: getattr(whole, f"postgres_{role}") for role in ROLES},
        },
        "redis": {"users.acl": redis.render_users(acl_template, whole), "admin": whole.redis_admin},
        "minio": {"root-user": minio.USER, "root-password": whole.minio_root},
        "minio-init": {
            "env": _environment(
                **MINIO.environment(minio.USER, whole.minio_root),
                MINIO_MLFLOW_PASSWORD=whole.minio_mlflow,
            )
        },
        "mlflow": {
            "env": _environment(
                **where.postgres.environment(),
                PGDATABASE=where.postgres.name("mlflow"),
                PGUSER=where.postgres.name("mlflow"),
                PGPASSWORD=whole.postgres_mlflow,
                MLFLOW_AUTH_ADMIN_PASSWORD=whole.mlflow_admin,
                MLFLOW_WORKER_PASSWORD=whole.mlflow_worker,
                MLFLOW_READER_PASSWORD=whole.mlflow_reader,
                MLFLOW_FLASK_SERVER_SECRET_KEY=whole.mlflow_flask_secret_key,
                **_files(whole, where.objects),
            ),
            **by_provider,
        },
        "airflow": {
            "env": _environment(
                **airflow,
                **connection,
                TRADEWIND_DATABASE_URL=database("desk"),  # for the desk's page
            ),
            **by_provider,
        },
        "airflow-init": {"env": _environment(**airflow), "admin": whole.airflow_admin},
        "airflow-worker": {
            "env": _environment(
                AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=NO_DATABASE,
                **celery,
                **connection,
                MLFLOW_TRACKING_PASSWORD=whole.mlflow_worker,
                TRADEWIND_DATABASE_URL=database("research"),
                **vendor_keys(whole),
            )
        },
        "airflow-dag-processor": {
            "env": _environment(
                **where.postgres.for_asyncpg("airflow_dags", whole.postgres_airflow_dags),
                AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database("airflow_dags"),
                # What the watchers of streams are told is written with it.
                AIRFLOW__CORE__FERNET_KEY=whole.airflow_fernet_key,
            )
        },
        "trading-migrate": {"env": _environment(TRADEWIND_DATABASE_URL=database("tradewind"))},
        "trading": {
            "env": _environment(
                CELERY_BROKER_URL=trading,
                CELERY_RESULT_BACKEND=trading,
                TRADEWIND_DATABASE_URL=database("trading"),
                **({LOGIN: whole.broker_login} if whole.broker_login else {}),
            )
        },
        "backup": {SHARE: json.dumps(_of_backups(whole, where), indent=2)},
        **_of_existing(whole, where),
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


def files(whole: Secrets, objects: ObjectStore | None) -> tuple[ObjectStore, tuple[str, str]]:
    """Return where MLflow keeps its files, and who may do everything there: for backups."""
    if objects is None:
        return MINIO, (minio.USER, whole.minio_root)
    key, _, secret = whole.objects_login.partition(":")
    return objects, (key, secret)


def _files(whole: Secrets, objects: ObjectStore | None) -> dict[str, str]:
    store, login = files(whole, objects)
    if objects is None:
        login = minio.MLFLOW_USER, whole.minio_mlflow
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


def _own(folder: Path, owner: int, group: int) -> None:
    found = folder.stat()
    if (found.st_uid, found.st_gid) != (owner, group):
        os.chown(folder, owner, group)
