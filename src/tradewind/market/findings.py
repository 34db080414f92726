"""What validation found, one record a defect."""

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

__all__ = ["MOST", "Finding", "Severity", "shortened", "the_rest"]

Severity = Literal["error", "warning"]

MOST: Final = 1000
"""Findings of one kind that are told one by one; millions would fill memory and help nobody."""


@dataclass(frozen=True)
class Finding:
    """One defect or oddity in bars.

    Attributes
    ----------
    severity : {"error", "warning"}
        An error stops whatever would use the bars; a warning is kept with the run.
    symbol, session
        Where; None when the finding concerns the frame as a whole.
    rule : str
        Short name of the rule, such as ``"ohlc_order"``.
    value : float, str or None
        The offending value.
    message : str
        What is wrong, in words.
    count : int
        Defects it stands for: more than one where it is the last of a thousand and more.
    """

    severity: Severity
    symbol: str | None
    session: date | None
    rule: str
    value: float | str | None
    message: str
    count: int = 1

    def __str__(self) -> str:
        where = " ".join(str(part) for part in (self.symbol, self.session) if part is not None)
        return f"{where or 'bars'}: {self.rule} ({self.value}): {self.message}"


def the_rest(rule: str, count: int) -> list[Finding]:
    """Return the one error that stands for those beyond `MOST`, or nothing if there are none."""
    beyond = count - MOST
    if beyond <= 0:
        return []
    return [_more("error", rule, beyond)]


def shortened(findings: list[Finding]) -> list[Finding]:
    """Return the findings of one rule, errors first, with one in place of those beyond `MOST`."""
    if len(findings) <= MOST:
        return findings
    ordered = sorted(findings, key=lambda finding: finding.severity != "error")
    first = ordered[MOST]  # of those left out; if it is no error, none of them is
    beyond = len(findings) - MOST
    return [*ordered[:MOST], _more(first.severity, first.rule, beyond)]


def _more(severity: Severity, rule: str, count: int) -> Finding:
    message = f"and {count} more of the kind above"
    return Finding(severity, None, None, rule, count, message, count)
