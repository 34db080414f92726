"""Two or more sources held against each other, bar by bar and action by action, as one source.

Its file names other sources of the workspace. What they agree on is handed out. What they do not
agree on is a finding with what each of them says; a rule or a person decides, or the symbol stops
(`tradewind.market.sources.agreement`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from tradewind.errors import PartialSourceError, SourceError
from tradewind.market.bars import SCHEMA
from tradewind.market.calendar import latest_possible_session
from tradewind.market.sources._quorum_members import Member, members_of
from tradewind.market.sources.agreement import Tolerance, agree
from tradewind.market.sources.offers import Compared, OffersStatus, Promise
from tradewind.market.sources.quorum_options import QuorumOptions
from tradewind.market.sources.source import SourceSpec
from tradewind.market.validation import disagreements
from tradewind.market.validation.accepted import DECIDABLE
from tradewind.market.validation.findings import Finding
from tradewind.market.validation.schema_rules import column_findings, value_findings
from tradewind.market.validation.session_rules import order_findings

__all__ = ["Quorum"]

_TOLD: Final = 300  # characters of why a source gave nothing, in a finding


@dataclass(frozen=True)
class _Given:
    """What a source gave: bars, why it gave none of others, and when to ask again."""

    bars: pl.DataFrame
    failed: Mapping[str, str]
    again_at: datetime | None = None


class Quorum:
    """Other sources of the workspace as one, of which each bar is held against the others'.

    Raises
    ------
    SourceError
        If a source is missing or cannot be opened, or the sources cannot be compared: each message
        names the two and what differs.
    """

    Options = QuorumOptions

    def __init__(
        self,
        spec: SourceSpec,
        base_dir: Path,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options = QuorumOptions.model_validate(dict(spec.options))
        self._spec = spec
        self._now = now
        self._where = f"source {spec.name!r} (quorum)"
        self._members = members_of(spec, base_dir, self._options.of, self._where)
        self._refuse_unknown_decisions()

    @property
    def promise(self) -> Promise:
        """What all of the sources promise together."""
        promises = [each.promise for each in self._members.values()]
        return Promise(
            prices=promises[0].prices,
            point_in_time=all(each.point_in_time for each in promises),
            complete_after=max(each.wait for each in self._members.values()),
            overlap=max(each.overlap for each in promises),
            quota="; ".join(
                f"{name}: {each.promise.quota}"
                for name, each in self._members.items()
                if each.promise.quota
            ),
            dividends=any(each.dividends for each in promises),
            closes_only=promises[0].closes_only,
        )

    @property
    def at_least(self) -> int:
        """Sources that must have a bar."""
        return self._options.at_least or len(self._members)

    def symbols(self) -> tuple[str, ...]:
        """Return every symbol that any of the sources has, sorted.

        One that too few of them have is named when its bars are asked for.

        Raises
        ------
        SourceError
            If none of them can be read.
        """
        found, unread = self._listed()
        if unread is not None and not found:
            raise unread
        return tuple(sorted(found))

    def load(self, symbols: Sequence[str], since: Mapping[str, date] | None = None) -> pl.DataFrame:
        """Return the bars of some symbols that everything is decided of.

        See `tradewind.market.sources.offers.IncrementalSource.load`.

        Raises
        ------
        PartialSourceError
            If too few sources can give some of the symbols, or nobody has decided what they say
            differently. It has the bars of all others.
        SourceError
            If no source has one of the symbols, or none of them can be read.
        """
        found = self.compare(symbols, since)
        missing = {**found.failed, **found.stopped}
        if missing:
            raise PartialSourceError(
                self._spec.name, missing, bars=found.bars, again_at=found.again_at
            )
        return found.bars

    def compare(self, symbols: Sequence[str], since: Mapping[str, date] | None = None) -> Compared:
        """Ask each source for some symbols, and hold what they give against each other.

        See `tradewind.market.sources.offers.ComparesSources.compare`.

        Raises
        ------
        SourceError
            If no source has one of the symbols.
        """
        wanted = sorted(set(symbols))
        listed, unread = self._listed()
        unknown = sorted(set(wanted) - listed)
        if unknown and unread is None:  # else each symbol is told of with the reason
            raise SourceError(
                f"{self._where}: none of {', '.join(self._members)} has {', '.join(unknown[:10])}; "
                "list the symbols in their files, or correct them"
            )
        begins = {one: day for one, day in (since or {}).items() if one in wanted}
        given = {name: self._asked(each, wanted, begins) for name, each in self._members.items()}
        has = {name: set(each.bars.get_column("symbol").unique()) for name, each in given.items()}
        counts = {one: sum(one in each for each in has.values()) for one in wanted}
        failed = {
            one: self._too_few(one, given, has) for one in wanted if counts[one] < self.at_least
        }
        enough = [one for one in wanted if one not in failed]
        frames = {
            name: each.bars.filter(pl.col("symbol").is_in(enough)) for name, each in given.items()
        }
        again = [each.again_at for each in given.values() if each.again_at is not None]
        again_at = max(again, default=None)
        if not enough:
            nothing = pl.DataFrame(schema=disagreements.SCHEMA)
            return Compared(pl.DataFrame(schema=SCHEMA), nothing, {}, failed, again_at)
        agreed = agree(
            frames,
            rule=self._options.rule,
            at_least=self.at_least,
            tolerance=Tolerance(**self._options.tolerance.model_dump()),
            accepted=self._spec.accept,
            no_dividends=frozenset(
                name for name, each in self._members.items() if not each.promise.dividends
            ),
            going_on=frozenset(begins),
        )
        absent = self._absent(agreed.bars, given, has)
        said = pl.concat([agreed.said, absent])
        return Compared(agreed.bars, said, self._undecided(agreed.said), failed, again_at)

    def status(self) -> str:
        """Ask each source that can be asked.

        Raises
        ------
        SourceError
            If one of them would not answer.
        """
        return "; ".join(
            f"{name}: {each.source.status()}"
            for name, each in self._members.items()
            if isinstance(each.source, OffersStatus)
        )

    def _listed(self) -> tuple[set[str], SourceError | None]:
        """Return the symbols of all sources, and why the last of some could not tell its own."""
        found, unread = set[str](), None
        for each in self._members.values():
            try:
                found |= set(each.source.symbols())
            except SourceError as error:
                unread = error
        return found, unread

    def _refuse_unknown_decisions(self) -> None:
        for entry in self._spec.accept:
            if entry.take is not None and entry.take not in self._members:
                raise SourceError(
                    f"{self._where}: accept: {entry}: take: {entry.take} is none of "
                    f"{', '.join(self._members)}"
                )

    def _asked(self, member: Member, wanted: Sequence[str], begins: Mapping[str, date]) -> _Given:
        """Return the sound and complete bars that a source gives of some symbols."""
        nothing = pl.DataFrame(schema=SCHEMA)
        try:
            listed = set(member.source.symbols())
        except SourceError as error:
            return _Given(nothing, dict.fromkeys(wanted, str(error)))
        asked = [one for one in wanted if one in listed]
        failed = {one: "does not list it" for one in wanted if one not in listed}
        if not asked:
            return _Given(nothing, failed)
        again_at = None
        try:
            bars = member.load(asked, begins)
        except PartialSourceError as error:
            bars = nothing if error.bars is None else error.bars
            again_at = error.again_at
            failed |= error.failed
        except SourceError as error:
            return _Given(nothing, failed | dict.fromkeys(asked, str(error)))
        if wrong := column_findings(bars):
            return _Given(nothing, failed | dict.fromkeys(asked, str(wrong[0])))
        bars = self._complete(bars.filter(pl.col("symbol").is_in(asked)))
        for finding in (*value_findings(bars), *order_findings(bars)):
            if finding.severity == "error":
                for one in asked if finding.symbol is None else [finding.symbol]:
                    failed.setdefault(one, str(finding))
        bars = bars.filter(~pl.col("symbol").is_in(list(failed)))
        held = set(bars.get_column("symbol").unique())
        for one in asked:
            if one not in held:
                failed.setdefault(one, "gave no complete bar, and no reason")
        return _Given(bars.select(SCHEMA.names()), failed, again_at)

    def _complete(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Leave out sessions that not all of the sources call complete; see `complete_bars`."""
        now = self._now()
        last = latest_possible_session(
            self._spec.session_calendar, now - self.promise.complete_after
        )
        tomorrow = now.date() + timedelta(days=1)
        return bars.filter((pl.col("session") <= last) | (pl.col("session") > tomorrow))

    def _too_few(
        self, symbol: str, given: Mapping[str, _Given], has: Mapping[str, set[str]]
    ) -> str:
        there = [name for name in has if symbol in has[name]]
        absent = "; ".join(
            f"{name}: {given[name].failed[symbol]}" for name in has if name not in there
        )
        return (
            f"{len(there)} of {len(has)} sources could give it, and {self.at_least} must: "
            f"{absent}. Ask again once they can, or let fewer do with options.at_least"
        )

    def _absent(
        self, bars: pl.DataFrame, given: Mapping[str, _Given], has: Mapping[str, set[str]]
    ) -> pl.DataFrame:
        """Return a row for each source that the others went on without, at a symbol's last bar."""
        last = dict(bars.group_by("symbol").agg(pl.max("session")).iter_rows())
        rows = [
            (symbol, session, disagreements.MISSING, "bars", name, None, False, "at_least",
             f"{name}: {given[name].failed[symbol][:_TOLD]}")
            for symbol, session in sorted(last.items())
            for name in given
            if symbol not in has[name]
        ]  # fmt: skip
        return pl.DataFrame(rows, schema=disagreements.SCHEMA, orient="row")

    def _undecided(self, said: pl.DataFrame) -> dict[str, str]:
        """Return, by symbol, the first of what nobody has decided, and how to decide."""
        open_ = said.filter(pl.col("decided") == "")
        stopped: dict[str, str] = {}
        for _, rows in open_.group_by("symbol", maintain_order=True):
            found = disagreements.findings_of(rows)
            first = min(found, key=lambda each: each.session or date.max)
            more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
            stopped[str(first.symbol)] = f"{first}{more}.{self._way_out(first.rule, first)}"
        return stopped

    def _way_out(self, rule: str, finding: Finding) -> str:
        if rule not in DECIDABLE:
            return ""
        names = " or ".join(self._members)
        later = "Ask again once all have the bar. Or see" if rule == "quorum_session" else "See"
        return (
            f" {later} who is right, and write into {self._spec.name}.yaml: accept: [{{symbol: "
            f"{finding.symbol}, session: {finding.session}, rule: {rule}, take: {names}, reason: "
            "what happened}]"
        )
