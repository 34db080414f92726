"""Whether bars can be trusted: every rule, run in one go before anything is stored."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import polars as pl

from tradewind.errors import BarValidationError
from tradewind.market.accepted import ACCEPTABLE, Accepted, apply_accepted
from tradewind.market.action_rules import factor_findings, gap_findings
from tradewind.market.bars import KEY, PRICES
from tradewind.market.closes_rules import closes_findings
from tradewind.market.findings import Finding, shortened
from tradewind.market.price_rules import (
    move_findings,
    ohlc_findings,
    outlier_findings,
    range_findings,
)
from tradewind.market.schema_rules import column_findings, value_findings
from tradewind.market.session_rules import (
    calendar_findings,
    end_findings,
    future_findings,
    order_findings,
)
from tradewind.market.stale_rules import repeat_findings, stale_findings, volume_findings
from tradewind.market.symbol_rules import copy_findings, spelling_findings

__all__ = ["check", "validate"]

_SHOWN: Final = 10
_CHUNK: Final = 250_000
_FACTORS: Final = ("split_factor", "adjustment_factor")


# Each looks at one symbol by itself, so that a part of the symbols at a time bounds the memory.
_SYMBOL_RULES: Final[tuple[Callable[[pl.DataFrame], list[Finding]], ...]] = (
    closes_findings,
    ohlc_findings,
    range_findings,
    gap_findings,
    factor_findings,
    repeat_findings,
    stale_findings,
    move_findings,
    outlier_findings,
    volume_findings,
)


def validate(
    bars: pl.DataFrame,
    calendar: str,
    *,
    known_at: datetime | None = None,
    accepted: Sequence[Accepted] = (),
) -> list[Finding]:
    """Return everything that is wrong or odd about bars.

    Parameters
    ----------
    bars : DataFrame
        What should be bars as in `tradewind.market.bars`.
    calendar : str
        Exchange calendar that the sessions are held against, such as ``"XNYS"``.
    known_at : datetime, optional
        When the bars were obtained, with a time zone: no session that closed later can be among
        them. Without it that is not checked.
    accepted : sequence of Accepted
        Findings that are known to be real: they become warnings with the reason. One that is not
        found is a warning of the rule ``accepted``; see
        `tradewind.market.accepted.concerning` for a part of a source's bars.

    Returns
    -------
    list of Finding
        Errors first, then warnings; each by rule, symbol and session. Beyond a thousand of a kind,
        one finding without symbol and session stands for the rest. When columns are
        missing or of the wrong type, nothing else can be checked and only that is listed.

    Raises
    ------
    MarketDataError
        If there is no such calendar, it does not cover the bars, or `known_at` has no time zone.
    """
    findings = column_findings(bars)
    if findings:
        return findings
    disorder = order_findings(bars)
    findings = value_findings(bars) + spelling_findings(bars) + disorder
    findings += future_findings(bars, calendar, known_at) if known_at else []
    findings += calendar_findings(bars, calendar)
    # The remaining rules compare prices, so they look at sorted, distinct, complete bars.
    neighbours = _complete(_put_in_order(bars) if disorder else bars)
    findings += copy_findings(neighbours) + end_findings(neighbours)
    chunks = _by_symbols(neighbours)
    for rule in _SYMBOL_RULES:
        findings += shortened([one for chunk in chunks for one in rule(chunk)])
    findings = apply_accepted(findings, accepted)
    return sorted(findings, key=lambda finding: finding.severity != "error")


def _put_in_order(bars: pl.DataFrame) -> pl.DataFrame:
    """Sort bars, and keep the first where one is repeated."""
    ordered = bars.sort(KEY, maintain_order=True)
    symbol, session = pl.col("symbol"), pl.col("session")
    again = (symbol == symbol.shift(1)) & (session == session.shift(1))
    return ordered.filter(~again.fill_null(value=False))


def _complete(bars: pl.DataFrame) -> pl.DataFrame:
    """Leave out bars with values that are missing, not finite or out of range."""
    numbers = pl.col(*PRICES, *_FACTORS)
    return bars.filter(
        pl.all_horizontal(pl.col(*KEY).is_not_null()),
        pl.all_horizontal(numbers.is_finite() & (numbers > 0.0)),
        pl.col("volume") >= 0,
    )


def _by_symbols(bars: pl.DataFrame) -> list[pl.DataFrame]:
    """Cut sorted bars into views of some symbols each, of about `_CHUNK` rows or one symbol."""
    lengths = bars.group_by("symbol", maintain_order=True).len().get_column("len")
    chunks, start, held = [], 0, 0
    for length in lengths:
        if held and held + length > _CHUNK:
            chunks.append(bars.slice(start, held))
            start, held = start + held, 0
        held += length
    return [*chunks, bars.slice(start)] if held else chunks


def check(
    bars: pl.DataFrame,
    calendar: str,
    *,
    known_at: datetime | None = None,
    accepted: Sequence[Accepted] = (),
) -> list[Finding]:
    """Return the warnings about bars, or refuse bars that have errors.

    Parameters
    ----------
    bars : DataFrame
        What should be bars as in `tradewind.market.bars`.
    calendar : str
        Exchange calendar that the sessions are held against, such as ``"XNYS"``.
    known_at : datetime, optional
    accepted : sequence of Accepted
        As for `validate`.

    Returns
    -------
    list of Finding
        Warnings only.

    Raises
    ------
    BarValidationError
        If any rule finds an error; the message lists the first ten.
    MarketDataError
        As for `validate`.
    """
    findings = validate(bars, calendar, known_at=known_at, accepted=accepted)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        count = sum(finding.count for finding in errors)
        listed = "".join(f"\n  {finding}" for finding in errors[:_SHOWN])
        more = f"\n  and {count - _SHOWN} more" if count > _SHOWN else ""
        raise BarValidationError(f"{count} errors in the bars:{listed}{more}{_way_out(errors)}")
    return findings


def _way_out(errors: Sequence[Finding]) -> str:
    """Return how to accept the first error that may be, or nothing if all must be corrected."""
    for error in errors:
        if error.rule in ACCEPTABLE and error.symbol is not None and error.session is not None:
            return (
                "\nCorrect them at the source. What really happened can be accepted in the "
                f"source's file:\n  accept: [{{symbol: {error.symbol}, session: {error.session}, "
                f"rule: {error.rule}, reason: what happened}}]"
            )
    return ""
