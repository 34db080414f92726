"""Access to PostgreSQL: engines, errors and locks."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    TextClause,
    create_engine,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from tradewind.errors import LedgerError

__all__ = ["KEEPALIVE", "Locks", "database_errors", "open_engine"]

# A lock ends with its connection. If the holder's whole machine is gone, nobody closes the
# connection. So both ends send keep-alives: a minute of silence ends it.
KEEPALIVE: Final[dict[str, Any]] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}


def open_engine(url: str, *, durable: bool = True) -> Engine:
    """Return an engine for a SQLAlchemy URL; nothing is connected yet.

    Parameters
    ----------
    url : str
    durable : bool
        Whether each commit waits until it is on the disk. If not, a crash of the database may
        lose what was committed in its last second; it never loses one commit and keeps a later
        one, of whatever connection.

    Raises
    ------
    LedgerError
        If the URL is invalid, or not one of PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:  # its message may hold a password
        raise LedgerError(
            "the database's address is no URL; write postgresql+psycopg2://user:password@host/name"
        ) from None
    if parsed.get_backend_name() != "postgresql":
        raise LedgerError(
            f"sweeps and their ledger are kept in PostgreSQL, not in {parsed.get_backend_name()}: "
            "its locks tell a batch that was killed from one that runs"
        )
    options = KEEPALIVE["options"] + ("" if durable else " -c synchronous_commit=off")
    return create_engine(parsed, connect_args={**KEEPALIVE, "options": options})


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Turn an error of the database into ours, which says what was being done.

    Raises
    ------
    LedgerError
        In the place of any error of SQLAlchemy, or of Optuna's storage.
    """
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        raise LedgerError(
            f"{doing}: the database refused: {' '.join(str(cause).split())} -- see that it runs "
            "and that the login may create tables; what was finished before is kept"
        ) from error


class Locks:
    """Locks by name, held by one connection; they end with it, however its process ends."""

    def __init__(self, engine: Engine) -> None:
        self._connection: Connection = engine.connect().execution_options(
            isolation_level="AUTOCOMMIT"
        )

    def close(self) -> None:
        """Release all locks."""
        self._connection.invalidate()  # not back into a pool, where locks would be kept
        self._connection.close()

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Wait for a lock, and hold it."""
        self._ask("SELECT pg_advisory_lock(:key)", name)
        try:
            yield
        finally:
            self._release(name)

    @contextmanager
    def tried(self, name: str) -> Iterator[bool]:
        """Hold a lock if nobody else does; yields whether it is held."""
        mine = bool(self._ask("SELECT pg_try_advisory_lock(:key)", name))
        try:
            yield mine
        finally:
            if mine:
                self._release(name)

    def check(self) -> None:
        """Raise if the connection, and so every lock, was lost."""
        self.run(text("SELECT 1"))

    def run(self, statement: TextClause, **parameters: object) -> CursorResult[Any]:
        """Run and commit a statement that must have no effect if the locks are lost."""
        return self._connection.execute(statement, parameters)

    def _release(self, name: str) -> None:
        # After an error the connection, and so the lock, may be lost; the error is the one to
        # report.
        if not self._connection.invalidated:
            self._ask("SELECT pg_advisory_unlock(:key)", name)

    def _ask(self, statement: str, name: str) -> object:
        digest = hashlib.blake2b(f"tradewind {name}".encode(), digest_size=8).digest()
        key = int.from_bytes(digest, "little", signed=True)
        return self.run(text(statement), key=key).scalar()
