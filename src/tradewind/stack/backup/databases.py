"""The databases at one moment: dumps, rows by table, and how they are restored.

All of it is done by the role that owns a database, and with what belongs to it: a server may be a
team's, with others' databases on it, and others' tables and extensions in ours.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

from tradewind.endpoints import PostgresServer
from tradewind.errors import BackupError
from tradewind.stack.backup.streams import CHUNK, fed
from tradewind.stack.backup.tls import through_tls

if TYPE_CHECKING:
    from psycopg2.extensions import connection

__all__ = ["Databases", "Login", "Snapshot"]

_LONGEST: Final = 60.0  # seconds in which a moment without a commit is looked for
_STEP: Final = 0.002  # seconds
# Who may do what is set at each start, for the roles that a system has.
_WITHOUT: Final = ("--no-owner", "--no-privileges", "--no-policies")
_TABLES: Final = """
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND pg_has_role(c.relowner, 'USAGE')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = c.tableoid AND d.objid = c.oid
                    AND d.deptype = 'e')
    ORDER BY 1
"""
# What is not the role's to read or to restore; what an extension has made comes with that.
_STRANGERS: Final = """
    SELECT format('%I.%I of role %I', n.nspname, c.relname, pg_get_userbyid(c.relowner))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema' AND NOT pg_has_role(c.relowner, 'USAGE')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = c.tableoid AND d.objid = c.oid
                    AND d.deptype = 'e')
    ORDER BY 1
"""
# Removes what belongs to the role, and nothing that others have made or that hangs on theirs; and
# the note of a migration that was done, which what is restored may lack. What a table brings with
# it goes with the table.
_EMPTY: Final = """
DO $$
DECLARE
  statement text;
BEGIN
  EXECUTE format('COMMENT ON DATABASE %I IS NULL', current_database());
  FOR statement IN
    WITH ours AS (
      SELECT CASE c.relkind WHEN 'v' THEN 1 WHEN 'm' THEN 1 WHEN 'S' THEN 4 ELSE 3 END AS step,
             CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                            WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
             format('%I.%I', n.nspname, c.relname) AS name,
             c.tableoid AS catalog, c.oid, c.relowner AS owner
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('v', 'm', 'r', 'p', 'S') AND n.nspname !~ '^pg_'
      UNION ALL
      SELECT 5, 'ROUTINE', format('%I.%I(%s)', n.nspname, p.proname,
                                  pg_get_function_identity_arguments(p.oid)),
             p.tableoid, p.oid, p.proowner
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname !~ '^pg_'
      UNION ALL
      SELECT 6, CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END,
             format('%I.%I', n.nspname, t.typname), t.tableoid, t.oid, t.typowner
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
      LEFT JOIN pg_class c ON c.oid = t.typrelid
      WHERE n.nspname !~ '^pg_' AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
      UNION ALL
      SELECT 7, 'SCHEMA', format('%I', nspname), tableoid, oid, nspowner
      FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'public'
    )
    SELECT format('DROP %s %s', kind, string_agg(name, ', ' ORDER BY name)) FROM ours
    WHERE pg_has_role(owner, 'USAGE')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = ours.catalog AND d.objid = ours.oid
                    AND d.deptype IN ('a', 'e', 'i') AND d.refobjid <> d.objid)
    GROUP BY step, kind, CASE step WHEN 1 THEN oid END -- a view of views was made after them
    ORDER BY step, max(oid) DESC
  LOOP
    EXECUTE statement;
  END LOOP;
END
$$;
"""
# What pg_restore says first, and a server before PostgreSQL 17 does not know.
_LIMIT: Final = b"\nSET transaction_timeout = 0;\n"
_LIMIT_IF_KNOWN: Final = (
    b"\nSELECT set_config(name, '0', false) FROM pg_catalog.pg_settings "
    b"WHERE name = 'transaction_timeout';\n"
)


@dataclass(frozen=True)
class Login:
    """How a database is reached by the role that owns it: libpq's variables."""

    environment: Mapping[str, str] = field(repr=False)

    @classmethod
    def at(cls, server: PostgresServer, database: str, password: str) -> "Login":
        """Return the login of the owner of one of our databases."""
        name = server.name(database)
        # A team's may speak TLS unasked, and then nothing goes there in the clear.
        told = {"PGSSLMODE": "prefer"} if server.theirs else {}
        told |= {**server.environment(), "PGDATABASE": name, "PGUSER": name}
        return cls(told | {"PGPASSWORD": password})

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
            If there was no such moment within a minute; or if others have tables in there, which a
            backup would lack.
        """
        with ExitStack() as stack:
            open_: dict[str, connection] = {}
            for name, login in self.logins.items():
                open_[name] = stack.enter_context(_closing(login.connect()))
                _lift_limits(open_[name])
                _refuse_strangers(open_[name])
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

    def refuse_strangers(self) -> None:
        """Refuse databases in which others have tables.

        Raises
        ------
        BackupError
            If there are any.
        """
        for login in self.logins.values():
            with _closing(login.connect()) as connection:
                _refuse_strangers(connection)

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
            self.program("pg_dump"), "--format=custom", *_WITHOUT, "--exclude-extension=*",
            f"--snapshot={snapshot.id}",
        ]  # fmt: skip
        with (
            through_tls(snapshot.login.environment) as login,
            tempfile.TemporaryFile() as said,
        ):
            with subprocess.Popen(
                command, env=_environment(login), stdout=subprocess.PIPE, stderr=said,
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
        """Restore a database from a stream in the place of what is in it, all of it or nothing.

        Raises
        ------
        BackupError
            If it cannot be; the message has the last lines of the program that says so. The
            database is what it was then.
        """
        login = self.logins[name]
        # A script with all that is to be done, in one transaction: that of `pg_restore` itself
        # cannot begin with a statement of ours.
        command = [
            self.program("psql"), "--no-psqlrc", "--quiet", "--output=/dev/null",
            "--set=ON_ERROR_STOP=1", "--single-transaction", "--file=-",
        ]  # fmt: skip
        with (
            through_tls(login.environment) as environment,
            tempfile.TemporaryFile() as said,
        ):
            with subprocess.Popen(
                command, env=_environment(environment), stdin=subprocess.PIPE, stdout=said,
                stderr=said, cwd="/",
            ) as process:  # fmt: skip
                assert process.stdin is not None  # noqa: S101 - for mypy
                to = _Told(process.stdin)
                try:
                    to.write(_EMPTY.encode())
                    with fed(lambda writer: self._script(of, writer)) as script:
                        to.write(script.read(CHUNK).replace(_LIMIT, _LIMIT_IF_KNOWN, 1))
                        while data := script.read(CHUNK):
                            to.write(data)
                    to.close()  # the script is whole: what it did is kept
                except BaseException:
                    if not to.refused:  # else its exit code says why
                        process.kill()  # before its input ends, which would keep the half of it
                        process.wait()
                        raise
            _require(process.returncode, "psql", said)
        with _closing(login.connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")  # else queries are planned as for empty tables

    def _script(self, of: IO[bytes], to: IO[bytes]) -> None:
        """Write what restores a dump as a script of SQL."""
        command = [self.program("pg_restore"), *_WITHOUT, "--file=-"]
        with tempfile.TemporaryFile() as said:
            with subprocess.Popen(
                command, env=_environment({}), stdin=subprocess.PIPE, stdout=to, stderr=said,
                cwd="/",
            ) as process:  # fmt: skip
                assert process.stdin is not None  # noqa: S101 - for mypy
                taking = _Told(process.stdin)
                try:
                    while data := of.read(CHUNK):
                        taking.write(data)
                    taking.close()
                except BaseException:
                    if not taking.refused:  # else its exit code says why
                        process.kill()
                        raise
            _require(process.returncode, "pg_restore", said)

    def filled(self) -> list[str]:
        """Return the databases that have tables."""
        return [name for name in self.logins if self.counts(name)]


class _Told:
    """What a program reads; knows whether it has stopped reading."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.refused = False

    def write(self, data: bytes) -> None:
        with self._noted():
            self._file.write(data)
            self._file.flush()

    def close(self) -> None:
        with self._noted():
            self._file.close()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self.refused = True
            with suppress(BrokenPipeError):
                self._file.close()  # without what it still holds
            raise


def _environment(login: Mapping[str, str]) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**ours, **login}


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


def _refuse_strangers(connection: "connection") -> None:
    with connection.cursor() as cursor:
        cursor.execute(_STRANGERS)
        found = [name for (name,) in cursor.fetchall()]
    connection.commit()
    if found:
        raise BackupError(
            f"in the database {connection.info.dbname} there is what {connection.info.user} does "
            f"not own, and a backup would lack it: {', '.join(found[:5])}. Move it to another "
            "database, or make it a role's that its owner is a member of"
        )


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
