"""What sources that are held against each other say differently, as a table and as findings.

A row is what one source says of one field of one bar. A finding stands for all rows of a symbol, a
session and a rule, with the values of every source.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

import polars as pl

from tradewind.market.validation.findings import Finding, Severity

__all__ = ["ACCEPTED", "MISSING", "SCHEMA", "findings_of", "told"]

ACCEPTED: Final = "accepted"
"""As `decided` has it where a person did."""

MISSING: Final = "quorum_missing"
"""The rule about a source that the others went on without."""

SCHEMA: Final = pl.Schema(
    {
        "symbol": pl.String(),
        "session": pl.Date(),
        "rule": pl.String(),
        "field": pl.String(),  # such as close; of an action its kind
        "source": pl.String(),
        "value": pl.Float64(),  # null where the source has none
        "taken": pl.Boolean(),  # whether it is what is stored
        "decided": pl.String(),  # by which rule; empty if nothing did
        "note": pl.String(),
    }
)
_MOST: Final = 20_000  # findings that are made of one table; a report tells a thousand
_NAMED: Final = {
    "": "nobody has decided",
    ACCEPTED: "a person decided",
    "at_least": "at_least allows it",
    "start": "the history begins where enough of them have bars",
}


def findings_of(said: pl.DataFrame) -> list[Finding]:
    """Return a finding for each bar or action that sources do not agree on.

    One that nobody has decided is an error, all others are warnings. The entry by which a person
    decided adds its reason (`tradewind.market.validation.accepted.Acceptance`).

    Parameters
    ----------
    said : DataFrame
        With the columns of `SCHEMA`.
    """
    key = ["symbol", "session", "rule"]
    ordered = said.sort(*key, "field", maintain_order=True)
    groups = groupby(ordered.iter_rows(named=True), lambda row: tuple(row[name] for name in key))
    findings: list[Finding] = []
    for _, rows in groups:
        if len(findings) == _MOST:
            more = ordered.select(key).unique().height - _MOST
            message = f"and {more} more bars that the sources do not agree on"
            findings.append(Finding("error", None, None, "quorum_price", more, message, more))
            break
        findings.append(told(rows))
    return findings


def told(rows: Iterable[dict[str, Any]]) -> Finding:
    """Return the finding of one bar or action, made of the rows about it."""
    rows = list(rows)
    first = rows[0]
    fields = {field: list(each) for field, each in groupby(rows, lambda row: str(row["field"]))}
    values = "; ".join(
        f"{field}: " + ", ".join(f"{row['source']} {_number(row['value'])}" for row in each)
        for field, each in fields.items()
    )
    decided = str(first["decided"])
    taken = sorted({str(row["source"]) for row in rows if row["taken"]})
    outcome = _NAMED.get(decided, f"rule {decided} decided")
    if taken and decided:
        outcome += f": {', '.join(taken)}"
    notes = sorted({str(row["note"]) for row in rows if row["note"]})
    severity: Severity = "warning" if decided else "error"
    return Finding(
        severity, first["symbol"], first["session"], first["rule"], values,
        "; ".join(["the sources do not agree", outcome, *notes]),
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "has none" if value is None else f"{value:.10g}"
