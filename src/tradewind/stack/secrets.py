"""Passwords and keys: made once, kept in one file that only its owner can read."""

import base64
import json
import secrets
import stat
from dataclasses import asdict, dataclass, field, fields

from tradewind.errors import SecretsError
from tradewind.stack.layout import Layout, write_atomically

__all__ = ["Secrets", "ensure_secrets", "load_secrets", "save_secrets"]


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


def ensure_secrets(layout: Layout) -> Secrets:
    """Return the secrets of a state directory, making them if it has none.

    Raises
    ------
    SecretsError
        If the file is damaged or others can read it, or if there is data but no secrets for it.
    """
    if not layout.secrets_file.exists():
        if (layout.postgres_dir / "data").exists():
            raise SecretsError(
                f"{layout.secrets_file} is gone, but PostgreSQL's data is still there and only its "
                "passwords open it. Put the file back, or remove the state directory to start anew."
            )
        save_secrets(layout, Secrets())
    return load_secrets(layout)


def save_secrets(layout: Layout, secrets: Secrets) -> None:
    """Replace the secrets of a state directory, all of them at once.

    Raises
    ------
    StackError
        If the disk is full or refuses.
    """
    write_atomically(layout.secrets_file, json.dumps(asdict(secrets), indent=2))


def load_secrets(layout: Layout) -> Secrets:
    """Read the secrets.

    Raises
    ------
    SecretsError
        If the file is missing, damaged, or readable by others.
    """
    path = layout.secrets_file
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise SecretsError(f"{path} does not exist: run `tradewind up` first") from None
    except (OSError, ValueError) as error:
        raise SecretsError(f"{path} cannot be read: {error}") from error
    if mode & 0o077:
        raise SecretsError(
            f"{path} can be read by others (mode {mode:04o}): chmod 600 {path}, and if this "
            "machine has other users, remove the state directory to get new secrets."
        )
    expected = {f.name for f in fields(Secrets)}
    if not isinstance(content, dict) or set(content) != expected:
        found = set(content) if isinstance(content, dict) else set()
        raise SecretsError(f"{path} is damaged: {sorted(expected ^ found)} missing or unknown")
    return Secrets(**content)
