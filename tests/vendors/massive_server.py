"""Massive's aggregates and corporate actions as its documents describe them, with real bars."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from tests.vendors.actions import told_of
from tests.vendors.server import Answer, VendorServer

__all__ = ["MassiveServer"]

NEW_YORK = ZoneInfo("America/New_York")


class MassiveServer(VendorServer):
    """Hands out bars up to `today`, `page` bars at most in one answer.

    Its faults go by symbol for the bars of one, and else by what is asked: ``2013-02-28`` for a day
    of all symbols, ``splits``, ``dividends``, ``tickers``, ``names:IBM``.
    """

    def __init__(self, bars: pl.DataFrame, today: date = date.max, page: int = 1500) -> None:
        super().__init__()
        self.bars = bars
        self.today = today
        self.page = page
        self.names: dict[str, list[tuple[str, str]]] = {}
        """By symbol, the names of its company with their first days, oldest first."""
        self.delisted: dict[str, str] = {}
        self.more_splits: list[dict[str, Any]] = []

    def symbol_of(self, path: str, params: Mapping[str, str]) -> str:  # noqa: ARG002
        parts = path.strip("/").split("/")
        if parts[:3] == ["v2", "aggs", "ticker"]:
            return parts[3]
        if parts[-1] == "events":
            return f"names:{parts[3]}"
        return parts[-1]

    def is_allowed(self, headers: Mapping[str, str]) -> bool:
        return headers.get("Authorization") == f"Bearer {self.key}"

    def refusal(self, headers: Mapping[str, str]) -> Answer:
        said = f"Unknown API Key {headers.get('Authorization')}"
        return Answer({"status": "ERROR", "request_id": "a1", "error": said}, 401)

    def answer(self, path: str, params: Mapping[str, str]) -> Answer:
        parts = path.strip("/").split("/")
        there = self.bars.filter(pl.col("session") <= self.today).sort("symbol", "session")
        match parts:
            case ["v2", "aggs", "ticker", symbol, "range", "1", "day", begin, end]:
                mine = there.filter(
                    pl.col("symbol") == symbol, pl.col("session").is_between(_day(begin), _day(end))
                )
                return self._history(symbol, mine, path, params)
            case ["v2", "aggs", "grouped", "locale", "us", "market", "stocks", day]:
                return _of_a_day(there.filter(pl.col("session") == _day(day)), params)
            case ["stocks", "v1", ("splits" | "dividends") as what]:
                return self._told(there, what, params)
            case ["vX", "reference", "tickers", symbol, "events"]:
                return self._names(symbol)
            case ["v3", "reference", "tickers"]:
                return self._tickers(there, params)
        return Answer({"status": "NOT_FOUND", "message": "Not found"}, 404)

    def _history(
        self, symbol: str, mine: pl.DataFrame, path: str, params: Mapping[str, str]
    ) -> Answer:
        start = int(params.get("cursor", "0"))
        page = mine.slice(start, self.page)
        body: dict[str, Any] = {
            "ticker": symbol, "queryCount": page.height, "resultsCount": page.height,
            "adjusted": params.get("adjusted", "true") == "true" and not start,
            "status": "DELAYED", "request_id": "b2", "count": page.height,
        }  # fmt: skip
        if page.height:
            body["results"] = [_bar(row, time(0)) for row in page.iter_rows(named=True)]
        if start + page.height < mine.height:
            body["next_url"] = f"https://api.massive.com{path}?cursor={start + page.height}"
        return Answer(body)

    def _told(self, there: pl.DataFrame, what: str, params: Mapping[str, str]) -> Answer:
        asked = params["ticker.any_of"].split(",")
        column = {"splits": "execution_date", "dividends": "ex_dividend_date"}[what]
        begin = params[f"{column}.gte"]
        records = []
        for symbol, kind, day, value in told_of(there.filter(pl.col("symbol").is_in(asked))):
            if (kind, what) == ("split", "splits"):
                records.append({
                    "id": "E1", "ticker": symbol, column: day.isoformat(), "split_from": 1,
                    "split_to": value, "adjustment_type": "forward_split",
                    "historical_adjustment_factor": 0.5,
                })  # fmt: skip
            elif (kind, what) == ("dividend", "dividends"):
                records.append({
                    "id": "E2", "ticker": symbol, column: day.isoformat(), "cash_amount": value,
                    "currency": "USD", "declaration_date": "2000-01-03", "frequency": 4,
                    "distribution_type": "recurring",
                })  # fmt: skip
        if what == "splits":
            records += [each for each in self.more_splits if each["ticker"] in asked]
        kept = [each for each in records if str(each[column]) >= begin]
        return Answer({"status": "OK", "request_id": 1, "results": kept})

    def _names(self, symbol: str) -> Answer:
        if symbol not in self.names:
            return Answer({"status": "NOT_FOUND", "message": "Ticker not found."}, 404)
        events = [
            {"type": "ticker_change", "date": day, "ticker_change": {"ticker": name}}
            for name, day in reversed(self.names[symbol])
        ]
        return Answer({"status": "OK", "results": {"name": symbol, "events": events}})

    def _tickers(self, there: pl.DataFrame, params: Mapping[str, str]) -> Answer:
        if params.get("active") == "false":
            gone = [
                {"ticker": one, "active": False, "delisted_utc": f"{day}T00:00:00Z"}
                for one, day in self.delisted.items()
                if one == params["ticker"]
            ]
            return Answer({"status": "OK", "results": gone, "count": len(gone)})
        if "date" in params:
            there = there.filter(pl.col("session") == _day(params["date"]))
        names = there["symbol"].unique().sort().to_list()
        return Answer({"status": "OK", "results": [{"ticker": one} for one in names]})


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _bar(row: Mapping[str, Any], at: time) -> dict[str, object]:
    moment = datetime.combine(row["session"], at, NEW_YORK).astimezone(UTC)
    return {
        "v": float(row["volume"]), "vw": 1.5, "o": row["open"], "c": row["close"],
        "h": row["high"], "l": row["low"], "t": int(moment.timestamp() * 1000), "n": 1,
    }  # fmt: skip


def _of_a_day(bars: pl.DataFrame, params: Mapping[str, str]) -> Answer:
    results = [{"T": row["symbol"], **_bar(row, time(16))} for row in bars.iter_rows(named=True)]
    results.append({"T": "ZZZT", "v": 0, "o": 0, "c": 0, "h": 0, "l": 0, "t": 1})
    return Answer({
        "status": "OK", "queryCount": len(results), "resultsCount": len(results),
        "adjusted": params.get("adjusted", "true") == "true", "results": results,
    })  # fmt: skip
