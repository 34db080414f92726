"""Rules that compare the prices of one bar, or of a bar and the one before it."""

import math
from typing import Final

import polars as pl

from tradewind.market.bars import KEY, PRICES
from tradewind.market.findings import Finding

__all__ = ["LARGE_MOVE", "large_move_findings", "ohlc_findings", "split_findings"]

LARGE_MOVE: Final = 0.25
"""Close-to-close move after split adjustment, as a fraction, that is worth a warning."""

_RATIOS: Final = (*range(2, 11), 15, 20, 25, 30, 40, 50, 100, 3 / 2, 5 / 2, 4 / 3, 5 / 4)
_LOG_RATIOS: Final = tuple(sign * math.log(ratio) for ratio in _RATIOS for sign in (1, -1))
_LOG_TOLERANCE: Final = 0.03
_PANIC_TURNOVER: Final = 3.0
_TURNOVER_WINDOW: Final = 20


def ohlc_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each bar whose open or close lies outside low to high.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        With the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    broken = bars.filter(
        (pl.col("low") > pl.min_horizontal("open", "close"))
        | (pl.col("high") < pl.max_horizontal("open", "close"))
    )
    return [
        Finding(
            "error",
            symbol,
            session,
            "ohlc_order",
            "/".join(f"{price:g}" for price in prices),
            "open/high/low/close: low must not exceed, and high not fall below, open or close",
        )
        for symbol, session, *prices in broken.select(*KEY, *PRICES).iter_rows()
    ]


def split_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each overnight gap that looks like a split not accounted for.

    A split is arithmetic: the next open stands at the ratio (within 3 %, a usual overnight
    move), and money changes hands as on any other day, since twice the shares trade at half
    the price. A crash does neither: AAPL on 2000-09-29 opened at 0.527 of the close before,
    with ten times the usual turnover in dollars. A gap counts as a split when both hold:
    the open, adjusted by `split_factor`, is within 3 % of a simple ratio to the close
    before, and the day's turnover (close times volume) is below 3 times the median of up to
    20 sessions before. A `split_factor` that steps where no split was fails in the same way.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted bars with the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    turnover = pl.col("close") * pl.col("volume")
    usual = turnover.rolling_median(_TURNOVER_WINDOW, min_samples=1).shift(1)
    gaps = bars.with_columns(
        (
            (pl.col("open") * pl.col("split_factor"))
            / (pl.col("close") * pl.col("split_factor")).shift(1)
        )
        .over("symbol")
        .alias("gap"),
        (turnover / usual).over("symbol").fill_nan(0.0).alias("turnover_ratio"),
    ).filter(pl.col("gap") > 0.0, pl.col("turnover_ratio") < _PANIC_TURNOVER)
    near = pl.min_horizontal(*((pl.col("gap").log() - log).abs() for log in _LOG_RATIOS))
    return [
        Finding(
            "error",
            symbol,
            session,
            "unadjusted_split",
            round(gap, 6),
            f"the open stands at {gap:.4f} of the close before, after split_factor, near a "
            f"split's ratio and on {ratio:.1f} times the usual turnover; correct split_factor",
        )
        for symbol, session, gap, ratio in gaps.filter(near <= _LOG_TOLERANCE)
        .select(*KEY, "gap", "turnover_ratio")
        .iter_rows()
    ]


def large_move_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a warning for each split-adjusted close-to-close move beyond `LARGE_MOVE`.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted bars with the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    price = pl.col("close") * pl.col("split_factor")
    moves = bars.with_columns((price / price.shift(1) - 1.0).over("symbol").alias("move"))
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
        for symbol, session, move in large.select(*KEY, "move").iter_rows()
    ]
