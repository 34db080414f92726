"""What the kinds that ask a vendor share: lists of symbols, order of rows, factors of actions."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise
from typing import Annotated, Final

import polars as pl
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, field_validator

from tradewind.errors import PartialSourceError, SourceError, VendorError
from tradewind.market.bars import SCHEMA
from tradewind.market.sources.vendor_tries import Fetched
from tradewind.market.spec_types import Symbol
from tradewind.market.symbols import plainly
from tradewind.market.validation.schema_rules import LEAST_PRICE, MOST_PRICE, MOST_VOLUME

__all__ = [
    "CRSP_STEP", "Count", "Positive", "Unread", "VendorOptions", "all_or_partial",
    "refuse_disorder", "wanted_of", "with_actions", "with_factors",
]  # fmt: skip


def _sized(number: float) -> float:
    if not LEAST_PRICE <= number <= MOST_PRICE:
        raise ValueError(f"must be from {LEAST_PRICE:g} to {MOST_PRICE:g}")
    return number


Positive = Annotated[float, Field(gt=0.0), AfterValidator(_sized)]
"""A price, a dividend, or a side of a ratio: within what the store takes, so that arithmetic on it
neither overflows nor ends at zero."""
Count = Annotated[int, Field(ge=0, le=MOST_VOLUME)]
"""Shares in a session; more is no number that a frame holds."""

_LISTED: Final = 50_000
_SHOWN: Final = 200

CRSP_STEP: Final = pl.col("split") * (pl.col("close") + pl.col("dividend")) / pl.col("close")
"""Step of `adjustment_factor` by the method of CRSP: a dividend is reinvested at the close of its
ex-date."""


class VendorOptions(BaseModel):
    """What each kind that asks a vendor is told.

    Attributes
    ----------
    symbols : tuple of str
        Sorted; none twice, in whatever case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: tuple[Symbol, ...] = Field(min_length=1, max_length=_LISTED)

    @field_validator("symbols")
    @classmethod
    def _each_once(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        times = Counter(one.upper() for one in symbols)
        again = sorted(one for one, count in times.items() if count > 1)
        if again:
            raise ValueError(f"listed more than once: {', '.join(again[:10])}")
        return tuple(sorted(symbols))


class Unread(BaseModel):
    """A record that is not what the vendor's documents promise: an error of its symbol alone."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=True)

    symbol: str = Field(
        validation_alias=AliasChoices("symbol", "ticker", "T", "source_symbol", "old_symbol")
    )

    def said(self, who: str, what: str) -> str:
        """Return what is wrong with it."""
        return (
            f"{who}: {self.symbol}: {what} is not what the vendor's documents promise "
            f"({str(self.model_extra)[:_SHOWN]}); ask the vendor, or see whether tradewind has a "
            "newer version"
        )


def all_or_partial(source: str, fetched: Fetched[pl.DataFrame]) -> pl.DataFrame:
    """Return the bars of all symbols that were asked for, sorted by symbol.

    Raises
    ------
    PartialSourceError
        If some could not be had; it has the bars of the others.
    """
    frames = [fetched[symbol] for symbol in sorted(fetched)]
    bars = pl.concat(frames) if frames else pl.DataFrame(schema=SCHEMA)
    if fetched.failed:
        raise PartialSourceError(source, fetched.failed, bars=bars, again_at=fetched.again_at)
    return bars


def wanted_of(source: str, symbols: Sequence[str], listed: Sequence[str]) -> list[str]:
    """Return the symbols that are asked of a source, sorted and each once.

    Raises
    ------
    SourceError
        If there are none, or one is not listed.
    """
    wanted = sorted(set(symbols))
    unknown = sorted(set(wanted) - set(listed))
    if unknown or not wanted:
        alike = {plainly(one): one for one in listed}
        meant = [f"{one} is {alike[plainly(one)]}" for one in unknown if plainly(one) in alike]
        hint = (
            f". To the vendor {', '.join(meant[:10])}: name it so, or write names into the file"
            if meant
            else ""
        )
        raise SourceError(
            f"source {source!r} has no symbols {', '.join(unknown[:10]) or 'at all'}; list them "
            f"under options.symbols of its file{hint}"
        )
    return wanted


def refuse_disorder(days: Sequence[date], begin: date, where: str, *, stored: bool) -> None:
    """Refuse an answer without rows, rows that are not in order, and those before what was asked.

    Parameters
    ----------
    days : sequence of date
        Of the rows, as they came.
    begin : date
        First day that was asked for.
    where : str
        Vendor and symbol, for the message.
    stored : bool
        Whether `begin` is a session that was given before.

    Raises
    ------
    VendorError
        Which says what came.
    """
    if not days:
        what = f"although it has given one of {begin} before" if stored else f"since {begin}"
        raise VendorError(
            f"{where}: the vendor gives no bars, {what}; was it renamed or delisted? Correct the "
            "symbol, or take it out of options.symbols"
        )
    for before, after in pairwise(days):
        if after <= before:
            raise VendorError(
                f"{where}: the bar of {after} stands after that of {before}; the answer is out of "
                "order or repeats itself, ask again later"
            )
    if days[0] < begin:
        raise VendorError(
            f"{where}: bars from {days[0]} on came, and those from {begin} on were asked for; see "
            "base_url in the source's file"
        )


def with_factors(bars: pl.DataFrame) -> pl.DataFrame:
    """Return one symbol's bars with cumulative factors, 1.0 on the last session.

    Parameters
    ----------
    bars : DataFrame
        Sorted by session, with the steps ``split`` and ``both`` of each.
    """
    return bars.with_columns(
        (1.0 / pl.col(step).shift(-1, fill_value=1.0).cum_prod(reverse=True)).alias(factor)
        for step, factor in (("split", "split_factor"), ("both", "adjustment_factor"))
    ).select(SCHEMA.names())


def with_actions(bars: pl.DataFrame, told: Iterable[tuple[str, date, float]]) -> pl.DataFrame:
    """Return one symbol's bars with the cumulative factors of its splits and dividends.

    Parameters
    ----------
    bars : DataFrame
        Raw prices and volume, sorted by session.
    told : iterable of (kind, ex-date, value)
        As in `tradewind.market.actions`; or ``"step"``, by which alone `adjustment_factor` steps.
        An action on no session takes effect on the next one. What is not after the first session,
        or after the last one, changes no factor.
    """
    days = bars.get_column("session").to_list()
    split, step = dict.fromkeys(days, 1.0), dict.fromkeys(days, 1.0)
    dividend = dict.fromkeys(days, 0.0)
    for kind, ex_date, value in told:
        place = bisect_left(days, ex_date)
        if place == len(days) or ex_date <= days[0]:
            continue
        if kind == "split":
            split[days[place]] *= value
        elif kind == "dividend":
            dividend[days[place]] += value
        elif kind == "step":
            step[days[place]] *= value
    steps = pl.DataFrame(
        {name: list(each.values()) for name, each in
         {"split": split, "dividend": dividend, "step": step}.items()}
    )  # fmt: skip
    return with_factors(bars.hstack(steps).with_columns(both=CRSP_STEP * pl.col("step")))
