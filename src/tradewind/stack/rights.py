"""What roles may do in PostgreSQL that own no database: set by the owners, after all migrations.

The same on the stack's own PostgreSQL and on a team's, where no superuser is ours. They are set at
each start; to set them again changes nothing but what somebody has changed since.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from tradewind.endpoints import DATABASES, ROLES
from tradewind.errors import StackError

__all__ = ["SETTERS", "set_rights"]

_LOCK: Final = 7_301_009
_PATIENCE: Final = "30s"  # for who holds a table that is to be changed
_STUDIES: Final = (
    "alembic_version", "studies", "study_directions", "study_system_attributes",
    "study_user_attributes", "trial_heartbeats", "trial_intermediate_values", "trial_params",
    "trial_system_attributes", "trial_user_attributes", "trial_values", "trials", "version_info",
)  # fmt: skip
_RESULTS: Final = (
    "celery_taskmeta", "celery_tasksetmeta", "task_id_sequence", "taskset_id_sequence",
)  # fmt: skip
# As Celery makes them. Made by the owner: whoever owns a table can have it run functions of their
# own as who uses it, and the owner throws old results away.
_MAKE_RESULTS: Final = """
    CREATE SEQUENCE IF NOT EXISTS celery.task_id_sequence;
    CREATE SEQUENCE IF NOT EXISTS celery.taskset_id_sequence;
    CREATE TABLE IF NOT EXISTS celery.celery_taskmeta (
        id integer PRIMARY KEY, task_id varchar(155) UNIQUE, status varchar(50), result bytea,
        date_done timestamp, traceback text, name varchar(155), args bytea, kwargs bytea,
        worker varchar(155), retries integer, queue varchar(155));
    CREATE TABLE IF NOT EXISTS celery.celery_tasksetmeta (
        id integer PRIMARY KEY, taskset_id varchar(155) UNIQUE, result bytea, date_done timestamp);
    CREATE INDEX IF NOT EXISTS ix_celery_taskmeta_date_done ON celery.celery_taskmeta (date_done);
    CREATE INDEX IF NOT EXISTS ix_celery_tasksetmeta_date_done
        ON celery.celery_tasksetmeta (date_done)
"""
_TABLE: Final = "SELECT, INSERT, UPDATE, DELETE"

# Tasks open accounts on the terms of a champion, say what was quoted and when an exchange opens;
# and a task that finds that a model has seen the future halts its account. They send no order, book
# no trade, and take no halt off.
_RESEARCH_ADDS: Final = ("accounts", "quotes", "openings", "bookings", "equity", "halts", "events")
# A person at the page halts and resumes, and writes nothing else.
_DESK_ADDS: Final = ("events", "halts")
_ROWS: Final = {
    **{
        (table, name): text
        for table in ("bookings", "equity", "events", "halts")
        for name, text in {
            "trading_adds": "TO {trading} USING (true) WITH CHECK (true)",
            "research_reads": "FOR SELECT TO {research} USING (true)",
            "desk_reads": "FOR SELECT TO {desk} USING (true)",
        }.items()
    },
    ("bookings", "research_opens"): (
        "FOR INSERT TO {research} WITH CHECK (kind = 'capital' AND NOT EXISTS ("
        "SELECT FROM trading.equity e WHERE e.account = bookings.account))"
    ),
    ("equity", "research_opens"): (
        "FOR INSERT TO {research} WITH CHECK (positions = 0 AND EXISTS ("
        "SELECT FROM trading.bookings b WHERE b.account = equity.account "
        "AND b.session = equity.session AND b.kind = 'capital' AND b.amount = equity.cash))"
    ),
    ("halts", "research_halts"): "FOR INSERT TO {research} WITH CHECK (halted)",
    ("events", "research_halts"): "FOR INSERT TO {research} WITH CHECK (kind = 'halt')",
    ("halts", "desk_switches"): "FOR INSERT TO {desk} WITH CHECK (said_by <> '')",
    ("events", "desk_switches"): ("FOR INSERT TO {desk} WITH CHECK (kind IN ('halt', 'resume'))"),
}
"""Rows of the book that each may see and add, by table and name of the policy."""

# What the DAG processor has read in DAG files.
_DAGS: Final = frozenset(
    {
        "asset", "asset_active", "asset_alias", "asset_alias_asset", "asset_trigger",
        "asset_watcher", "callback", "callback_request", "dag", "dag_bundle", "dag_code",
        "dag_owner_attributes", "dag_priority_parsing_request",
        "dag_schedule_asset_alias_reference", "dag_schedule_asset_name_reference",
        "dag_schedule_asset_reference", "dag_schedule_asset_uri_reference", "dag_tag",
        "dag_version", "dag_warning", "deadline_alert", "import_error", "job", "serialized_dag",
        "task_inlet_asset_reference", "task_outlet_asset_reference", "trigger",
    }
)  # fmt: skip
_ALLOWED: Final = "ab_permission_view_role"
_OF_DAGS: Final = {
    # Each DAG is a resource that roles can be let to, as its file or a person says.
    _ALLOWED: "SELECT, INSERT, DELETE",
    "ab_permission_view": "SELECT, INSERT",
    "ab_view_menu": "SELECT, INSERT",
    "log": "SELECT, INSERT",
    **dict.fromkeys(_DAGS, _TABLE),
}
_OF_PEOPLE: Final = frozenset({"ab_register_user", "ab_user", "session"})
_ONLY_DAGS: Final = (
    "EXISTS (SELECT FROM ab_permission_view p JOIN ab_view_menu v ON v.id = p.view_menu_id "
    "WHERE p.id = permission_view_id AND v.name ~ '^DAG( Run)?:')"
)


def set_rights(url: str) -> None:
    """Set the rights that the role of an address may set: one of `SETTERS`.

    Parameters
    ----------
    url : str
        As SQLAlchemy or Celery has it, with user, password and database.

    Raises
    ------
    StackError
        If the database refuses, is out of reach, or has not been migrated.
    """
    import psycopg2

    address = url.removeprefix("db+").replace("+psycopg2", "", 1)
    try:
        connection = psycopg2.connect(address, connect_timeout=10)
        try:
            with connection, connection.cursor() as cursor:
                database = _Database(connection, cursor)
                database.run("SELECT set_config('lock_timeout', %s, true)", _PATIENCE)
                database.run("SELECT pg_advisory_xact_lock(%s)", _LOCK)
                _SET[database.role](database)
        finally:
            connection.close()
    except psycopg2.Error as error:
        said = " ".join(str(error).split())
        raise StackError(f"rights in PostgreSQL could not be set: {said}") from error


class _Database:
    """One database in a transaction of one of its roles, and what the roles are called there."""

    def __init__(self, connection: Any, cursor: Any) -> None:  # noqa: ANN401 - psycopg2 is imported late
        self.name, user = connection.info.dbname, connection.info.user
        own = next(each for each in DATABASES if self.name.endswith(each))
        prefix = self.name.removesuffix(own)
        self.role = user.removeprefix(prefix)
        self._names = {role: prefix + role for role in ROLES}
        self._connection, self._cursor = connection, cursor

    def run(self, statement: str, *values: object, **names: str | Sequence[str]) -> list[Any]:
        """Run a statement in which roles and other names stand in braces; return its rows."""
        from psycopg2 import sql

        told = {
            name: sql.SQL(", ").join(map(sql.Identifier, [each] if isinstance(each, str) else each))
            for name, each in {**self._names, **names}.items()
        }
        self._cursor.execute(sql.SQL(statement).format(**told), values or None)
        return list(self._cursor.fetchall()) if self._cursor.description else []

    def own(self, schema: str, kinds: str = "rpvm") -> list[str]:
        """Return the tables of a schema that belong to this role; or ``S``, its sequences."""
        found = self.run(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) "
            "AND relkind = ANY(%s) AND pg_get_userbyid(relowner) = current_user ORDER BY 1",
            schema, list(kinds),
        )  # fmt: skip
        return [name for (name,) in found]

    def withdraw(self, schema: str, roles: str) -> None:
        """Take all rights to what is in a schema from some roles, and from the public."""
        for kind, kinds in (("TABLE", "rpvm"), ("SEQUENCE", "S")):
            if found := self.own(schema, kinds):
                names = ", ".join(f"{schema}.{{n{number}}}" for number in range(len(found)))
                told = {f"n{number}": name for number, name in enumerate(found)}
                self.run(f"REVOKE ALL ON {kind} {names} FROM PUBLIC, {roles}", **told)

    def grant(self, rights: str, schema: str, tables: Iterable[str], role: str) -> None:
        """Grant a role rights to some tables of a schema."""
        for table in tables:
            self.run(f"GRANT {rights} ON {schema}.{{table}} TO {{{role}}}", table=table)

    def move(self, schema: str, names: Sequence[str]) -> None:
        """Move tables and sequences that an earlier version made in `public`."""
        found = self.run(
            "SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relname "
            "FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S') "
            "AND relname = ANY(%s) AND pg_get_userbyid(relowner) = current_user "
            "AND to_regclass(%s || '.' || relname) IS NULL",
            list(names), schema,
        )  # fmt: skip
        for kind, name in found:
            self.run(f"ALTER {kind} public.{{name}} SET SCHEMA {schema}", name=name)

    def share(self, schema: str, role: str) -> None:
        """Let a role use what is there of this one's."""
        self.grant(_TABLE, schema, self.own(schema), role)
        for name in self.own(schema, "S"):
            self.run(f"GRANT USAGE, SELECT ON SEQUENCE {schema}.{{name}} TO {{{role}}}", name=name)

    def rows(self, schema: str, wanted: dict[tuple[str, str], str]) -> None:
        """Have policies say which rows of some tables a role may use, and no other policies.

        Made anew only if they are others: that waits for all who use the table.
        """
        found = {
            (table, name): (mark, shut)
            for table, name, mark, shut in self.run(
                "SELECT relname, polname, obj_description(p.oid, 'pg_policy'), relrowsecurity "
                "FROM pg_policy p JOIN pg_class c ON c.oid = polrelid "
                "WHERE relnamespace = to_regnamespace(%s)", schema,
            )
        }  # fmt: skip
        marks = {
            key: hashlib.sha256(text.encode()).hexdigest()[:16] for key, text in wanted.items()
        }
        for (table, name), (mark, shut) in found.items():
            if mark != marks.get((table, name), ""):
                self.run(f"DROP POLICY {{name}} ON {schema}.{{table}}", name=name, table=table)
            elif shut:
                del marks[table, name]
        for (table, name), mark in marks.items():
            where = {"name": name, "table": table}
            self.run(f"ALTER TABLE {schema}.{{table}} ENABLE ROW LEVEL SECURITY", table=table)
            if found.get((table, name), ("", False))[0] != mark:
                text = wanted[table, name]
                self.run(f"CREATE POLICY {{name}} ON {schema}.{{table}} {text}", **where)
                self.run(f"COMMENT ON POLICY {{name}} ON {schema}.{{table}} IS '{mark}'", **where)


def _close(database: _Database) -> None:
    """Let in the roles of this database, and nobody else."""
    own = [role for role in ROLES if ROLES[role] == database.role]
    others = [role for role in ROLES if role not in own]

    def listed(roles: Iterable[str]) -> str:
        return ", ".join(f"{{{role}}}" for role in roles)

    where = "ON DATABASE {database}"
    name = database.name
    database.run(f"REVOKE ALL {where} FROM PUBLIC, {listed(others)}", database=name)
    database.run(f"GRANT CONNECT {where} TO {listed(own)}", database=name)


def _of_tradewind(database: _Database) -> None:
    _close(database)
    run = database.run
    others = "{desk}, {research}, {trading}"
    # Studies of sweeps are the tasks' own, who make their tables, so they have a schema of their
    # own: who could make a table or a function in `public` could trap those who ask for one there.
    run("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {desk}, {research}, {trading}")
    run("GRANT USAGE ON SCHEMA public TO {research}, {trading}")
    run("CREATE SCHEMA IF NOT EXISTS studies")
    run("GRANT USAGE, CREATE ON SCHEMA studies TO {research}")
    database.move("studies", _STUDIES)
    for (name,) in run(
        "SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e' "
        "AND pg_get_userbyid(typowner) = current_user"
    ):
        run("ALTER TYPE public.{name} SET SCHEMA studies", name=name)
    database.share("studies", "research")
    # Evidence is added, never changed: by tasks the ledger of trials, and signals with their
    # inputs.
    database.withdraw("public", others)
    run("GRANT SELECT, INSERT ON trial_ledger, signals, signal_inputs TO {research}")
    run("GRANT SELECT ON signals, signal_inputs TO {trading}")
    # The trading workers add to the book, in which nothing is ever changed; tasks read it.
    for schema in ("trading", "paper"):
        database.withdraw(schema, others)
        run(f"GRANT USAGE ON SCHEMA {schema} TO {{trading}}")
        database.grant("SELECT, INSERT", schema, database.own(schema), "trading")
    run("REVOKE INSERT ON trading.alembic_version FROM {trading}")
    run("GRANT USAGE ON SCHEMA trading TO {research}")
    database.grant("SELECT", "trading", database.own("trading"), "research")
    database.grant("INSERT", "trading", _RESEARCH_ADDS, "research")
    # So does the page, for people who may, with the signals that an order came from.
    run("GRANT USAGE ON SCHEMA public, trading TO {desk}")
    run("GRANT SELECT ON signals TO {desk}")
    database.grant("SELECT", "trading", database.own("trading"), "desk")
    database.grant("INSERT", "trading", _DESK_ADDS, "desk")
    database.rows("trading", _ROWS)


def _of_airflow(database: _Database) -> None:
    _close(database)
    run = database.run
    # How tasks of Celery ended: two tables in a schema of their own, all that a worker sees here.
    run("CREATE SCHEMA IF NOT EXISTS celery")
    run("REVOKE ALL ON SCHEMA celery FROM PUBLIC, {airflow_results}, {airflow_dags}")
    run("GRANT USAGE ON SCHEMA celery TO {airflow_results}")
    database.move("celery", _RESULTS)
    run(_MAKE_RESULTS)
    database.share("celery", "airflow_results")
    # The DAG processor runs what authors of DAG files write. It writes what it has read in them,
    # and reads the rest, but neither users nor their sessions; it begins no run, and changes no
    # connection, variable, permission or result.
    run("REVOKE CREATE, USAGE ON SCHEMA public FROM PUBLIC, {airflow_results}, {airflow_dags}")
    database.withdraw("public", "{airflow_results}, {airflow_dags}")
    run("GRANT USAGE ON SCHEMA public TO {airflow_dags}")
    tables = set(database.own("public"))
    for table in sorted(tables - _OF_PEOPLE):
        database.grant(_OF_DAGS.get(table, "SELECT"), "public", (table,), "airflow_dags")
    for name in database.own("public", "S"):
        run("GRANT USAGE ON SEQUENCE public.{name} TO {airflow_dags}", name=name)
    if _ALLOWED in tables:
        # What roles may do with anything else is not for a DAG file to say.
        policy = f"TO {{airflow_dags}} USING ({_ONLY_DAGS}) WITH CHECK ({_ONLY_DAGS})"
        database.rows("public", {(_ALLOWED, "dags"): policy})


_SET: Final[dict[str, Callable[[_Database], None]]] = {
    "airflow": _of_airflow,
    "mlflow": _close,
    "tradewind": _of_tradewind,
}
SETTERS: Final = tuple(_SET)
"""The roles that set rights, each to what is its own."""
