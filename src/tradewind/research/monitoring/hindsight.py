"""Compares the inputs of live decisions with what the same code computes today.

Features of a past session must be what they were when it was the last one. They are computed again
in two ways, for a feature can know the future in two ways:

- From the same bars as then. A difference does not come from the bars: a file beside the strategy
  has got tomorrow's line, or the code remembers something.
- From today's bars, once up to that session and once with later ones. A feature that differs looks
  ahead, in a way that cuts at other dates did not find.

A revised bar, or a dividend that was found later, changes a feature without a fault of its code.
Then it differs from what it was, and is the same with and without later bars. That is reported as a
revision, and stops nothing.

Features that another version of our own code computed
(`tradewind.research.features.compute.CODE_VERSION`) are not compared, since they may differ for
that reason. That is reported, and stops nothing either.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from tradewind.market.bars import KEY
from tradewind.research.features.compute import CODE_VERSION, FeatureTable, feature_rows
from tradewind.research.features.universe import select_bars, within
from tradewind.research.models.model import FittedModel, predict_rows
from tradewind.research.strategy.strategy import Strategy

__all__ = ["Hindsight", "Known", "known_of", "look_back"]

# Other versions of a library may round differently. Values are compared to nine digits of the
# column's usual size, for what rounding leaves of a difference of equals has no digits of its own.
_TOLERANCE: Final = 1e-9
_PREDICTION: Final = "the prediction"


@dataclass(frozen=True)
class Known:
    """Features and predictions of the symbols of a session.

    Attributes
    ----------
    session : date
    features : mapping of str to mapping of str to float or None
        By symbol, then by column; None where undefined.
    predictions : mapping of str to float
        By symbol; only for those whose features are all defined.
    code_version : int, optional
        Of the code that computed the features; None where it was not kept.
    """

    session: date
    features: Mapping[str, Mapping[str, float | None]]
    predictions: Mapping[str, float]
    code_version: int | None = None


@dataclass(frozen=True)
class Hindsight:
    """The result of a look back.

    Attributes
    ----------
    faults : tuple of str
        A sentence for each session in which a feature knew, or now knows, more than its bars.
    revisions : tuple of str
        A sentence for each session whose features changed only because its bars did.
    uncompared : tuple of str
        A sentence for each other version of our own code that computed some of the sessions.
    """

    faults: tuple[str, ...] = ()
    revisions: tuple[str, ...] = ()
    uncompared: tuple[str, ...] = ()


def known_of(
    model: FittedModel, bars: pl.DataFrame, strategy: Strategy, *sessions: date
) -> list[Known]:
    """Compute the features of sessions, and predict from them.

    Parameters
    ----------
    model : FittedModel
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols.
    strategy : Strategy
    *sessions : date
        Sessions of these bars.

    Raises
    ------
    StrategyError
        If a symbol has no bars, or a feature of the user's own cannot be computed.
    """
    table = FeatureTable(strategy).of(select_bars(bars, strategy))
    return [_known(model, table, strategy, session) for session in sessions]


def look_back(
    model: FittedModel,
    strategy: Strategy,
    stored: Sequence[tuple[str, Known]],
    *,
    bars: pl.DataFrame,
    read: Callable[[str], pl.DataFrame],
) -> Hindsight:
    """Compare the inputs of some sessions' decisions with what is computed for them today.

    Parameters
    ----------
    model : FittedModel
        The model that decided.
    strategy : Strategy
        As the model was trained with.
    stored : sequence of (str, Known)
        The snapshot, and what was computed from it when the session was the last one.
    bars : DataFrame of shape (n_bars, 9)
        All bars known today.
    read : callable
        Returns the bars of a snapshot; called where something differs.

    Returns
    -------
    Hindsight
        With a sentence a session at most, and one a version.

    Raises
    ------
    StrategyError
        If a feature of the user's own cannot be computed.
    """
    others = _by_other_code([then for _, then in stored])
    stored = [one for one in stored if one[1].code_version in {None, CODE_VERSION}]
    if not stored:
        return Hindsight(uncompared=others)
    faults, revisions = [], []
    table = FeatureTable(strategy).of(select_bars(bars, strategy))
    sizes = _sizes(table, strategy)
    for snapshot_id, then in stored:
        whole = _known(model, table, strategy, then.session)
        changed = _first_difference(then, whole, sizes)
        if changed is None:
            continue
        [again] = known_of(model, read(snapshot_id), strategy, then.session)
        cut = _cut(model, bars, strategy, then.session)
        if found := _first_difference(then, again, sizes):
            faults.append(
                f"{found} when it is computed from the very same bars today: it depends on more "
                "than bars, such as a file that has changed since, or on what was computed before"
            )
        elif found := _first_difference(cut, whole, sizes):
            faults.append(f"{found} once the bars after {then.session} are known: it looks ahead")
        else:
            revisions.append(f"{changed}, since its bars were revised")
    return Hindsight(tuple(faults), tuple(revisions), others)


def _by_other_code(known: Sequence[Known]) -> tuple[str, ...]:
    """Return a sentence for each version of the code other than today's."""
    sessions: dict[int, list[date]] = {}
    for each in known:
        if each.code_version not in {None, CODE_VERSION}:
            sessions.setdefault(each.code_version, []).append(each.session)
    return tuple(
        f"what the signals of {min(days)} to {max(days)} ({len(days)} in all) were made of was "
        f"computed by version {version} of Tradewind's features; this is version {CODE_VERSION}, "
        "so that they are not compared"
        for version, days in sorted(sessions.items())
    )


def _known(model: FittedModel, table: pl.DataFrame, strategy: Strategy, session: date) -> Known:
    asked = pl.col("session") == session
    rows = table.filter(asked).select(*KEY, *strategy.feature_names)
    seen = table if strategy.model.sessions_seen > 1 else rows
    whole = feature_rows(seen, strategy).filter(asked)
    predicted = [] if whole.is_empty() else predict_rows(model, whole, strategy).tolist()
    return Known(
        session=session,
        features={row.pop("symbol"): row for row in rows.drop("session").iter_rows(named=True)},
        predictions=dict(zip(whole["symbol"], predicted, strict=True)),
        code_version=CODE_VERSION,
    )


def _cut(model: FittedModel, bars: pl.DataFrame, strategy: Strategy, session: date) -> Known:
    """Return what today's bars up to a session give for it, with the symbols that have bars."""
    mine = pl.col("symbol").is_in(list(strategy.universe.symbols)) & (pl.col("session") <= session)
    known = within(bars.filter(mine), strategy)
    if known.is_empty():
        return Known(session, {}, {})
    return _known(model, FeatureTable(strategy).of(known.sort(KEY)), strategy, session)


def _sizes(table: pl.DataFrame, strategy: Strategy) -> dict[str, float]:
    """Return the usual size of each feature: the mean of its absolute values."""
    means = table.select(pl.col(name).abs().mean() for name in strategy.feature_names)
    return {name: size or 0.0 for name, size in means.row(0, named=True).items()}


def _first_difference(one: Known, other: Known, sizes: Mapping[str, float]) -> str | None:
    """Return the first difference in words; None if there is none."""
    for symbol in sorted({*one.features, *other.features}):
        mine, theirs = (known.features.get(symbol, {}) for known in (one, other))
        for column in sorted({*mine, *theirs}):
            if not _same(mine.get(column), theirs.get(column), sizes.get(column, 0.0)):
                return _told(
                    f"feature {column}", symbol, one.session, mine.get(column), theirs.get(column)
                )
        then, now = (known.predictions.get(symbol) for known in (one, other))
        # A tree that splits at zero predicts differently for what rounding leaves of zero.
        if mine == theirs and not _same(then, now, _largest(one, other)):
            return _told(_PREDICTION, symbol, one.session, then, now)
    return None


def _same(one: float | None, other: float | None, size: float) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE * size)


def _largest(*known: Known) -> float:
    return max((abs(value) for each in known for value in each.predictions.values()), default=0.0)


def _told(what: str, symbol: str, session: date, one: float | None, other: float | None) -> str:
    values = ["undefined" if value is None else repr(value) for value in (one, other)]
    return f"{what} of {symbol} on {session} was {values[0]}, and is {values[1]}"
