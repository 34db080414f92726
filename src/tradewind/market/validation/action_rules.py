"""Rules about corporate actions: those that a factor leaves out, and steps without one."""

import math
from typing import Final

import polars as pl

from tradewind.market.bars import KEY
from tradewind.market.split_ratios import USUAL, is_ratio
from tradewind.market.validation.closes_rules import is_closes_only
from tradewind.market.validation.findings import Finding, Severity

__all__ = ["factor_findings", "gap_findings"]

_LOG_TOLERANCE: Final = 0.03
_PANIC_TURNOVER: Final = 3.0
_TURNOVER_WINDOW: Final = 20
_UNITS: Final = (10.0, 100.0, 1000.0)
_UNIT_LOG_TOLERANCE: Final = 0.1
_FALL: Final = 0.01
_PLAIN_DIVIDEND: Final = 0.05
_HUGE_DIVIDEND: Final = 0.2
_WITH_SPLIT: Final = 1e-3
_SPLIT_TOLERANCE: Final = 1e-3
_SAME: Final = 1e-6


def gap_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each overnight gap that is a split left out, or another unit of price.

    A split is arithmetic: the next open stands at the ratio (within 3 %, a usual overnight move),
    and money changes hands as on any other day, since twice the shares trade at half the price. A
    crash shows neither: AAPL on 2000-09-29 opened at 0.527 of the close before, with ten times the
    usual turnover in dollars. A gap is an ``unadjusted_split`` when both hold: the open, adjusted
    by `split_factor`, is within 3 % of a usual ratio to the close before, and the day's turnover
    (close times volume) is below 3 times the median of up to 20 sessions before. A `split_factor`
    that steps where no split was fails in the same way.

    A fall that `adjustment_factor` halves at least (its logarithm) is explained: by a special
    dividend, say. `factor_findings` tells of it.

    Where a symbol has closes alone (see `tradewind.market.validation.closes_rules`), the gap is the
    move of a whole session. Only one of 2:1 and more is then taken for a split, and only if the
    volume is known.

    In another unit (pence for pounds, a slipped decimal point) the price shifts by 10, 100 or 1000
    while the shares traded stay what they were, so that turnover shifts along: a ``unit_shift``.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted, distinct bars with the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    turnover = pl.col("close") * pl.col("volume")
    usual = turnover.rolling_median(_TURNOVER_WINDOW, min_samples=1).shift(1)

    def gap(factor: str) -> pl.Expr:
        price = pl.col(factor)
        return ((pl.col("open") * price) / (pl.col("close") * price).shift(1)).over("symbol")

    gaps = (
        bars.lazy()
        .select(
            *KEY,
            gap("split_factor").alias("gap"),
            gap("adjustment_factor").alias("left"),
            (turnover / usual).over("symbol").fill_nan(0.0).alias("turnover"),
            is_closes_only().alias("closes"),
            (pl.col("volume") > 0).any().over("symbol").alias("counted"),
        )
        .filter(pl.col("gap") > 0.0)
        # A smaller gap is near no ratio; few are left.
        .filter(pl.col("gap").log().abs() > math.log(USUAL[0]) - _LOG_TOLERANCE)
        # No dividend lets a price rise.
        .filter((pl.col("gap") > 1.0) | (pl.col("left").log().abs() > -pl.col("gap").log() / 2.0))
        .with_columns(_is_unit_shift().alias("unit"), _is_split().alias("split"))
        .filter(pl.col("unit") | pl.col("split"))
        .select(*KEY, "gap", "turnover", "unit", "closes")
        .collect()
    )
    return [
        Finding("error", symbol, session, *_explain(gap, turnover, unit=unit, closes=closes))
        for symbol, session, gap, turnover, unit, closes in gaps.iter_rows()
    ]


def _explain(gap: float, turnover: float, *, unit: bool, closes: bool) -> tuple[str, float, str]:
    """Return rule, value and message of a gap."""
    rule = "unit_shift" if unit else "unadjusted_split"
    cause = (
        "while as many shares traded as before: prices change their unit (pence for pounds, a "
        "slipped decimal point); bring them to one"
        if unit
        else f"near a split's ratio and on {turnover:.1f} times the usual turnover: a split that "
        "split_factor leaves out, or one that never was; correct split_factor"
    )
    price = "close" if closes else "open"
    where = f"the {price} stands at {gap:.4f} of the close before, after split_factor"
    return rule, round(gap, 6), f"{where}, {cause}"


def _near(ratios: tuple[float, ...], tolerance: float) -> pl.Expr:
    log = pl.col("gap").log().abs()
    return pl.min_horizontal((log - math.log(one)).abs() for one in ratios) <= tolerance


def _is_split() -> pl.Expr:
    doubled = pl.col("gap").log().abs() > math.log(2.0) - _LOG_TOLERANCE
    evident = ~pl.col("closes") | (pl.col("counted") & doubled)
    return _near(USUAL, _LOG_TOLERANCE) & (pl.col("turnover") < _PANIC_TURNOVER) & evident


def _is_unit_shift() -> pl.Expr:
    along = (pl.col("turnover").log() - pl.col("gap").log()).abs() < math.log(_PANIC_TURNOVER)
    # Few splits go so far, and where the volume is unknown nothing else can tell.
    beyond = pl.col("gap").log().abs() > math.log(_UNITS[-1]) - _UNIT_LOG_TOLERANCE
    return _near(_UNITS, _UNIT_LOG_TOLERANCE) & (along | beyond | ~pl.col("counted"))


def factor_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each step of the factors that no split and no dividend explains.

    Between two sessions `adjustment_factor` over `split_factor` rises by a dividend's share of the
    price. It never falls (a fall below 1 % is left to vendors' rounding): that is an error, and
    so is a rise of more than 20 % on a day whose open does not show half of it; from 5 % on that
    is a warning. MSFT's dividend of 2004-11-15, a rise of 11.2 % with an open 8.7 % lower, is
    explained.

    What is real and worth a look is a warning, too: a rise of more than 20 % that the open shows (a
    special dividend, a spin-off, or a split that `split_factor` leaves out), a split and a dividend
    on one day (an adjusted close shows the same after one special dividend), and a step of
    `split_factor` to no ratio of small whole numbers (some vendors report spin-offs so).

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
        .with_columns(splits=(pl.col("split") - 1.0).abs() > _SAME)
        .filter(
            (pl.col("dividend") < -_FALL)
            | (pl.col("dividend") > _PLAIN_DIVIDEND)
            | pl.col("splits")
        )
        .collect()
    )
    odd = ~is_ratio(steps.get_column("split").to_numpy(), _SPLIT_TOLERANCE)
    findings = []
    for index, (symbol, session, *step) in enumerate(steps.iter_rows()):
        if odd[index]:
            findings.append(
                Finding(
                    "warning",
                    symbol,
                    session,
                    "split_ratio",
                    round(step[0], 6),
                    "split_factor steps by no ratio of small whole numbers; check the split",
                )
            )
        found = _of_dividend(*step)
        if found is not None:
            severity, message = found
            value = round(step[1], 6)
            findings.append(Finding(severity, symbol, session, "factor_step", value, message))
    return findings


def _of_dividend(
    split: float, dividend: float, opened: float, splits: bool
) -> tuple[Severity, str] | None:
    """Return severity and reason of a step of the dividends; nothing if it is in order."""
    share = dividend / (1.0 + dividend)  # of the price before
    if dividend < -_FALL:
        return "error", (
            f"adjustment_factor falls by {-dividend:.2%} against split_factor, which no "
            "dividend does; correct it"
        )
    if dividend > _PLAIN_DIVIDEND and opened > -share / 2.0:
        return "error" if dividend > _HUGE_DIVIDEND else "warning", (
            f"adjustment_factor rises by {dividend:.2%} against split_factor, as by a "
            f"dividend, but the open moved {opened:+.2%}; correct it"
        )
    if dividend > _HUGE_DIVIDEND:
        return "warning", (
            f"adjustment_factor rises by {dividend:.2%} against split_factor, as by a dividend of "
            f"{share:.2%} of the price, and the open moved {opened:+.2%}: a special dividend or a "
            "spin-off, or a split that split_factor should tell; check which"
        )
    if splits and split > 1.0 and dividend > _WITH_SPLIT:
        return "warning", (
            f"a split of {split:g}:1 and a dividend of {share:.2%} of the price on one day; an "
            "adjusted close shows the same after one dividend of "
            f"{1.0 - (1.0 - share) / split:.2%}; check which, and tell splits by split_factor"
        )
    return None
