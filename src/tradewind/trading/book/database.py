"""The database of the trading book: its connection, and the lock of each account's one writer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from tradewind.errors import TradingError
from tradewind.postgres import KEEPALIVE, Locks

__all__ = ["NOT_MIGRATED", "AccountLock", "account_lock", "database_errors", "open_database"]

NOT_MIGRATED: Final = (
    "the tables of the book are missing or of another version: run "
    "`python -m tradewind.trading.migrate` with TRADEWIND_DATABASE_URL set"
)


@contextmanager
def open_database(url: str) -> Iterator[sa.Engine]:
    """Open the book's database for a while.

    Parameters
    ----------
    url : str
        As SQLAlchemy writes it: ``postgresql+psycopg2://user:password@host/name``.

    Raises
    ------
    TradingError
        If the address is invalid, or not one of PostgreSQL.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:  # its message may hold a password
        raise TradingError(
            "the database's address is no URL; write postgresql+psycopg2://user:password@host/name"
        ) from None
    if parsed.get_backend_name() != "postgresql":
        raise TradingError(f"the book is kept in PostgreSQL, not in {parsed.get_backend_name()}")
    engine = sa.create_engine(parsed, connect_args=KEEPALIVE, pool_size=2)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Turn an error of the database into ours, which says what was being done.

    Raises
    ------
    TradingError
        In the place of any error of SQLAlchemy.
    """
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        missing = getattr(cause, "pgcode", None) in {"42P01", "42703", "3F000"}
        mend = NOT_MIGRATED if missing else "see `tradewind status` and `tradewind logs postgres`"
        raise TradingError(
            f"{doing}: the database refused: {' '.join(str(cause).split())} -- {mend}"
        ) from error


class AccountLock:
    """The lock that lets nobody else write an account's book; it ends with its connection."""

    def __init__(self, locks: Locks) -> None:
        self._locks = locks

    def check(self) -> None:
        """Raise if the lock was lost: then the book must not be written any more.

        Raises
        ------
        TradingError
            If the connection that held it is gone.
        """
        with database_errors("holding the lock on the account"):
            self._locks.check()


@contextmanager
def account_lock(engine: sa.Engine, account: str) -> Iterator[AccountLock]:
    """Wait until nobody else writes an account's book, then keep others from it."""
    with database_errors(f"locking the account {account}"):
        locks = Locks(engine)
        try:
            with locks.held(f"trading account {account}"):
                yield AccountLock(locks)
        finally:
            locks.close()
