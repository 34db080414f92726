"""Oddities that somebody has looked into: validation takes them for errors, and they are real."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from tradewind.market.findings import Finding

__all__ = ["ACCEPTABLE", "NEVER", "Accepted", "apply_accepted", "concerning"]

ACCEPTABLE: Final = frozenset(
    {
        "closes_only", "copied_symbol", "ended_early", "factor_step", "large_move",
        "missing_session", "ohlc_order", "outlier", "range", "repeated_bar", "split_ratio",
        "stale_close", "unadjusted_split", "unit_shift", "volume_jump", "zero_volume",
    }
)  # fmt: skip
"""Rules about what is unlikely, and happens."""

NEVER: Final = frozenset(
    {
        "duplicate", "extra_session", "finite", "future_session", "non_negative", "null",
        "positive", "schema", "symbol_spelling", "unsorted",
    }
)  # fmt: skip
"""Rules about what cannot be: such bars could be neither stored nor computed with."""

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Accepted(BaseModel):
    """One finding that is known to be real.

    Attributes
    ----------
    symbol : str
    session : date
        Both as the finding names them: of a run of sessions, the first.
    rule : str
        The finding's; one of `ACCEPTABLE`.
    reason : str
        What happened; it stands in every report that shows the finding.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str = Field(min_length=1)
    session: date
    rule: str
    reason: _Text

    @field_validator("rule")
    @classmethod
    def _rule_can_be_accepted(cls, rule: str) -> str:
        if rule in NEVER:
            raise ValueError(
                f"{rule!r} cannot be accepted: such bars can be neither stored nor computed with; "
                "correct them"
            )
        if rule not in ACCEPTABLE:
            raise ValueError(f"no rule named {rule!r}; there are {', '.join(sorted(ACCEPTABLE))}")
        return rule

    @property
    def place(self) -> tuple[str, date, str]:
        """What a finding must have in common with it."""
        return self.symbol, self.session, self.rule


def concerning(
    accepted: Iterable[Accepted],
    symbols: Iterable[str],
    *,
    start: date = date.min,
    end: date = date.max,
) -> tuple[Accepted, ...]:
    """Return those entries that a part of a source's bars could show.

    Parameters
    ----------
    accepted : iterable of Accepted
        Of the whole source.
    symbols : iterable of str
        Of the bars at hand.
    start, end : date
        Their first and last session.
    """
    held = frozenset(symbols)
    return tuple(one for one in accepted if one.symbol in held and start <= one.session <= end)


def apply_accepted(findings: Iterable[Finding], accepted: Sequence[Accepted]) -> list[Finding]:
    """Return findings with those that are accepted as warnings that carry the reason.

    An entry that accepts nothing becomes a warning of the rule ``accepted``: the bars were
    corrected since, or it was mistyped, and one day it would hide something else.
    """
    reasons = {entry.place: entry.reason for entry in accepted}
    used: set[tuple[str | None, date | None, str]] = set()
    told = []
    for finding in findings:
        place = (finding.symbol, finding.session, finding.rule)
        reason = reasons.get(place)  # type: ignore[arg-type]  # what has no place is not in there
        if reason is not None:
            used.add(place)
            message = f"{finding.message}; accepted: {reason}"
            finding = replace(finding, severity="warning", message=message)  # noqa: PLW2901
        told.append(finding)
    return told + [
        Finding(
            "warning",
            entry.symbol,
            entry.session,
            "accepted",
            entry.rule,
            f"nothing of the kind is there to accept ({entry.reason}); take the entry out of the "
            "source's file, or correct it",
        )
        for entry in accepted
        if entry.place not in used
    ]
