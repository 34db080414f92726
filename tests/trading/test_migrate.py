"""The tables: made by migrations, the same as the code's, and made once however many try."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic import command

from tradewind.errors import TradingError
from tradewind.trading.book.schema import PAPER, SCHEMA, metadata
from tradewind.trading.migrate import migrate, migration_config


@pytest.fixture
def empty_url(postgres_url: str) -> str:
    """A database without the book."""
    with sa.create_engine(postgres_url, poolclass=sa.NullPool).begin() as connection:
        for schema in (SCHEMA, PAPER):
            connection.execute(sa.schema.DropSchema(schema, cascade=True, if_exists=True))
    return postgres_url


def check_constraints(connection: sa.Connection) -> set[tuple[str, str | None, str]]:
    return {
        (table.fullname, check["name"], check["sqltext"])
        for table in metadata.tables.values()
        for check in sa.inspect(connection).get_check_constraints(table.name, table.schema)
    }


def test_migrations_make_the_tables_that_the_code_knows(empty_url: str) -> None:
    migrate(empty_url)
    with sa.create_engine(empty_url, poolclass=sa.NullPool).begin() as connection:
        command.check(migration_config(connection))  # raises where the two differ
        made = {
            f"{schema}.{table}"
            for schema in (SCHEMA, PAPER)
            for table in sa.inspect(connection).get_table_names(schema)
        }
        checks = check_constraints(connection)
        # Alembic does not compare checks: make the code's own tables, and read theirs back.
        for schema in (SCHEMA, PAPER):
            connection.execute(sa.schema.DropSchema(schema, cascade=True))
            connection.execute(sa.schema.CreateSchema(schema))
        metadata.create_all(connection)
        assert checks
        assert checks == check_constraints(connection)
        connection.rollback()
    assert made == set(metadata.tables) | {f"{SCHEMA}.alembic_version"}


@pytest.mark.parametrize(
    ("broker", "execution"), [("paper", "paper"), ("ib://gateway:4002?account.old=DU1", "live")]
)
def test_an_account_of_the_first_book_is_paid_the_last_close_and_keeps_its_broker(
    empty_url: str, broker: str, execution: str
) -> None:
    engine = sa.create_engine(empty_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for schema in (SCHEMA, PAPER):
            connection.execute(sa.schema.CreateSchema(schema))
        command.upgrade(migration_config(connection), "r0001")
        columns = [c.name for c in metadata.tables[f"{SCHEMA}.accounts"].c]
        later = {"created_at", "delisting_return", "execution"}
        columns = [name for name in columns if name not in later]
        values = ["'old'", "0", "'2024-01-02'", *["1"] * (len(columns) - 3)]
        connection.execute(
            sa.text(
                f"INSERT INTO trading.accounts ({', '.join(columns)}) VALUES ({', '.join(values)})"
            )
        )
    migrate(empty_url, broker)
    with engine.begin() as connection:
        found = connection.execute(
            sa.text("SELECT delisting_return, execution FROM trading.accounts")
        ).one()
    assert tuple(found) == (0, execution)


def test_eight_that_migrate_at_one_moment_agree(empty_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        versions = set(pool.map(migrate, [empty_url] * 8))
    assert len(versions) == 1
    assert {migrate(empty_url)} == versions


def test_a_book_of_newer_code_is_left_alone(empty_url: str) -> None:
    migrate(empty_url)
    engine = sa.create_engine(empty_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE trading.alembic_version SET version_num = 'r9999'"))
    with pytest.raises(TradingError, match=r"r9999.*newer tradewind"):
        migrate(empty_url)


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [("", 2, "is not set"), ("postgresql+psycopg2://127.0.0.1:1/none", 1, "Connection refused")],
)
def test_the_program_says_what_is_wrong(url: str, code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tradewind.trading.migrate"],
        env={"TRADEWIND_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_program_migrates(empty_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tradewind.trading.migrate"],
        env={"TRADEWIND_DATABASE_URL": empty_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "at version r0004" in done.stdout
