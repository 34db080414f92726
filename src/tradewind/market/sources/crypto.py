"""Bars of crypto exchanges: daily candles through ccxt (extra ``ccxt``), public data, no key.

An exchange's candles come in pages, oldest first. Exchanges differ in what they make of a page's
first day: some answer with nothing for days before the listing, some repeat the last candle, some
give their newest candles whatever is asked for. ccxt evens out their forms and not these habits, so
each is looked for here.

The store counts whole shares. A share is one coin, or what ``lots`` says: of ``BTC/USD: 0.001`` the
price is that of a thousandth, and volume and orders are in thousandths.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

import polars as pl
from pydantic import Field, Strict, TypeAdapter, ValidationError, model_validator

from tradewind.errors import SourceError, VendorError
from tradewind.market.bars import PRICES, SCHEMA
from tradewind.market.sources.ccxt_errors import told
from tradewind.market.sources.listed import ListedSource
from tradewind.market.sources.offers import Promise
from tradewind.market.sources.source import SourceSpec
from tradewind.market.sources.vendor import checked_address
from tradewind.market.sources.vendor_bars import (
    Positive,
    VendorOptions,
    refuse_disorder,
)
from tradewind.market.sources.vendor_library import Library
from tradewind.market.sources.vendor_tries import TRIES, Fetched
from tradewind.market.spec_types import Day, Symbol
from tradewind.market.validation.schema_rules import MOST_VOLUME
from tradewind.suggestions import did_you_mean

if TYPE_CHECKING:
    from ccxt import Exchange

__all__ = ["Ccxt", "CcxtOptions"]

Answer = TypeVar("Answer")

_DAY: Final = timedelta(days=1)
_DAY_MS: Final = 86_400_000
_YEAR_2200_MS: Final = 7_258_118_400_000
_USUAL_PAGE: Final = 100  # candles, where ccxt does not know how many an exchange gives at once
_NEARLY: Final = 0.95  # of a page: days without a trade have no candle
_LOOK_BACK: Final = 30  # days before the first candle that are asked for once more
_ROUNDED: Final = 0.01  # of a volume; what rounding to whole lots may change
_FINE: Final = 100  # lots that the smallest volume should have

_PROMISE: Final = Promise(
    prices="raw",  # no exchange adjusts them: coins have no splits and dividends
    point_in_time=False,
    complete_after=timedelta(minutes=15),  # the last trades of a day reach its candle late
    overlap=30,
    quota="requests a second by the exchange's rules, which ccxt keeps",
)

_Price = Annotated[Positive, Strict()]
_Candle = tuple[
    Annotated[int, Strict(), Field(ge=0, lt=_YEAR_2200_MS)], _Price, _Price, _Price, _Price,
    Annotated[float, Strict(), Field(ge=0.0)],
]  # fmt: skip
_CANDLES: Final = TypeAdapter(list[_Candle], config={"allow_inf_nan": False})


class CcxtOptions(VendorOptions):
    """What a source of kind ``ccxt`` asks for.

    Attributes
    ----------
    exchange : str
        As ccxt calls it.
    lots : dict of str to Decimal
        By symbol, how many coins a share is; one if not given.
    """

    exchange: str = Field(pattern=r"^[a-z0-9]+$", max_length=50)
    start: Day = date(2010, 1, 1)
    lots: dict[Symbol, Annotated[Decimal, Field(gt=0, le=10**12)]] = Field(default={})
    base_url: str | None = Field(default=None, min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _lots_of_symbols(self) -> "CcxtOptions":
        if unknown := sorted(set(self.lots) - set(self.symbols)):
            raise ValueError(f"lots has {', '.join(unknown[:10])}, which symbols does not list")
        return self


class Ccxt(ListedSource):
    """Daily candles of one exchange's spot markets as a source."""

    Options = CcxtOptions
    promise = _PROMISE

    def __init__(self, spec: SourceSpec, base_dir: Path) -> None:  # noqa: ARG002 - no key
        self._options = CcxtOptions.model_validate(dict(spec.options))
        super().__init__(spec.name, self._options)
        self._vendor = Library(spec.name, self._options.exchange)
        base = self._options.base_url
        self._base_url = base and checked_address(
            base, self._vendor.who, danger="prices could be changed on their way"
        )
        self._opened: Exchange | None = None

    def _fetched(self, wanted: list[str], begins: Mapping[str, date]) -> Fetched[pl.DataFrame]:
        exchange = self._exchange()
        self._ask(exchange.load_markets, "markets")

        def bars(symbol: str) -> pl.DataFrame:
            where = f"{self._vendor.who}: {symbol}"
            begin = begins.get(symbol, self._options.start)
            self._refuse_other(exchange, symbol, where)
            candles = self._candles(exchange, symbol, begin)
            days = [_day(each, where) for each in candles]
            refuse_disorder(days, begin, where, stored=symbol in begins)
            return self._bars(symbol, days, candles, where)

        return self._vendor.each(wanted, bars)

    def status(self) -> str:
        """Ask for the exchange's markets, and say how many of the file's symbols are traded.

        Raises
        ------
        SourceError
            If the exchange does not answer, or there is none of that name.
        """
        exchange = self._exchange()
        markets = self._ask(lambda: exchange.load_markets(True), "markets", tries=1)
        closed = [
            symbol
            for symbol in self.symbols()
            if symbol not in markets or markets[symbol].get("active") is False
        ]
        gone = f", and not {', '.join(closed[:10])}" if closed else ""
        traded = len(self.symbols()) - len(closed)
        return f"{traded} of {len(self.symbols())} symbols are traded{gone}; {self.promise}"

    def _exchange(self) -> "Exchange":
        """Return the exchange, with the addresses that are to be asked."""
        if self._opened is None:
            try:
                import ccxt
            except ImportError as error:
                raise SourceError(
                    f"{self._vendor.who} needs ccxt: install tradewind with its extra `ccxt`"
                ) from error
            name = self._options.exchange
            if name not in ccxt.exchanges:
                raise SourceError(
                    f"{self._vendor.who}: options.exchange: ccxt knows no exchange {name!r}"
                    f"{_meant(name, ccxt.exchanges)}"
                )
            made: Exchange = getattr(ccxt, name)(
                {
                    "requests_trust_env": True,  # proxies count, as for every other vendor
                    "enableLastJsonResponse": True,  # so that an answer that is none is seen
                }
            )
            if not made.has.get("fetchOHLCV") or "1d" not in (made.timeframes or {}):
                raise SourceError(f"{self._vendor.who}: that exchange gives no daily candles")
            if self._base_url is not None:
                made.urls["api"] = _moved(made.urls["api"], self._base_url)
            self._opened = made
        return self._opened

    def _ask(self, question: Callable[[], Answer], about: str, tries: int = TRIES) -> Answer:
        exchange = self._exchange()

        def once() -> Answer:
            with told(self._vendor.who, about, exchange):
                return question()

        return self._vendor.ask(once, tries=tries)

    def _refuse_other(self, exchange: "Exchange", symbol: str, where: str) -> None:
        market = exchange.markets.get(symbol)
        if market is None:
            raise VendorError(
                f"{where}: the exchange has no such market{_meant(symbol, exchange.markets)}; was "
                "it delisted or renamed? Correct the symbol, or take it out of options.symbols"
            )
        if not market.get("spot"):
            raise VendorError(
                f"{where}: a {market.get('type')} and no spot market: its candles lack funding and "
                "expiry, so that its returns would be wrong; take it out of options.symbols"
            )

    def _candles(self, exchange: "Exchange", symbol: str, begin: date) -> list[_Candle]:
        """Return the candles from a day on, asked for page by page."""
        where = f"{self._vendor.who}: {symbol}"
        page_size = exchange.feature_value(symbol, "fetchOHLCV", "limit") or _USUAL_PAGE
        end = exchange.milliseconds()
        since = first = _milliseconds(begin)
        found: dict[int, _Candle] = {}
        while since <= end:
            page = self._page(exchange, symbol, since, page_size)
            if page and not found:
                _refuse_newest(page, first, end, page_size, where)
            new = _added(found, page, where)
            # A page without a new candle: a window before the listing, or after the last trade.
            since = max(found) + _DAY_MS if new else since + page_size * _DAY_MS
        if found and min(found) > first:
            begin_before = max(first, min(found) - _LOOK_BACK * _DAY_MS)
            before = self._page(exchange, symbol, begin_before, _LOOK_BACK)
            _refuse_left_out(before, min(found), where)
        # What has been traded so far today may be no whole lot, and is no session yet. A rule names
        # a candle of a day to come.
        return [each for each in found.values() if not end - _DAY_MS < each[0] <= end]

    def _page(self, exchange: "Exchange", symbol: str, since: int, page_size: int) -> list[_Candle]:
        # With a limit that is said, exchanges that answer for a window take one of that many days.
        answer = self._ask(lambda: exchange.fetch_ohlcv(symbol, "1d", since, page_size), symbol)
        try:
            return _CANDLES.validate_python(answer)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            place = ".".join(map(str, wrong["loc"])) or "the answer"
            raise VendorError(
                f"{self._vendor.who}: {symbol}: candle {place}: {wrong['msg']} "
                f"({str(wrong['input'])[:80]!r}); ask the exchange, or see whether ccxt has a "
                "newer version"
            ) from None

    def _bars(
        self, symbol: str, days: list[date], candles: Sequence[_Candle], where: str
    ) -> pl.DataFrame:
        lot = self._options.lots.get(symbol, Decimal(1))
        _refuse_coarse(symbol, days, [each[5] for each in candles], lot, where)
        return pl.DataFrame(
            {
                "symbol": [symbol] * len(days),
                "session": days,
                **{
                    name: [_of_a_lot(each[place], lot) for each in candles]
                    for place, name in enumerate(PRICES, start=1)
                },
                "volume": [round(Decimal(repr(each[5])) / lot) for each in candles],
                "split_factor": [1.0] * len(days),
                "adjustment_factor": [1.0] * len(days),
            },
            schema=SCHEMA,
        )


def _milliseconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def _date(milliseconds: int) -> date:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date()


def _day(candle: _Candle, where: str) -> date:
    moment = datetime.fromtimestamp(candle[0] / 1000, UTC)
    if candle[0] % _DAY_MS:
        raise VendorError(
            f"{where}: the exchange's day begins at {moment:%H:%M} UTC, and not at midnight: its "
            "candles are no sessions of the calendar 24/7; choose another exchange"
        )
    return moment.date()


def _added(found: dict[int, _Candle], page: Sequence[_Candle], where: str) -> bool:
    """Add a page's candles, and tell whether any is later than all before."""
    last = max(found, default=None)
    for candle in page:
        known = found.setdefault(candle[0], candle)
        if known != candle:
            raise VendorError(
                f"{where}: the candle of {_date(candle[0])} came twice, with {known[1:]} and "
                f"{candle[1:]}; ask again later, or ask the exchange"
            )
    return bool(found) and (last is None or max(found) > last)


def _refuse_newest(
    page: Sequence[_Candle], first: int, end: int, page_size: int, where: str
) -> None:
    """Refuse an exchange's newest candles where older ones were asked for."""
    newest = page[-1][0] > end - 2 * _DAY_MS
    if len(page) >= _NEARLY * page_size and page[0][0] > first and newest:
        begin = _date(page[0][0])
        raise VendorError(
            f"{where}: the exchange gives its newest {len(page)} candles, from {begin} on, "
            f"whatever is asked for; a history from {_date(first)} cannot be had of it. "
            f"Set options.start to {begin + _DAY * 7} or later, or choose another exchange. If "
            f"{begin} is the day of its listing, give it a source of its own that begins there"
        )


def _refuse_left_out(before: Sequence[_Candle], began: int, where: str) -> None:
    """Refuse a history that begins late, though the days before are there when asked for."""
    earlier = [each[0] for each in before if each[0] < began]
    if earlier:
        raise VendorError(
            f"{where}: the exchange left out days before {_date(began)}, and gives that of "
            f"{_date(earlier[0])} when asked for it alone: its pages do not begin where they are "
            "asked to; choose another exchange"
        )


def _of_a_lot(price: float, lot: Decimal) -> float:
    return price if lot == 1 else float(Decimal(repr(price)) * lot)  # the decimal, and no product


def _refuse_coarse(
    symbol: str, days: Sequence[date], volumes: Sequence[float], lot: Decimal, where: str
) -> None:
    """Refuse volumes that a count of lots cannot hold."""
    for day, volume in zip(days, volumes, strict=True):
        lots = Decimal(repr(volume)) / lot
        if lots > MOST_VOLUME:
            raise VendorError(
                f"{where}: on {day} {lots:.3g} lots were traded, and {MOST_VOLUME:.0g} can be "
                "counted; write a larger one under options.lots"
            )
        if volume and abs(round(lots) - lots) > Decimal(_ROUNDED) * lots:
            least = min(each for each in volumes if each)
            finer = Decimal(10) ** (Decimal(repr(least)) / _FINE).adjusted()
            raise VendorError(
                f"{where}: on {day} {volume:g} coins were traded, which is {lots:.3g} lots, and "
                f"the store counts whole ones; write options.lots: {{{symbol}: {finer:f}}}, so "
                "that prices, volume and orders are of that many coins"
            )


def _meant(name: str, known: Iterable[str]) -> str:
    """Return which name is close; nothing where none is, for there are thousands."""
    close = did_you_mean(name, known)
    return f". {close.rstrip('?')}" if close.endswith("?") else ""


def _moved(urls: Any, base_url: str) -> Any:  # noqa: ANN401 - as ccxt has it
    """Return addresses with another host, and the same paths."""
    if isinstance(urls, Mapping):
        return {name: _moved(url, base_url) for name, url in urls.items()}
    return base_url + urlsplit(urls).path if isinstance(urls, str) else urls
