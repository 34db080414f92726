"""Runs every rule on bars, before anything is stored."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, Self

import polars as pl

from tradewind.errors import BarValidationError
from tradewind.market.bars import KEY, PRICES
from tradewind.market.sessions import SessionCalendar
from tradewind.market.validation._copies import Copies
from tradewind.market.validation.accepted import (
    ACCEPTABLE,
    DECIDABLE,
    Acceptance,
    Accepted,
)
from tradewind.market.validation.action_rules import factor_findings, gap_findings
from tradewind.market.validation.closes_rules import closes_findings
from tradewind.market.validation.findings import Finding, Tally
from tradewind.market.validation.price_rules import (
    move_findings,
    ohlc_findings,
    outlier_findings,
    range_findings,
)
from tradewind.market.validation.schema_rules import column_findings, value_findings
from tradewind.market.validation.session_rules import (
    Ends,
    calendar_findings,
    exception_findings,
    future_findings,
    order_findings,
)
from tradewind.market.validation.stale_rules import (
    repeat_findings,
    stale_findings,
    volume_findings,
)
from tradewind.market.validation.symbol_rules import copy_findings, spelling_findings

__all__ = ["Examination", "check", "refuse_errors", "validate"]

_SHOWN: Final = 10
_CHUNK: Final = 250_000
# Where the rules stand in a report; those about one symbol follow.
_VALUE, _SPELLING, _ORDER, _FUTURE, _CALENDAR, _COPIES, _ENDS, _NOTED, _SYMBOL = range(9)
_FACTORS: Final = ("split_factor", "adjustment_factor")


# Each looks at one symbol by itself, so that the symbols can be checked part by part.
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


class Examination:
    """Checks bars by every rule, part by part, so that memory does not grow with their number.

    Its findings do not depend on how the bars are cut into parts.

    Parameters
    ----------
    calendar : str or SessionCalendar
        Exchange calendar that the sessions are held against, such as ``"XNYS"``, or a source's.
    known_at : datetime, optional
        When the bars were obtained, with a time zone: a session that closed later is an error. Not
        checked if not given.
    accepted : sequence of Accepted
        Findings that are known to be real: they become warnings with the reason. An entry without a
        finding is a warning of the rule ``accepted``; see
        `tradewind.market.validation.accepted.concerning` for a part of a source's bars.
    whole : bool
        Whether all bars of a source will be added. In a part of them, an entry in `accepted` about
        all symbols or a range of sessions need not find anything.
    """

    def __init__(
        self,
        calendar: str | SessionCalendar,
        *,
        known_at: datetime | None = None,
        accepted: Sequence[Accepted] = (),
        whole: bool = False,
    ) -> None:
        self._calendar = SessionCalendar.of(calendar)
        self._known_at = known_at
        self._acceptance = Acceptance(accepted, whole=whole)
        self._tally = Tally()
        self._schema: dict[str, Finding] = {}  # by message, for each part gives the same ones
        self._symbols: set[str] = set()
        self._copies, self._ends = Copies(), Ends()

    def add(self, bars: pl.DataFrame) -> None:
        """Check a part of the bars.

        Parameters
        ----------
        bars : DataFrame
            What should be bars as in `tradewind.market.bars`: all of symbols that were not added
            before.

        Raises
        ------
        MarketDataError
            If there is no such calendar, or it does not know the days of the bars.
        """
        wrong = column_findings(bars)
        if wrong:
            self._schema.update({str(finding): finding for finding in wrong})
            return
        self._symbols.update(bars.get_column("symbol").drop_nulls().unique())
        disorder = order_findings(bars)
        self._count(_VALUE, value_findings(bars))
        self._count(_ORDER, disorder)
        if self._known_at:
            self._count(_FUTURE, future_findings(bars, self._calendar, self._known_at))
        self._count(_CALENDAR, calendar_findings(bars, self._calendar))
        # The remaining rules compare prices, so they look at sorted, distinct, complete bars.
        neighbours = _complete(_put_in_order(bars) if disorder else bars)
        self._copies.add(neighbours)
        self._ends.add(neighbours)
        for part in _by_symbols(neighbours):
            for number, rule in enumerate(_SYMBOL_RULES):
                self._count(_SYMBOL + number, rule(part))

    def note(self, findings: Iterable[Finding]) -> None:
        """Take what somebody else found about the bars, so that it can be accepted like the rest.

        Parameters
        ----------
        findings : iterable of Finding
        """
        self._count(_NOTED, findings)

    @property
    def has_errors(self) -> bool:
        """Whether any finding so far is an error."""
        return bool(self._schema) or self._tally.has_errors()

    def findings(self) -> list[Finding]:
        """Return the findings, once all bars were added.

        Returns
        -------
        list of Finding
            Errors first, then warnings; each by rule, symbol and session. Beyond a thousand of a
            kind, one finding without symbol and session stands for the rest. When columns are
            missing or of the wrong type, nothing else can be checked and only that is listed.

        """
        if self._schema:
            return list(self._schema.values())
        self._count(_SPELLING, spelling_findings(self._symbols))
        self._count(_COPIES, copy_findings(self._copies))
        self._count(_ENDS, self._ends.findings())
        useless = exception_findings(self._calendar) + self._acceptance.useless()
        return self._tally.all() + useless

    def close(self) -> None:
        """Free the disk space that comparing symbols took."""
        self._copies.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _count(self, place: int, findings: Iterable[Finding]) -> None:
        self._tally.add(place, self._acceptance.apply(findings))


def validate(
    bars: pl.DataFrame,
    calendar: str | SessionCalendar,
    *,
    known_at: datetime | None = None,
    accepted: Sequence[Accepted] = (),
    noted: Iterable[Finding] = (),
) -> list[Finding]:
    """Return everything that is wrong or odd about bars.

    Parameters
    ----------
    bars : DataFrame
        What should be bars as in `tradewind.market.bars`.
    calendar, known_at, accepted
        As for `Examination`.
    noted : iterable of Finding
        As for `Examination.note`.

    Returns
    -------
    list of Finding
        As of `Examination.findings`.

    Raises
    ------
    MarketDataError
        If there is no such calendar, it does not know the days, or `known_at` has no time zone.
    """
    with Examination(calendar, known_at=known_at, accepted=accepted) as examination:
        examination.add(bars)
        examination.note(noted)
        return examination.findings()


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
    calendar: str | SessionCalendar,
    *,
    known_at: datetime | None = None,
    accepted: Sequence[Accepted] = (),
    noted: Iterable[Finding] = (),
) -> list[Finding]:
    """Return the warnings about bars, or refuse bars that have errors.

    Parameters
    ----------
    bars : DataFrame
        What should be bars as in `tradewind.market.bars`.
    calendar, known_at, accepted
        As for `Examination`.
    noted : iterable of Finding
        As for `Examination.note`.

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
    return refuse_errors(
        validate(bars, calendar, known_at=known_at, accepted=accepted, noted=noted)
    )


def refuse_errors(findings: list[Finding]) -> list[Finding]:
    """Return findings if all are warnings.

    Raises
    ------
    BarValidationError
        If any is an error; the message lists the first ten.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        count = sum(finding.count for finding in errors)
        listed = "".join(f"\n  {finding}" for finding in errors[:_SHOWN])
        beyond = sum(finding.count for finding in errors[_SHOWN:])
        more = f"\n  and {beyond} more" if beyond else ""
        raise BarValidationError(f"{count} errors in the bars:{listed}{more}{_way_out(errors)}")
    return findings


def _way_out(errors: Sequence[Finding]) -> str:
    """Return how to accept the first error that can be accepted; empty if all must be corrected."""
    for error in errors:
        if error.rule == "missing_session" and error.session is not None:
            return (
                "\nCorrect them at the source. If the exchange was closed, its calendar can be put "
                "right once for all symbols in the source's file:\n  sessions: {closed: [{days: "
                f"{error.session}, reason: what happened}}]}}"
            )
        if error.rule in ACCEPTABLE and error.symbol is not None and error.session is not None:
            take = "take: who is right, " if error.rule in DECIDABLE else ""
            return (
                "\nCorrect them at the source. What really happened can be accepted in the "
                f"source's file:\n  accept: [{{symbol: {error.symbol}, session: {error.session}, "
                f"rule: {error.rule}, {take}reason: what happened}}]"
            )
    return ""
