"""Bars of Alpaca's market data: raw daily prices in pages, and corporate actions beside them.

Its interface (https://docs.alpaca.markets) hands out the bars of many symbols in one answer, sorted
by symbol and then time, in pages; and splits, dividends and other actions in another. Factors are
computed here from the latter by the method of CRSP.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from tradewind.errors import SourceError, VendorError
from tradewind.market import actions
from tradewind.market.bars import PRICES
from tradewind.market.sources.listed import ListedSource, by_first_day
from tradewind.market.sources.offers import Promise
from tradewind.market.sources.source import SourceSpec
from tradewind.market.sources.vendor import Vendor
from tradewind.market.sources.vendor_bars import (
    Count,
    Positive,
    Unread,
    VendorOptions,
    refuse_disorder,
    with_actions,
)
from tradewind.market.sources.vendor_connection import Connection
from tradewind.market.sources.vendor_tries import Fetched
from tradewind.market.spec_types import Day

__all__ = ["Alpaca", "AlpacaOptions"]

_NEW_YORK: Final = ZoneInfo("America/New_York")
_BARS_A_PAGE: Final = 10_000
_ACTIONS_A_PAGE: Final = 1000
_AHEAD: Final = timedelta(days=180)  # dividends are found by the day they are paid on
_SPIN_OFF: Final = "spin_off"
_YEAR_1900, _YEAR_2200 = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

_PROMISE: Final = Promise(
    prices="raw",
    point_in_time=False,
    complete_after=timedelta(hours=7),  # late corrections of the tape come until 20:00 in New York
    overlap=90,  # an action may be told weeks after its ex-date
    quota="requests a minute by the account's plan",
)


class AlpacaOptions(VendorOptions):
    """What a source of kind ``alpaca`` asks for."""

    start: Day = date(2016, 1, 1)
    feed: Literal["sip", "iex"] = "sip"
    other_actions: Literal["refuse", "ignore"] = "refuse"
    base_url: str = Field(default="https://data.alpaca.markets", min_length=1, max_length=1000)


class _Model(BaseModel):
    """A part of an answer as the vendor's documents describe it; more fields may come."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Bar(_Model):
    t: Annotated[AwareDatetime, Field(gt=_YEAR_1900, lt=_YEAR_2200)]
    o: Positive
    h: Positive
    l: Positive  # noqa: E741 - the vendor's name
    c: Positive
    v: Count

    @property
    def session(self) -> date:
        return self.t.astimezone(_NEW_YORK).date()


_OneOf = Field(union_mode="left_to_right")
_Row = _Bar | dict[str, Any]
"""A bar, or what is none: an error of its symbol, and of no other on the page."""


class _Bars(_Model):
    bars: dict[str, list[Annotated[_Row, _OneOf]]] | None
    next_page_token: str | None


class _Split(_Model):
    symbol: str
    new_rate: Positive
    old_rate: Positive
    ex_date: date


class _Paid(_Model):
    symbol: str
    rate: Positive
    ex_date: date


class _SpinOff(_Model):
    source_symbol: str
    ex_date: date


class _Renamed(_Model):
    old_symbol: str
    new_symbol: str
    process_date: date


class _Told(_Model):
    forward_splits: list[Annotated[_Split | Unread, _OneOf]] = []
    reverse_splits: list[Annotated[_Split | Unread, _OneOf]] = []
    stock_dividends: list[Annotated[_Paid | Unread, _OneOf]] = []
    cash_dividends: list[Annotated[_Paid | Unread, _OneOf]] = []
    spin_offs: list[Annotated[_SpinOff | Unread, _OneOf]] = []
    name_changes: list[Annotated[_Renamed | Unread, _OneOf]] = []


class _Actions(_Model):
    corporate_actions: _Told
    next_page_token: str | None


_BARS: Final = TypeAdapter(_Bars)
_ACTIONS: Final = TypeAdapter(_Actions)
_Action = tuple[str, str, date, date | None, float | None, str | None]


class Alpaca(ListedSource):
    """Alpaca's historical bars of stocks as a source."""

    Options = AlpacaOptions
    promise = _PROMISE

    def __init__(self, spec: SourceSpec, base_dir: Path) -> None:
        self._options = AlpacaOptions.model_validate(dict(spec.options))
        super().__init__(spec.name, self._options)
        self._vendor = Vendor(
            spec.name, "alpaca", self._options.base_url, base_dir, headers=_headers
        )

    def _fetched(self, wanted: list[str], begins: Mapping[str, date]) -> Fetched[pl.DataFrame]:
        fetched: Fetched[pl.DataFrame] = Fetched()
        groups = by_first_day(wanted, begins, self._options.start)
        with self._vendor.connected() as connection:
            for begin, group in groups.items():
                self._take(connection, group, begin, fetched, stored=set(begins))
        return fetched

    def actions(self, symbols: Sequence[str], since: date | None = None) -> pl.DataFrame:
        """Return splits, stock dividends (as splits), cash dividends and renames of some symbols.

        See `tradewind.market.sources.offers.OffersActions.actions`.

        Raises
        ------
        SourceError
            If a symbol is not listed in the file, or the vendor does not answer.
        """
        wanted = self._wanted(symbols)
        begin = since or self._options.start
        with self._vendor.connected() as connection:
            found, unread = _told(connection, wanted, begin, self._vendor.who)
        for problem in unread.values():
            raise VendorError(problem)
        asked = set(wanted)
        rows = [
            each
            for each in found
            if each[0] in asked and each[2] >= begin and each[1] in actions.KINDS
        ]
        return pl.DataFrame(rows, schema=actions.SCHEMA, orient="row").sort(actions.SORTED_BY)

    def status(self) -> str:
        """Ask for the first symbol's newest bars, and say what is left of the quota.

        Raises
        ------
        SourceError
            If there is no key, it is refused, the quota is used up, or nobody answers.
        """
        begin = datetime.now(UTC).date() - timedelta(days=7)
        params = self._params(self.symbols()[:1], begin) | {"limit": "1"}
        with self._vendor.connected() as connection:
            connection.get("/v2/stocks/bars", params, _BARS, about=self.symbols()[0], tries=1)
        return f"{self._vendor.quota}; {self.promise}"

    def _params(self, symbols: Sequence[str], begin: date) -> dict[str, str]:
        return {
            "symbols": ",".join(symbols),
            "timeframe": "1Day",
            "start": begin.isoformat(),
            "adjustment": "raw",
            "feed": self._options.feed,
            "limit": str(_BARS_A_PAGE),
            "sort": "asc",
        }

    def _take(
        self,
        connection: Connection,
        group: Sequence[str],
        begin: date,
        fetched: Fetched[pl.DataFrame],
        *,
        stored: set[str],
    ) -> None:
        """Add the bars of some symbols, all from one day on, or why they cannot be had."""
        rows: dict[str, list[_Row]] = {symbol: [] for symbol in group}
        cut: VendorError | None = None
        told: list[_Action] = []
        unread: dict[str, str] = {}
        last = ""
        about = group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}"
        pages = connection.pages(
            "/v2/stocks/bars", self._params(group, begin), _BARS,
            lambda page: page.next_page_token, about=about,
        )  # fmt: skip
        try:
            told, unread = _told(connection, group, begin, self._vendor.who)
            for page in pages:
                for symbol, bars in (page.bars or {}).items():
                    _refuse_other(symbol, rows, f"{self._vendor.who}: {about}")
                    rows[symbol] += bars
                    last = max(last, symbol)
        except VendorError as error:
            if error.for_all and error.again_at is None and not fetched and not last:
                raise
            cut = error
            fetched.again_at = fetched.again_at or error.again_at
        for symbol, bars in rows.items():
            # Sorted by symbol, so that those before the last that came are whole.
            if cut is not None and symbol >= last:
                fetched.failed[symbol] = str(cut)
                continue
            if symbol in unread:
                fetched.failed[symbol] = unread[symbol]
                continue
            mine = [each for each in told if each[0] == symbol]
            try:
                read = [self._read(symbol, row) for row in bars]
                fetched[symbol] = self._bars(symbol, read, mine, begin, stored=symbol in stored)
            except VendorError as error:
                fetched.failed[symbol] = str(error)

    def _read(self, symbol: str, row: _Row) -> _Bar:
        if isinstance(row, dict):
            broken = Unread.model_validate({**row, "symbol": symbol})
            raise VendorError(broken.said(self._vendor.who, "a bar"))
        return row

    def _bars(
        self,
        symbol: str,
        rows: list[_Bar],
        told: list[_Action],
        begin: date,
        *,
        stored: bool,
    ) -> pl.DataFrame:
        where = f"{self._vendor.who}: {symbol}"
        _refuse_intraday(rows, where)
        days = [row.session for row in rows]
        refuse_disorder(days, begin, where, stored=stored)
        for _, kind, ex_date, *_ in told:
            inside = days[0] < ex_date <= days[-1]
            if kind == _SPIN_OFF and inside and self._options.other_actions == "refuse":
                raise VendorError(
                    f"{where}: a spin-off on {ex_date}, whose value the vendor does not tell, so "
                    "that the fall of the price would look like a loss; begin after it "
                    "(options.start), or set options.other_actions to ignore"
                )
        names = dict(zip(PRICES, "ohlc", strict=True))
        bars = pl.DataFrame(
            {
                "symbol": [symbol] * len(rows),
                "session": days,
                **{name: [getattr(row, short) for row in rows] for name, short in names.items()},
                "volume": [row.v for row in rows],
            }
        )
        valued = ((kind, ex_date, value) for _, kind, ex_date, _, value, _ in told if value)
        return with_actions(bars, valued)


def _headers(key: str) -> dict[str, str]:
    name, _, secret = key.partition(":")
    if not name or not secret:
        raise SourceError(
            "the key of Alpaca has two parts: write the key's id, a colon and its secret into "
            "TRADEWIND_ALPACA_KEY"
        )
    return {"APCA-API-KEY-ID": name, "APCA-API-SECRET-KEY": secret}


def _refuse_other(symbol: str, asked: Mapping[str, object], where: str) -> None:
    if symbol not in asked:
        raise VendorError(
            f"{where}: bars of {symbol} came, which were not asked for; see base_url in the "
            "source's file"
        )


def _refuse_intraday(rows: Sequence[_Bar], where: str) -> None:
    for row in rows:
        if row.t.astimezone(_NEW_YORK).time() != time(0):
            raise VendorError(
                f"{where}: a bar of {row.t.isoformat()} is none of a whole day in New York; see "
                "base_url in the source's file"
            )


def _told(
    connection: Connection, symbols: Sequence[str], begin: date, who: str
) -> tuple[list[_Action], dict[str, str]]:
    """Return the actions of some symbols, each once; and by symbol, why one cannot be read."""
    params = {
        "symbols": ",".join(symbols),
        "start": begin.isoformat(),
        "end": (datetime.now(UTC).date() + _AHEAD).isoformat(),
        "limit": str(_ACTIONS_A_PAGE),
        "sort": "asc",
    }
    found: dict[_Action, None] = {}
    unread: dict[str, str] = {}
    for page in connection.pages(
        "/v1/corporate-actions", params, _ACTIONS, lambda page: page.next_page_token,
        about=f"actions of {symbols[0]} and {len(symbols) - 1} more",
    ):  # fmt: skip
        for kind, records in page.corporate_actions:
            for each in records:
                if isinstance(each, Unread):
                    unread[each.symbol] = each.said(who, f"one of its {kind}")
                else:
                    found[_action(kind, each)] = None
    return list(found), unread


def _action(kind: str, told: _Split | _Paid | _SpinOff | _Renamed) -> _Action:
    match told:
        case _Split():
            ratio = told.new_rate / told.old_rate
            return told.symbol, "split", told.ex_date, None, ratio, None
        case _Paid() if kind == "stock_dividends":
            return told.symbol, "split", told.ex_date, None, 1.0 + told.rate, None
        case _Paid():
            return told.symbol, "dividend", told.ex_date, None, told.rate, None
        case _Renamed():
            return told.old_symbol, "rename", told.process_date, None, None, told.new_symbol
        case _SpinOff():
            return told.source_symbol, _SPIN_OFF, told.ex_date, None, None, None
