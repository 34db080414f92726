"""Databento's historical and reference data as its documents describe them, with real bars."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from tests.vendors.server import Answer, VendorServer

__all__ = ["DatabentoServer", "lines_of"]

UNIT = 10**9


class DatabentoServer(VendorServer):
    """Hands out bars up to `today`.

    Its faults go by what is asked: ``range``, ``cost``, ``count``, ``bars`` and ``factors``.
    """

    key = "db-5ecr3t0favendor47114711471147"

    def __init__(self, bars: pl.DataFrame, today: date = date.max) -> None:
        super().__init__()
        self.bars = bars
        self.today = today
        self.dollars = 0.5
        self.unknown: set[str] = set()
        """Symbols for which a whole question is refused."""
        self.changed: dict[str, dict[str, Any]] = {}
        """By symbol, what is another in its last bar."""
        self.factors: list[dict[str, Any]] = []
        """More records than the bars have."""

    def symbol_of(self, path: str, params: Mapping[str, str]) -> str:  # noqa: ARG002
        return {
            "/v0/metadata.get_dataset_range": "range", "/v0/metadata.get_cost": "cost",
            "/v0/metadata.get_record_count": "count", "/v0/timeseries.get_range": "bars",
            "/v0/adjustment_factors.get_range": "factors",
        }.get(path, path)  # fmt: skip

    def is_allowed(self, headers: Mapping[str, str]) -> bool:
        expected = b64encode(f"{self.key}:".encode()).decode()
        return headers.get("Authorization") == f"Basic {expected}"

    def refusal(self, headers: Mapping[str, str]) -> Answer:
        said = f"Authentication failed: {headers.get('Authorization')}"
        return Answer({"detail": {"case": "auth_authentication_failed", "message": said}}, 401)

    def answer(self, path: str, params: Mapping[str, str]) -> Answer:
        what = self.symbol_of(path, params)
        there = self.bars.filter(pl.col("session") <= self.today).sort("session", "symbol")
        if what == "range":
            first, last = there["session"][0], there["session"][-1]
            span = {
                "start": f"{first}T00:00:00.000000000Z",
                "end": f"{last + timedelta(days=1)}T00:00:00.000000000Z",
            }
            return Answer({**span, "schema": {"ohlcv-1d": span}})
        symbols = params["symbols"].split(",")
        if self.unknown & set(symbols):
            detail = {"case": "symbology_invalid_symbol", "message": "Could not resolve smart"}
            return Answer({"detail": detail}, 422)
        begin = date.fromisoformat(params["start"])
        mine = there.filter(pl.col("symbol").is_in(symbols))
        if what == "factors":
            return lines_of(
                each for each in (*_factors(mine), *self.factors)
                if each["symbol"] in symbols and each["ex_date"] >= begin.isoformat()
            )  # fmt: skip
        end = date.fromisoformat(params["end"])
        mine = mine.filter(pl.col("session").is_between(begin, end, closed="left"))
        if what == "cost":
            return Answer(self.dollars)
        if what == "count":
            return Answer(mine.height)
        return self._bars(mine)

    def _bars(self, mine: pl.DataFrame) -> Answer:
        rows = [_row(each) for each in mine.iter_rows(named=True)]
        for symbol, changed in self.changed.items():
            of_symbol = [row for row in rows if row["symbol"] == symbol]
            of_symbol[-1].update(changed)
        return lines_of(rows)


def lines_of(records: Iterable[dict[str, Any]]) -> Answer:
    """One object of JSON a line."""
    text = "".join(f"{json.dumps(record)}\n" for record in records)
    return Answer(text.encode(), content_type="application/octet-stream")


def _row(bar: Mapping[str, Any]) -> dict[str, Any]:
    moment = datetime.combine(bar["session"], time(0), UTC)
    header = {
        "ts_event": str(int(moment.timestamp()) * UNIT), "rtype": 35, "publisher_id": 90,
        "instrument_id": 38,
    }  # fmt: skip
    prices = {name: str(round(bar[name] * UNIT)) for name in ("open", "high", "low", "close")}
    return {"hd": header, **prices, "volume": str(bar["volume"]), "symbol": bar["symbol"]}


def _factors(bars: pl.DataFrame) -> list[dict[str, Any]]:
    sorted_bars = bars.sort("symbol", "session")
    split = pl.col("split_factor") / pl.col("split_factor").shift(1)
    both = pl.col("adjustment_factor") / pl.col("adjustment_factor").shift(1)
    steps = sorted_bars.with_columns(
        split.over("symbol").alias("split"), both.over("symbol").alias("both")
    ).with_columns((pl.col("both") / pl.col("split")).alias("paid"))
    found = []
    for event, step in (("FSPLT", "split"), ("DIV", "paid")):
        for row in steps.filter((pl.col(step) - 1.0).abs() > 1e-9).iter_rows(named=True):
            gross = row["close"] * (row["paid"] - 1.0) if event == "DIV" else None
            found.append({
                "security_id": "S-1", "event_id": f"E-{row['symbol']}-{row['session']}-{event}",
                "event": event, "symbol": row["symbol"], "status": "A", "option": 1, "reason": 17,
                "ex_date": row["session"].isoformat(), "factor": 1.0 / row[step],
                "close": row["close"], "currency": "USD", "gross_dividend": gross,
                "ts_created": "2013-01-01T00:00:00.000000000Z",
            })  # fmt: skip
    return found
