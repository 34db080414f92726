"""Bars of Tiingo: raw daily prices with splits and dividends, one request a symbol.

Its end-of-day interface (https://www.tiingo.com/documentation/end-of-day) hands out one row a
session: raw prices and volume, ``divCash`` and ``splitFactor`` of the session, and prices that the
vendor has adjusted by the method of CRSP. Factors are computed here by that method, from splits and
dividends, and held against the vendor's adjusted closes: where the two differ, one of them is
wrong, and the symbol is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from tradewind.errors import PartialSourceError, VendorError
from tradewind.market import actions
from tradewind.market.bars import PRICES
from tradewind.market.sources.listed import ListedSource
from tradewind.market.sources.offers import Promise
from tradewind.market.sources.source import SourceSpec
from tradewind.market.sources.vendor import Vendor
from tradewind.market.sources.vendor_bars import (
    CRSP_STEP,
    Positive,
    VendorOptions,
    refuse_disorder,
    with_factors,
)
from tradewind.market.sources.vendor_connection import Connection
from tradewind.market.sources.vendor_tries import Fetched
from tradewind.market.spec_types import Day
from tradewind.market.validation.schema_rules import MOST_PRICE, MOST_VOLUME

__all__ = ["Tiingo", "TiingoOptions"]

_TOLERANCE: Final = 1e-3  # of a step; the smallest usual dividend is twice as much of the price
_HALF_UNIT: Final = 1e-4  # of an adjusted close, which may be a few cents long ago
_AN_HOUR: Final = timedelta(hours=1)

_PROMISE: Final = Promise(
    prices="raw",
    point_in_time=False,
    # Corrections come until 20:00 in New York: seven hours after an early close.
    complete_after=timedelta(hours=7),
    overlap=30,
    quota="requests an hour, a day and symbols a month by the account's plan",
)


class TiingoOptions(VendorOptions):
    """What a source of kind ``tiingo`` asks for."""

    start: Day = date(1970, 1, 1)
    adjusted_closes: Literal["compare", "ignore"] = "compare"
    base_url: str = Field(default="https://api.tiingo.com", min_length=1, max_length=1000)


def _midnight(moment: datetime) -> datetime:
    if moment.time() != time(0):
        raise ValueError("must be a day, at midnight")
    return moment


def _whole(number: float) -> float:
    if not number.is_integer():
        raise ValueError("must be a whole number of shares")
    return number


class _Row(BaseModel):
    """A session as the vendor's documents describe it; more fields may come."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    date: Annotated[datetime, AfterValidator(_midnight)]
    open: Positive
    high: Positive
    low: Positive
    close: Positive
    volume: Annotated[float, Field(ge=0.0, le=MOST_VOLUME), AfterValidator(_whole)]
    adjClose: float | None  # noqa: N815 - the vendor's name
    divCash: Annotated[float, Field(ge=0.0, le=MOST_PRICE)]  # noqa: N815
    splitFactor: Positive  # noqa: N815


class _Meta(BaseModel):
    """What the vendor says of a ticker."""

    ticker: str


_ROWS: Final = TypeAdapter(list[_Row])
_META: Final = TypeAdapter(_Meta)


class Tiingo(ListedSource):
    """Tiingo's end-of-day prices as a source."""

    Options = TiingoOptions
    promise = _PROMISE

    def __init__(self, spec: SourceSpec, base_dir: Path) -> None:
        self._options = TiingoOptions.model_validate(dict(spec.options))
        super().__init__(spec.name, self._options)
        self._vendor = Vendor(
            spec.name,
            "tiingo",
            self._options.base_url,
            base_dir,
            headers=lambda key: {"Authorization": f"Token {key}"},
            quota_said=_quota_said,
        )

    def _fetched(self, wanted: list[str], begins: Mapping[str, date]) -> Fetched[pl.DataFrame]:
        return self._rows(wanted, begins, self._bars)

    def actions(self, symbols: Sequence[str], since: date | None = None) -> pl.DataFrame:
        """Return the splits and dividends of some symbols, which the vendor tells on their ex-date.

        See `tradewind.market.sources.offers.OffersActions.actions`.

        Raises
        ------
        PartialSourceError
            If those of some of the symbols cannot be given.
        SourceError
            If a symbol is not listed in the file, or the vendor answers nobody.
        """
        begin = {} if since is None else dict.fromkeys(symbols, since)
        fetched = self._rows(self._wanted(symbols), begin, _actions)
        if fetched.failed:
            raise PartialSourceError(self._name, fetched.failed, again_at=fetched.again_at)
        return pl.concat([pl.DataFrame(schema=actions.SCHEMA), *fetched.values()]).sort(
            actions.SORTED_BY
        )

    def status(self) -> str:
        """Ask what the vendor says of the first symbol, and say what is left of the quota.

        Raises
        ------
        SourceError
            If there is no key, it is refused, the quota is used up, or nobody answers.
        """
        symbol = self.symbols()[0]
        path = f"/tiingo/daily/{quote(symbol, safe='')}"
        with self._vendor.connected() as connection:
            connection.get(path, {}, _META, about=symbol, tries=1)  # somebody waits for it
        return f"{self._vendor.quota}; {self.promise}"

    def _rows(
        self,
        wanted: Sequence[str],
        begins: Mapping[str, date],
        make: Callable[[str, list[_Row], str], pl.DataFrame],
    ) -> Fetched[pl.DataFrame]:
        """Return what is made of the rows of each symbol."""
        with self._vendor.connected() as connection:

            def ask(symbol: str) -> pl.DataFrame:
                begin = begins.get(symbol, self._options.start)
                rows = _asked(connection, symbol, begin)
                where = f"{self._vendor.who}: {symbol}"
                days = [row.date.date() for row in rows]
                refuse_disorder(days, begin, where, stored=symbol in begins)
                return make(symbol, rows, where)

            return connection.each(wanted, ask)

    def _bars(self, symbol: str, rows: list[_Row], where: str) -> pl.DataFrame:
        """Return a symbol's bars, with factors by the method of CRSP."""
        bars = pl.DataFrame(
            {
                "symbol": [symbol] * len(rows),
                "session": [row.date.date() for row in rows],
                **{price: [getattr(row, price) for row in rows] for price in PRICES},
                "volume": [int(row.volume) for row in rows],
                "split": [row.splitFactor for row in rows],
                "dividend": [row.divCash for row in rows],
                "adjusted": pl.Series([row.adjClose for row in rows], dtype=pl.Float64),
            }
        ).with_columns(both=CRSP_STEP)
        if self._options.adjusted_closes == "compare":
            _refuse_contradiction(bars, where)
        return with_factors(bars)


def _quota_said(text: str) -> timedelta | None:
    """Return for how long a sentence of the vendor's refuses; it comes with any status."""
    said = text.lower()
    if "run over your" not in said:
        return None
    return _AN_HOUR if "hour" in said else timedelta(days=1)


def _asked(connection: Connection, symbol: str, begin: date) -> list[_Row]:
    path = f"/tiingo/daily/{quote(symbol, safe='')}/prices"
    return connection.get(path, {"startDate": begin.isoformat()}, _ROWS, about=symbol)


def _refuse_contradiction(bars: pl.DataFrame, where: str) -> None:
    """Refuse splits and dividends that the vendor's adjusted closes do not show, or the reverse.

    Raises
    ------
    VendorError
        Which names the first session.
    """
    adjusted = pl.col("adjusted")
    rounding = _HALF_UNIT / adjusted + _HALF_UNIT / adjusted.shift(1)
    shown = (adjusted / pl.col("close")) / (adjusted / pl.col("close")).shift(1)
    wrong = (
        bars.with_columns(shown=shown)
        .filter(((pl.col("shown") / pl.col("both")) - 1.0).abs() > _TOLERANCE + rounding)
        .select("session", "shown", "both", "split", "dividend")
    )
    if not wrong.is_empty():
        session, shown_step, step, split, dividend = wrong.row(0)
        raise VendorError(
            f"{where}: on {session} the adjusted closes step by {shown_step:.6g}, while "
            f"splitFactor {split:g} and divCash {dividend:g} make {step:.6g}; one of them "
            "lacks a split or a dividend. Ask again tomorrow, or set options.adjusted_closes to "
            "ignore, which takes splitFactor and divCash"
        )


def _actions(symbol: str, rows: list[_Row], _where: str) -> pl.DataFrame:
    found = [
        (symbol, kind, row.date.date(), None, value, None)
        for row in rows
        for kind, value, nothing in (
            ("dividend", row.divCash, 0.0),
            ("split", row.splitFactor, 1.0),
        )
        if value != nothing
    ]
    return pl.DataFrame(found, schema=actions.SCHEMA, orient="row")
