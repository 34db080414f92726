"""The ledger of trials in PostgreSQL, shared by all who try the same strategy."""

import math
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from tradewind.postgres import database_errors, open_engine
from tradewind.research.trials import ledger_table
from tradewind.research.trials.trial import Returns, Trial

__all__ = ["DatabaseLedger"]

_LEDGER: Final = ledger_table.LEDGER
_LIGHT: Final = [column for column in _LEDGER.c if column.name != "returns"]


class DatabaseLedger:
    """A `tradewind.research.trials.ledger.Ledger` in a table of its own, made where it is missing.

    Parameters
    ----------
    storage_url : str
        Of the database, as SQLAlchemy writes it: ``postgresql+psycopg2://...``.
    durable : bool
        Whether an entry is on the disk at once; else it is within a second.

    Raises
    ------
    LedgerError
        If the database is out of reach or refuses; so does every method.
    """

    def __init__(self, storage_url: str, *, durable: bool = True) -> None:
        self._engine = open_engine(storage_url, durable=durable)
        with database_errors("opening the ledger of trials"), self._engine.begin() as connection:
            ledger_table.make(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    def enter(self, trial: Trial) -> None:
        """Keep a trial; the same configuration on the same snapshot is kept once."""
        values = {
            "strategy": trial.strategy,
            "configuration": trial.configuration,
            "snapshot_id": trial.snapshot_id,
            "data_start": trial.data_start,
            "data_end": trial.data_end,
            "symbols": list(trial.symbols),
            "parameters": dict(trial.parameters),
            "metrics": dict(trial.metrics),
            "sharpe": None if math.isnan(trial.sharpe) else trial.sharpe,
            "n_sessions": trial.n_sessions,
            "failure": trial.failure,
            "returns": None if trial.returns is None else trial.returns.packed(),
        }
        with database_errors("entering a trial"), self._engine.begin() as connection:
            connection.execute(insert(_LEDGER).values(values).on_conflict_do_nothing())

    def trials(self, strategy: str) -> list[Trial]:
        """Return all trials of a strategy without their returns, in no order."""
        wanted = select(*_LIGHT).where(_LEDGER.c.strategy == strategy)
        with database_errors("reading the ledger of trials"), self._engine.connect() as connection:
            return [_trial(row) for row in connection.execute(wanted)]

    def returns(
        self, strategy: str, snapshot_id: str, configurations: Sequence[str]
    ) -> list[Returns]:
        """Return the net returns of trials that did not fail, in the order asked for."""
        wanted = select(_LEDGER.c.configuration, _LEDGER.c.returns).where(
            _LEDGER.c.strategy == strategy,
            _LEDGER.c.snapshot_id == snapshot_id,
            _LEDGER.c.configuration.in_(configurations),
            _LEDGER.c.returns.is_not(None),
        )
        with database_errors("reading the ledger of trials"), self._engine.connect() as connection:
            found = {row.configuration: row.returns for row in connection.execute(wanted)}
        return [Returns.unpacked(found[each]) for each in configurations if each in found]


def _trial(row: Row[Any]) -> Trial:
    return Trial(
        strategy=row.strategy,
        configuration=row.configuration,
        snapshot_id=row.snapshot_id,
        data_start=row.data_start,
        data_end=row.data_end,
        symbols=tuple(row.symbols),
        parameters=row.parameters,
        metrics=row.metrics,
        sharpe=math.nan if row.sharpe is None else row.sharpe,
        n_sessions=row.n_sessions,
        failure=row.failure,
    )
