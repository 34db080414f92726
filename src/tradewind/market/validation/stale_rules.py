"""Rules about a feed that has stopped, or a market in which nobody traded."""

from typing import Final

import polars as pl

from tradewind.market.bars import KEY, PRICES
from tradewind.market.validation.closes_rules import is_uncounted
from tradewind.market.validation.findings import Finding

__all__ = ["STALE", "repeat_findings", "stale_findings", "volume_findings"]

STALE: Final = {"traded": (5, 21), "untraded": (3, 21)}
"""Sessions with one close that are worth a warning and an error, with volume and without."""

_VOLUME_JUMP: Final = 50.0
_VOLUME_WINDOW: Final = 20


def stale_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each run of sessions that all have the same close.

    Liquid stocks repeat a close once, seldom twice. Without volume in the run, an old price is
    repeated; with volume, a bid for the company may hold the price. Either way a month of it
    (`STALE`) is no price to trade on. A symbol with closes alone and no volume at all (a fund, an
    index) may stand still for years: its run is a warning, as early as one with volume.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted, distinct bars with the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    least = min(warning for warning, _ in STALE.values())
    known = bars.with_columns(is_uncounted().alias("uncounted"))
    runs = _runs(known, pl.col("close"), pl.first("uncounted"))
    runs = runs.filter(pl.col("sessions") >= least)
    findings = []
    for symbol, first, last, sessions, volume, close, unknown in runs.iter_rows():
        kind = "traded" if volume or unknown else "untraded"
        warning, error = STALE[kind]
        if sessions >= warning:
            findings.append(
                Finding(
                    "error" if sessions >= error and not unknown else "warning",
                    symbol,
                    first,
                    "stale_close",
                    close,
                    f"the close is the same on {sessions} sessions, to {last}, "
                    f"{'with' if volume else 'without'} volume; check whether the feed stopped",
                )
            )
    return findings


def repeat_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each run of bars that equal the one before in prices and volume.

    Real trading never repeats four prices and a volume. Bars with one price are left to the other
    rules: a stock that hardly trades may trade 100 shares at the same price twice.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted, distinct bars with the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    traded = bars.filter(pl.col("volume") > 0, pl.col("high") > pl.col("low"))
    runs = _runs(traded, pl.struct(*PRICES, "volume")).filter(pl.col("sessions") > 1)
    return [
        Finding(
            "error",
            symbol,
            first,
            "repeated_bar",
            volume // sessions,
            f"prices and volume are the same on {sessions} sessions, to {last}; the feed repeats "
            "an old bar",
        )
        for symbol, first, last, sessions, volume, _ in runs.iter_rows()
    ]


def volume_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a warning for each run without volume, and for each jump of the volume.

    Without trades there is no new price, so a run whose prices move without volume is named as
    such. A volume of more than 50 times, or less than a 50th of, the median of up to 20 sessions
    before is often counted in other units, such as lots. A symbol with closes alone and no volume
    at all is not checked.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Sorted, distinct bars with the columns and types of `tradewind.market.bars.SCHEMA`.
    """
    moving = (pl.col("high") > pl.col("low")).any().alias("moving")
    counted = bars.filter(~is_uncounted())
    empty = _runs(counted, pl.col("volume") == 0, moving).filter(pl.col("volume") == 0)
    findings = [
        Finding(
            "warning",
            symbol,
            first,
            "zero_volume",
            sessions,
            f"no volume on {sessions} sessions, to {last}"
            + (", though prices moved; check the volume" if moved else ""),
        )
        for symbol, first, last, sessions, _, _, moved in empty.iter_rows()
    ]
    shares = pl.col("volume") / pl.col("split_factor")
    usual = shares.rolling_median(_VOLUME_WINDOW, min_samples=5).shift(1)
    ratio = (shares / usual).over("symbol").alias("ratio")
    jumps = bars.select(*KEY, "volume", ratio).filter(
        pl.col("ratio").is_finite(),
        (pl.col("ratio") > _VOLUME_JUMP) | pl.col("ratio").is_between(1e-9, 1 / _VOLUME_JUMP),
    )
    return findings + [
        Finding(
            "warning",
            symbol,
            session,
            "volume_jump",
            volume,
            f"{times:.3g} times the usual volume; check whether it is counted in the same units",
        )
        for symbol, session, volume, times in jumps.iter_rows()
    ]


def _runs(bars: pl.DataFrame, value: pl.Expr, *more: pl.Expr) -> pl.DataFrame:
    """Return symbol, first and last session, length, volume and value of each run of a value."""
    return (
        bars.lazy()
        .with_columns(pl.struct("symbol", value.alias("value")).rle_id().alias("run"))
        .group_by("run", maintain_order=True)
        .agg(
            pl.first("symbol"),
            pl.first("session").alias("first"),
            pl.last("session").alias("last"),
            pl.len().alias("sessions"),
            pl.sum("volume"),
            value.first().alias("value"),
            *more,
        )
        .drop("run")
        .collect()
    )
