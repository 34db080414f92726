"""Findings that somebody has looked into: validation takes them for errors, but they are real."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tradewind.market.sessions import Reason
from tradewind.market.spec_types import Day, SpecName
from tradewind.market.symbols import LONGEST
from tradewind.market.validation.findings import Finding

__all__ = ["ACCEPTABLE", "DECIDABLE", "NEVER", "Acceptance", "Accepted", "concerning"]

DECIDABLE: Final = frozenset({"quorum_action", "quorum_price", "quorum_session", "quorum_volume"})
"""Rules about what the sources of a quorum say differently: a person can say who is right."""

ACCEPTABLE: Final = frozenset(
    {
        "closes_only", "copied_symbol", "ended_early", "factor_step", "large_move",
        "missing_session", "ohlc_order", "outlier", "range", "repeated_bar", "split_ratio",
        "stale_close", "unadjusted_split", "unit_shift", "volume_jump", "zero_volume",
        *DECIDABLE,
    }
)  # fmt: skip
"""Rules about what is unlikely, and happens; and those about what sources say differently."""

NEVER: Final = frozenset(
    {
        "duplicate", "extra_session", "finite", "future_session", "magnitude", "non_negative",
        "null", "positive", "schema", "symbol_spelling", "unsorted",
    }
)  # fmt: skip
"""Rules about what cannot be: such bars could be neither stored nor computed with."""


_Name = Annotated[str, Field(min_length=1, max_length=LONGEST)]


class Accepted(BaseModel):
    """Findings that are known to be real: one, or all of a rule at some symbols and sessions.

    Attributes
    ----------
    symbol : str, optional
        One symbol; or `symbols`.
    symbols : tuple of str or "all", optional
        Several, or all that the source has.
    session : date, optional
        As the finding names it: the first of a run of sessions. Or `from_` and `to`.
    from_, to : date, optional
        Written ``from`` and ``to``: all sessions between them, both included.
    rule : str
        The finding's; one of `ACCEPTABLE`.
    take : str, optional
        Of a finding of a quorum: the source whose values hold.
    reason : str
        What happened; every report that shows the finding shows it, too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str | None = Field(default=None, min_length=1, max_length=LONGEST)
    symbols: Literal["all"] | tuple[_Name, ...] | None = None
    session: Day | None = None
    from_: Day | None = Field(default=None, alias="from")
    to: Day | None = None
    rule: str
    take: SpecName | None = None
    reason: Reason

    @field_validator("rule")
    @classmethod
    def _rule_can_be_accepted(cls, rule: str) -> str:
        if rule == "extra_session":
            raise ValueError(
                "'extra_session' cannot be accepted: a bar needs a session. If the exchange was "
                "open that day, say so once for all symbols: sessions: {open: [{days: "
                "2023-11-12, reason: what happened}]}"
            )
        if rule in NEVER:
            raise ValueError(
                f"{rule!r} cannot be accepted: such bars can be neither stored nor computed with; "
                "correct them"
            )
        if rule not in ACCEPTABLE:
            raise ValueError(
                f"no rule named {rule[:50]!r}; there are {', '.join(sorted(ACCEPTABLE))}"
            )
        return rule

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if (self.symbol is None) == (not self.symbols):
            raise ValueError("say either symbol: IBM, symbols: [IBM, MSFT] or symbols: all")
        if (self.session is None) == (self.from_ is None and self.to is None):
            raise ValueError("say either session: 2023-09-01, or from: and to:")
        if (self.from_ is None) != (self.to is None):
            raise ValueError("a range needs both from: and to:")
        if self.from_ and self.to and self.to < self.from_:
            raise ValueError(f"to ({self.to}) lies before from ({self.from_})")
        return self

    @model_validator(mode="after")
    def _says_who_is_right(self) -> Self:
        if (self.rule in DECIDABLE) != (self.take is not None):
            raise ValueError(
                f"say whose values hold: take: NAME, one of the sources under of, for {self.rule}"
                if self.take is None
                else f"take is for what the sources of a quorum say differently, not {self.rule}"
            )
        return self

    @property
    def is_broad(self) -> bool:
        """Whether it is about all symbols or a range, which a part of the bars need not show."""
        return self.symbols == "all" or self.from_ is not None

    @property
    def names(self) -> frozenset[str] | None:
        """The symbols it is about; None: all."""
        if self.symbol is not None:
            return frozenset({self.symbol})
        return None if self.symbols == "all" else frozenset(self.symbols or ())

    @property
    def first(self) -> date:
        """The first session it is about."""
        return self.session or self.from_ or date.min

    @property
    def last(self) -> date:
        """The last session it is about."""
        return self.session or self.to or date.max

    def accepts(self, finding: Finding) -> bool:
        """Whether a finding is one of those it is about."""
        return (
            finding.rule == self.rule
            and finding.symbol is not None
            and finding.session is not None
            and self.first <= finding.session <= self.last
            and (self.names is None or finding.symbol in self.names)
        )

    def __str__(self) -> str:
        named = self.symbol or (
            self.symbols if self.symbols == "all" else ", ".join(sorted(self.names or ()))
        )
        days = str(self.session) if self.session else f"{self.from_} to {self.to}"
        return f"{named} {days} {self.rule}"


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
    found = []
    for one in accepted:
        names = one.names
        if one.last < start or one.first > end or not (names is None or names & held):
            continue
        if names is not None and not names <= held:
            one = one.model_copy(  # noqa: PLW2901
                update={"symbol": None, "symbols": tuple(sorted(names & held))}
            )
        found.append(one)
    return tuple(found)


class Acceptance:
    """Applies entries to findings, part by part, and knows in the end which entries found nothing.

    Parameters
    ----------
    accepted : sequence of Accepted
    whole : bool
        Whether the findings are those of all of a source's bars. In a part of them, an entry about
        all symbols or a range of sessions may find nothing.
    """

    def __init__(self, accepted: Sequence[Accepted], *, whole: bool = False) -> None:
        self._accepted = accepted
        self._whole = whole
        self._used: set[int] = set()
        self._at: dict[tuple[str, date, str], list[int]] = {}
        self._broad: list[int] = []
        for number, entry in enumerate(accepted):
            if entry.session is None or entry.names is None:
                self._broad.append(number)
                continue
            for symbol in entry.names:
                self._at.setdefault((symbol, entry.session, entry.rule), []).append(number)

    def apply(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield findings, those that are accepted as warnings that carry the reason."""
        return map(self._told, findings)

    def useless(self) -> list[Finding]:
        """Return a warning of the rule ``accepted`` for each entry that accepted nothing.

        Either the bars were corrected since, or the entry was mistyped. One day it would hide an
        error.
        """
        # In a part of the bars, the other symbol or the session before may be missing.
        advice = (
            "is there to accept ({}); take the entry out of the source's file, or correct it"
            if self._whole
            else "is in these bars ({}), which are a part of the source's; `tradewind data "
            "validate` of all of it tells whether the entry is useless"
        )
        return [
            Finding(
                "warning",
                entry.symbol,
                entry.first,
                "accepted",
                entry.rule,
                f"nothing of the kind {advice.format(entry.reason)}",
            )
            for number, entry in enumerate(self._accepted)
            if number not in self._used and (self._whole or not entry.is_broad)
        ]

    def _told(self, finding: Finding) -> Finding:
        if finding.symbol is None or finding.session is None:
            return finding
        numbers = [*self._at.get((finding.symbol, finding.session, finding.rule), ())]
        numbers += [one for one in self._broad if self._accepted[one].accepts(finding)]
        if not numbers:
            return finding
        self._used.update(numbers)
        message = f"{finding.message}; accepted: {self._accepted[numbers[0]].reason}"
        return replace(finding, severity="warning", message=message)
