"""Two crypto exchanges as their documents describe them, with the bundled real bars re-dated.

Coins are traded each day, so the bars of a stock stand here on consecutive days. Volumes are a ten
thousandth of its shares, so that there are parts of coins.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from tests.vendors.server import Answer, VendorServer
from tradewind.market.sources import sample

__all__ = ["COINS", "BitstampServer", "KrakenServer", "candles_of", "coins"]

COINS = {"BTC/USD": "IBM", "ETH/USD": "GOOG"}
"""Whose bars a market has; neither had a split in these years."""
IDS = {"BTC/USD": "btcusd", "ETH/USD": "ethusd"}
PARTS = 10_000
DAY = 86_400


def coins(last: date) -> pl.DataFrame:
    """Bars of `COINS` on consecutive days up to `last`, with the volume in ten thousandths."""
    frames = []
    for coin, stock in COINS.items():
        bars = sample.load([stock])
        first = last - timedelta(days=bars.height - 1)
        frames.append(
            bars.with_columns(
                pl.lit(coin).alias("symbol"),
                pl.date_range(first, last, "1d", eager=True).alias("session"),
                pl.lit(1.0).alias("split_factor"),
                pl.lit(1.0).alias("adjustment_factor"),
            )
        )
    return pl.concat(frames).sort("symbol", "session")


def candles_of(bars: pl.DataFrame, coin: str) -> list[dict[str, str]]:
    """A market's candles as Bitstamp writes them."""
    return [
        {
            "timestamp": str(seconds(row["session"])),
            **{name: repr(row[name]) for name in ("open", "high", "low", "close")},
            "volume": repr(row["volume"] / PARTS),
        }
        for row in bars.filter(symbol=coin).iter_rows(named=True)
    ]


def seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


class _Exchange(VendorServer):
    """Hands out candles up to `today`; asked without a key."""

    def __init__(self, bars: pl.DataFrame, today: date = date.max) -> None:
        super().__init__()
        self.candles = {coin: candles_of(bars, coin) for coin in COINS}
        self.today = today

    def is_allowed(self, headers: Mapping[str, str]) -> bool:  # noqa: ARG002
        return True

    def _until_today(self, coin: str) -> list[dict[str, str]]:
        last = seconds(min(self.today, date(9000, 1, 1)))
        return [each for each in self.candles[coin] if int(each["timestamp"]) <= last]


class BitstampServer(_Exchange):
    """A page is what lies between a first and a last moment: nothing before a listing."""

    page = 1000
    newest_first = False
    market_type = "SPOT"

    def symbol_of(self, path: str, params: Mapping[str, str]) -> str:  # noqa: ARG002
        return path.strip("/").split("/")[-1]

    def answer(self, path: str, params: Mapping[str, str]) -> Answer:
        parts = path.strip("/").split("/")
        if parts[2:] == ["markets"]:
            return Answer([self._market(coin) for coin in self.candles])
        coin = next((one for one in self.candles if IDS[one] == parts[-1]), None)
        if coin is None:
            return Answer({"error": "not found"}, 404)
        begin, end = int(params["start"]), int(params["end"])
        found = [each for each in self._until_today(coin) if begin <= int(each["timestamp"]) <= end]
        most = min(self.page, int(params["limit"]))
        page = found[-most:] if self.newest_first else found[:most]
        return Answer({"data": {"pair": coin, "ohlc": page}})

    def _market(self, coin: str) -> dict[str, Any]:
        base, counter = coin.split("/")
        return {
            "name": coin, "market_symbol": IDS[coin], "base_currency": base, "base_decimals": 8,
            "counter_currency": counter, "counter_decimals": 2, "minimum_order_value": "10",
            "trading": "Enabled", "instant_order_counter_decimals": 2,
            "instant_and_market_orders": "Enabled", "description": f"{base} / {counter}",
            "market_type": self.market_type, "payoff_type": "Linear",
        }  # fmt: skip


class KrakenServer(_Exchange):
    """Gives the candles of its newest 720 days, whatever is asked for (ccxt/ccxt#5614)."""

    def symbol_of(self, path: str, params: Mapping[str, str]) -> str:  # noqa: ARG002
        return path.strip("/").split("/")[-1]

    def answer(self, path: str, params: Mapping[str, str]) -> Answer:
        what = self.symbol_of(path, params)
        if what == "OHLC":
            coin = next(one for one in self.candles if IDS[one].upper() == params["pair"])
            there = self._until_today(coin)
            newest = int(there[-1]["timestamp"]) - 720 * DAY
            rows = [
                [int(each["timestamp"]), each["open"], each["high"], each["low"], each["close"],
                 each["close"], each["volume"], 7]
                for each in there if int(each["timestamp"]) > newest
            ]  # fmt: skip
            return Answer({"error": [], "result": {params["pair"]: rows, "last": 0}})
        return Answer({"error": [], "result": self._pairs() if what == "AssetPairs" else {}})

    def _pairs(self) -> dict[str, Any]:
        return {
            IDS[coin].upper(): {
                "altname": IDS[coin].upper(), "wsname": coin, "base": coin.split("/")[0],
                "quote": coin.split("/")[1], "pair_decimals": 2, "lot_decimals": 8,
                "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]], "leverage_buy": [],
                "ordermin": "0.0001", "costmin": "0.5", "tick_size": "0.01", "status": "online",
            }
            for coin in self.candles
        }  # fmt: skip
