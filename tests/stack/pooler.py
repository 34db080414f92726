"""A real PgBouncer before a PostgreSQL, as Debian has it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from tests.stack.team import Team
from tests.support import free_ports, wait_until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# What the page on a team's services asks for; the rest as it comes.
ASKED = {
    "pool_mode": "session",
    "ignore_startup_parameters": "extra_float_digits, options",
    "default_pool_size": "100",
    "max_client_conn": "500",
    "server_login_retry": "1",
}


@contextmanager
def pooler_before(team: Team, **changed: str | None) -> Iterator[int]:
    """Run one before the team's PostgreSQL, set as asked for but for what is changed.

    Yields its port. None leaves a setting out.
    """
    assert PGBOUNCER is not None
    [port] = free_ports(1)
    # Where the user that it runs as may look, which pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="tradewind-pooler-") as name:
        folder = Path(name)
        settings = {
            **ASKED, "listen_addr": "127.0.0.1", "listen_port": str(port), "unix_socket_dir": "",
            "auth_type": "scram-sha-256", "auth_file": str(folder / "users"),
            "auth_user": "postgres",
            "auth_query": "SELECT usename, passwd FROM pg_shadow WHERE usename = $1",
            **changed,
        }  # fmt: skip
        lines = [f"{name} = {value}" for name, value in settings.items() if value is not None]
        (folder / "users").write_text(f'"postgres" "{team.postgres.superuser}"\n')
        (folder / "ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={team.postgres.port}\n"
            "[pgbouncer]\n" + "\n".join(lines) + "\n"
        )
        command = [PGBOUNCER, str(folder / "ini")]
        if os.geteuid() == 0:  # which it refuses to run as
            command += ["--user", "nobody"]
            for path in (folder, *folder.iterdir()):
                os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(lambda: _answers(team, port), 30, of=(folder / "log").read_text)
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _answers(team: Team, port: int) -> bool:
    try:
        psycopg2.connect(
            host="127.0.0.1",
            port=port,
            user="postgres",
            password=team.postgres.superuser,
            dbname="postgres",
        ).close()
    except psycopg2.OperationalError:
        return False
    return True
