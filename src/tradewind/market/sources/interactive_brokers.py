"""History of stocks from Interactive Brokers' gateway, through ``ib_async``.

The gateway has no raw prices. Its ``TRADES`` are adjusted for splits, and ``ADJUSTED_LAST`` for
dividends, too; each split and each dividend changes all of the latter. So both are asked for whole
each time: prices are those of ``TRADES``, `split_factor` is 1.0, and `adjustment_factor` is what
the two make of each session.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import polars as pl
from pydantic import Field

from tradewind.errors import VendorError
from tradewind.market.bars import PRICES, SCHEMA
from tradewind.market.sources.ib_gateway import Gateway, Place
from tradewind.market.sources.listed import ListedSource
from tradewind.market.sources.offers import Promise
from tradewind.market.sources.source import SourceSpec
from tradewind.market.sources.vendor_bars import (
    VendorOptions,
    refuse_disorder,
)
from tradewind.market.sources.vendor_library import Library
from tradewind.market.sources.vendor_tries import Fetched
from tradewind.market.spec_types import Day, Symbol
from tradewind.market.validation.schema_rules import LEAST_PRICE, MOST_PRICE, MOST_VOLUME

if TYPE_CHECKING:
    from ib_async import BarData, Contract

__all__ = ["InteractiveBrokersHistory", "InteractiveBrokersOptions"]

_YEAR: Final = 365

_PROMISE: Final = Promise(
    prices="adjusted",
    point_in_time=False,
    complete_after=timedelta(hours=4),  # late reports of the day; before the nightly restart
    overlap=30,
    quota="some sixty requests in ten minutes",
)

_Exchange = Annotated[str, Field(pattern=r"^[A-Z0-9.]+$", max_length=20)]


class InteractiveBrokersOptions(VendorOptions):
    """What a source of kind ``interactive_brokers`` asks for.

    Attributes
    ----------
    client_id : int
        Of this source's connection; no other, such as the broker's, may have it.
    primary_exchanges : dict of str to str
        By symbol, where it is listed, if there is more than one stock of that name.
    timeout : float
        Seconds that an answer may take.
    """

    start: Day = date(2005, 1, 1)
    host: str = Field(default="127.0.0.1", min_length=1, max_length=253)
    port: int = Field(default=4002, ge=1, le=65535)
    client_id: int = Field(default=117, ge=0, le=2**31 - 1)
    exchange: _Exchange = "SMART"
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    primary_exchanges: dict[Symbol, _Exchange] = Field(default={})
    timeout: float = Field(default=60.0, ge=1.0, le=600.0)


class InteractiveBrokersHistory(ListedSource):
    """Interactive Brokers' daily history of stocks as a source."""

    Options = InteractiveBrokersOptions
    promise = _PROMISE

    def __init__(self, spec: SourceSpec, base_dir: Path) -> None:  # noqa: ARG002 - it has no key
        self._options = InteractiveBrokersOptions.model_validate(dict(spec.options))
        super().__init__(spec.name, self._options)
        self._vendor = Library(spec.name, "interactive_brokers")
        options = self._options
        self._place = Place(options.host, options.port, options.client_id, options.timeout)

    def _fetched(self, wanted: list[str], begins: Mapping[str, date]) -> Fetched[pl.DataFrame]:
        with Gateway(self._vendor.who, self._place) as gateway:

            def bars(symbol: str) -> pl.DataFrame:
                begin = begins.get(symbol, self._options.start)
                return self._bars(gateway, symbol, begin, stored=symbol in begins)

            return self._vendor.each(wanted, bars)

    def status(self) -> str:
        """Ask the gateway for its time and the first symbol's contract.

        Raises
        ------
        SourceError
            If it does not answer, or does not know the symbol.
        """
        symbol = self.symbols()[0]
        with Gateway(self._vendor.who, self._place) as gateway:
            now = self._vendor.ask(gateway.time, tries=1)
            self._vendor.ask(lambda: self._contract(gateway, symbol), tries=1)
        return f"the gateway answers, its time is {now}; {self.promise}"

    def _contract(self, gateway: Gateway, symbol: str) -> "Contract":
        options = self._options
        return gateway.contract(
            symbol,
            exchange=options.exchange,
            currency=options.currency,
            primary=options.primary_exchanges.get(symbol, ""),
        )

    def _bars(self, gateway: Gateway, symbol: str, begin: date, *, stored: bool) -> pl.DataFrame:
        where = f"{self._vendor.who}: {symbol}"
        contract = self._vendor.ask(lambda: self._contract(gateway, symbol))
        years = (datetime.now(UTC).date() - begin).days // _YEAR + 1

        def asked(what: str) -> list["BarData"]:
            found = self._vendor.ask(
                lambda: gateway.daily_bars(contract, symbol, what=what, years=years)
            )
            _refuse_no_days(found, what, where)
            # Whole years are asked for, which begin earlier.
            return [each for each in found if each.date >= begin]

        traded, adjusted = asked("TRADES"), asked("ADJUSTED_LAST")
        days = [each.date for each in traded]
        refuse_disorder(days, begin, where, stored=stored)
        _refuse_other_days(days, [each.date for each in adjusted], where)
        _refuse_no_numbers(traded, adjusted, where)
        both = pl.Series([one.close for one in adjusted]) / pl.Series([one.close for one in traded])
        return pl.DataFrame(
            {
                "symbol": [symbol] * len(days),
                "session": days,
                **{name: [float(getattr(each, name)) for each in traded] for name in PRICES},
                "volume": [round(each.volume) for each in traded],  # parts of shares are traded
                "split_factor": [1.0] * len(days),
                "adjustment_factor": both / both[-1],
            },
            schema=SCHEMA,
        )


def _refuse_no_days(bars: Sequence["BarData"], what: str, where: str) -> None:
    for each in bars:
        if isinstance(each.date, datetime) or not isinstance(each.date, date):
            raise VendorError(
                f"{where}: a bar of {what} is of {each.date}, which is no day; ask Interactive "
                "Brokers, or see whether tradewind has a newer version"
            )


def _refuse_other_days(traded: Sequence[date], adjusted: Sequence[date], where: str) -> None:
    """Refuse two answers that are not of the same sessions: one of them is cut."""
    if list(traded) != list(adjusted):
        other = [str(day) for day in sorted(set(traded) ^ set(adjusted))] or ["their order"]
        raise VendorError(
            f"{where}: TRADES has {len(traded)} sessions and ADJUSTED_LAST {len(adjusted)}; they "
            f"differ in {', '.join(other[:5])}: one answer is cut short, ask again later"
        )


def _refuse_no_numbers(
    traded: Sequence["BarData"], adjusted: Sequence["BarData"], where: str
) -> None:
    for one, other in zip(traded, adjusted, strict=True):
        prices = [*(getattr(one, name) for name in PRICES), other.close]
        wrong = [each for each in prices if not LEAST_PRICE <= each <= MOST_PRICE]
        if wrong or not 0.0 <= one.volume <= MOST_VOLUME:
            what = f"a price of {wrong[0]:g}" if wrong else f"a volume of {one.volume:g}"
            raise VendorError(
                f"{where}: the bar of {one.date} has {what}, which stands for none; begin after it "
                "(options.start), or ask Interactive Brokers"
            )
