"""Rules about the prices of one bar, and about how far they move from one bar to the next."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.market.bars import KEY, PRICES
from tradewind.market.rounding import decimals, rounding_apart
from tradewind.market.validation.findings import Finding

__all__ = [
    "ABSURD_RANGE",
    "LARGE_MOVE",
    "OUTLIER",
    "WIDE_RANGE",
    "move_findings",
    "ohlc_findings",
    "outlier_findings",
    "range_findings",
]

LARGE_MOVE: Final = 0.25
"""Close-to-close move after adjustment, as a fraction, that is worth a warning."""

OUTLIER: Final = 10.0
"""Robust z-score of a return that is worth a warning."""

WIDE_RANGE: Final = 1.5
"""High over low that is worth a warning; in the crash of 2010-05-06 AAPL reached 1.30."""

ABSURD_RANGE: Final = 5.0
"""High over low that is an error: a price in another unit, or a slipped decimal point."""

_JUST_OVER: Final = 1.0 + 1e-6  # half a unit, allowing for floating point
_COARSEST: Final = 5e-3  # half a unit: a high in whole dollars is rounded at 100, and wrong at 10
_MAD_TO_SIGMA: Final = 1.4826  # of a normal distribution
_OUTLIER_WINDOW: Final = 63
_OUTLIER_LEAST: Final = 21


def ohlc_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each bar whose open or close lies outside low to high.

    A vendor's rounding is no finding. A high that was divided by a factor may be below the close in
    the 16th digit (see `tradewind.market.rounding.rounding_apart`). A high in cents may be half a
    cent below a close of four digits, if the symbol's bars are all written so.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        With the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    broken = bars.filter(
        (pl.col("low") > pl.min_horizontal("open", "close"))
        | (pl.col("high") < pl.max_horizontal("open", "close"))
    ).select(*KEY, *PRICES)
    if broken.is_empty():
        return []
    concerned = broken.get_column("symbol").unique().to_list()
    written = _written(bars.filter(pl.col("symbol").is_in(concerned)))
    broken = broken.join(written, on="symbol", how="left", maintain_order="left")
    real = {
        (edge, inner): _is_beyond(broken, edge, inner)
        for edge in ("low", "high")
        for inner in ("open", "close")
    }
    broken = broken.select(*KEY, *PRICES)
    findings = []
    for index, (symbol, session, *prices) in enumerate(broken.iter_rows()):
        named = dict(zip(PRICES, prices, strict=True))
        wrong = [
            f"the {edge}, {named[edge]:.15g}, is {'above' if edge == 'low' else 'below'} the "
            f"{inner}, {named[inner]:.15g}"
            for (edge, inner), beyond in real.items()
            if beyond[index]
        ]
        if wrong:
            told = "/".join(f"{price:.15g}" for price in prices)
            message = f"open/high/low/close: {' and '.join(wrong)}; correct the bar"
            findings.append(Finding("error", symbol, session, "ohlc_order", told, message))
    return findings


def _written(bars: pl.DataFrame) -> pl.DataFrame:
    """Return with how many digits after the point each price of a symbol is written."""
    return (
        bars.select(
            "symbol",
            *(pl.Series(name, decimals(bars.get_column(name).to_numpy())) for name in PRICES),
        )
        .group_by("symbol")
        .agg(pl.max(name).name.suffix("_digits") for name in PRICES)
    )


def _is_beyond(bars: pl.DataFrame, edge: str, inner: str) -> NDArray[np.bool_]:
    """Return whether a low is above, or a high below, an open or close by more than rounding."""
    outer, price = bars.get_column(edge).to_numpy(), bars.get_column(inner).to_numpy()
    gap = outer - price if edge == "low" else price - outer
    digits = bars.get_column(f"{edge}_digits").to_numpy()
    half_unit = 0.5 * 10.0 ** -digits.astype(np.float64)
    coarser = digits < bars.get_column(f"{inner}_digits").to_numpy()
    rounded = coarser & (gap <= half_unit * _JUST_OVER) & (half_unit < _COARSEST * price)
    beyond: NDArray[np.bool_] = (gap > 0.0) & ~rounded & ~rounding_apart(outer, price)
    return beyond


def range_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each bar whose high is far above its low.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        With the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    ratio = (pl.col("high") / pl.col("low")).alias("ratio")
    wide = bars.select(*KEY, "low", "high", ratio).filter(pl.col("ratio") > WIDE_RANGE)
    return [
        Finding(
            "error" if times > ABSURD_RANGE else "warning",
            symbol,
            session,
            "range",
            round(times, 6),
            f"the high, {high:g}, is {times:.3g} times the low, {low:g}; check both",
        )
        for symbol, session, low, high, times in wide.iter_rows()
    ]


def move_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a warning for each close-to-close move beyond `LARGE_MOVE`.

    Splits and dividends are taken out, so that a special dividend is no move.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted, distinct bars with the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    price = pl.col("close") * pl.col("adjustment_factor")
    moves = bars.select(*KEY, (price / price.shift(1) - 1.0).over("symbol").alias("move"))
    large = moves.filter(pl.col("move").is_finite(), pl.col("move").abs() > LARGE_MOVE)
    return [
        Finding(
            "warning",
            symbol,
            session,
            "large_move",
            round(move, 6),
            f"the close moved {move:+.1%} in one session; check it against another source",
        )
        for symbol, session, move in large.iter_rows()
    ]


def outlier_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a warning for each return far outside what the symbol did before.

    The score is the distance of an adjusted close-to-close log return from the median of the
    63 returns before, over 1.4826 times the median absolute deviation of those; each of these
    deviations is taken from the median of its own day. At least 21 are needed. Earnings days
    reach 10; a move that the next session takes back is most likely a misprint, and named so.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted, distinct bars with the columns and types of `tradewind.market.bars.SCHEMA`.

    References
    ----------
    Iglewicz and Hoaglin (1993), How to Detect and Handle Outliers, for the modified z-score.
    """

    def usual(name: str) -> pl.Expr:
        rolling = pl.col(name).rolling_median(_OUTLIER_WINDOW, min_samples=_OUTLIER_LEAST)
        return rolling.shift(1).over("symbol")

    price = (pl.col("close") * pl.col("adjustment_factor")).log()
    scored = (
        bars.lazy()
        .select(*KEY, price.diff().over("symbol").alias("move"))
        .with_columns(
            (pl.col("move") - usual("move")).alias("off"),
            pl.col("move").shift(-1).over("symbol").alias("next"),
        )
        .with_columns(pl.col("off").abs().alias("distance"))
        .with_columns((pl.col("off") / (_MAD_TO_SIGMA * usual("distance"))).alias("score"))
        .filter(pl.col("score").is_finite(), pl.col("score").abs() > OUTLIER)
        .with_columns(
            ((pl.col("move") + pl.col("next")).abs() < pl.col("move").abs() / 4)
            .fill_null(value=False)
            .alias("taken_back")
        )
        .select(*KEY, "move", "score", "taken_back")
        .collect()
    )
    return [
        Finding(
            "warning",
            symbol,
            session,
            "outlier",
            round(score, 2),
            f"the log return of {move:+.3f} is {abs(score):.1f} of the symbol's usual deviations "
            "from its median"
            + ("; the next session took it back: likely a misprint" if back else ""),
        )
        for symbol, session, move, score, back in scored.iter_rows()
    ]
