"""Features that are undefined after their warm-up: which, of which symbol, in which sessions.

A feature needs some bars of a symbol before it has a value: its warm-up. The kinds that come with
tradewind know how many (`momentum: {window: 252}` needs 252). A function of the user's own does not
say it, so its warm-up lasts until a symbol's first value. For a symbol that never has a value, it
lasts as long as the longest of the other symbols.

An undefined value after that is a hole: nothing was traded that day, a range of prices was zero, a
vendor gave no volume. Holes are counted here, and `missing` in the strategy file says what becomes
of their rows.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from tradewind.errors import StrategyError
from tradewind.market.bars import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradewind.research.strategy.features import FeatureSpec
    from tradewind.research.strategy.strategy import Strategy

__all__ = ["Undefined", "find_undefined", "refuse_undefined"]

_SHOWN: Final = 5  # features and symbols that an error lists
_DAYS_SHOWN: Final = 3
_NO_PAIRS: Final = pl.DataFrame(
    schema={
        "symbol": pl.String, "feature": pl.String, "sessions": pl.Int64, "share": pl.Float64,
        "first": pl.Date, "last": pl.Date,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Undefined:
    """Undefined values of features after their warm-up.

    Attributes
    ----------
    values : DataFrame of shape (n_values, 3)
        symbol, session, feature; sorted by symbol, session and the order of the features.
    table : DataFrame of shape (n_pairs, 6)
        symbol, feature, sessions (how many are undefined), share (of those after the warm-up),
        first, last; the largest share first. Pairs without an undefined value are left out.
    """

    values: pl.DataFrame
    table: pl.DataFrame

    @property
    def rows(self) -> pl.DataFrame:
        """Symbols and sessions with an undefined value or more, shape (n_rows, 2); sorted."""
        return self.values.select(KEY).unique().sort(KEY)

    def sentences(self) -> list[str]:
        """Return the table in words, a line a row."""
        return [
            f"feature {row['feature']} of {row['symbol']} is undefined in "
            f"{_sessions(row['sessions'])} after its warm-up ({row['share']:.1%}), from "
            f"{row['first']} to {row['last']}"
            for row in self.table.iter_rows(named=True)
        ]

    def where(self, condition: pl.Expr) -> "Undefined":
        """Return the values for which a condition on symbol and session holds.

        The table then counts only these; its shares are still of all sessions.
        """
        values = self.values.filter(condition)
        counted = values.group_by("symbol", "feature").agg(
            pl.len().cast(pl.Int64).alias("sessions"),
            pl.col("session").min().alias("first"),
            pl.col("session").max().alias("last"),
        )
        shares = self.table.select("symbol", "feature", "share")
        return Undefined(
            values,
            shares.join(counted, on=["symbol", "feature"], maintain_order="left").select(
                self.table.columns
            ),
        )


def find_undefined(table: pl.DataFrame, specs: "Sequence[FeatureSpec]") -> Undefined:
    """Find what is undefined after the warm-up.

    Parameters
    ----------
    table : DataFrame of shape (n_bars, 2 + n_columns)
        As `tradewind.research.features.compute.FeatureTable.of` returns it.
    specs : sequence of FeatureSpec
        Whose columns to look at.
    """
    place = pl.int_range(pl.len()).over("symbol").alias("_place")
    names = [spec.column for spec in specs]
    placed = table.select(*KEY, *names, place)
    values, pairs = [], []
    for order, spec in enumerate(specs):
        undefined = pl.col(spec.column).is_null()
        after = pl.col("_place") >= _warm_up(placed, spec)
        holes = placed.filter(undefined & after).select(
            *KEY, pl.lit(spec.column).alias("feature"), pl.lit(order).alias("_order")
        )
        values.append(holes)
        if not holes.is_empty():
            of = pl.col("symbol").is_in(holes.get_column("symbol").unique().implode())
            pairs.append(_counted(placed.filter(of, after), spec.column))
    return Undefined(
        pl.concat([_no_values(table), *values]).sort(*KEY, "_order").drop("_order"),
        pl.concat([_NO_PAIRS, *pairs]).sort(
            "share", "symbol", "feature", descending=[True, False, False]
        ),
    )


def _no_values(table: pl.DataFrame) -> pl.DataFrame:
    return table.clear().select(*KEY, pl.lit("").alias("feature"), pl.lit(0).alias("_order"))


def _counted(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return a row of the table for each symbol, from its rows after the warm-up."""
    undefined, session = pl.col(column).is_null(), pl.col("session")
    return rows.group_by("symbol").agg(
        pl.lit(column).alias("feature"),
        undefined.sum().cast(pl.Int64).alias("sessions"),
        undefined.mean().alias("share"),
        session.filter(undefined).min().alias("first"),
        session.filter(undefined).max().alias("last"),
    )


def refuse_undefined(undefined: Undefined, strategy: "Strategy") -> None:
    """Refuse undefined features, unless the strategy says what becomes of their rows.

    Raises
    ------
    StrategyError
        Which names features, symbols, the first sessions and how many there are.
    """
    if strategy.missing != "refuse" or undefined.values.is_empty():
        return
    pairs = [_told(row, undefined.values) for row in undefined.table.head(_SHOWN).to_dicts()]
    more = undefined.table.height - len(pairs)
    if more:
        pairs.append(f"and {more} more pairs of feature and symbol")
    raise StrategyError(
        f"strategy {strategy.name}: undefined after the warm-up: {'; '.join(pairs)}. Mend the bars "
        "or the feature, or say in the strategy file what becomes of such a row: "
        "`missing: drop_row` leaves it out of training and prediction, so that the symbol has no "
        "signal of that session and its tranche is cash; `missing: hold` leaves it out of "
        "training, and the symbol keeps the position that the session would have renewed"
    )


def _told(pair: "dict[str, Any]", values: pl.DataFrame) -> str:
    of = values.filter(symbol=pair["symbol"], feature=pair["feature"]).get_column("session")
    days = ", ".join(str(day) for day in of.head(_DAYS_SHOWN))
    dots = ", ..." if of.len() > _DAYS_SHOWN else ""
    return f"feature {pair['feature']} of {pair['symbol']} in {_sessions(of.len())} ({days}{dots})"


def _sessions(count: int) -> str:
    return "1 session" if count == 1 else f"{count:,} sessions"


def _warm_up(placed: pl.DataFrame, spec: "FeatureSpec") -> pl.Expr:
    """Return how many of a symbol's first bars belong to the warm-up, as a column."""
    if spec.warm_up is not None:
        return pl.lit(spec.warm_up)
    if not placed.get_column(spec.column).null_count():
        return pl.lit(0)
    known = pl.col(spec.column).is_not_null()
    first = placed.group_by("symbol").agg(pl.col("_place").filter(known).min())
    longest = first.get_column("_place").max()
    if longest is None:  # no symbol has a value, which is an error of its own
        return pl.lit(placed.height)
    ends = {symbol: longest if place is None else place for symbol, place in first.iter_rows()}
    return pl.col("symbol").replace_strict(ends, return_dtype=pl.Int64)
