"""What signals were decided from: each symbol's features and prediction, as they were then.

They are in the table ``signal_inputs`` beside the signals, written down once and never changed:
what the same code computes later for the same session must be the same
(`tradewind.research.monitoring.hindsight`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from tradewind.trading.book.database import database_errors

__all__ = ["InputBook", "SignalInputs", "make_table"]

_metadata = sa.MetaData()
_inputs = sa.Table(
    "signal_inputs",
    _metadata,
    sa.Column("strategy", sa.Text, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("model_version", sa.Integer, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    # Not JSONB: text keeps a double as it prints, which is read back to the last bit.
    sa.Column("features", sa.JSON, nullable=False),
    sa.Column("prediction", sa.Double, nullable=True),
    sa.Column("snapshot_id", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    # Null in rows of before there was the column, which may not be there yet, either.
    sa.Column("code_version", sa.Integer, nullable=True),
)
# Two workers that make a missing table at one moment break each other's catalogue entry.
_LOCK = 7_301_002


@dataclass(frozen=True)
class SignalInputs:
    """What a session's signals were decided from.

    Attributes
    ----------
    strategy : str
    session : date
    model_version : int
    snapshot_id : str
        The bars that they were computed from.
    features : mapping of str to mapping of str to float or None
        By symbol, then by column; None where undefined.
    predictions : mapping of str to float
        By symbol; one that could not be predicted for has none.
    code_version : int, optional
        `tradewind.research.features.compute.CODE_VERSION` of the code that computed them; None
        where it was not kept.
    """

    strategy: str
    session: date
    model_version: int
    snapshot_id: str
    features: Mapping[str, Mapping[str, float | None]]
    predictions: Mapping[str, float]
    code_version: int | None = None


class InputBook:
    """The inputs of signals in PostgreSQL.

    Parameters
    ----------
    url : str
        Address of the database, for SQLAlchemy.
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)

    def store(self, inputs: SignalInputs) -> None:
        """Store inputs, unless the session's are there already.

        Raises
        ------
        TradingError
            If the database refuses or is out of reach.
        """
        made = datetime.now(UTC)
        rows = [
            {
                "strategy": inputs.strategy,
                "session": inputs.session,
                "model_version": inputs.model_version,
                "symbol": symbol,
                "features": dict(features),
                "prediction": inputs.predictions.get(symbol),
                "snapshot_id": inputs.snapshot_id,
                "created_at": made,
                "code_version": inputs.code_version,
            }
            for symbol, features in sorted(inputs.features.items())
        ]
        with (
            database_errors("storing what signals are made of"),
            self._engine.begin() as connection,
        ):
            make_table(connection)
            there = sa.select(_inputs.c.symbol).where(
                _inputs.c.strategy == inputs.strategy,
                _inputs.c.session == inputs.session,
                _inputs.c.model_version == inputs.model_version,
            )
            if connection.execute(there.limit(1)).first() is None and rows:
                connection.execute(sa.insert(_inputs), rows)

    def latest(self, strategy: str, model_version: int, *, sessions: int) -> list[SignalInputs]:
        """Return what a version's latest signals were decided from, oldest session first.

        Raises
        ------
        TradingError
            If the database refuses or is out of reach.
        """
        mine = (_inputs.c.strategy == strategy, _inputs.c.model_version == model_version)
        newest = (
            sa.select(_inputs.c.session)
            .where(*mine)
            .distinct()
            .order_by(_inputs.c.session.desc())
            .limit(sessions)
        )
        with database_errors("reading what signals were made of"), self._engine.connect() as on:
            if not sa.inspect(on).has_table(_inputs.name):
                return []
            columns = [column for column in _inputs.c if column is not _inputs.c.code_version]
            version = _inputs.c.code_version if _has_version(on) else sa.null()
            chosen = sa.select(*columns, version.label("code_version")).where(
                *mine, _inputs.c.session.in_(newest)
            )
            rows = on.execute(chosen.order_by(_inputs.c.session, _inputs.c.symbol)).all()
        found: dict[date, list[Any]] = {}
        for row in rows:
            found.setdefault(row.session, []).append(row)
        return [
            SignalInputs(
                strategy=strategy,
                session=session,
                model_version=model_version,
                snapshot_id=of_session[0].snapshot_id,
                features={row.symbol: row.features for row in of_session},
                predictions={
                    row.symbol: row.prediction for row in of_session if row.prediction is not None
                },
                code_version=of_session[0].code_version,
            )
            for session, of_session in found.items()
        ]


def make_table(connection: sa.Connection) -> None:
    """Make the table of inputs, or what an older version did not make of it."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    _metadata.create_all(connection)
    if not _has_version(connection):
        connection.execute(sa.text("ALTER TABLE signal_inputs ADD COLUMN code_version INTEGER"))


def _has_version(connection: sa.Connection) -> bool:
    columns = sa.inspect(connection).get_columns(_inputs.name)
    return any(column["name"] == "code_version" for column in columns)
