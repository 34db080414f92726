"""Yahoo's chart interface as its users have found it, with the bundled real bars."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from tests.vendors.actions import told_of
from tests.vendors.server import Answer, VendorServer

__all__ = ["YahooServer", "chart_of"]

NEW_YORK = ZoneInfo("America/New_York")


class YahooServer(VendorServer):
    """Hands out bars up to `today`, in 32 bits and in shares of that day's size."""

    def __init__(self, bars: pl.DataFrame, today: date = date.max) -> None:
        super().__init__()
        self.bars = bars
        self.today = today
        self.over_quota = Answer(b"Too Many Requests\r\n", 429, "text/html")

    def symbol_of(self, path: str, params: Mapping[str, str]) -> str:  # noqa: ARG002
        return path.rpartition("/")[2]

    def is_allowed(self, headers: Mapping[str, str]) -> bool:
        return "Authorization" not in headers

    def answer(self, path: str, params: Mapping[str, str]) -> Answer:
        symbol = self.symbol_of(path, params)
        there = self.bars.filter(pl.col("symbol") == symbol, pl.col("session") <= self.today)
        if there.is_empty() or not path.startswith("/v8/finance/chart/"):
            said = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return Answer({"chart": {"result": None, "error": said}}, 404)
        begin = datetime.fromtimestamp(int(params["period1"]), UTC).date()
        return Answer(chart_of(symbol, there.sort("session"), begin))


def chart_of(symbol: str, bars: pl.DataFrame, begin: date) -> dict[str, Any]:
    """What is answered about one symbol from a day on."""
    factors = ("split_factor", "adjustment_factor")
    own = bars.with_columns(pl.col(factor) / pl.col(factor).last() for factor in factors)
    shown = own.filter(pl.col("session") >= begin)
    size = shown["split_factor"]
    events: dict[str, dict[str, Any]] = {"dividends": {}, "splits": {}}
    of_day = dict(own.select("session", "split_factor").iter_rows())
    for _, kind, day, value in told_of(own):
        if day < begin:
            continue
        moment = opening(day)
        if kind == "split":
            events["splits"][str(moment)] = {
                "date": moment, "numerator": value, "denominator": 1.0, "splitRatio": "x:1"
            }  # fmt: skip
        else:
            paid = value * of_day[day]
            events["dividends"][str(moment)] = {"date": moment, "amount": paid}
    quote = {
        name: single(shown[name] * size) for name in ("open", "high", "low", "close")
    } | {"volume": (shown["volume"] / size).round().cast(pl.Int64).to_list()}  # fmt: skip
    return {"chart": {"error": None, "result": [{
        "meta": {
            "currency": "USD", "symbol": symbol, "exchangeTimezoneName": "America/New_York",
            "gmtoffset": -18000, "dataGranularity": "1d", "priceHint": 2,
        },
        "timestamp": [opening(day) for day in shown["session"]],
        "events": {name: each for name, each in events.items() if each},
        "indicators": {
            "quote": [quote], "adjclose": [{"adjclose": adjusted(shown)}],
        },
    }]}}  # fmt: skip


def adjusted(bars: pl.DataFrame) -> list[float]:
    """Adjusted closes by the vendor's method: a dividend is reinvested at the close before it."""
    told = {day: value for _, kind, day, value in told_of(bars) if kind == "dividend"}
    size = dict(bars.select("session", "split_factor").iter_rows())
    rows = bars.select("session", "close").rows()
    factor, found = 1.0, []
    for place in range(len(rows) - 1, -1, -1):
        day, close = rows[place]
        found.append(close * size[day] * factor)
        if place and day in told:
            before_day, before = rows[place - 1]
            factor *= 1.0 - told[day] * size[day] / (before * size[before_day])
    return single(pl.Series(found[::-1]))


def single(prices: pl.Series) -> list[float]:
    return [float(np.float32(price)) for price in prices]


def opening(day: date) -> int:
    return int(datetime.combine(day, time(9, 30), NEW_YORK).timestamp())
