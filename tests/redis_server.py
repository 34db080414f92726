"""A real Redis of the tests' own: the stack's settings and users, on a free port."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.support import free_ports, wait_until
from tradewind.stack.layout import Layout
from tradewind.stack.redis import server_command, write_users
from tradewind.stack.secrets import ensure_secrets

CONFIG = Path(__file__).parents[1] / "config"


@dataclass
class RedisServer:
    """A Redis server that tests may kill and start again."""

    layout: Layout
    port: int
    password: str
    admin_password: str
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        command = server_command(str(CONFIG / "redis.conf"), self.layout, self.port)
        with self.layout.service_log("redis").open("ab") as log:
            # At once on disk: whoever kills it asks what is read again, not what was written.
            self.process = subprocess.Popen(
                [*command, "--appendfsync", "always"], stdout=log, stderr=log
            )
        wait_until(self.answers, 30, of=self.layout.service_log("redis").read_text)

    def answers(self) -> bool:
        try:
            return bool(self.admin.ping())
        except RedisError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        """Where the user `trading` has its database."""
        return f"redis://trading:{self.password}@127.0.0.1:{self.port}/1"

    @property
    def admin(self) -> Redis:
        return Redis(
            port=self.port, db=1, username="admin", password=self.admin_password,
            decode_responses=True,
        )  # fmt: skip


@contextmanager
def running_redis(root: Path) -> Iterator[RedisServer]:
    """Start a server whose data are in a folder."""
    layout = Layout(root)
    layout.create()
    secrets = ensure_secrets(layout)
    write_users((CONFIG / "users.acl.template").read_text(), layout, secrets)
    [port] = free_ports(1)
    server = RedisServer(layout, port, secrets.redis_trading, secrets.redis_admin)
    server.start()
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()
