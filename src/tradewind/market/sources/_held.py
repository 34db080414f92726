"""What each of some sources has, as matrices, and what is decided where they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.market.bars import KEY, PRICES
from tradewind.market.rounding import step_rounding
from tradewind.market.sources._sayings import Sayings
from tradewind.market.validation.accepted import Accepted

__all__ = [
    "Case", "Flags", "Floats", "Held", "Places", "Rule", "Tolerance", "ends", "taken_at",
    "values_taken", "winners",
]  # fmt: skip

Rule = Literal["first", "median", "nobody"]
"""Who wins where sources differ."""

_FOR_A_MEDIAN: Final = 3

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Tolerance:
    """How far apart two sources may be and still say the same.

    Attributes
    ----------
    tick : float
        Of a price, in its currency; at most a hundredth of the price.
    relative : float
        Of a price, as a share of it. The larger of the two counts.
    volume : float
        Of the larger volume.
    dividend : float
        Of the larger dividend.
    """

    tick: float
    relative: float
    volume: float
    dividend: float


class Held:
    """What each source has, on the bars that any of them has."""

    def __init__(
        self, given: Mapping[str, pl.DataFrame], going_on: frozenset[str], at_least: int
    ) -> None:
        union = pl.concat([each.select(KEY) for each in given.values()]).unique().sort(KEY)
        self.keys = union
        self.first = (union["symbol"] != union["symbol"].shift(1)).fill_null(value=True).to_numpy()
        frames = [
            union.join(
                each.with_columns(step_rounding(each).alias("rounding"), there=pl.lit(value=True)),
                on=KEY,
                how="left",
                maintain_order="left",
            )
            for each in given.values()
        ]

        def matrix(name: str) -> Floats:
            return np.array([each[name].cast(pl.Float64).to_numpy() for each in frames])

        self.there = np.array([each["there"].fill_null(value=False).to_numpy() for each in frames])
        self.prices = np.stack([matrix(name) for name in PRICES])
        self.volume = matrix("volume")
        self.factors = {
            "split": matrix("split_factor"),
            "both": matrix("adjustment_factor"),
        }
        self.rounding = np.nan_to_num(matrix("rounding"))
        gone_on = union["symbol"].is_in(list(going_on)).to_numpy()
        self.begun = self._begun(gone_on)
        # Before enough of them have begun there is nothing to compare with.
        self.early = self.begun.sum(axis=0) < at_least

    def _begun(self, gone_on: Flags) -> Flags:
        """Return from when on each source has bars; of one without any of a symbol, never."""
        begun = np.zeros_like(self.there)
        starts = np.flatnonzero(self.first)
        ends = np.append(starts[1:], self.first.size)
        for source in range(self.there.shape[0]):
            there = np.flatnonzero(self.there[source])
            at = np.searchsorted(there, starts)
            for start, end, place in zip(starts, ends, at, strict=True):
                if place < there.size and there[place] < end:
                    begin = start if gone_on[start] else there[place]
                    begun[source, begin:end] = True
        return begun

    @property
    def lacking(self) -> Flags:
        """Where a source that has begun has no bar."""
        lacking: Flags = self.begun & ~self.there
        return lacking


@dataclass(frozen=True)
class Case:
    """All that a comparison needs to know."""

    held: Held
    sayings: Sayings
    taking: Mapping[str, Places]
    included: Flags
    rule: Rule
    tolerance: Tolerance
    no_dividends: frozenset[str]


def taken_at(held: Held, rule: str, sources: Sequence[str], accepted: Sequence[Accepted]) -> Places:
    """Return, for each bar, the source that a person decided for; -1 where nobody did."""
    found = np.full(held.first.size, -1, dtype=np.intp)
    entries = [each for each in accepted if each.rule == rule and each.take in sources]
    if not entries:
        return found
    symbols, sessions = held.keys["symbol"], held.keys["session"]
    spans = {
        str(symbol): (start, start + length)
        for symbol, start, length in zip(
            symbols.gather(np.flatnonzero(held.first)),
            np.flatnonzero(held.first),
            np.diff(np.append(np.flatnonzero(held.first), held.first.size)),
            strict=True,
        )
    }
    for entry in entries:
        for name in spans if entry.names is None else entry.names & spans.keys():
            start, end = spans[name]
            about = sessions[start:end].is_between(entry.first, entry.last).to_numpy()
            found[start:end][about] = sources.index(str(entry.take))
    return found


def winners(
    known: Flags, taking: Places, differs: Flags, rule: Rule
) -> tuple[Places, NDArray[np.str_], Flags]:
    """Return whose value holds, what decided where they differ, and where it is the median."""
    winner = known.argmax(axis=0)
    columns = np.arange(known.shape[1])
    by_person = differs & (taking >= 0)
    by_person &= known[np.maximum(taking, 0), columns]
    winner = np.where(by_person, taking, winner)
    enough = known.sum(axis=0) >= _FOR_A_MEDIAN
    middle = ~by_person & enough & (rule == "median")
    by_rule = np.where(enough, "median", "") if rule == "median" else np.full(enough.size, rule)
    by_rule = np.where(by_rule == "nobody", "", by_rule)
    decided = np.where(by_person, "accepted", by_rule)
    return winner, decided, middle


def values_taken(values: Floats, winner: Places, middle: Flags) -> Floats:
    """Return the value of the winner, or the lower median of all."""
    taken: Floats = np.take_along_axis(values, winner[np.newaxis, :], axis=0)[0]
    if middle.any():
        some = np.sort(values[:, middle], axis=0)  # NaN last
        count = (~np.isnan(some)).sum(axis=0)
        taken[middle] = some[(count - 1) // 2, np.arange(count.size)]
    return taken


def ends(values: Floats, *, axis: int) -> tuple[Floats, Floats]:
    """Return the smallest and the largest value there is; NaN where there is none."""
    return np.fmin.reduce(values, axis=axis), np.fmax.reduce(values, axis=axis)
