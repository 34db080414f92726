"""Whether bars can be trusted: every rule, run in one go before anything is stored."""

import polars as pl

from tradewind.errors import BarValidationError
from tradewind.market.bars import KEY, PRICES
from tradewind.market.findings import Finding
from tradewind.market.price_rules import large_move_findings, ohlc_findings, split_findings
from tradewind.market.schema_rules import column_findings, value_findings
from tradewind.market.session_rules import calendar_findings, order_findings

__all__ = ["check", "validate"]

_SHOWN = 10


def validate(bars: pl.DataFrame, calendar: str) -> list[Finding]:
    """Return everything that is wrong or odd about bars.

    Parameters
    ----------
    bars : DataFrame
        What should be bars as in `tradewind.market.bars`.
    calendar : str
        Exchange calendar that the sessions are held against, such as ``"XNYS"``.

    Returns
    -------
    list of Finding
        Errors first, then warnings; each by rule, symbol and session. When columns are
        missing or of the wrong type, nothing else can be checked and only that is listed.

    Raises
    ------
    MarketDataError
        If there is no such calendar.
    """
    findings = column_findings(bars)
    if findings:
        return findings
    findings = value_findings(bars) + order_findings(bars) + calendar_findings(bars, calendar)
    # The remaining rules compare prices, so they look at sorted, distinct, complete bars.
    priced = (
        bars.drop_nulls()
        .drop_nans()
        .filter(pl.all_horizontal(pl.col(*PRICES) > 0.0), pl.col("volume") >= 0)
    )
    neighbours = priced.unique(KEY, keep="first").sort(KEY)
    findings += ohlc_findings(neighbours) + split_findings(neighbours)
    findings += large_move_findings(neighbours)
    return sorted(findings, key=lambda finding: finding.severity != "error")


def check(bars: pl.DataFrame, calendar: str) -> list[Finding]:
    """Return the warnings about bars, or refuse bars that have errors.

    Parameters
    ----------
    bars : DataFrame
        What should be bars as in `tradewind.market.bars`.
    calendar : str
        Exchange calendar that the sessions are held against, such as ``"XNYS"``.

    Returns
    -------
    list of Finding
        Warnings only.

    Raises
    ------
    BarValidationError
        If any rule finds an error; the message lists the first ten.
    MarketDataError
        If there is no such calendar.
    """
    findings = validate(bars, calendar)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        listed = "".join(f"\n  {finding}" for finding in errors[:_SHOWN])
        more = f"\n  and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        raise BarValidationError(f"{len(errors)} errors in the bars:{listed}{more}")
    return findings
