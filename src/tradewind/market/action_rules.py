"""Rules about corporate actions: what a factor leaves out, and what it claims without cause."""

import math
from typing import Final

import polars as pl

from tradewind.market.bars import KEY
from tradewind.market.findings import Finding

__all__ = ["factor_findings", "gap_findings"]

_RATIOS: Final = (*range(2, 11), 15, 20, 25, 30, 40, 50, 100, 3 / 2, 5 / 2, 4 / 3, 5 / 4)
_LOG_TOLERANCE: Final = 0.03
_PANIC_TURNOVER: Final = 3.0
_TURNOVER_WINDOW: Final = 20
_UNITS: Final = (10.0, 100.0, 1000.0)
_UNIT_LOG_TOLERANCE: Final = 0.1
_FALL: Final = 0.01
_PLAIN_DIVIDEND: Final = 0.05
_HUGE_DIVIDEND: Final = 0.2
_SPLIT_TOLERANCE: Final = 1e-3


def gap_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each overnight gap that is a split left out, or another unit of price.

    A split is arithmetic: the next open stands at the ratio (within 3 %, a usual overnight
    move), and money changes hands as on any other day, since twice the shares trade at half
    the price. A crash does neither: AAPL on 2000-09-29 opened at 0.527 of the close before,
    with ten times the usual turnover in dollars. A gap is an ``unadjusted_split`` when both hold:
    the open, adjusted by `split_factor`, is within 3 % of a simple ratio to the close
    before, and the day's turnover (close times volume) is below 3 times the median of up to
    20 sessions before. A `split_factor` that steps where no split was fails in the same way.

    In another unit (pence for pounds, a slipped decimal point) the price shifts by 10, 100 or 1000
    while the shares traded stay what they were, so that turnover shifts along: a ``unit_shift``.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted, distinct bars with the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    turnover = pl.col("close") * pl.col("volume")
    usual = turnover.rolling_median(_TURNOVER_WINDOW, min_samples=1).shift(1)
    price = pl.col("split_factor")
    gaps = (
        bars.lazy()
        .select(
            *KEY,
            ((pl.col("open") * price) / (pl.col("close") * price).shift(1))
            .over("symbol")
            .alias("gap"),
            (turnover / usual).over("symbol").fill_nan(0.0).alias("turnover"),
        )
        .filter(pl.col("gap") > 0.0)
        # Nothing nearer to one is near a ratio; what is left is few.
        .filter((pl.col("gap").log()).abs() > math.log(min(_RATIOS)) - _LOG_TOLERANCE)
        .with_columns(_is_unit_shift().alias("unit"), _is_split().alias("split"))
        .filter(pl.col("unit") | pl.col("split"))
        .select(*KEY, "gap", "turnover", "unit")
        .collect()
    )
    return [
        Finding("error", symbol, session, *_explain(gap, ratio, unit=unit))
        for symbol, session, gap, ratio, unit in gaps.iter_rows()
    ]


def _explain(gap: float, turnover: float, *, unit: bool) -> tuple[str, float, str]:
    """Return rule, value and message of a gap."""
    rule = "unit_shift" if unit else "unadjusted_split"
    cause = (
        "while as many shares traded as before: prices change their unit (pence for pounds, a "
        "slipped decimal point); bring them to one"
        if unit
        else f"near a split's ratio and on {turnover:.1f} times the usual turnover; correct "
        "split_factor"
    )
    where = f"the open stands at {gap:.4f} of the close before, after split_factor"
    return rule, round(gap, 6), f"{where}, {cause}"


def _near(logs: tuple[float, ...], tolerance: float) -> pl.Expr:
    distances = [(pl.col("gap").log() - sign * one).abs() for one in logs for sign in (1, -1)]
    return pl.min_horizontal(*distances) <= tolerance


def _is_split() -> pl.Expr:
    near = _near(tuple(math.log(ratio) for ratio in _RATIOS), _LOG_TOLERANCE)
    return near & (pl.col("turnover") < _PANIC_TURNOVER)


def _is_unit_shift() -> pl.Expr:
    logs = tuple(math.log(unit) for unit in _UNITS)
    along = (pl.col("turnover").log() - pl.col("gap").log()).abs() < math.log(_PANIC_TURNOVER)
    beyond = pl.col("gap").log().abs() > logs[-1] - _UNIT_LOG_TOLERANCE  # no split goes so far
    return _near(logs, _UNIT_LOG_TOLERANCE) & (along | beyond)


def factor_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each step of the factors that no split and no dividend explains.

    Between two sessions `adjustment_factor` over `split_factor` rises by a dividend's share of the
    price. It never falls (a fall below 1 % is left to vendors' rounding): that is an error, and
    so is a rise of more than 20 % on a day whose open does not show half of it; from 5 % on that
    is a warning. A step of `split_factor` to no ratio of small whole numbers is a warning:
    spin-offs are told so by some vendors. MSFT's dividend of 2004-11-15, a rise of 11.2 % with an
    open 8.7 % lower, is explained.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted, distinct bars with the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    split, both = pl.col("split_factor"), pl.col("adjustment_factor")
    opened = (pl.col("open") * split) / (pl.col("close") * split).shift(1) - 1.0
    steps = (
        bars.lazy()
        .select(
            *KEY,
            (split / split.shift(1)).over("symbol").alias("split"),
            ((both / split) / (both / split).shift(1) - 1.0).over("symbol").alias("dividend"),
            opened.over("symbol").alias("opened"),
        )
        .with_columns(odd_split=~_is_simple(pl.col("split")))
        .filter(
            (pl.col("dividend") < -_FALL)
            | (pl.col("dividend") > _PLAIN_DIVIDEND)
            | pl.col("odd_split")
        )
        .collect()
    )
    findings = []
    for symbol, session, ratio, dividend, gap, odd in steps.iter_rows():
        if odd:
            findings.append(
                Finding(
                    "warning",
                    symbol,
                    session,
                    "split_ratio",
                    round(ratio, 6),
                    "split_factor steps by no ratio of small whole numbers; check the split",
                )
            )
        if dividend < -_FALL:
            findings.append(
                Finding(
                    "error",
                    symbol,
                    session,
                    "factor_step",
                    round(dividend, 6),
                    f"adjustment_factor falls by {-dividend:.2%} against split_factor, which no "
                    "dividend does; correct it",
                )
            )
        elif dividend > _PLAIN_DIVIDEND and gap > -dividend / (1.0 + dividend) / 2.0:
            findings.append(
                Finding(
                    "error" if dividend > _HUGE_DIVIDEND else "warning",
                    symbol,
                    session,
                    "factor_step",
                    round(dividend, 6),
                    f"adjustment_factor rises by {dividend:.2%} against split_factor, as by a "
                    f"dividend, but the open moved {gap:+.2%}; correct it",
                )
            )
    return findings


def _is_simple(step: pl.Expr) -> pl.Expr:
    """Whether a step is one, or a ratio of whole numbers of which the smaller is up to four."""
    ratio = pl.max_horizontal(step, 1.0 / step)
    off = [((ratio * part).round() / (ratio * part) - 1.0).abs() for part in (1, 2, 3, 4)]
    return pl.min_horizontal(*off) < _SPLIT_TOLERANCE
