"""What a strategy wants to hold at the next open, written down once and never changed.

Signals are in the table ``signals`` of the database ``tradewind``. A strategy's signals of a
session and a model version are one set: whoever stores it second finds the first one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from tradewind.errors import TradingError

if TYPE_CHECKING:
    import polars as pl

    from tradewind.research.strategy.universe import Universe

__all__ = [
    "SignalBook",
    "SignalSet",
    "make_table",
    "refuse_late_bars",
    "refuse_older_session",
    "signals_of",
    "tradable_weights",
    "tranches_of",
]

_metadata = sa.MetaData()
_signals = sa.Table(
    "signals",
    _metadata,
    sa.Column("strategy", sa.Text, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("model_version", sa.Integer, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("trade_session", sa.Date, nullable=False),
    sa.Column("weight", sa.Double, nullable=False),
    sa.Column("snapshot_id", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    # Added later: null where nobody wrote it down.
    sa.Column("tranches", sa.ARRAY(sa.Double)),
)
_ADD_TRANCHES = "ALTER TABLE signals ADD COLUMN tranches DOUBLE PRECISION[]"
# Two workers that make a missing table at one moment break each other's catalogue entry.
_LOCK = 7_301_001


@dataclass(frozen=True)
class SignalSet:
    """Target weights of one strategy after one session.

    Attributes
    ----------
    strategy : str
    session : date
        After whose close they were decided.
    trade_session : date
        At whose open they are traded: the exchange's next session.
    model_version : int
    snapshot_id : str
        The bars that they were made from.
    weights : mapping of str to float
        Fraction of equity by symbol, negative for a short position.
    tranches : mapping of str to tuple of float
        By symbol, what each of the last sessions wanted, oldest first: a weight is their mean.
        Empty where it was not written down.
    """

    strategy: str
    session: date
    trade_session: date
    model_version: int
    snapshot_id: str
    weights: Mapping[str, float]
    tranches: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def refuse_late_bars(bars: "pl.DataFrame") -> None:
    """Refuse to decide on a session of which a symbol's bar has not come in yet.

    Signals are written down once: decided without that symbol, they would sell it, share its money
    out to the others, and stay so when its bar comes. A symbol without a bar for two sessions or
    more is halted or delisted, and waited for no longer.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Of the strategy's symbols, up to the session decided on.

    Raises
    ------
    TradingError
        If a symbol has a bar of the session before the last, and none of the last.
    """
    import polars as pl

    newest = bars.get_column("session").unique().sort().tail(2)
    ended = bars.group_by("symbol").agg(pl.max("session"))
    late = ended.filter(pl.col("session") == newest[0], pl.col("session") < newest[-1])
    if not late.is_empty():
        raise TradingError(
            f"no bar of {', '.join(sorted(late['symbol'])[:10])} on {newest[-1]} yet, and signals "
            "of that session are made once: ingest the source again when the vendor has it. If "
            "it was delisted, the next session's signals are made without it"
        )


def refuse_older_session(decided: date, bars: "pl.DataFrame", universe: "Universe") -> None:
    """Refuse signals of another session than the last of the bars.

    They would be for an open that the bars have seen already.

    Parameters
    ----------
    decided : date
        The session of the weights.
    bars : DataFrame of shape (n_bars, 9)
        All that is known of the strategy's symbols.
    universe : Universe
        Of the strategy.

    Raises
    ------
    TradingError
        If the bars have a later session.
    """
    import polars as pl

    last: date = bars.get_column("session").sort()[-1]
    if decided >= last:
        return
    if universe.end is not None and universe.end < last:
        raise TradingError(
            f"universe.end is {universe.end}, and the bars go on to {last}: signals of an older "
            "session would be for an open that is over. Take `end` out of a strategy that is to "
            "trade, and train it again"
        )
    symbols = bars.filter(pl.col("session") == last).get_column("symbol").sort()
    raise TradingError(
        f"the champion decides on {decided}, and the bars end on {last}: a feature of "
        f"{', '.join(symbols[:10])} is undefined on {last}, and signals of an older session would "
        "be for an open that is over. Mend the feature, and train the strategy again"
    )


def tradable_weights(weights: "pl.DataFrame", bars: "pl.DataFrame") -> dict[str, float]:
    """Return the weights of the last session by symbol, 0.0 where a symbol has no bar in it.

    A symbol that was delisted is still wanted by the signals of sessions before, each of which is
    held for the strategy's horizon. The backtest sells it; so no order may ask for it either.

    Parameters
    ----------
    weights : DataFrame of shape (n_sessions * n_symbols, 3)
        symbol, session, weight.
    bars : DataFrame of shape (n_bars, 9)
    """
    import polars as pl

    last = weights.filter(pl.col("session") == pl.col("session").max())
    quoted = bars.select("symbol", "session", pl.lit(1.0).alias("quoted"))
    known = last.join(quoted, on=["symbol", "session"], how="left")
    weight = pl.when(pl.col("quoted").is_null()).then(0.0).otherwise("weight")
    return dict(known.select("symbol", weight.alias("weight")).iter_rows())


class SignalBook:
    """Signals in PostgreSQL.

    Parameters
    ----------
    url : str
        Address of the database, for SQLAlchemy.
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)

    def store(self, signals: SignalSet) -> SignalSet:
        """Store signals, unless the session's are there already, and return those that are.

        Raises
        ------
        TradingError
            If there are no weights, or one is no finite number, or the database refuses or is out
            of reach.
        """
        _refuse_no_numbers(signals)
        made = datetime.now(UTC)
        rows = [
            {
                "strategy": signals.strategy,
                "session": signals.session,
                "model_version": signals.model_version,
                "symbol": symbol,
                "trade_session": signals.trade_session,
                "weight": weight,
                "snapshot_id": signals.snapshot_id,
                "created_at": made,
                "tranches": list(signals.tranches.get(symbol, ())) or None,
            }
            for symbol, weight in sorted(signals.weights.items())
        ]
        if not rows:
            raise TradingError(f"no weights of {signals.strategy} for {signals.session} to store")
        try:
            with self._engine.begin() as connection:
                make_table(connection)
                found = _read(connection, signals.strategy, signals.session, signals.model_version)
                if found is not None:
                    return found
                connection.execute(sa.insert(_signals), rows)
        except sa.exc.SQLAlchemyError as error:
            raise _refusal(error) from error
        return signals

    def of(
        self, strategy: str, session: date, model_version: int | None = None
    ) -> SignalSet | None:
        """Return the signals of a session, if any: a version's, or those that were stored last.

        Raises
        ------
        TradingError
            If the database refuses or is out of reach.
        """
        try:
            with self._engine.connect() as connection:
                return signals_of(connection, strategy, session, model_version)
        except sa.exc.SQLAlchemyError as error:
            raise _refusal(error) from error

    def latest(self, strategy: str, model_version: int) -> SignalSet | None:
        """Return the signals that a version of a strategy's model stored last, if any.

        Raises
        ------
        TradingError
            If the database refuses or is out of reach.
        """
        newest = sa.select(sa.func.max(_signals.c.session)).where(
            _signals.c.strategy == strategy, _signals.c.model_version == model_version
        )
        try:
            with self._engine.connect() as connection:
                if not sa.inspect(connection).has_table(_signals.name):
                    return None
                session = connection.execute(newest).scalar()
                if session is None:
                    return None
                return _read(connection, strategy, session, model_version)
        except sa.exc.SQLAlchemyError as error:
            raise _refusal(error) from error


def make_table(connection: sa.Connection) -> None:
    """Make the table of signals, or what an older version did not make of it."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    _metadata.create_all(connection)
    if len(_columns(connection)) < len(_signals.c):
        connection.execute(sa.text(_ADD_TRANCHES))


def _refuse_no_numbers(signals: SignalSet) -> None:
    for symbol, weight in signals.weights.items():
        if not math.isfinite(weight):
            raise TradingError(
                f"the weight of {symbol} wanted by {signals.strategy} after {signals.session} is "
                f"{weight}, not a number to trade on: nothing was stored. Look at the features of "
                "that session"
            )


def tranches_of(weights: "pl.DataFrame", horizon: int) -> dict[str, tuple[float, ...]]:
    """Return what each of the last sessions wanted, by symbol, oldest first.

    Parameters
    ----------
    weights : DataFrame of shape (horizon * n_symbols, 3)
        symbol, session, weight, of as many sessions as a signal is held, the first of which finds
        the other tranches empty: so each weight is the one before and a part of its own signal.
    horizon : int
    """
    import polars as pl

    own = (horizon * pl.col("weight").diff().fill_null(pl.col("weight"))).over(
        "symbol", order_by="session"
    )
    found = weights.select("symbol", "session", own.round(12).alias("own")).sort("session")
    by_symbol = found.group_by("symbol", maintain_order=True).agg("own")
    return {symbol: tuple(each) for symbol, each in by_symbol.iter_rows()}


def signals_of(
    connection: sa.Connection, strategy: str, session: date, model_version: int | None = None
) -> SignalSet | None:
    """Return the signals of a session, if any: a version's, or those that were stored last."""
    if not sa.inspect(connection).has_table(_signals.name):
        return None
    if model_version is not None:
        return _read(connection, strategy, session, model_version)
    newest = connection.execute(
        sa.select(_signals.c.model_version)
        .where(_signals.c.strategy == strategy, _signals.c.session == session)
        .order_by(_signals.c.created_at.desc(), _signals.c.model_version.desc())
        .limit(1)
    ).scalar()
    return None if newest is None else _read(connection, strategy, session, newest)


def _read(
    connection: sa.Connection, strategy: str, session: date, model_version: int
) -> SignalSet | None:
    query = sa.select(*_columns(connection)).where(
        _signals.c.strategy == strategy,
        _signals.c.session == session,
        _signals.c.model_version == model_version,
    )
    rows = connection.execute(query.order_by(_signals.c.symbol)).all()
    if not rows:
        return None
    return SignalSet(
        strategy=strategy,
        session=session,
        trade_session=rows[0].trade_session,
        model_version=model_version,
        snapshot_id=rows[0].snapshot_id,
        weights={row.symbol: row.weight for row in rows},
        tranches={
            row.symbol: tuple(row.tranches) for row in rows if getattr(row, "tranches", None)
        },
    )


def _columns(connection: sa.Connection) -> list[sa.Column[object]]:
    """Return the table's columns, without one that an older version did not make."""
    there = {column["name"] for column in sa.inspect(connection).get_columns(_signals.name)}
    return [column for column in _signals.c if column.name in there]


def _refusal(error: sa.exc.SQLAlchemyError) -> TradingError:
    return TradingError(
        f"the database of signals refused: {error.__cause__ or error}. See `tradewind status` and "
        "`tradewind logs postgres`"
    )
