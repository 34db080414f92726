"""Bars of several sources held against each other: what they agree on, and what each says else.

All is computed on matrices, a row for each source and a column for each bar that any of them has:
a quorum is asked for thousands of symbols a day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from tradewind.market.bars import PRICES, SCHEMA
from tradewind.market.rounding import rounding_apart
from tradewind.market.sources._actions_agreed import actions_agreed
from tradewind.market.sources._held import (
    Case,
    Flags,
    Floats,
    Held,
    Rule,
    Tolerance,
    ends,
    taken_at,
    values_taken,
    winners,
)
from tradewind.market.sources._sayings import Sayings
from tradewind.market.validation.accepted import DECIDABLE, Accepted

__all__ = ["Agreement", "Rule", "Tolerance", "agree"]

_OF_A_PRICE: Final = 0.01  # a tick that is more than this of a price tells nothing of it
_SLACK: Final = 1.0 + 1e-9


@dataclass(frozen=True)
class Agreement:
    """Bars that are decided, what sources said differently, and symbols that are undecided."""

    bars: pl.DataFrame
    said: pl.DataFrame
    stopped: frozenset[str]


def agree(
    given: Mapping[str, pl.DataFrame],
    *,
    rule: Rule,
    at_least: int,
    tolerance: Tolerance,
    accepted: Sequence[Accepted] = (),
    no_dividends: frozenset[str] = frozenset(),
    going_on: frozenset[str] = frozenset(),
) -> Agreement:
    """Hold the bars of some sources against each other.

    Parameters
    ----------
    given : mapping of str to DataFrame
        By source, in the order in which they count: sound bars, sorted, each once.
    rule : {"first", "median", "nobody"}
        Who wins where they differ.
    at_least : int
        Sources that must have a bar.
    tolerance : Tolerance
    accepted : sequence of Accepted
        What a person decided, with `take`.
    no_dividends : frozenset of str
        Sources whose factors are without dividends.
    going_on : frozenset of str
        Symbols whose history is not asked for from its beginning, so that a source whose bars begin
        later lacks some.
    """
    held = Held(given, going_on, at_least)
    case = Case(
        held=held,
        sayings=Sayings(tuple(given), held.keys),
        taking={each: taken_at(held, each, tuple(given), accepted) for each in DECIDABLE},
        included=~held.early,
        rule=rule,
        tolerance=tolerance,
        no_dividends=no_dividends,
    )
    _starts(case)
    case = replace(case, included=_sessions(case, at_least))
    prices, volume, steps = _prices(case), _volumes(case), actions_agreed(case)
    stopped = case.sayings.undecided()
    bars = (
        held.keys.with_columns(
            **{name: pl.Series(prices[place]) for place, name in enumerate(PRICES)},
            volume=pl.Series(np.nan_to_num(volume)).cast(pl.Int64),
            split=pl.Series(steps["split"]),
            both=pl.Series(steps["split"] * (1.0 + steps["dividend"])),
        )
        .filter(pl.Series(case.included), ~pl.col("symbol").is_in(stopped))
        .with_columns(
            (1.0 / pl.col(step).shift(-1, fill_value=1.0).cum_prod(reverse=True))
            .over("symbol")
            .alias(factor)
            for step, factor in (("split", "split_factor"), ("both", "adjustment_factor"))
        )
        .select(SCHEMA.names())
    )
    return Agreement(bars, case.sayings.table(), frozenset(stopped))


def _starts(case: Case) -> None:
    """Tell which sources have older bars, which are left out."""
    held = case.held
    early = held.early & held.there.any(axis=0)
    symbol = np.cumsum(held.first) - 1
    counts = np.array(
        [np.bincount(symbol[early & there], minlength=symbol[-1] + 1) for there in held.there]
    )
    begins = np.flatnonzero(~held.early)
    _, at = np.unique(symbol[begins], return_index=True)
    places = begins[at]
    places = places[counts[:, symbol[places]].sum(axis=0) > 0]
    values = counts[:, symbol[places]].astype(np.float64)
    case.sayings.add(
        "quorum_start", "bars before it", places, values,
        taken=np.zeros(values.shape, dtype=np.bool_), decided=np.full(places.size, "start"),
    )  # fmt: skip


def _sessions(case: Case, at_least: int) -> Flags:
    """Return which bars there are; not those that only some have, unless that is allowed."""
    held, taking = case.held, case.taking["quorum_session"]
    places = np.flatnonzero(held.lacking.any(axis=0) & ~held.early)
    included: Flags = np.logical_not(held.early)
    decided = np.where(
        taking[places] >= 0,
        "accepted",
        np.where(held.there[:, places].sum(axis=0) >= at_least, "at_least", ""),
    )
    by_person = places[taking[places] >= 0]
    included[by_person] = held.there[taking[by_person], by_person]
    values = np.where(held.there[:, places], held.prices[3][:, places], np.nan)
    case.sayings.add(
        "quorum_session", "close", places, values,
        taken=held.there[:, places] & included[places], decided=decided,
    )  # fmt: skip
    return included


def _prices(case: Case) -> Floats:
    """Return the four prices of each bar."""
    held, tolerance = case.held, case.tolerance
    low, high = ends(held.prices, axis=1)
    bound = np.maximum(tolerance.relative * high, np.minimum(tolerance.tick, _OF_A_PRICE * high))
    apart = np.array(
        [
            (high[place] - low[place] > bound[place] * _SLACK)
            & ~rounding_apart(low[place], high[place])
            for place in range(len(PRICES))
        ]
    )
    apart &= case.included
    differs: Flags = np.any(apart, axis=0)
    winner, decided, middle = winners(held.there, case.taking["quorum_price"], differs, case.rule)
    prices = np.array([values_taken(each, winner, middle) for each in held.prices])
    for place, name in enumerate(PRICES):
        places = np.flatnonzero(apart[place])
        values = held.prices[place][:, places]
        case.sayings.add(
            "quorum_price", name, places, values,
            taken=values == prices[place][places], decided=decided[places],
        )  # fmt: skip
    return prices


def _volumes(case: Case) -> Floats:
    """Return the volume of each bar."""
    held = case.held
    low, high = ends(held.volume, axis=0)
    apart = case.included & (high - low > case.tolerance.volume * high * _SLACK)
    winner, decided, middle = winners(held.there, case.taking["quorum_volume"], apart, case.rule)
    volume = values_taken(held.volume, winner, middle)
    places = np.flatnonzero(apart)
    values = held.volume[:, places]
    case.sayings.add(
        "quorum_volume", "volume", places, values,
        taken=values == volume[places], decided=decided[places],
    )  # fmt: skip
    return volume
