"""Alpaca's historical bars and corporate actions as its documents describe them: real bars."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from tests.vendors.actions import told_of
from tests.vendors.server import Answer, VendorServer

__all__ = ["AlpacaServer"]

NEW_YORK = ZoneInfo("America/New_York")


class AlpacaServer(VendorServer):
    """Hands out bars up to `today`, `page` bars at most in one answer.

    Its faults go by what is asked: ``bars:`` and ``actions:``, with the token of the page.
    """

    key = "PK5ecr3t1D:5ecr3t-0f-a-v3nd0r-4711"

    def __init__(self, bars: pl.DataFrame, today: date = date.max, page: int = 1000) -> None:
        super().__init__()
        self.bars = bars
        self.today = today
        self.page = page
        self.spin_offs: list[dict[str, Any]] = []
        self.name_changes: list[dict[str, Any]] = []

    def symbol_of(self, path: str, params: Mapping[str, str]) -> str:
        what = "bars" if path.endswith("bars") else "actions"
        return f"{what}:{params.get('page_token', '')}"

    def is_allowed(self, headers: Mapping[str, str]) -> bool:
        lower = {name.lower(): value for name, value in headers.items()}
        given = (lower.get("apca-api-key-id"), lower.get("apca-api-secret-key"))
        return given == tuple(self.key.split(":"))

    def refusal(self, headers: Mapping[str, str]) -> Answer:
        lower = {name.lower(): value for name, value in headers.items()}
        return Answer({"message": f"unauthorized {lower.get('apca-api-secret-key')}"}, 401)

    def answer(self, path: str, params: Mapping[str, str]) -> Answer:
        symbols = params["symbols"].split(",")
        begin = date.fromisoformat(params["start"])
        mine = self.bars.filter(
            pl.col("symbol").is_in(symbols), pl.col("session") <= self.today
        ).sort("symbol", "session")
        if path == "/v2/stocks/bars":
            return self._bars(mine.filter(pl.col("session") >= begin), params)
        if path == "/v1/corporate-actions":
            return Answer({"corporate_actions": self._told(mine), "next_page_token": None})
        return Answer({"message": "not found"}, 404)

    def _bars(self, mine: pl.DataFrame, params: Mapping[str, str]) -> Answer:
        start = int(params.get("page_token", "0"))
        page = mine.slice(start, min(self.page, int(params["limit"])))
        found: dict[str, list[dict[str, object]]] = {}
        for row in page.iter_rows(named=True):
            moment = datetime.combine(row["session"], time(0), NEW_YORK).astimezone(UTC)
            found.setdefault(row["symbol"], []).append(
                {
                    "t": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "o": row["open"], "h": row["high"],
                    "l": row["low"], "c": row["close"], "v": row["volume"], "n": 1, "vw": 1.5,
                }
            )  # fmt: skip
        after = start + page.height
        token = str(after) if after < mine.height else None
        return Answer({"bars": found, "next_page_token": token})

    def _told(self, mine: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
        splits: list[dict[str, Any]] = []
        paid: list[dict[str, Any]] = []
        for symbol, kind, day, value in told_of(mine):
            dates = {"ex_date": day.isoformat(), "process_date": day.isoformat()}
            if kind == "split":
                splits.append({"symbol": symbol, "new_rate": value, "old_rate": 1.0, **dates})
            else:
                more = {"special": False, "foreign": False}
                paid.append({"symbol": symbol, "rate": value, **more, **dates})
        return {
            "forward_splits": splits, "cash_dividends": paid, "spin_offs": self.spin_offs,
            "name_changes": self.name_changes,
        }  # fmt: skip
