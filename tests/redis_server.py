"""A real Redis of the tests' own: the stack's settings and users, on a free port."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.support import free_ports, wait_until
from tradewind import endpoints
from tradewind.endpoints import APPLICATIONS
from tradewind.stack.layout import Layout
from tradewind.stack.redis import server_command, write_users
from tradewind.stack.secrets import Secrets, ensure_secrets

CONFIG = Path(__file__).parents[1] / "config"
AT_ONCE = ("--appendfsync", "always")
"""For who kills it to see what it reads again, not what it had written by then."""


# redis-py says of each answer that it may be one to await, which those of this client never are.
RedisClient = Any


@dataclass
class RedisServer:
    """A server that tests may kill and start again on its port and its data."""

    layout: Layout
    secrets: Secrets
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = self.layout.service_log("redis")
        command = server_command(str(CONFIG / "redis.conf"), self.layout, self.port)
        with log.open("ab") as output:
            self.process = subprocess.Popen([*command, *self.options], stdout=output, stderr=output)
        wait_until(self.answers, 60, of=log.read_text)

    def answers(self) -> bool:
        try:
            return bool(self.admin.ping())
        except RedisError:
            return False

    def kill(self) -> None:
        """End it with no chance to finish anything, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def write_half(self) -> None:
        """Leave behind, of a server that was killed, a transaction that it was writing down."""
        [file] = (self.layout.redis_dir / "appendonlydir").glob("*.incr.aof")
        with file.open("ab") as journal:
            journal.write(b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$12\r\ntrading:ha")

    @property
    def password(self) -> str:
        """Of the user `trading`."""
        return self.secrets.redis_trading

    @property
    def url(self) -> str:
        """Where the user `trading` has its database."""
        return endpoints.RedisServer(port=self.port).url("trading", self.password)

    @property
    def admin(self) -> RedisClient:
        """The same database, for who may do everything."""
        return Redis(
            port=self.port, db=APPLICATIONS.index("trading"), username="admin",
            password=self.secrets.redis_admin, decode_responses=True,
        )  # fmt: skip


@contextmanager
def running_redis(root: Path, *options: str) -> Iterator[RedisServer]:
    """Start a server whose data are in a folder, and end it."""
    layout = Layout(root)
    layout.create()
    secrets = ensure_secrets(layout)
    write_users((CONFIG / "users.acl.template").read_text(), layout, secrets)
    [port] = free_ports(1)
    server = RedisServer(layout, secrets, port, options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
