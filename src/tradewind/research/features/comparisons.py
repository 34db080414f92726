"""Features that compare the symbols of a session: rank, demean, zscore, and the user's own.

Their inputs are features of one symbol each. A session compares the symbols that have a value. A
symbol without one gets none here, and does not count for the others.
"""

from typing import assert_never

import polars as pl

from tradewind.research.strategy.features import Across, Compared, Demean, Rank, Zscore

__all__ = ["compared", "over_sessions", "with_inputs"]


def compared(spec: Compared, session: pl.Expr) -> pl.Expr:
    """Return a comparison as an expression over a table of features, as a column of its own.

    All three are 0.0 for a symbol on its own, and for symbols whose values are all the same.

    Parameters
    ----------
    spec : Compared
    session : Expr
        Equal for the rows that are compared with each other.
    """
    values = pl.col(spec.of.column)
    match spec:
        case Rank():
            others = (values.count() - 1).cast(pl.Float64)
            value = pl.when(others > 0.0).then((values.rank() - 1.0) / others - 0.5).otherwise(0.0)
        case Demean():
            value = values - values.mean()
        case Zscore():
            # The deviation of equal values is not always zero: their mean is rounded.
            spread = values.max() > values.min()
            deviation = (values - values.mean()) / values.std(ddof=0)
            value = pl.when(spread).then(deviation).otherwise(0.0)
        case _:
            assert_never(spec)
    within = pl.when(values.is_not_null()).then(value.over(session))
    return within.otherwise(None).alias(spec.column)


def over_sessions(expression: pl.Expr, session: pl.Expr) -> pl.Expr:
    """Return the user's own expression over the symbols of each session, in their order."""
    return expression.over(session, order_by="symbol")


def with_inputs(prices: pl.DataFrame, table: pl.DataFrame, spec: Across) -> pl.DataFrame:
    """Return the bars with the inputs of a feature beside them, by the names it has for them.

    Parameters
    ----------
    prices, table : DataFrame of shape (n_bars, n_columns)
        Of the same bars, in the same order.
    spec : Across
    """
    return prices.with_columns(
        table.get_column(part.column).alias(name) for name, part in spec.inputs.items()
    )
