"""Rules that hold for each value by itself: columns, types, nulls and ranges.

pandera checks them; this module turns its failure cases into findings that name symbol,
session and value.
"""

import functools
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from tradewind.market.bars import SCHEMA
from tradewind.market.validation.findings import AT_ONCE, Finding, the_rest

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

__all__ = ["LEAST_PRICE", "MOST_PRICE", "MOST_VOLUME", "column_findings", "value_findings"]

LEAST_PRICE: Final = 1e-12
"""Of prices and of factors; a coin may cost a hundred-millionth of a dollar."""

MOST_PRICE: Final = 1e12
"""Of prices and of factors; a price in a currency of hyperinflation has ten digits."""

MOST_VOLUME: Final = 10**15
"""Shares in a session; a thousand times what the busiest coin has traded."""

_NULL = "not_nullable"  # what pandera calls it
_RULES = {_NULL: "null"}
_MESSAGES = {
    "null": "{column} is missing; fill it in, or leave the bar out",
    "finite": "{column} is not a finite number",
    "positive": "{column} must be above zero",
    "non_negative": "{column} must not be negative",
    "magnitude": "{column} is no {column} of anything: it must be {limits}",
}


def column_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each column that is missing, unknown or of another type.

    Other rules can only be checked once this one finds nothing.
    """
    findings = [
        Finding(
            severity="error",
            symbol=None,
            session=None,
            rule="schema",
            value=str(bars.schema.get(name, "absent")),
            message=f"column {name!r} must be of type {dtype}",
        )
        for name, dtype in SCHEMA.items()
        if bars.schema.get(name) != dtype
    ]
    findings += [
        Finding("error", None, None, "schema", name, f"column {name!r} is not one of bars")
        for name in bars.columns
        if name not in SCHEMA
    ]
    if not findings and bars.is_empty():
        findings.append(Finding("error", None, None, "schema", None, "there are no bars"))
    return findings


def value_findings(bars: pl.DataFrame) -> list[Finding]:
    """Return a finding for each value that is missing, not finite or out of range.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        With the columns and types of `SCHEMA`.
    """
    from pandera.errors import SchemaErrors

    try:
        _schema().validate(bars, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.select("column", "check", "index")
        found: list[Finding] = []
        for kind in cases.unique(("column", "check"), maintain_order=True).iter_rows():
            column, check, _ = kind
            rows = cases.filter(pl.col("column") == column, pl.col("check") == check)
            places = rows.get_column("index").unique(maintain_order=True)
            if check == _NULL:
                # pandera also calls a NaN null; the rule "finite" has already named it.
                places = places.filter(bars.get_column(column).gather(places).is_null())
            found += [_finding(bars, column, check, place) for place in places.head(AT_ONCE)]
            found += the_rest(_RULES.get(check, check), places.len())
        return found
    return []


def _finding(bars: pl.DataFrame, column: str, check: str, place: int) -> Finding:
    row = bars.row(place, named=True)
    rule = _RULES.get(check, check)
    return Finding(
        severity="error",
        symbol=row["symbol"],
        session=row["session"],
        rule=rule,
        value=None if row[column] is None else float(row[column]),
        message=_MESSAGES[rule].format(column=column, limits=_limits(column)),
    )


def _limits(column: str) -> str:
    if column == "volume":
        return f"{MOST_VOLUME:g} at most"
    return f"from {LEAST_PRICE:g} to {MOST_PRICE:g}"


@functools.cache
def _schema() -> "DataFrameSchema":
    from pandera.polars import Check, Column, DataFrameSchema

    def check(name: str, rule: Any) -> Check:  # noqa: ANN401
        return Check(lambda data: data.lazyframe.select(rule(pl.col(data.key))), name=name)

    positive = [
        check("finite", lambda column: column.is_finite()),
        check("positive", lambda column: column.is_nan() | (column > 0.0)),
        check(
            "magnitude",  # of values that the other rules let pass
            lambda column: (
                ~column.is_finite() | (column <= 0.0) | column.is_between(LEAST_PRICE, MOST_PRICE)
            ),
        ),
    ]
    volume = [
        check("non_negative", lambda column: column >= 0),
        check("magnitude", lambda column: column <= MOST_VOLUME),
    ]
    checks = {"volume": volume}
    return DataFrameSchema(
        {
            name: Column(dtype, checks.get(name, positive if dtype == pl.Float64 else []))
            for name, dtype in SCHEMA.items()
        },
        strict=True,
    )
