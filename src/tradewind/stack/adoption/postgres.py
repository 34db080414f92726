"""A team's PostgreSQL: three databases of ours, each with the role that owns it."""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.endpoints import DATABASES, PostgresServer
from tradewind.stack.adoption.findings import Part, clock, midpoint
from tradewind.stack.secrets import Secrets
from tradewind.stack.theirs import connect

__all__ = ["adopt"]

_OLDEST: Final = 140000  # Airflow and MLflow are tested with no older one
_USUAL, _MOST = 45, 250  # connections of all our services: what they keep, and what they may take
_MAINTENANCE: Final = ("postgres", "template1")


def adopt(
    server: PostgresServer, secrets: Secrets, login: str, own_data: Path, *, apply: bool
) -> Part:
    """Look at the server, and make our roles and databases.

    Parameters
    ----------
    server, secrets
    login : str
        ``user:password`` of who may make roles and databases; empty to look as our own roles.
    own_data : Path
        Where a PostgreSQL of the stack's own would have its data.
    apply : bool
    """
    import psycopg2

    part = Part("postgres", str(server))
    _encryption(part, server)
    if own_data.exists():
        part.note(
            "data of before",
            "note",
            f"runs, models and books of the stack's own PostgreSQL stay in {own_data}, "
            "and are not shown while TRADEWIND_POSTGRES_URL is set",
        )
    refused = {
        name: said for name in DATABASES if (said := _refused(server, secrets, name)) is not None
    }
    if not refused:
        owner = server.name("tradewind")
        connection = connect(server, (owner, secrets.postgres_tradewind), owner)
        try:
            _look(part, connection, server)
        finally:
            connection.close()
        part.note("roles and databases", "ready", ", ".join(map(server.name, DATABASES)))
        return part
    if not login:
        part.note(
            "roles and databases", "to do",
            f"{' '.join(set(refused.values()))}. Give ADOPT_POSTGRES_LOGIN=user:password of who "
            "may make them, or have the commands run there",
        )  # fmt: skip
        part.commands += [each for name in DATABASES for each in _commands(server, secrets, name)]
        return part
    user, _, password = login.partition(":")
    try:
        connection = _enter(server, (user, password))
    except psycopg2.Error as error:
        part.note("login", "in the way", f"{user}: {str(error).strip()}")
        return part
    try:
        _make(part, connection, server, secrets, refused, apply=apply)
    finally:
        connection.close()
    return part


def _encryption(part: Part, server: PostgresServer) -> None:
    if server.sslmode == "verify-full":
        part.note("encryption", "ready", "TLS, with the server's name checked")
    else:
        part.note(
            "encryption",
            "note",
            "who is between can read along or pose as the server: sslmode=verify-full&sslrootcert="
            "FILE in TRADEWIND_POSTGRES_URL closes that",
        )


def _enter(server: PostgresServer, login: tuple[str, str]) -> Any:  # noqa: ANN401 - psycopg2 is imported late
    """Connect to the first database that lets this login in."""
    import psycopg2

    *others, last = (*_MAINTENANCE, login[0])
    for database in others:
        try:
            return connect(server, login, database)
        except psycopg2.OperationalError as error:
            if "does not exist" not in str(error) and "permission denied" not in str(error):
                raise
    return connect(server, login, last)


def _refused(server: PostgresServer, secrets: Secrets, database: str) -> str | None:
    """Return why a role of ours is not let into its database, None if it is."""
    import psycopg2

    name = server.name(database)
    try:
        connect(server, (name, getattr(secrets, f"postgres_{database}")), name).close()
    except psycopg2.OperationalError as error:
        return str(error).strip().splitlines()[-1]
    return None


def _look(part: Part, connection: Any, server: PostgresServer) -> None:  # noqa: ANN401 - psycopg2 is imported late
    version = connection.server_version
    if version < _OLDEST:
        part.note(
            "version", "in the way",
            f"PostgreSQL {version // 10000} is too old: {_OLDEST // 10000} or newer",
        )  # fmt: skip
    else:
        part.note("version", "ready", str(version // 10000))
    with connection.cursor() as cursor:
        with midpoint() as now:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            [theirs] = cursor.fetchone()
        clock(part, theirs, now[0])
        cursor.execute("SELECT pg_backend_pid()")
        # A pooler hands out numbers of its own, for a client to cancel by.
        if cursor.fetchone()[0] != connection.info.backend_pid:
            part.note(
                "pooler", "note",
                "a pooler (PgBouncer) stands before it: it must keep a session's server "
                "(pool_mode = session), for locks of ours belong to a session, and take "
                "ignore_startup_parameters = extra_float_digits, options",
            )  # fmt: skip
        # Rows of others are counted, though what they do is hidden.
        cursor.execute(
            "SELECT current_setting('max_connections')::int - count(*) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND NOT usename = ANY(%s)",
            (list(map(server.name, DATABASES)),),
        )
        [left] = cursor.fetchone()
    if left < _USUAL:
        part.note(
            "connections", "in the way",
            f"{left} are left, and our services keep about {_USUAL}: raise max_connections there",
        )  # fmt: skip
    elif left < _MOST:
        part.note(
            "connections", "note",
            f"{left} are left: our services keep about {_USUAL}, and under the heaviest load take "
            f"{_MOST}",
        )  # fmt: skip
    else:
        part.note("connections", "ready", f"{left} are left")


def _make(
    part: Part,
    connection: Any,  # noqa: ANN401 - psycopg2 is imported late
    server: PostgresServer,
    secrets: Secrets,
    refused: Mapping[str, str],
    *,
    apply: bool,
) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        _look(part, connection, server)
        cursor.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        )
        superuser, roles, databases = cursor.fetchone()
        if not superuser and not (roles and databases):
            part.note(
                "rights", "in the way",
                f"{connection.info.user} may not make roles and databases: ALTER ROLE "
                f"{connection.info.user} CREATEROLE CREATEDB, or give another login",
            )  # fmt: skip
        existing = _names(part, cursor, server, refused)
        if part.blocked:
            return
        for database in refused:
            commands = _commands(server, secrets, database, superuser=superuser)
            if server.name(database) in existing:  # made before a crash
                commands = commands[1:]
            if apply:
                for command in commands:
                    cursor.execute(command)
                part.note(f"database {server.name(database)}", "done")
            else:
                part.commands += commands
                part.note(f"database {server.name(database)}", "to do")
    if apply:
        for database in refused:
            said = _refused(server, secrets, database)
            if said is not None:
                part.note(f"database {server.name(database)}", "in the way", said)


def _names(part: Part, cursor: Any, server: PostgresServer, refused: Mapping[str, str]) -> set[str]:  # noqa: ANN401 - psycopg2 is imported late
    """Return the roles that are there; say which names others have taken."""
    cursor.execute("SELECT rolname FROM pg_roles")
    existing = {name for (name,) in cursor.fetchall()}
    cursor.execute("SELECT datname, pg_get_userbyid(datdba) FROM pg_database")
    owners = dict(cursor.fetchall())
    for database, said in refused.items():
        name = server.name(database)
        if owners.get(name, name) != name:
            _taken(part, f"database {name} belongs to {owners[name]}")
        elif name in existing and not _is_ours(said):
            _taken(part, f"role {name} is there, with a password that is none of ours")
    return existing


def _is_ours(said: str) -> bool:
    """Whether a role took our password: the database is looked for after that."""
    return "database" in said and "does not exist" in said


def _taken(part: Part, said: str) -> None:
    part.note(
        "names", "in the way",
        f"{said}: put prefix=desk_ (or another) into TRADEWIND_POSTGRES_URL, and ours are called "
        "desk_airflow and so on",
    )  # fmt: skip


def _commands(
    server: PostgresServer, secrets: Secrets, database: str, *, superuser: bool = False
) -> list[str]:
    """Return what makes a role and its database, with the password as SCRAM keeps it."""
    name = server.name(database)
    role = f'"{name}"'  # a name is letters, digits and _
    password = getattr(secrets, f"postgres_{database}")
    verifier = _verifier(password)
    # Who makes a database for a role must be able to act as that role.
    grant = [] if superuser else [f"GRANT {role} TO CURRENT_USER"]
    return [
        f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION "
        f"PASSWORD '{verifier}'",
        *grant,
        f"CREATE DATABASE {role} OWNER {role} ENCODING 'UTF8' TEMPLATE template0",
        f"REVOKE CONNECT, TEMPORARY ON DATABASE {role} FROM PUBLIC",
    ]


def _verifier(password: str) -> str:
    """Return what PostgreSQL keeps of a password (RFC 5803): it can't be logged in with."""
    salt, iterations = os.urandom(16), 4096
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client, server = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
    stored = hashlib.sha256(client).digest()
    text = [base64.b64encode(each).decode() for each in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{text[0]}${text[1]}:{text[2]}"
