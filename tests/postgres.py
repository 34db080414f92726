"""A real PostgreSQL of the tests' own: made as the stack makes it, on a free port."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from tests.support import free_ports, wait_until
from tradewind.stack.layout import Layout
from tradewind.stack.postgres import create_cluster, initialise, server_command
from tradewind.stack.secrets import ensure_secrets

CONFIG = Path(__file__).parents[1] / "config" / "postgres"


@contextmanager
def running_postgres(root: Path) -> Iterator[str]:
    """Start a cluster in a folder; yields the SQLAlchemy URL of the database `tradewind`."""
    layout = Layout(root)
    layout.create()
    secrets = ensure_secrets(layout)
    create_cluster(layout, secrets)
    [port] = free_ports(1)
    command = server_command(str(CONFIG / "postgresql.conf"), layout, port)
    log = layout.service_log("postgres")
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd="/", stdout=output, stderr=subprocess.STDOUT)
    try:
        superuser = {"host": "127.0.0.1", "port": port, "user": "postgres"}

        def answers() -> bool:
            assert server.poll() is None, log.read_text()
            try:
                psycopg2.connect(**superuser, password=secrets.postgres_superuser).close()
            except psycopg2.OperationalError:
                return False
            return True

        wait_until(answers, 60, of=log.read_text)
        initialise(CONFIG / "init.sql", layout, secrets, port)
        login = f"tradewind:{secrets.postgres_tradewind}"
        yield f"postgresql+psycopg2://{login}@127.0.0.1:{port}/tradewind"
    finally:
        server.send_signal(signal.SIGINT)  # fast: does not wait for those still connected
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
