"""Bars of Databento: raw daily prices of all exchanges, and factors of corporate actions.

Its historical interface (https://databento.com/docs) sells the bars of many symbols in one answer,
sorted by time, and is asked first what that costs and how many there are. Factors come from its
reference data, which is bought by itself. Its own library sends to https alone, to any gateway, so
that no server on this machine could stand in for it: it is asked by httpx, like the other vendors.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal

import polars as pl
from pydantic import Field

from tradewind.errors import SourceError, VendorError
from tradewind.market import actions
from tradewind.market.bars import PRICES
from tradewind.market.sources.databento_answers import (
    COUNT,
    DOLLARS,
    FACTORS,
    RANGE,
    ROWS,
    Factor,
    Row,
)  # fmt: skip
from tradewind.market.sources.listed import ListedSource, by_first_day
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

__all__ = ["Databento", "DatabentoOptions"]

_SCHEMA: Final = "ohlcv-1d"
_AT_ONCE: Final = 50  # symbols of one question: 20 years of them are 60 MB
_SPLITS: Final = frozenset({"BON", "CONSD", "FSPLT", "RSPLT", "SD"})
_DIVIDEND: Final = "DIV"
_SAME: Final = 1e-6

_PROMISE: Final = Promise(
    prices="raw",
    point_in_time=False,
    complete_after=timedelta(hours=7),  # the day's summary is of 20:00 in New York
    overlap=90,  # an action may be told, or rescinded, weeks after its ex-date
    quota="each question is paid by its size",
)
_RAW: Final = pl.Schema(
    {
        "symbol": pl.String(),
        "session": pl.Date(),
        **dict.fromkeys(PRICES, pl.Float64()),
        "volume": pl.Int64(),
    }
)


class DatabentoOptions(VendorOptions):
    """What a source of kind ``databento`` asks for."""

    start: Day = date(2024, 7, 1)
    dataset: str = Field(default="EQUS.SUMMARY", pattern=r"^[A-Z0-9]+\.[A-Z0-9]+$")
    factors: Literal["ask", "none"] = "ask"
    most_dollars: float = Field(default=10.0, gt=0.0, le=100_000.0)
    base_url: str = Field(default="https://hist.databento.com", min_length=1, max_length=1000)


class Databento(ListedSource):
    """Databento's bars of a day as a source."""

    Options = DatabentoOptions
    promise = _PROMISE

    def __init__(self, spec: SourceSpec, base_dir: Path) -> None:
        self._options = DatabentoOptions.model_validate(dict(spec.options))
        super().__init__(spec.name, self._options)
        self._vendor = Vendor(
            spec.name, "databento", self._options.base_url, base_dir, headers=_headers
        )

    def _fetched(self, wanted: list[str], begins: Mapping[str, date]) -> Fetched[pl.DataFrame]:
        fetched: Fetched[pl.DataFrame] = Fetched()
        groups = by_first_day(wanted, begins, self._options.start)
        with self._vendor.connected() as connection:
            first, end = self._span(connection)
            for begin, group in groups.items():
                for start in range(0, len(group), _AT_ONCE):
                    chunk = group[start : start + _AT_ONCE]
                    self._take(
                        connection, chunk, max(begin, first), end, fetched, stored=set(begins)
                    )
        return fetched

    def actions(self, symbols: Sequence[str], since: date | None = None) -> pl.DataFrame:
        """Return the splits and cash dividends of some symbols.

        See `tradewind.market.sources.offers.OffersActions.actions`.

        Raises
        ------
        SourceError
            If a symbol is not listed in the file, or the vendor does not answer.
        """
        wanted = self._wanted(symbols)
        begin = since or self._options.start
        rows: list[tuple[str, str, date, date | None, float | None, str | None]] = []
        with self._vendor.connected() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                chunk = wanted[start : start + _AT_ONCE]
                for symbol, factors in self._factors(connection, chunk, begin).items():
                    for each in _in_force(factors, f"{self._vendor.who}: {symbol}"):
                        kind, value = "split", 1.0 / each.factor
                        if each.event == _DIVIDEND and each.gross_dividend:
                            kind, value = "dividend", each.gross_dividend
                        elif each.event not in _SPLITS:
                            continue
                        rows.append((symbol, kind, each.ex_date, None, value, None))
        found = pl.DataFrame(rows, schema=actions.SCHEMA, orient="row")
        return found.sort(*actions.SORTED_BY, "value")

    def status(self) -> str:
        """Ask from when to when the dataset can be had.

        Raises
        ------
        SourceError
            If there is no key, it is refused, the quota is used up, or nobody answers.
        """
        with self._vendor.connected() as connection:
            first, end = self._span(connection, tries=1)
        span = f"{self._options.dataset} from {first} up to {end}"
        return f"{self._vendor.quota}; {span}; {self.promise}"

    def _span(self, connection: Connection, tries: int | None = None) -> tuple[date, date]:
        """Return the first day of the dataset, and the one after its last."""
        more = {} if tries is None else {"tries": tries}
        found = connection.get(
            "/v0/metadata.get_dataset_range", {"dataset": self._options.dataset}, RANGE,
            about=self._options.dataset, **more,
        )  # fmt: skip
        span = found.schemas.get(_SCHEMA, found)
        return span.start.date(), span.end.date()

    def _take(
        self,
        connection: Connection,
        group: Sequence[str],
        begin: date,
        end: date,
        fetched: Fetched[pl.DataFrame],
        *,
        stored: set[str],
    ) -> None:
        """Add the bars of some symbols, all from one day on, or why they cannot be had."""
        try:
            rows = self._rows(connection, group, begin, end)
            told = self._factors(connection, group, begin)
        except VendorError as error:
            if error.for_all and error.again_at is None and not fetched:
                raise
            if error.absent and len(group) > 1:  # which one is it that the vendor does not know?
                for half in (group[: len(group) // 2], group[len(group) // 2 :]):
                    self._take(connection, half, begin, end, fetched, stored=stored)
                return
            fetched.failed |= dict.fromkeys(group, str(error))
            fetched.again_at = fetched.again_at or error.again_at
            return
        for symbol in group:
            where = f"{self._vendor.who}: {symbol}"
            try:
                bars = _frame(symbol, rows[symbol], where)
                refuse_disorder(bars["session"].to_list(), begin, where, stored=symbol in stored)
                steps = _steps(_in_force(told[symbol], where), bars, where)
                fetched[symbol] = with_actions(bars, steps)
            except VendorError as error:
                fetched.failed[symbol] = str(error)

    def _rows(
        self, connection: Connection, group: Sequence[str], begin: date, end: date
    ) -> dict[str, list[Row | Unread]]:
        """Buy the bars of some symbols: all of them, or it is an error."""
        found: dict[str, list[Row | Unread]] = {symbol: [] for symbol in group}
        if begin >= end:
            return found
        form = {
            "dataset": self._options.dataset,
            "symbols": ",".join(group),
            "schema": _SCHEMA,
            "start": begin.isoformat(),
            "end": end.isoformat(),
            "stype_in": "raw_symbol",
        }
        about = group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}"
        where = f"{self._vendor.who}: {about}"
        cost = connection.post("/v0/metadata.get_cost", form, DOLLARS, about=about)
        if cost > self._options.most_dollars:
            raise SourceError(
                f"{where}: the bars from {begin} on cost {cost:.2f} dollars, and the file allows "
                f"{self._options.most_dollars:g} a question; raise options.most_dollars, or begin "
                "later (options.start)"
            )
        count = connection.post("/v0/metadata.get_record_count", form, COUNT, about=about)
        asked = {**form, "encoding": "json", "compression": "none", "map_symbols": "true"}
        for row in connection.post(
            "/v0/timeseries.get_range", asked, ROWS, about=about, lines=True, count=count
        ):
            if row.symbol not in found:
                raise VendorError(
                    f"{where}: bars of {row.symbol} came, which were not asked for; see base_url "
                    "in the source's file"
                )
            found[row.symbol].append(row)
        return found

    def _factors(
        self, connection: Connection, group: Sequence[str], begin: date
    ) -> dict[str, list[Factor | Unread]]:
        """Return all records of the factors of some symbols."""
        found: dict[str, list[Factor | Unread]] = {symbol: [] for symbol in group}
        if self._options.factors == "none":
            return found
        form = {
            "symbols": ",".join(group),
            "stype_in": "nasdaq_symbol",
            "start": begin.isoformat(),
            "countries": "US",
            "compression": "none",
        }
        for record in connection.post(
            "/v0/adjustment_factors.get_range", form, FACTORS, about=f"factors of {group[0]} and "
            f"{len(group) - 1} more", lines=True,
        ):  # fmt: skip
            if record.symbol in found:
                found[record.symbol].append(record)
        return found


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}"}


def _frame(symbol: str, rows: Iterable[Row | Unread], where: str) -> pl.DataFrame:
    """Return the bars of one symbol.

    Raises
    ------
    VendorError
        If one is broken, or lacks a price.
    """
    taken = []
    for row in rows:
        if isinstance(row, Unread):
            raise VendorError(row.said(where.rpartition(": ")[0], "a bar"))
        if not row.is_defined:
            raise VendorError(
                f"{where}: the bar of {row.session} has a price that is undefined; ask again "
                "later, or take the symbol out of options.symbols"
            )
        taken.append((symbol, row.session, *row.prices, row.volume))
    return pl.DataFrame(taken, schema=_RAW, orient="row")


def _in_force(records: Iterable[Factor | Unread], where: str) -> list[Factor]:
    """Return the newest word on each event of a symbol, unless it was rescinded.

    Raises
    ------
    VendorError
        If a record is broken, or two of one event contradict each other.
    """
    events: dict[str, list[Factor]] = {}
    for each in records:
        if isinstance(each, Unread):
            raise VendorError(each.said(where.rpartition(": ")[0], "an adjustment factor"))
        events.setdefault(each.event_id, []).append(each)
    found = []
    for event, told in sorted(events.items()):
        newest = max(each.ts_created for each in told)
        last = [each for each in told if each.ts_created == newest]
        first_option = min(each.option for each in last)
        one, *others = [each for each in last if each.option == first_option]
        for other in others:
            apart = abs(other.factor / one.factor - 1.0) > _SAME
            if apart or (other.ex_date, other.status) != (one.ex_date, one.status):
                raise VendorError(
                    f"{where}: event {event} has factors {one.factor:g} on {one.ex_date} and "
                    f"{other.factor:g} on {other.ex_date}; ask the vendor which holds"
                )
        if one.status != "R":
            found.append(one)
    return sorted(found, key=lambda each: (each.ex_date, each.event_id))


def _steps(
    factors: Iterable[Factor], bars: pl.DataFrame, where: str
) -> list[tuple[str, date, float]]:
    first, last = bars["session"][0], bars["session"][-1]
    found = []
    for each in factors:
        if each.status == "P" and first < each.ex_date <= last:
            raise VendorError(
                f"{where}: the factor of {each.event} on {each.ex_date} is pending; ask again later"
            )
        kind = "split" if each.event in _SPLITS else "step"
        found.append((kind, each.ex_date, 1.0 / each.factor))
    return found
