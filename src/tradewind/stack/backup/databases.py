"""The databases at one moment: dumps, rows by table, and how they are restored."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

from tradewind.errors import BackupError
from tradewind.stack.backup.streams import CHUNK

if TYPE_CHECKING:
    from psycopg2.extensions import connection

__all__ = ["Databases", "Login", "Snapshot"]

_LONGEST: Final = 60.0  # seconds in which a moment without a commit is looked for
_STEP: Final = 0.002  # seconds
_TABLES: Final = """
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY 1
"""


@dataclass(frozen=True)
class Login:
    """How a database is reached by the role that owns it: libpq's variables."""

    environment: Mapping[str, str] = field(repr=False)

    @property
    def host(self) -> str:
        """Where the server is, for people."""
        return f"{self.environment['PGHOST']}:{self.environment.get('PGPORT', '5432')}"

    def connect(self) -> "connection":
        """Connect.

        Raises
        ------
        BackupError
            If nobody answers, or refuses.
        """
        import psycopg2

        words = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password",
                 "PGDATABASE": "dbname", "PGSSLMODE": "sslmode",
                 "PGSSLROOTCERT": "sslrootcert"}  # fmt: skip
        options: dict[str, Any] = {words[k]: value for k, value in self.environment.items()}
        try:
            made: connection = psycopg2.connect(**options, connect_timeout=10)
        except psycopg2.OperationalError as error:
            raise BackupError(
                f"PostgreSQL at {self.host} does not let in {self.environment['PGUSER']}: "
                f"{str(error).strip()}; see `tradewind status`"
            ) from error
        return made


@dataclass(frozen=True)
class Snapshot:
    """A database as it was at the moment; ends with its connection."""

    login: Login
    connection: "connection" = field(repr=False)
    id: str

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Ask the database as it was."""
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()


@dataclass(frozen=True)
class Databases:
    """All databases of the system, on one server.

    Attributes
    ----------
    logins : mapping
        By the name of the database in a backup.
    program : callable
        Returns the path of a program of PostgreSQL.
    """

    logins: Mapping[str, Login]
    program: Callable[[str], str]

    @contextmanager
    def one_moment(self) -> Iterator[dict[str, Snapshot]]:
        """Hold all databases as they were at one moment.

        A transaction has one number for the whole server, whichever database it is in. So two
        databases are seen at one moment if the same transactions had ended for both; otherwise
        one was committed between the two looks, and both look again.

        Raises
        ------
        BackupError
            If there was no such moment within a minute.
        """
        with ExitStack() as stack:
            open_: dict[str, connection] = {}
            for name, login in self.logins.items():
                open_[name] = stack.enter_context(_closing(login.connect()))
                _lift_limits(open_[name])
                open_[name].set_session(isolation_level="REPEATABLE READ", readonly=True)
            deadline = time.monotonic() + _LONGEST
            while len({_seen(each) for each in open_.values()}) > 1:
                if time.monotonic() > deadline:
                    raise BackupError(
                        f"within {_LONGEST:g} s there was no moment at which none of the databases "
                        "changed: make the backup when less is going on"
                    )
                for each in open_.values():
                    each.rollback()
                time.sleep(_STEP)
            yield {
                name: Snapshot(self.logins[name], each, _exported(each))
                for name, each in open_.items()
            }

    def counts(self, name: str) -> dict[str, int]:
        """Return the rows by table of a database as it is now."""
        with _closing(self.logins[name].connect()) as connection:
            return _counted(connection)

    def dump(self, snapshot: Snapshot, to: IO[bytes]) -> dict[str, int]:
        """Write a database to a stream, in PostgreSQL's own format; return its rows by table.

        Raises
        ------
        BackupError
            If `pg_dump` fails; the message has its last lines.
        """
        command = [
            self.program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges",
            f"--snapshot={snapshot.id}",
        ]  # fmt: skip
        with tempfile.TemporaryFile() as said:
            with subprocess.Popen(
                command, env=_environment(snapshot.login), stdout=subprocess.PIPE, stderr=said,
                stdin=subprocess.DEVNULL, cwd="/",
            ) as process:  # fmt: skip
                assert process.stdout is not None  # noqa: S101 - for mypy
                try:
                    while data := process.stdout.read(CHUNK):
                        to.write(data)
                except BaseException:
                    process.kill()
                    raise
            _require(process.returncode, "pg_dump", said)
        return _counted(snapshot.connection)

    def restore(self, name: str, of: IO[bytes]) -> None:
        """Restore a database from a stream, all of it or nothing.

        What an earlier attempt restored is restored anew.

        Raises
        ------
        BackupError
            If `pg_restore` fails; the message has its last lines.
        """
        login = self.logins[name]
        command = [
            self.program("pg_restore"), "--no-owner", "--no-privileges", "--clean", "--if-exists",
            "--single-transaction", "--exit-on-error",
            f"--dbname={login.environment['PGDATABASE']}",
        ]  # fmt: skip
        with tempfile.TemporaryFile() as said:
            with subprocess.Popen(
                command, env=_environment(login), stdin=subprocess.PIPE, stdout=said, stderr=said,
                cwd="/",
            ) as process:  # fmt: skip
                assert process.stdin is not None  # noqa: S101 - for mypy
                try:
                    while data := of.read(CHUNK):
                        process.stdin.write(data)
                    process.stdin.close()
                except BrokenPipeError:
                    pass  # its exit code says why
                except BaseException:
                    process.kill()
                    raise
            _require(process.returncode, "pg_restore", said)
        with _closing(login.connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")  # else queries are planned as for empty tables

    def filled(self) -> list[str]:
        """Return the databases that have tables."""
        return [name for name in self.logins if self.counts(name)]


def _environment(login: Login) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**ours, **login.environment}


def _require(code: int, program: str, said: IO[bytes]) -> None:
    if code:
        said.seek(0)
        tail = "\n".join(said.read().decode(errors="replace").splitlines()[-10:])
        raise BackupError(f"{program} failed (exit code {code}):\n{tail}")


@contextmanager
def _closing(connection: "connection") -> Iterator["connection"]:
    # psycopg2's own `with` ends a transaction, and leaves the connection open.
    try:
        yield connection
    finally:
        connection.close()


def _lift_limits(connection: "connection") -> None:
    """Let a transaction wait while other databases are dumped, whatever the server's limits are."""
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
        cursor.execute("SET statement_timeout = 0")
    connection.commit()


def _seen(connection: "connection") -> object:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_snapshot()::text")
        return cursor.fetchone()


def _exported(connection: "connection") -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        found = cursor.fetchone()
    return str(found[0]) if found else ""


def _counted(connection: "connection") -> dict[str, int]:
    from psycopg2 import sql

    found: dict[str, int] = {}
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT count(*) FROM ") + sql.SQL(table))
            row = cursor.fetchone()
            found[table] = row[0] if row else 0
    return found
