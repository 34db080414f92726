"""A real PostgreSQL of the tests' own: made as the stack makes it, on a free port."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from tests.support import free_ports, kill_tree, wait_until
from tradewind.endpoints import PostgresServer
from tradewind.stack.layout import Layout
from tradewind.stack.postgres import create_cluster, initialise, server_command
from tradewind.stack.secrets import ensure_secrets

CONFIG = Path(__file__).parents[1] / "config" / "postgres"


class RunningPostgres:
    """A cluster whose server can be killed and started again on its port and its data."""

    def __init__(self, root: Path) -> None:
        self._layout = Layout(root)
        self._layout.create()
        self._secrets = ensure_secrets(self._layout)
        create_cluster(self._layout, self._secrets)
        [self._port] = free_ports(1)
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the database `tradewind`, as its owner."""
        return self.url_of("tradewind")

    def url_of(self, role: str) -> str:
        """SQLAlchemy's URL of the database of a role."""
        server = PostgresServer(port=self._port)
        return server.url(role, getattr(self._secrets, f"postgres_{role}"))

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def superuser(self) -> str:
        """Password of the user `postgres`."""
        return self._secrets.postgres_superuser

    @property
    def pid(self) -> int:
        """Of the main process of the server that runs."""
        assert self._server is not None
        return self._server.pid

    def initialise(self) -> None:
        """Make roles and databases, in a server that runs."""
        initialise(CONFIG / "init.sql", self._secrets, self._port)

    def start(self) -> None:
        """Start the server, and wait until it answers.

        One whose main process alone was killed has others that take a moment to notice; meanwhile
        a new one refuses to start, and is started again, as a supervisor does.
        """
        wait_until(self._started, 60, of=self._layout.service_log("postgres").read_text)

    def kill(self, *, everything: bool = True) -> None:
        """End it as a power cut does, or its main process alone; waits until that is gone."""
        if self._server is None:
            return
        if everything:
            kill_tree(self._server.pid)
        else:
            self._server.kill()
        self._server.wait()

    def stop(self) -> None:
        """End it in good order, though not waiting for those still connected."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGINT)
        try:
            self._server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()

    def _started(self) -> bool:
        if self._server is None or self._server.poll() is not None:
            command = server_command(str(CONFIG / "postgresql.conf"), self._layout, self._port)
            with self._layout.service_log("postgres").open("ab") as output:
                self._server = subprocess.Popen(
                    command, cwd="/", stdout=output, stderr=subprocess.STDOUT
                )
        try:
            psycopg2.connect(
                host="127.0.0.1",
                port=self._port,
                user="postgres",
                password=self._secrets.postgres_superuser,
            ).close()
        except psycopg2.OperationalError:
            return False
        return True


@contextmanager
def running_postgres(root: Path) -> Iterator[RunningPostgres]:
    """Start a cluster with its databases in a folder, and end it."""
    server = RunningPostgres(root)
    try:
        server.start()
        server.initialise()
        yield server
    finally:
        server.stop()
