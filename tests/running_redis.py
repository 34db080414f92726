"""A real Redis of the tests' own: with the stack's settings and users, on a free port."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.support import free_ports, wait_until
from tradewind.stack.layout import Layout
from tradewind.stack.redis import server_command, write_users
from tradewind.stack.secrets import ensure_secrets

CONFIG = Path(__file__).parents[1] / "config"


class RunningRedis:
    """A server that can be killed and started again on its port and its data."""

    def __init__(self, root: Path) -> None:
        self._layout = Layout(root)
        self._layout.create()
        self._secrets = ensure_secrets(self._layout)
        write_users((CONFIG / "users.acl.template").read_text(), self._layout, self._secrets)
        [self._port] = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, user: str, database: int) -> str:
        """Address of a database for a user of the stack's."""
        password = getattr(self._secrets, f"redis_{user}")
        return f"redis://{user}:{password}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = server_command(str(CONFIG / "redis.conf"), self._layout, self._port)
        log = self._layout.service_log("redis")
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        wait_until(self._answers, 60, of=log.read_text)

    def kill(self) -> None:
        """End it with no chance to finish anything, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def write_half(self) -> None:
        """Leave behind, of a server that was killed, a transaction that it was writing down."""
        [file] = (self._layout.redis_dir / "appendonlydir").glob("*.incr.aof")
        with file.open("ab") as journal:
            journal.write(b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$12\r\ntrading:ha")

    def _answers(self) -> bool:
        try:
            with Redis.from_url(self.url("admin", 0)) as client:
                return bool(client.ping())
        except RedisError:
            return False


@contextmanager
def running_redis(root: Path) -> Iterator[RunningRedis]:
    """Start a server in a folder, and end it."""
    server = RunningRedis(root)
    server.start()
    try:
        yield server
    finally:
        server.kill()
