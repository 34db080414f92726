"""Bars of Massive, which was Polygon: raw daily prices, and corporate actions beside them.

Its interface (https://massive.com/docs) hands out the history of one symbol in an answer, or one
day of all symbols. A refresh of many symbols asks for days, and the first load for symbols. Factors
are computed here from splits and dividends, by the method of CRSP.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Final, Literal
from urllib.parse import quote

import polars as pl
from pydantic import Field

from tradewind.errors import SourceError, VendorError
from tradewind.market import actions
from tradewind.market.bars import PRICES
from tradewind.market.calendar import latest_possible_session, sessions_between
from tradewind.market.sources.listed import ListedSource
from tradewind.market.sources.massive_actions import (
    delisted_on,
    names_of,
    told_of,
    valued,
)
from tradewind.market.sources.massive_answers import BARS, DAY, TICKERS, Bar, address_of
from tradewind.market.sources.offers import Promise
from tradewind.market.sources.source import SourceSpec
from tradewind.market.sources.vendor import Vendor
from tradewind.market.sources.vendor_bars import (
    Unread,
    VendorOptions,
    refuse_disorder,
    with_actions,
)
from tradewind.market.sources.vendor_connection import Connection
from tradewind.market.sources.vendor_tries import Fetched
from tradewind.market.spec_types import Day

__all__ = ["Massive", "MassiveOptions"]

log = logging.getLogger(__name__)

_A_MINUTE: Final = timedelta(minutes=1)
_KEPT: Final = 3600.0  # seconds: a day's answer serves all chunks of one ingestion
_MOST_BARS: Final = "50000"  # of a page
_MOST_TICKERS: Final = "1000"

_PROMISE: Final = Promise(
    prices="raw",
    point_in_time=False,
    complete_after=timedelta(hours=7),  # late reports of the tape come until 20:00 in New York
    overlap=30,
    quota="requests a minute by the account's plan",
)
_RAW: Final = pl.Schema(
    {
        "symbol": pl.String(),
        "session": pl.Date(),
        **dict.fromkeys(PRICES, pl.Float64()),
        "volume": pl.Int64(),
    }
)


class MassiveOptions(VendorOptions):
    """What a source of kind ``massive`` asks for."""

    start: Day = date(2003, 9, 10)
    earlier_bars: Literal["leave_out", "keep"] = "leave_out"
    base_url: str = Field(default="https://api.massive.com", min_length=1, max_length=1000)


class Massive(ListedSource):
    """Massive's aggregates of a day as a source."""

    Options = MassiveOptions
    promise = _PROMISE

    def __init__(self, spec: SourceSpec, base_dir: Path) -> None:
        self._options = MassiveOptions.model_validate(dict(spec.options))
        super().__init__(spec.name, self._options)
        self._calendar = spec.session_calendar
        self._days: dict[date, tuple[float, pl.DataFrame, dict[str, str]]] = {}
        self._vendor = Vendor(
            spec.name,
            "massive",
            self._options.base_url,
            base_dir,
            headers=lambda key: {"Authorization": f"Bearer {key}"},
            quota_said=_quota_said,
        )

    def _fetched(self, wanted: list[str], begins: Mapping[str, date]) -> Fetched[pl.DataFrame]:
        stored = [symbol for symbol in wanted if symbol in begins]
        fetched: Fetched[pl.DataFrame] = Fetched()
        with self._vendor.connected() as connection:
            for group in (stored, [symbol for symbol in wanted if symbol not in begins]):
                if group:
                    self._take(connection, group, begins, fetched)
        return fetched

    def actions(self, symbols: Sequence[str], since: date | None = None) -> pl.DataFrame:
        """Return splits, cash dividends, renames and delistings of some symbols.

        See `tradewind.market.sources.offers.OffersActions.actions`. A rename is told where the old
        and the new symbol are asked for.

        Raises
        ------
        SourceError
            If a symbol is not listed in the file, or the vendor does not answer.
        """
        wanted = self._wanted(symbols)
        begin = since or self._options.start
        rows: list[tuple[str, str, date, date | None, float | None, str | None]] = []
        with self._vendor.connected() as connection:
            told = told_of(connection, self._vendor.who, wanted, begin)
            for symbol in wanted:
                names = names_of(connection, symbol)
                rows += [
                    (old, "rename", day, None, None, new)
                    for (_, old), (day, new) in pairwise(names)
                    if old in wanted and day >= begin
                ]
                rows += [
                    (symbol, "delisting", day, None, None, None)
                    for day in delisted_on(connection, symbol)
                    if day >= begin
                ]
        for problem in told.unread.values():
            raise VendorError(problem)
        rows += [(a.ticker, "split", a.execution_date, None, a.ratio, None) for a in told.splits]
        rows += [
            (a.ticker, "dividend", a.ex_dividend_date, a.declaration_date, a.cash_amount, None)
            for a in told.dividends
        ]
        found = pl.DataFrame(rows, schema=actions.SCHEMA, orient="row")
        return found.unique().sort(*actions.SORTED_BY, "value")

    def members(self, day: date) -> tuple[str, ...]:
        """Return the common stocks that were listed in the United States on a day, sorted.

        Raises
        ------
        SourceError
            If the vendor does not answer, or knows none.
        """
        params = {
            "market": "stocks", "type": "CS", "date": day.isoformat(), "active": "true",
            "sort": "ticker", "order": "asc", "limit": _MOST_TICKERS,
        }  # fmt: skip
        with self._vendor.connected() as connection:
            pages = connection.pages(
                "/v3/reference/tickers", params, TICKERS, lambda page: page.next_url,
                about=f"stocks of {day}", address=address_of,
            )  # fmt: skip
            found = {one.ticker for page in pages for one in page.results}
        if not found:
            raise SourceError(f"{self._vendor.who}: no stock is told of {day}; ask for another day")
        return tuple(sorted(found))

    def status(self) -> str:
        """Ask what the vendor knows of the first symbol, and say what is left of the quota.

        Raises
        ------
        SourceError
            If there is no key, it is refused, the quota is used up, or nobody answers.
        """
        params = {"ticker": self.symbols()[0], "limit": "1"}
        with self._vendor.connected() as connection:
            connection.get(
                "/v3/reference/tickers", params, TICKERS, about=self.symbols()[0], tries=1
            )
        return f"{self._vendor.quota}; {self.promise}"

    def _take(
        self,
        connection: Connection,
        group: Sequence[str],
        begins: Mapping[str, date],
        fetched: Fetched[pl.DataFrame],
    ) -> None:
        """Add the bars of some symbols, all stored or all new, or why they cannot be had."""
        begin = min((begins[one] for one in group if one in begins), default=self._options.start)
        last = latest_possible_session(self._calendar, _now() - self.promise.complete_after)
        try:
            told = told_of(connection, self._vendor.who, group, begin)
            of_days = self._of_days(connection, group, begin, last) if group[0] in begins else None
        except VendorError as error:
            if error.for_all and error.again_at is None and not fetched:
                raise
            fetched.failed |= dict.fromkeys(group, str(error))
            fetched.again_at = fetched.again_at or error.again_at
            return

        def ask(symbol: str) -> pl.DataFrame:
            where = f"{self._vendor.who}: {symbol}"
            since = begins.get(symbol, self._options.start)
            if of_days is None:
                rows = self._history(connection, symbol, since, last, stored=symbol in begins)
            else:
                rows = of_days(symbol).filter(pl.col("session") >= since)
            refuse_disorder(rows["session"].to_list(), since, where, stored=symbol in begins)
            return with_actions(rows, valued(told, symbol, rows["session"][0], where))

        more = connection.each(group, ask)
        fetched.update(more)
        fetched.failed |= more.failed
        fetched.again_at = fetched.again_at or more.again_at

    def _history(
        self, connection: Connection, symbol: str, begin: date, last: date, *, stored: bool
    ) -> pl.DataFrame:
        """Return the bars of one symbol from its own interface."""
        where = f"{self._vendor.who}: {symbol}"
        path = f"/v2/aggs/ticker/{quote(symbol, safe='')}/range/1/day/{begin}/{last}"
        params = {"adjusted": "false", "sort": "asc", "limit": _MOST_BARS}
        rows: list[Bar] = []
        if begin > last:
            return _frame([])
        for page in connection.pages(
            path, params, BARS, lambda page: page.next_url, about=symbol, address=address_of
        ):
            if page.ticker != symbol:
                raise VendorError(
                    f"{where}: bars of {page.ticker} came; see base_url in the source's file"
                )
            rows += page.results
        for row in rows:
            if row.moment.time() != time(0):
                raise VendorError(
                    f"{where}: a bar of {row.moment.isoformat()} is none of a whole day in New "
                    "York; see base_url in the source's file"
                )
        found = _frame((symbol, row.moment.date(), row) for row in rows)
        if stored or self._options.earlier_bars == "keep":
            return found
        return self._own(connection, symbol, found)

    def _own(self, connection: Connection, symbol: str, bars: pl.DataFrame) -> pl.DataFrame:
        """Leave out the bars of the company that had a symbol before the one that has it now."""
        first = max(
            (day for day, name in names_of(connection, symbol) if name == symbol), default=None
        )
        if first is None:
            return bars
        own = bars.filter(pl.col("session") >= first)
        if own.height < bars.height:
            log.warning(
                "%s: %s: %d bars before %s are left out: until then another company had the symbol",
                self._vendor.who, symbol, bars.height - own.height, first,
            )  # fmt: skip
        return own

    def _of_days(
        self, connection: Connection, group: Sequence[str], begin: date, last: date
    ) -> Callable[[str], pl.DataFrame] | None:
        """Ask for all symbols, day by day, if these are fewer questions than one for each symbol.

        Returns
        -------
        callable or None
            Gives the bars of a symbol.

        Raises
        ------
        VendorError
            If a day cannot be had: every symbol lacks it.
        """
        days = sessions_between(self._calendar, begin, last).to_list()
        lacking = [day for day in days if not self._is_kept(day)]
        if not days or len(lacking) >= len(group):
            return None
        for day in lacking:
            self._days[day] = (monotonic(), *self._day(connection, day))
        bars = pl.concat([self._days[day][1] for day in days])
        unread = {one: what for day in days for one, what in self._days[day][2].items()}

        def of(symbol: str) -> pl.DataFrame:
            if symbol in unread:
                raise VendorError(unread[symbol])
            return bars.filter(pl.col("symbol") == symbol)

        return of

    def _is_kept(self, day: date) -> bool:
        return day in self._days and monotonic() - self._days[day][0] < _KEPT

    def _day(self, connection: Connection, day: date) -> tuple[pl.DataFrame, dict[str, str]]:
        """Return the bars of the listed symbols on one day, and those that cannot be read."""
        listed = set(self.symbols())
        answer = connection.get(
            f"/v2/aggs/grouped/locale/us/market/stocks/{day}", {"adjusted": "false"}, DAY,
            about=f"all symbols on {day}",
        )  # fmt: skip
        if not answer.results:
            raise VendorError(
                f"{self._vendor.who}: all symbols on {day}: the vendor has a bar of none, and that "
                "is a session; ask again later, or write `closed` into the source's file if the "
                "exchange was"
            )
        rows: list[tuple[str, date, Bar]] = []
        unread: dict[str, str] = {}
        for each in answer.results:
            if isinstance(each, Unread):
                unread[each.symbol] = each.said(self._vendor.who, f"the bar of {day}")
            elif each.ticker not in listed:
                continue
            elif each.moment.date() != day:
                unread[each.ticker] = (
                    f"{self._vendor.who}: {each.ticker}: among all symbols on {day}, its bar is "
                    f"one of {each.moment.date()}; ask again later, or ask the vendor"
                )
            else:
                rows.append((each.ticker, day, each))
        return _frame(rows), unread


def _now() -> datetime:
    return datetime.now(UTC)


def _quota_said(text: str) -> timedelta | None:
    """Return for how long a sentence of the vendor's refuses."""
    return _A_MINUTE if "exceeded the maximum requests" in text.lower() else None


def _frame(rows: Iterable[tuple[str, date, Bar]]) -> pl.DataFrame:
    """Return bars as they were traded; a fraction of a share is rounded away."""
    taken = [(symbol, day, bar.o, bar.h, bar.l, bar.c, round(bar.v)) for symbol, day, bar in rows]
    return pl.DataFrame(taken, schema=_RAW, orient="row")
