"""Predictions of folds in PostgreSQL, from the tasks that fit them to the task that judges them.

They are kept until they have been judged, and then removed. A fold that is missing can always be
fitted again, to the same bit.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert

from tradewind.postgres import database_errors, open_engine

__all__ = ["KeptFolds"]

_METADATA: Final = MetaData()
_FOLDS: Final = Table(
    "walk_forward_folds",
    _METADATA,
    Column("work", Text, primary_key=True),
    Column("fold", Integer, primary_key=True),
    Column("predictions", LargeBinary, nullable=False),
    Column("kept_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
)


class KeptFolds:
    """What was predicted for the tests of folds, by fold and by the work that they are part of.

    The table is made where it is missing.

    Parameters
    ----------
    storage_url : str
        Of the database, as SQLAlchemy writes it: ``postgresql+psycopg2://...``.

    Raises
    ------
    LedgerError
        If the database is out of reach or refuses; so does every method.
    """

    def __init__(self, storage_url: str) -> None:
        # What a crash of the database loses is fitted again.
        self._engine = open_engine(storage_url, durable=False)
        with database_errors("opening the folds"), self._engine.begin() as connection:
            # Two processes that find no table would both make it.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('kept_folds'))"))
            _METADATA.create_all(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.dispose()

    def keep(self, work: str, fold: int, predictions: NDArray[np.float64]) -> None:
        """Keep the predictions of a fold; of two processes that fit it, the first one's stay."""
        row = {"work": work, "fold": fold, "predictions": predictions.astype("<f8").tobytes()}
        with database_errors("keeping a fold"), self._engine.begin() as connection:
            connection.execute(insert(_FOLDS).values(row).on_conflict_do_nothing())

    def known(self, work: str) -> set[int]:
        """Return which folds are kept."""
        wanted = select(_FOLDS.c.fold).where(_FOLDS.c.work == work)
        with database_errors("looking for folds"), self._engine.connect() as connection:
            return set(connection.scalars(wanted))

    def predictions(self, work: str) -> Mapping[int, NDArray[np.float64]]:
        """Return the predictions of all folds that are kept, to the bit, by fold."""
        wanted = select(_FOLDS.c.fold, _FOLDS.c.predictions).where(_FOLDS.c.work == work)
        with database_errors("reading folds"), self._engine.connect() as connection:
            return {
                row.fold: np.frombuffer(row.predictions, "<f8").astype(np.float64)
                for row in connection.execute(wanted)
            }

    def forget(self, work: str) -> None:
        """Remove all folds of some work."""
        with database_errors("removing folds"), self._engine.begin() as connection:
            connection.execute(delete(_FOLDS).where(_FOLDS.c.work == work))

    def forget_older(self, days: int) -> int:
        """Remove what nobody has asked for in so many days, as of runs that failed; say how many.

        Parameters
        ----------
        days : int
        """
        old = _FOLDS.c.kept_at < func.now() - func.make_interval(0, 0, 0, days)
        with database_errors("removing old folds"), self._engine.begin() as connection:
            return connection.execute(delete(_FOLDS).where(old)).rowcount
