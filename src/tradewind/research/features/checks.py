"""Features that are no use to a model: without a value, always the same, or mistaken.

The mistake is a function of the user's own that should compare symbols, but gets one at a time:
``v / v.sum().over("session")`` is then 1.0 in every row.
"""

import re
from typing import TYPE_CHECKING, Final

import polars as pl

from tradewind.errors import SplitError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tradewind.research.features.own_code import CustomFeature
    from tradewind.research.strategy.features import FeatureSpec
    from tradewind.research.strategy.strategy import Strategy

__all__ = ["refuse_what_says_nothing", "refuse_windows_over_sessions"]

_ROUNDING: Final = 1e-12
# How polars prints a window over groups, whose own expressions hold no brackets.
_GROUPS: Final = re.compile(r"\.over\((?:partition_by: )?\[([^\[\]]*)\]")
_COMPARE: Final = (
    "A custom feature sees the bars of one symbol; what compares the symbols of a session is "
    "`rank`, `demean` or `zscore` of another feature, or a function of your own in `- across: "
    '{name: ..., function: "my_features:..."}`'
)


def refuse_windows_over_sessions(
    own: "Iterable[tuple[CustomFeature, pl.Expr]]",
) -> None:
    """Refuse features of one symbol that group by session, such as by ``.over("session")``.

    Raises
    ------
    StrategyError
        Which names the function.
    """
    for feature, expression in own:
        groups = _GROUPS.findall(str(expression))
        if any('col("session")' in group.split(", ") for group in groups):
            raise feature.refusal(
                f"it has a window over sessions, in each of which it finds one bar. {_COMPARE}"
            )


def refuse_what_says_nothing(table: pl.DataFrame, strategy: "Strategy") -> None:
    """Refuse features that have no value at all, or one and the same in all rows.

    Parameters
    ----------
    table : DataFrame of shape (n_bars, 2 + n_columns)
        As `tradewind.research.features.compute.FeatureTable.of` returns it, of all the strategy's
        bars.
    strategy : Strategy

    Raises
    ------
    StrategyError
        Which names the feature.
    SplitError
        If the bars are fewer than a feature looks back.
    """
    for place, spec in enumerate(strategy.inputs):
        values = table.get_column(spec.column).drop_nulls()
        least, most = values.min(), values.max()
        if not isinstance(least, float) or not isinstance(most, float):
            _refuse_without_values(table, spec, place, strategy)
        elif values.len() > 1 and most - least <= _ROUNDING * max(abs(least), abs(most)):
            raise StrategyError(
                f"strategy {strategy.name}: features.{place}: {spec.column} is {least!r} in all "
                f"{values.len()} rows that have a value, so that it says nothing. {_mend(spec)}"
            )


def _refuse_without_values(
    table: pl.DataFrame, spec: "FeatureSpec", place: int, strategy: "Strategy"
) -> None:
    lengths = table.get_column("symbol").value_counts().get_column("count")
    longest = lengths.max()
    if spec.warm_up is not None and isinstance(longest, int) and longest <= spec.warm_up:
        raise SplitError(
            f"strategy {strategy.name}: features.{place}: {spec.column} has its first value after "
            f"{spec.warm_up} bars of a symbol, and the longest has {longest}: they cannot hold one "
            "fold"
        )
    raise StrategyError(
        f"strategy {strategy.name}: features.{place}: {spec.column} has no value in any of "
        f"{table.height} rows: it is null or not finite in all of them. {_mend(spec)}"
    )


def _mend(spec: "FeatureSpec") -> str:
    if spec.kind == "custom":
        return _COMPARE
    if spec.across_symbols:
        return "Is it made of values that differ between the symbols of a session?"
    return "Look at the bars it is made of, or leave it out"
