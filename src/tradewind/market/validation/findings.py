"""The findings of validation, one record for each defect."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

__all__ = ["AT_ONCE", "MOST", "Finding", "Severity", "Tally", "the_rest"]

Severity = Literal["error", "warning"]

MOST: Final = 1000
"""Findings of one kind that are told one by one; millions would fill memory and help nobody."""

AT_ONCE: Final = 20_000
"""Findings of one kind that a rule names of one part of the bars, if none can be accepted."""

_TOGETHER: Final = 20 * MOST


@dataclass(frozen=True)
class Finding:
    """One defect or oddity in bars.

    Attributes
    ----------
    severity : {"error", "warning"}
        An error stops any use of the bars; a warning is kept with the run.
    symbol, session
        Where; None when the finding concerns the frame as a whole.
    rule : str
        Short name of the rule, such as ``"ohlc_order"``.
    value : float, str or None
        The offending value.
    message : str
        What is wrong, in words.
    count : int
        Defects it stands for: more than one only where it stands for those beyond a thousand.
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
    """Return the one error that stands for those beyond `AT_ONCE`, or nothing if there are none."""
    beyond = count - AT_ONCE
    return [_more("error", rule, beyond)] if beyond > 0 else []


class Tally:
    """Collects findings, part by part of the bars, and reports `MOST` of each kind.

    The report does not depend on how the bars were cut into parts.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[int, str], list[Finding]] = {}
        self._beyond: dict[tuple[int, str], dict[Severity, int]] = {}

    def add(self, place: int, findings: Iterable[Finding]) -> None:
        """Take what a rule found in a part of the bars.

        Parameters
        ----------
        place : int
            Where the rule stands among the others.
        findings : iterable of Finding
        """
        touched = set()
        for finding in findings:
            key = (place, finding.rule)
            touched.add(key)
            if finding.symbol is None and finding.session is None:  # stands for many
                self._leave_out(key, finding)
                continue
            held = self._held.setdefault(key, [])
            held.append(finding)
            if len(held) >= _TOGETHER:  # so that millions are not kept only to be sorted
                self._cut(key)
        for key in touched:
            self._cut(key)

    def all(self) -> list[Finding]:
        """Return errors, then warnings; each by rule, symbol and session."""
        told = []
        for key in sorted(self._held):
            told += self._held[key]
            beyond = self._beyond.get(key, {})
            if beyond:
                severity: Severity = "error" if "error" in beyond else "warning"
                told.append(_more(severity, key[1], sum(beyond.values())))
        return sorted(told, key=lambda finding: finding.severity != "error")

    def has_errors(self) -> bool:
        """Whether any finding was an error."""
        held = any(one.severity == "error" for found in self._held.values() for one in found)
        return held or any("error" in beyond for beyond in self._beyond.values())

    def _cut(self, key: tuple[int, str]) -> None:
        held = sorted(self._held.get(key, ()), key=_order)
        self._held[key] = held[:MOST]
        for finding in held[MOST:]:
            self._leave_out(key, finding)

    def _leave_out(self, key: tuple[int, str], finding: Finding) -> None:
        beyond = self._beyond.setdefault(key, {})
        beyond[finding.severity] = beyond.get(finding.severity, 0) + finding.count


def _order(finding: Finding) -> tuple[bool, str, date]:
    return finding.severity != "error", finding.symbol or "", finding.session or date.min


def _more(severity: Severity, rule: str, count: int) -> Finding:
    message = f"and {count} more of the kind above"
    return Finding(severity, None, None, rule, count, message, count)
