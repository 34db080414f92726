"""Which incoming bars the store does not know yet: new bars, and revisions of stored ones."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from tradewind.errors import StoreError
from tradewind.market.bars import KEY, PRICES
from tradewind.market.rounding import STEP_NOISE, kept_in_32_bits, rounding_apart
from tradewind.market.store.factor_steps import STEPS
from tradewind.market.validation.findings import Finding

__all__ = ["Merge", "merge"]

_VALUES: Final = (*PRICES, "volume", *STEPS)
_LISTED: Final = 1000  # a vendor that restates everything must not fill the memory


@dataclass(frozen=True)
class Merge:
    """Rows to append, the number of bars of each kind, and a finding for each changed value."""

    rows: pl.DataFrame
    new: int
    revised: int
    unchanged: int
    findings: tuple[Finding, ...]


def merge(
    incoming: pl.DataFrame, stored: pl.DataFrame, *, known_at: datetime, backdated: list[str]
) -> Merge:
    """Compare incoming bars with what is stored of the same symbols and sessions.

    A price that differs by a vendor's rounding is no revision
    (`tradewind.market.rounding.rounding_apart`), nor is a step that differs by less than
    `STEP_NOISE` of itself. Nor is an adjustment step that differs by less than the rounding of the
    vendor's adjusted closes, in both downloads together. The stored value stays, and the next
    download is compared with it. So many small differences in one direction end as a revision and
    do not drift. Shares are counted: any other volume is a revision, but for one that is the other
    as 32 bits keep it.

    Parameters
    ----------
    incoming : DataFrame
        Bars with steps, ``event_time`` and ``step_rounding``.
    stored : DataFrame
        The latest row of each stored bar, with ``knowledge_time``.
    known_at : datetime
        When the incoming values became known.
    backdated : list of str
        Symbols whose bars became known at their own ``event_time``.

    Raises
    ------
    StoreError
        If a revision would have been known before the value it revises.
    """
    both = incoming.join(
        stored.select(*KEY, *_VALUES, "knowledge_time"), on=KEY, how="left", suffix="_stored"
    ).with_columns(
        pl.col("knowledge_time").is_null().alias("new"),
        # A step of what was the first session is new, and contradicts nothing.
        pl.any_horizontal(
            pl.col(step).is_not_null() & pl.col(f"{step}_stored").is_null() for step in STEPS
        ).alias("linked"),
    )
    both = both.with_columns(_rounding_of_both())
    both = both.with_columns(_differs(both, name) for name in _VALUES).with_columns(
        pl.any_horizontal(f"{name}_differs" for name in _VALUES).alias("revised")
    )
    changed = both.filter(pl.col("new") | pl.col("revised") | pl.col("linked"))
    _refuse_older(stored, changed, known_at)
    moment = pl.lit(known_at, pl.Datetime("us", "UTC"))
    first_seen = pl.col("new") & pl.col("symbol").is_in(backdated)
    rows = changed.select(
        *KEY,
        *PRICES,
        "volume",
        # The first session of a frame has no step; a stored one stays.
        *(pl.coalesce(step, f"{step}_stored").alias(step) for step in STEPS),
        "event_time",
        pl.when(first_seen).then("event_time").otherwise(moment).alias("knowledge_time"),
    )
    revised = both.filter(~pl.col("new") & pl.col("revised"))
    return Merge(
        rows=rows,
        new=changed.height - revised.height,
        revised=revised.height,
        unchanged=incoming.height - changed.height,
        findings=_findings(revised),
    )


def _rounding_of_both() -> pl.Expr:
    """Return the error of a step that the vendor's rounding causes in both downloads together.

    The adjusted closes of the stored download were today's divided by all steps since its last bar:
    larger before a dividend, and smaller before a reverse split.
    """
    last = pl.col("session").filter(~pl.col("new")).max()
    since = pl.col("adjustment_step").filter(pl.col("new") & (pl.col("session") > last)).product()
    return (pl.col("step_rounding") * (1.0 + 1.0 / since)).over("symbol").alias("step_rounding")


def _differs(both: pl.DataFrame, name: str) -> pl.Series:
    """Whether a value is known on both sides and not the same; false where one is unknown."""
    now, then = both.get_column(name), both.get_column(f"{name}_stored")
    other = (now != then).fill_null(value=False)
    if name in STEPS:
        noise = both.get_column("step_rounding").clip(STEP_NOISE)
        if name == "split_step":  # read as a ratio, which is exact
            noise = pl.Series([STEP_NOISE])
        bound = noise * pl.select(pl.max_horizontal(now.abs(), then.abs())).to_series()
        other &= ((now - then).abs() > bound).fill_null(value=False)
    else:
        same = kept_in_32_bits if name == "volume" else rounding_apart
        both_ways = (each.cast(pl.Float64).to_numpy() for each in (now, then))
        other &= pl.Series(~same(*both_ways))
    return other.alias(f"{name}_differs")


def _refuse_older(stored: pl.DataFrame, changed: pl.DataFrame, known_at: datetime) -> None:
    """Refuse bars known before stored ones of their symbol: a past view would have holes."""
    touched = stored.filter(pl.col("symbol").is_in(changed.get_column("symbol").unique().to_list()))
    later = touched.filter(pl.col("knowledge_time") > known_at)
    # A value and its revision cannot become known at the same moment: which one holds?
    same = changed.filter(pl.col("knowledge_time") == known_at)
    for rows in (later, same):
        if not rows.is_empty():
            symbol, session, moment = rows.select(*KEY, "knowledge_time").row(0)
            raise StoreError(
                f"{symbol} {session}: a bar known since {moment.isoformat()} is stored, and "
                f"known_at is {known_at.isoformat()}; changes must become known later than what "
                "they change. Pass the time the source was read, and check the clock"
            )


def _findings(revised: pl.DataFrame) -> tuple[Finding, ...]:
    findings = [
        Finding(
            "warning",
            row["symbol"],
            row["session"],
            "revision",
            f"{row[f'{name}_stored']:.15g} -> {row[name]:.15g}",
            f"{name} was {row[f'{name}_stored']:.15g}, known since "
            f"{row['knowledge_time'].isoformat()}; both are kept",
        )
        for row in revised.head(_LISTED).iter_rows(named=True)
        for name in _VALUES
        if row[f"{name}_differs"]
    ]
    if revised.height > _LISTED:
        more = revised.height - _LISTED
        findings.append(
            Finding("warning", None, None, "revision", more, f"{more} more bars were revised")
        )
    return tuple(findings)
