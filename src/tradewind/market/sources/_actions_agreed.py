"""Splits and dividends of several sources held against each other.

They are read off the adjustment factors, as steps from one bar to the next.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from tradewind.market.rounding import STEP_NOISE
from tradewind.market.sources._held import (
    Case,
    Flags,
    Floats,
    Places,
    ends,
    values_taken,
    winners,
)

__all__ = ["actions_agreed"]

_RULE: Final = "quorum_action"
_SPLIT: Final = 1e-6
_SMALLEST_DIVIDEND: Final = 4 * STEP_NOISE  # of the price
_NOTHING: Final = {"split": 1.0, "dividend": 0.0}


def actions_agreed(case: Case) -> dict[str, Floats]:
    """Return the split of each bar as a ratio, and its dividend as a share of the price.

    One that only some of the sources know is undecided, unless a person has decided.
    """
    held, included = case.held, case.included
    before = _before(case)
    steps, noise = _steps(case, before)
    agreed: dict[str, Floats] = {}
    for kind, nothing in _NOTHING.items():
        found = steps[kind]
        known = ~np.isnan(found)
        low, high = ends(found, axis=0)
        if kind == "split":
            apart = high - low > _SPLIT * high
            idle = np.abs(found - 1.0) <= _SPLIT
        else:
            of_all = np.where(known, noise, 0.0).sum(axis=0)
            apart = high - low > case.tolerance.dividend * high + of_all
            idle = np.abs(found) <= noise
        apart &= included & ~held.first
        one_sided = apart & (known & idle).any(axis=0)
        winner, decided, middle = winners(known, case.taking[_RULE], apart, case.rule)
        decided = np.where(one_sided & (decided != "accepted"), "", decided)
        step = values_taken(found, winner, middle)
        places = np.flatnonzero(apart)
        values = found[:, places]
        case.sayings.add(
            _RULE, kind, places, values, taken=values == step[places], decided=decided[places]
        )
        unknown = np.flatnonzero(included & (before >= 0) & ~known.any(axis=0))
        _stop(case, kind, unknown, "no source has both this bar and the one before it")
        agreed[kind] = np.where(np.isnan(step), nothing, step)
    _hold_gaps(case, before, agreed)
    return agreed


def _before(case: Case) -> Places:
    """Return the place of the bar before, of the same symbol; -1 for a symbol's first."""
    places = np.flatnonzero(case.included)
    before = np.full(case.included.size, -1, dtype=np.intp)
    symbol = np.cumsum(case.held.first)
    same = symbol[places[1:]] == symbol[places[:-1]]
    before[places[1:][same]] = places[:-1][same]
    return before


def _steps(case: Case, before: Places) -> tuple[dict[str, Floats], Floats]:
    """Return what each source says of splits and dividends between a bar and the one before.

    NaN where it lacks one of the two, or does not know dividends.
    """
    held = case.held
    there = held.there & case.included & (before >= 0) & held.there[:, before]
    split, both = (
        np.where(there, held.factors[kind] / held.factors[kind][:, before], np.nan)
        for kind in ("split", "both")
    )
    dividend = both / split - 1.0
    for place, source in enumerate(case.sayings.sources):
        if source in case.no_dividends:
            dividend[place] = np.nan
    noise = np.maximum(held.rounding, _SMALLEST_DIVIDEND)
    return {"split": split, "dividend": dividend}, noise


def _hold_gaps(case: Case, before: Places, agreed: Mapping[str, Floats]) -> None:
    """Compare each source with what was decided across bars that it lacks.

    Else a split that another tells on such a bar would be nobody's to contradict.
    """
    held, included = case.held, case.included
    whole = {
        "split": np.log(np.where(included, agreed["split"], 1.0)).cumsum(),
        "dividend": np.log1p(np.where(included, agreed["dividend"], 0.0)).cumsum(),
    }
    symbol = np.cumsum(held.first)
    for place, source in enumerate(case.sayings.sources):
        has = np.flatnonzero(held.there[place] & included)
        now, then = has[1:], has[:-1]
        gap = (symbol[now] == symbol[then]) & (before[now] != then) & (case.taking[_RULE][now] < 0)
        now, then = now[gap], then[gap]
        split, both = (
            held.factors[kind][place][now] / held.factors[kind][place][then]
            for kind in ("split", "both")
        )
        own = {"split": split - 1.0, "dividend": both / split - 1.0}
        if source in case.no_dividends:
            del own["dividend"]
        for kind, said in own.items():
            total = np.expm1(whole[kind][now] - whole[kind][then])
            larger = np.maximum(np.abs(total), np.abs(said))
            bound = _SPLIT * (1.0 + larger)
            if kind == "dividend":
                rounding = held.rounding[place][now] + _SMALLEST_DIVIDEND
                bound = case.tolerance.dividend * larger + rounding
            wrong = np.abs(total - said) > bound
            note = f"since the last bar that {source} has, which lacks some"
            _stop(case, kind, now[wrong], note, {place: said[wrong] + _NOTHING[kind]})


def _stop(
    case: Case, kind: str, places: Places, note: str, says: Mapping[int, Floats] | None = None
) -> None:
    """Leave an action undecided; of other sources than those in `says` nothing is told."""
    values = np.full((len(case.sayings.sources), places.size), np.nan)
    for source, said in (says or {}).items():
        values[source] = said
    nobody: Flags = np.zeros(values.shape, dtype=np.bool_)
    undecided = np.full(places.size, "")
    case.sayings.add(_RULE, kind, places, values, taken=nobody, decided=undecided, note=note)
