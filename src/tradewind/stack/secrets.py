"""Passwords and keys: made once, kept in one file that only its owner can read."""

import base64
import json
import secrets
import shlex
import stat
from dataclasses import asdict, dataclass, field, fields
from typing import Final

from tradewind.errors import SecretsError
from tradewind.stack.layout import Layout, write_atomically
from tradewind.vendor_keys import key_variable

__all__ = [
    "OF_OTHERS", "Secrets", "are_lost", "ensure_secrets", "load_secrets", "save_secrets",
    "vendor_keys",
]  # fmt: skip


def _password() -> str:
    return secrets.token_urlsafe(24)  # letters, digits, - and _: safe in addresses and ini files


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, repr=False)
class Secrets:
    """Every secret of the stack; a new object has new ones."""

    postgres_superuser: str = field(default_factory=_password)
    postgres_airflow: str = field(default_factory=_password)
    postgres_mlflow: str = field(default_factory=_password)
    postgres_tradewind: str = field(default_factory=_password)
    redis_admin: str = field(default_factory=_password)
    redis_airflow: str = field(default_factory=_password)
    redis_trading: str = field(default_factory=_password)
    minio_root: str = field(default_factory=_password)
    airflow_admin: str = field(default_factory=_password)
    airflow_fernet_key: str = field(default_factory=_fernet_key)
    airflow_jwt_secret: str = field(default_factory=lambda: secrets.token_urlsafe(64))
    airflow_api_secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    mlflow_admin: str = field(default_factory=_password)
    mlflow_flask_secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    postgres_research: str = field(default_factory=_password)
    postgres_trading: str = field(default_factory=_password)
    postgres_airflow_results: str = field(default_factory=_password)
    postgres_airflow_dags: str = field(default_factory=_password)
    postgres_desk: str = field(default_factory=_password)
    minio_mlflow: str = field(default_factory=_password)
    mlflow_worker: str = field(default_factory=_password)
    mlflow_reader: str = field(default_factory=_password)
    # As user:password.
    redis_login: str = ""
    redis_sentinel_login: str = ""
    objects_login: str = ""
    # Of a real broker, for trading workers alone; see `tradewind.broker_login`.
    broker_login: str = ""
    # In containers; the local stack has it in a file that a setting names.
    oidc_client_secret: str = ""
    # Of vendors of bars; see `tradewind.vendor_keys`.
    tiingo_key: str = ""
    alpaca_key: str = ""
    databento_key: str = ""
    massive_key: str = ""


ADDED: Final = frozenset(
    {
        "postgres_research", "postgres_trading", "postgres_airflow_results",
        "postgres_airflow_dags", "postgres_desk", "minio_mlflow", "mlflow_worker", "mlflow_reader",
    }
)  # fmt: skip
"""Secrets that a file of an earlier version lacks: the next start makes them."""

OF_OTHERS: Final = frozenset(each.name for each in fields(Secrets) if each.default == "")
"""Logins of services that a team runs, and keys of vendors: nobody makes them."""

_KEY: Final = "_key"


def ensure_secrets(layout: Layout) -> Secrets:
    """Return the secrets of a state directory, making those that it lacks.

    A directory of an earlier version lacks the `ADDED`.

    Raises
    ------
    SecretsError
        If the file is damaged or others can read it, or if there is data but no secrets for it.
    """
    if not layout.secrets_file.exists() and not are_lost(layout):
        save_secrets(layout, Secrets())
    content = _read(layout)
    if ADDED - content.keys() and not _misnamed(content):
        save_secrets(layout, Secrets(**content))
    return load_secrets(layout)


def are_lost(layout: Layout) -> bool:
    """Tell whether the secrets of a state directory are gone, and what they open is not."""
    return not layout.secrets_file.exists() and (layout.postgres_dir / "data").exists()


def save_secrets(layout: Layout, secrets: Secrets) -> None:
    """Replace the secrets of a state directory, all of them at once.

    Raises
    ------
    StackError
        If the disk is full or refuses.
    """
    kept = {name: each for name, each in asdict(secrets).items() if each or name not in OF_OTHERS}
    write_atomically(layout.secrets_file, json.dumps(kept, indent=2))


def load_secrets(layout: Layout) -> Secrets:
    """Read the secrets.

    Raises
    ------
    SecretsError
        If the file is missing, damaged, readable by others, or of an earlier version.
    """
    content = _read(layout)
    path = layout.secrets_file
    if wrong := _misnamed(content):
        raise SecretsError(
            f"{path} is damaged: {', '.join(sorted(wrong))} missing or unknown. Put the file back "
            f"as it was, or, {_anew(layout)}"
        )
    if lacking := ADDED - content.keys():
        raise SecretsError(
            f"{path} was written by an earlier version and lacks {', '.join(sorted(lacking))}: "
            "tradewind down, then tradewind up --detach makes them"
        )
    return Secrets(**content)


def vendor_keys(secrets: Secrets) -> dict[str, str]:
    """Return the keys of vendors that there are, by the variable that a worker has them in."""
    kinds = [name.removesuffix(_KEY) for name in OF_OTHERS if name.endswith(_KEY)]
    found = {key_variable(kind): str(getattr(secrets, kind + _KEY)) for kind in sorted(kinds)}
    return {name: key for name, key in found.items() if key}


def _read(layout: Layout) -> dict[str, str]:
    path = layout.secrets_file
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = json.loads(path.read_text())
    except FileNotFoundError:
        if are_lost(layout):
            raise SecretsError(
                f"{path} is gone, but PostgreSQL's data is still there and only its passwords open "
                f"it. Put the file back, or, {_anew(layout)}"
            ) from None
        raise SecretsError(f"{path} does not exist: run `tradewind up` first") from None
    except (OSError, ValueError) as error:
        raise SecretsError(
            f"{path} cannot be read: {error}. Put the file back as it was, or, {_anew(layout)}"
        ) from error
    if mode & 0o077:
        raise SecretsError(
            f"{path} can be read by others (mode {mode:04o}): chmod 600 {shlex.quote(str(path))}; "
            f"and if this machine has other users, who may know what is in it, {_anew(layout)}"
        )
    return content if isinstance(content, dict) else {}


def _misnamed(content: dict[str, str]) -> set[str]:
    """Return the names that no version has, and those that every version has and are missing."""
    expected = {f.name for f in fields(Secrets)}
    return (content.keys() - expected) | (expected - ADDED - OF_OTHERS - content.keys())


def _anew(layout: Layout) -> str:
    return (
        "to start anew without bars, runs and models, remove the state directory: tradewind down; "
        f"rm -r {shlex.quote(str(layout.root))}"
    )
