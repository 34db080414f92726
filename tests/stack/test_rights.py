"""What each role may do in its database, as the databases' owners say."""

import sys
from collections.abc import Iterator

import psycopg2
import pytest

from tests.postgres import RunningPostgres, running_postgres
from tradewind.errors import StackError
from tradewind.stack.containers.migrations import end_with
from tradewind.trading.migrate import migrate

BOOKING = (
    "INSERT INTO trading.bookings "
    "(account, session, symbol, kind, shares, price, amount, reference) "
    "VALUES ('{}', '2020-01-0{}', '', '{}', 0, 0, 100, '')"
)
EQUITY = "INSERT INTO trading.equity VALUES ('{}', '2020-01-0{}', {cash}, 0, {cash})"
SWITCH = "INSERT INTO trading.halts (halted, reason, said_by) VALUES ({}, 'a test', '{}')"
HALT = "INSERT INTO trading.halts (account, halted, reason) VALUES (NULL, {}, 'a test')"
EVENT = "INSERT INTO trading.events (kind, payload) VALUES ('{}', '{{}}')"
OLDER = "CREATE TYPE studydirection AS ENUM ('NOT_SET'); CREATE TABLE studies (d studydirection)"
RESULTS = "CREATE SEQUENCE task_id_sequence; CREATE TABLE celery_taskmeta (id int, date_done date)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPostgres]:
    """With tables that an earlier version left in `public`, and rights set twice."""
    with running_postgres(tmp_path_factory.mktemp("rights")) as made:
        migrate(made.url)
        ask(made, "tradewind", OLDER)
        ask(made, "airflow", f"{RESULTS}; CREATE TABLE ab_user (id int); CREATE TABLE dag (id int)")
        for _ in range(2):
            made.set_rights()
        yield made


def ask(server: RunningPostgres, role: str, statement: str) -> None:
    connection = psycopg2.connect(server.url_of(role).replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("role", "statements"),
    [
        # A task opens an account with its capital, and halts it.
        ("research", (BOOKING.format("a", 1, "capital"), EQUITY.format("a", 1, cash=100))),
        ("research", (HALT.format("true"), EVENT.format("halt"))),
        ("research", ("SELECT * FROM trading.fills", "SELECT * FROM signals")),
        ("research", ("INSERT INTO studies DEFAULT VALUES", "CREATE TABLE more (i int)")),
        # A person at the page halts and resumes.
        ("desk", (SWITCH.format("true", "alice"), SWITCH.format("false", "alice"))),
        ("desk", (EVENT.format("halt"), EVENT.format("resume"), "SELECT * FROM trading.orders")),
        ("desk", ("SELECT * FROM signals",)),  # of which an order is explained
        # The owner backs up, and replaces, what tasks have made.
        ("tradewind", ("SELECT * FROM studies.more", "DROP TABLE studies.more")),
        ("trading", (HALT.format("false"), EVENT.format("resume"), "SELECT * FROM signals")),
        ("trading", (BOOKING.format("b", 1, "buy"), "SELECT * FROM paper.orders")),
        ("tradewind", ("DELETE FROM trading.halts", "SELECT * FROM trial_ledger")),
        ("airflow_results", ("INSERT INTO celery_taskmeta VALUES (1)",)),
        ("airflow_results", ("SELECT nextval('task_id_sequence')",)),
        ("airflow", ("DELETE FROM celery.celery_taskmeta",)),
        ("airflow_dags", ("INSERT INTO dag VALUES (1)", "DELETE FROM dag")),
    ],
)  # fmt: skip
def test_a_role_does_its_work(
    server: RunningPostgres, role: str, statements: tuple[str, ...]
) -> None:
    for statement in statements:
        ask(server, role, statement)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("research", BOOKING.format("c", 1, "dividend")),
        ("research", BOOKING.format("b", 2, "buy")),
        ("research", EQUITY.format("d", 1, cash=100)),
        ("research", HALT.format("false")),
        ("research", EVENT.format("resume")),
        ("research", "UPDATE trading.halts SET halted = false"),
        ("research", "DELETE FROM trial_ledger"),
        ("research", "UPDATE signals SET weight = 1"),
        ("research", "SELECT * FROM paper.orders"),
        ("research", "CREATE TABLE public.trap (i int)"),
        ("research", "SET ROLE tradewind"),
        ("desk", SWITCH.format("false", "")),  # by nobody
        ("desk", EVENT.format("fill")),
        ("desk", "UPDATE trading.halts SET halted = false"),
        ("desk", "DELETE FROM trading.halts"),
        ("desk", BOOKING.format("c", 1, "capital")),
        ("desk", "SELECT * FROM paper.orders"),
        ("desk", "SELECT * FROM trial_ledger"),
        ("desk", "UPDATE signals SET weight = 1"),
        ("desk", "CREATE TABLE public.trap (i int)"),
        ("desk", "SET ROLE trading"),
        ("trading", "UPDATE trading.halts SET halted = true"),
        ("trading", "SELECT * FROM trial_ledger"),
        ("trading", "SELECT * FROM studies.studies"),
        ("trading", "CREATE TABLE public.trap (i int)"),
        ("airflow_results", "SELECT * FROM public.dag"),
        ("airflow_results", "CREATE TABLE celery.more (i int)"),
        ("airflow_results", "CREATE FUNCTION celery.trap() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
        ("airflow_results", "ALTER TABLE celery.celery_taskmeta ADD COLUMN more int"),
        ("airflow_dags", "SELECT * FROM ab_user"),
        ("airflow_dags", "SELECT * FROM celery.celery_taskmeta"),
        ("airflow_dags", "CREATE TABLE public.trap (i int)"),
    ],
)
def test_a_role_does_nothing_else(server: RunningPostgres, role: str, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(server, role, statement)


def test_what_was_changed_is_set_right(server: RunningPostgres) -> None:
    """Rights that somebody gave, a policy that lets more through, a table that is open to all."""
    ask(server, "tradewind", "GRANT UPDATE ON trading.halts, signals TO research, PUBLIC")
    ask(server, "tradewind", "CREATE POLICY more ON trading.halts TO research USING (true)")
    ask(server, "tradewind", "DROP POLICY research_halts ON trading.halts")
    ask(
        server, "tradewind",
        "CREATE POLICY research_halts ON trading.halts FOR INSERT TO research WITH CHECK (true)",
    )  # fmt: skip
    ask(server, "tradewind", "GRANT CONNECT ON DATABASE tradewind TO mlflow")
    ask(server, "research", HALT.format("false"))
    server.set_rights()
    for statement in (HALT.format("false"), "UPDATE trading.halts SET halted = false"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(server, "research", statement)
    ask(server, "research", HALT.format("true"))
    url = server.url_of("mlflow").replace("+psycopg2", "").removesuffix("mlflow") + "tradewind"
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(url)


def test_a_schema_of_another_owner_keeps_nothing_else_open(server: RunningPostgres) -> None:
    """As before PostgreSQL 15, where only a superuser can close it."""
    trap = "CREATE TABLE public.trap (i int)"
    superuser = psycopg2.connect(
        host="127.0.0.1", port=server.port, user="postgres", password=server.superuser,
        dbname="tradewind",
    )  # fmt: skip
    superuser.autocommit = True
    try:
        with superuser.cursor() as cursor:
            cursor.execute(
                "ALTER SCHEMA public OWNER TO postgres; GRANT ALL ON SCHEMA public TO PUBLIC"
            )
            server.set_rights()
            ask(server, "research", f"{trap}; DROP TABLE public.trap")
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                ask(server, "research", HALT.format("false"))
            cursor.execute("ALTER SCHEMA public OWNER TO tradewind")
        server.set_rights()
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(server, "research", trap)
    finally:
        superuser.close()


def test_capital_is_booked_once(server: RunningPostgres) -> None:
    ask(server, "research", BOOKING.format("e", 1, "capital"))
    ask(server, "research", EQUITY.format("e", 1, cash=100))
    for statement in (BOOKING.format("e", 2, "capital"), EQUITY.format("e", 2, cash=100)):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(server, "research", statement)


def test_a_migration_leaves_no_table_in_use(server: RunningPostgres) -> None:
    """As Airflow's does, which ends with transactions of its own open."""
    left = []

    def migrate_and_leave_open() -> None:
        connection = psycopg2.connect(server.url_of("airflow").replace("+psycopg2", ""))
        connection.cursor().execute("SELECT * FROM dag")
        left.append(connection)

    end_with(migrate_and_leave_open)
    ask(server, "airflow", "LOCK TABLE dag IN ACCESS EXCLUSIVE MODE NOWAIT")


def test_a_migration_that_fails_is_told() -> None:
    with pytest.raises(StackError, match="the migration of Airflow ended with exit code 3"):
        end_with(lambda: sys.exit(3))
