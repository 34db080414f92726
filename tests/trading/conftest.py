"""The database of the tests, without what other tests have stored in it."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.trading.books import Desk
from tradewind.trading.book.schema import PAPER, SCHEMA
from tradewind.trading.migrate import migrate


@pytest.fixture
def database_url(postgres_url: str) -> str:
    with sa.create_engine(postgres_url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS signals, signal_inputs"))
    return postgres_url


@pytest.fixture
def book_url(database_url: str) -> str:
    """A database with an empty book, and no signals."""
    with sa.create_engine(database_url, poolclass=sa.NullPool).begin() as connection:
        for schema in (SCHEMA, PAPER):
            connection.execute(sa.schema.DropSchema(schema, cascade=True, if_exists=True))
    migrate(database_url)
    return database_url


@pytest.fixture
def desk(book_url: str) -> Iterator[Desk]:
    """An account's desk, with an empty book."""
    made = Desk(book_url)
    yield made
    made.close()
