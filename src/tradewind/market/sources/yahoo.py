"""Bars of Yahoo's charts: prices as they were traded, worked out of what its page is drawn from.

Nobody promises this interface, and its terms allow personal use alone. Its prices, volumes and
dividends are of shares of today's size: each split changes the whole history. What was traded is
worked out here from the splits that come in the same answer. Its numbers have 32 bits, so that a
price is a cent or a tick of four digits but for a ten-millionth; it is rounded to that.

The library `yfinance` takes a refusal for an empty answer, leaves out what has no price, keeps
answers in a cache, and sends to addresses that are fixed in its code. So it is asked by httpx, like
the other vendors.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

import polars as pl
from pydantic import Field

from tradewind.errors import PartialSourceError, VendorError
from tradewind.market import actions
from tradewind.market.bars import PRICES
from tradewind.market.sources.listed import ListedSource
from tradewind.market.sources.offers import Promise
from tradewind.market.sources.source import SourceSpec
from tradewind.market.sources.vendor import Vendor
from tradewind.market.sources.vendor_bars import (
    VendorOptions,
    refuse_disorder,
    with_actions,
)
from tradewind.market.sources.vendor_connection import Connection
from tradewind.market.sources.vendor_tries import Fetched
from tradewind.market.sources.yahoo_answers import CHART, Chart, Session
from tradewind.market.spec_types import Day
from tradewind.market.validation.schema_rules import LEAST_PRICE, MOST_PRICE, MOST_VOLUME

__all__ = ["Yahoo", "YahooOptions"]

_A_WHILE: Final = timedelta(minutes=5)
_SETTLED: Final = timedelta(days=7)  # after which prices are adjusted for a split
_SINGLE: Final = 1.2e-7  # relative error of a number of 32 bits, and of a product with a split
_TICKS: Final = (2, 3, 4)  # digits of a price after the point
_TOLERANCE: Final = 1e-3  # of a step; the smallest usual dividend is twice as much of the price

_PROMISE: Final = Promise(
    prices="raw",
    point_in_time=False,
    complete_after=timedelta(hours=7),
    overlap=30,
    quota="nobody says how many requests",
)


class YahooOptions(VendorOptions):
    """What a source of kind ``yahoo`` asks for."""

    personal_use: Literal[True]
    start: Day = date(1970, 1, 2)
    adjusted_closes: Literal["compare", "ignore"] = "compare"
    base_url: str = Field(default="https://query2.finance.yahoo.com", min_length=1, max_length=1000)


class Yahoo(ListedSource):
    """Yahoo's charts as a source."""

    Options = YahooOptions
    promise = _PROMISE

    def __init__(self, spec: SourceSpec, base_dir: Path) -> None:
        self._options = YahooOptions.model_validate(dict(spec.options))
        super().__init__(spec.name, self._options)
        self._vendor = Vendor(
            spec.name,
            "yahoo",
            self._options.base_url,
            base_dir,
            headers=None,
            quota_said=_quota_said,
        )

    def _fetched(self, wanted: list[str], begins: Mapping[str, date]) -> Fetched[pl.DataFrame]:
        return self._each(wanted, begins, self._bars)

    def actions(self, symbols: Sequence[str], since: date | None = None) -> pl.DataFrame:
        """Return splits and dividends of some symbols, which the vendor tells on their ex-date.

        See `tradewind.market.sources.offers.OffersActions.actions`.

        Raises
        ------
        PartialSourceError
            If those of some of the symbols cannot be given.
        SourceError
            If a symbol is not listed in the file, or the vendor answers nobody.
        """
        begins = {} if since is None else dict.fromkeys(symbols, since)
        fetched = self._each(symbols, begins, lambda symbol, chart, *_: _actions(symbol, chart))
        if fetched.failed:
            raise PartialSourceError(self._name, fetched.failed, again_at=fetched.again_at)
        found = pl.concat([pl.DataFrame(schema=actions.SCHEMA), *fetched.values()])
        return found.sort(actions.SORTED_BY)

    def status(self) -> str:
        """Ask for the first symbol's newest bars, and say what is left of the quota.

        Raises
        ------
        SourceError
            If the quota is used up, or nobody answers.
        """
        symbol = self.symbols()[0]
        begin = datetime.now(UTC).date() - timedelta(days=7)
        with self._vendor.connected() as connection:
            _asked(connection, symbol, begin, tries=1)
        return f"{self._vendor.quota}; {self.promise}"

    def _each(
        self,
        wanted: Sequence[str],
        begins: Mapping[str, date],
        make: Callable[[str, Chart, date, bool], pl.DataFrame],
    ) -> Fetched[pl.DataFrame]:
        """Return what is made of the answer about each symbol."""
        with self._vendor.connected() as connection:

            def ask(symbol: str) -> pl.DataFrame:
                begin = begins.get(symbol, self._options.start)
                chart = _asked(connection, symbol, begin)
                if chart.meta.symbol.upper() != symbol.upper():
                    raise VendorError(
                        f"{self._vendor.who}: {symbol}: bars of {chart.meta.symbol} came; see "
                        "base_url in the source's file"
                    )
                return make(symbol, chart, begin, symbol in begins)

            return connection.each(wanted, ask)

    def _bars(self, symbol: str, chart: Chart, begin: date, stored: bool) -> pl.DataFrame:
        """Return a symbol's bars as they were traded."""
        where = f"{self._vendor.who}: {symbol}"
        try:
            rows = list(chart.sessions())
        except ValueError as error:
            raise VendorError(
                f"{where}: {error}; ask again later, or begin after it (options.start)"
            ) from None
        refuse_disorder([row.day for row in rows], begin, where, stored=stored)
        if self._options.adjusted_closes == "compare":
            _refuse_contradiction(rows, chart, where)
        _refuse_split_to_come(chart, rows[-1].day, where)
        later = _sizes(chart)
        sizes = [later(row.day) for row in rows]
        for row, size in zip(rows, sizes, strict=True):
            if not LEAST_PRICE <= size <= MOST_PRICE or row.volume / size > MOST_VOLUME:
                raise VendorError(
                    f"{where}: the splits since {row.day} make {size:g} shares of one, of which "
                    f"{row.volume} are its volume: one of them is no number of shares; ask again "
                    "later, or begin after it (options.start)"
                )
        prices = zip(*(row.prices for row in rows), strict=True)
        bars = pl.DataFrame(
            {
                "symbol": [symbol] * len(rows),
                "session": [row.day for row in rows],
                **{
                    name: [_tick(price * size) for price, size in zip(column, sizes, strict=True)]
                    for name, column in zip(PRICES, prices, strict=True)
                },
                "volume": [round(row.volume / size) for row, size in zip(rows, sizes, strict=True)],
            }
        )
        told = _actions(symbol, chart).select("kind", "ex_date", "value").rows()
        return with_actions(bars, told)


def _asked(connection: Connection, symbol: str, begin: date, *, tries: int | None = None) -> Chart:
    start = datetime.combine(begin, time(0), UTC)
    params = {
        "period1": str(int(start.timestamp())),
        "period2": str(int((datetime.now(UTC) + timedelta(days=1)).timestamp())),
        "interval": "1d",
        "events": "div,splits",
        "includePrePost": "false",
    }
    path = f"/v8/finance/chart/{quote(symbol, safe='')}"
    more = {} if tries is None else {"tries": tries}
    return connection.get(path, params, CHART, about=symbol, **more).chart.result[0]


def _quota_said(text: str) -> timedelta | None:
    """Return for how long the vendor refuses, which it says in words with any status."""
    return _A_WHILE if "too many requests" in text.lower() else None


def _sizes(chart: Chart) -> Callable[[date], float]:
    """Return what gives the shares of today for one share of a day."""
    splits = chart.splits()

    def of(day: date) -> float:
        size = 1.0
        for split, ratio in splits:
            if split > day:
                size *= ratio
        return size

    return of


def _tick(price: float) -> float:
    """Return a price on a tick that differs by no more than 32 bits do; else the price itself."""
    for places in _TICKS:
        if abs((near := round(price, places)) - price) <= _SINGLE * price:
            return near
    return price


def _actions(symbol: str, chart: Chart) -> pl.DataFrame:
    """Return splits, and dividends for a share as it was on the ex-date."""
    later = _sizes(chart)
    found = [(symbol, "split", day, None, ratio, None) for day, ratio in chart.splits()]
    found += [
        (symbol, "dividend", day, None, amount * later(day), None)
        for day, amount in chart.dividends()
    ]
    return pl.DataFrame(found, schema=actions.SCHEMA, orient="row")


def _refuse_split_to_come(chart: Chart, last: date, where: str) -> None:
    """Refuse a split that no bar has been traded after, unless it is over for days.

    Nothing tells whether the prices are already those of after it. Were they not, all raw prices
    would come out wrong, and orders with them.

    Raises
    ------
    VendorError
        Which names it.
    """
    for day, ratio in chart.splits():
        if day > last and day > datetime.now(UTC).date() - _SETTLED:
            raise VendorError(
                f"{where}: a split of {ratio:g} on {day} is told, and the last bar is of {last}: "
                "whether prices are adjusted for it cannot be seen before its day is traded; ask "
                "again after its session"
            )


def _refuse_contradiction(rows: Sequence[Session], chart: Chart, where: str) -> None:
    """Refuse dividends that the adjusted closes do not show, or the reverse.

    Raises
    ------
    VendorError
        Which names the first session.
    """
    paid: dict[date, float] = {}
    for day, amount in chart.dividends():
        paid[day] = paid.get(day, 0.0) + amount
    for before, after in pairwise(rows):
        if before.adjusted is None or after.adjusted is None:
            continue
        close, closed = before.prices[-1], after.prices[-1]
        shown = (after.adjusted / closed) / (before.adjusted / close)
        amount = sum(paid.get(day, 0.0) for day in paid if before.day < day <= after.day)
        told = 1.0 / (1.0 - amount / close) if amount < close else float("inf")
        if not abs(shown / told - 1.0) <= _TOLERANCE:
            raise VendorError(
                f"{where}: on {after.day} the adjusted closes step by {shown:.6g}, while dividends "
                f"of {amount:g} make {told:.6g}; one of them lacks a dividend. Ask again tomorrow, "
                "or set options.adjusted_closes to ignore, which takes the dividends that are told"
            )
