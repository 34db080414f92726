"""A team's PostgreSQL: three databases of ours, each with its owner, and roles that may do less."""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from tradewind.endpoints import DATABASES, MAKERS, ROLES, SEARCH_PATHS, PostgresServer
from tradewind.stack.adoption.findings import Part, clock, midpoint
from tradewind.stack.pooler import SOUND, Connect, pooler_problem
from tradewind.stack.secrets import Secrets
from tradewind.stack.theirs import connect

__all__ = ["adopt"]

_OLDEST: Final = 140000  # Airflow and MLflow are tested with no older one
_USUAL, _MOST = 45, 250  # connections of all our services: what they keep, and what they may take
_MAINTENANCE: Final = ("postgres", "template1")
_OWNED_PUBLIC: Final = 150000  # from here on the owner of a database has its schema `public`, too
_IN_ORDER: Final = (*DATABASES, *(role for role in ROLES if role not in DATABASES))


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
    refused: dict[str, str] = {}
    for role in _IN_ORDER:
        found = _refused(server, secrets, role)
        if found is None:
            continue
        refused[role] = found.said
        if not found.by_server:  # and no other role will be answered
            part.note(
                "server", "in the way",
                f"{found.said}. Nobody was asked for a login there: see that it runs, and that "
                "TRADEWIND_POSTGRES_URL has its host, port and sslmode. A pooler that does not "
                "know our roles yet may also be silent: adopt at the server itself first",
            )  # fmt: skip
            return part
    if not refused:
        _look_as_ours(part, server, secrets)
        return part
    if not login:
        part.note(
            "roles and databases", "to do",
            f"{' '.join(set(refused.values()))}. Give ADOPT_POSTGRES_LOGIN=user:password of who "
            "may make them, or have the commands run there",
        )  # fmt: skip
        part.commands += [each for role in refused for each in _commands(server, secrets, role)]
        return part
    user, _, password = login.partition(":")
    try:
        connection = _enter(server, (user, password))
    except psycopg2.Error as error:
        part.note("login", "in the way", f"{user}: {str(error).strip()}")
        return part
    try:
        if _pooler(part, partial(connect, server, (user, password), connection.info.dbname)):
            _make(part, connection, server, secrets, refused, apply=apply)
    except psycopg2.Error as error:
        part.note("login", "in the way", f"{user}: {str(error).strip()}")
    finally:
        connection.close()
    return part


def _look_as_ours(part: Part, server: PostgresServer, secrets: Secrets) -> None:
    import psycopg2

    owner = server.name("tradewind")
    login = owner, secrets.postgres_tradewind
    try:
        if _pooler(part, partial(connect, server, login, owner)):
            with closing(connect(server, login, owner)) as connection:
                _look(part, connection, server)
            part.note("roles and databases", "ready", ", ".join(map(server.name, _IN_ORDER)))
    except psycopg2.Error as error:
        part.note("server", "in the way", str(error).strip())


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


@dataclass(frozen=True)
class _Refusal:
    """Why a role is not let in, and whether the server said so, or nobody there was reached."""

    said: str
    by_server: bool


def _refused(server: PostgresServer, secrets: Secrets, role: str) -> _Refusal | None:
    """Return why a role of ours is not let into its database, None if it is."""
    import psycopg2

    login = server.name(role), getattr(secrets, f"postgres_{role}")
    try:
        connect(server, login, server.name(ROLES[role])).close()
    except psycopg2.OperationalError as error:
        # It has tried each address of the host, and without TLS after with it: the last counts.
        said = str(error).strip()
        said = said[max(0, said.rfind("connection to server")) :]
        # libpq writes so of what a server sent, in any language: how grave it is, and what.
        return _Refusal(" ".join(said.split()), by_server=":  " in said)
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
    if version < _OWNED_PUBLIC:
        owners = ", ".join(map(server.name, DATABASES))
        part.note(
            "schema public", "note",
            "before PostgreSQL 15 each role of a database may make tables and functions in its "
            f"schema public, and our owners may not forbid it. A superuser may, in each of {owners}"
            ": ALTER SCHEMA public OWNER TO the database's owner",
        )  # fmt: skip
    with connection.cursor() as cursor:
        with midpoint() as now:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            [theirs] = cursor.fetchone()
        clock(part, theirs, now[0])
        # Rows of others are counted, though what they do is hidden.
        cursor.execute(
            "SELECT current_setting('max_connections')::int - count(*) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND NOT usename = ANY(%s)",
            (list(map(server.name, ROLES)),),
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


def _pooler(part: Part, connect: Connect) -> bool:
    """Say what a pooler before the server must be set to; return whether the rest can be asked."""
    found = pooler_problem(connect)
    if found is not None:
        part.note("pooler", "in the way" if found else "note", found or SOUND)
    return not found


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
        for role in refused:
            commands = _commands(server, secrets, role, superuser=superuser)
            if server.name(role) in existing:  # made before a crash
                commands = commands[1:]
            if apply:
                for command in commands:
                    cursor.execute(command)
                part.note(_what(server, role), "done")
            else:
                part.commands += commands
                part.note(_what(server, role), "to do")
    if apply:
        for role in refused:
            found = _refused(server, secrets, role)
            if found is not None:
                part.note(_what(server, role), "in the way", found.said)


def _names(part: Part, cursor: Any, server: PostgresServer, refused: Mapping[str, str]) -> set[str]:  # noqa: ANN401 - psycopg2 is imported late
    """Return the roles that are there; say which names others have taken."""
    cursor.execute("SELECT rolname FROM pg_roles")
    existing = {name for (name,) in cursor.fetchall()}
    cursor.execute("SELECT datname, pg_get_userbyid(datdba) FROM pg_database")
    owners = dict(cursor.fetchall())
    for role, said in refused.items():
        name = server.name(role)
        if role in DATABASES and owners.get(name, name) != name:
            _taken(part, f"database {name} belongs to {owners[name]}")
        elif name in existing and not _is_ours(said):
            _taken(part, f"role {name} is there, with a password that is none of ours")
    return existing


def _is_ours(said: str) -> bool:
    """Whether a role took our password: the database is looked for after that."""
    return "database" in said and ("does not exist" in said or "permission denied" in said)


def _what(server: PostgresServer, role: str) -> str:
    return f"{'database' if role in DATABASES else 'role'} {server.name(role)}"


def _taken(part: Part, said: str) -> None:
    part.note(
        "names", "in the way",
        f"{said}: put prefix=desk_ (or another) into TRADEWIND_POSTGRES_URL, and ours are called "
        "desk_airflow and so on",
    )  # fmt: skip


def _commands(
    server: PostgresServer, secrets: Secrets, role: str, *, superuser: bool = False
) -> list[str]:
    """Return what makes a role, with the password as SCRAM keeps it, and the database it owns.

    What another role may do in a database its owner says, at each start.
    """
    name, database = f'"{server.name(role)}"', f'"{server.name(ROLES[role])}"'
    verifier = _verifier(getattr(secrets, f"postgres_{role}"))
    create = (
        f"CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION "
        f"PASSWORD '{verifier}'"
    )
    if role not in DATABASES:
        path = SEARCH_PATHS.get(role)
        search = [f"ALTER ROLE {name} IN DATABASE {database} SET search_path = {path}"]
        return [
            create,
            *(search if path else []),
            *([f"GRANT {name} TO {database}"] if role in MAKERS else []),
            f"GRANT CONNECT ON DATABASE {database} TO {name}",
        ]
    # Who makes a database for a role must be able to act as that role.
    grant = [] if superuser else [f"GRANT {name} TO CURRENT_USER"]
    return [
        create,
        *grant,
        f"CREATE DATABASE {database} OWNER {name} ENCODING 'UTF8' TEMPLATE template0",
        f"REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC",
    ]


def _verifier(password: str) -> str:
    """Return what PostgreSQL keeps of a password (RFC 5803): it can't be logged in with."""
    salt, iterations = os.urandom(16), 4096
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client, server = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
    stored = hashlib.sha256(client).digest()
    text = [base64.b64encode(each).decode() for each in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{text[0]}${text[1]}:{text[2]}"
