"""The gateway of Interactive Brokers on loopback: contracts and history over its own protocol.

It speaks to the real client of ``ib_async``. What the gateway has is what it says of its bars:
``TRADES`` are adjusted for splits, ``ADJUSTED_LAST`` for dividends, too.
"""

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self

import polars as pl

__all__ = ["Fault", "HistoryGateway"]

_VERSION = 176
_START, _CONTRACT, _HISTORY, _CANCEL, _TIME, _POSITIONS = 71, 9, 20, 25, 49, 61
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Fault:
    """What is answered in the place of bars.

    Attributes
    ----------
    code, text
        An error of the gateway's; none if the code is 0.
    close : bool
        Whether the connection breaks.
    silent : bool
        Whether nothing comes.
    """

    code: int = 0
    text: str = ""
    close: bool = False
    silent: bool = False


@dataclass
class HistoryGateway:
    """Hands out bars up to `today`.

    Attributes
    ----------
    faults : dict of (str, str) to list of Fault
        By symbol and kind of prices (``contract`` for its contract), what is answered next;
        ``always`` for good.
    edits : dict of (str, str) to callable
        By the same: what is done to the bars before they are sent.
    listings : dict of str to list of str
        By symbol, on which exchanges there is a stock of that name.
    """

    bars: pl.DataFrame
    today: date = date.max
    faults: dict[tuple[str, str], list[Fault]] = field(default_factory=dict)
    always: dict[tuple[str, str], Fault] = field(default_factory=dict)
    edits: dict[tuple[str, str], Any] = field(default_factory=dict)
    listings: dict[str, list[str]] = field(default_factory=dict)
    requests: list[tuple[str, ...]] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)
    port: int = 0

    @contextmanager
    def running(self) -> Iterator[Self]:
        server = _Server(("127.0.0.1", 0), _Session)
        server.gateway = self
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def fault(self, symbol: str, what: str) -> Fault | None:
        if (symbol, what) in self.always:
            return self.always[symbol, what]
        waiting = self.faults.get((symbol, what))
        return waiting.pop(0) if waiting else None

    def rows(self, symbol: str, what: str) -> list[list[Any]]:
        """The bars of a symbol as they are sent."""
        adjusted = what == "ADJUSTED_LAST"
        price = pl.col("adjustment_factor" if adjusted else "split_factor")
        mine = (
            self.bars.filter(pl.col("symbol") == symbol, pl.col("session") <= self.today)
            .sort("session")
            .with_columns(
                (pl.col(one) / pl.col(one).last()) for one in ("split_factor", "adjustment_factor")
            )
            .select(
                pl.col("session").dt.strftime("%Y%m%d"),
                *(pl.col(name) * price for name in _PRICES),
                pl.col("volume") / pl.col("split_factor"),
            )
        )
        rows = [list(row) for row in mine.iter_rows()]
        edit = self.edits.get((symbol, what))
        return edit(rows) if edit else rows


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    gateway: HistoryGateway


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        if self.rfile.read(4) != b"API\0":
            return
        self._frame()
        self._send(_VERSION, "20261201 00:00:00 UTC")
        try:
            while (message := self._frame()) is not None:
                if self._answer(message) is False:
                    return
        except (ConnectionError, ValueError):  # the client is gone
            return

    def _frame(self) -> list[str] | None:
        head = self.rfile.read(4)
        if len(head) < 4:
            return None
        return self.rfile.read(struct.unpack(">I", head)[0]).decode().split("\0")[:-1]

    def _send(self, *fields: object) -> None:
        message = "".join(f"{each}\0" for each in fields).encode()
        self.wfile.write(struct.pack(">I", len(message)) + message)

    def _answer(self, message: list[str]) -> bool | None:
        kind = int(message[0])
        if kind == _START:
            if int(message[2]) in self.server.gateway.taken:
                self._error("-1", 326, "Unable to connect as the client id is already in use.")
                return False
            self._send(15, 1, "DU1")
            self._send(9, 1, 1)
        elif kind == _POSITIONS:
            self._send(62, 1)
        elif kind == _TIME:
            self._send(49, 1, 1_362_096_000)
        elif kind == _CONTRACT:
            return self._contract(message)
        elif kind == _HISTORY:
            return self._history(message)
        return None

    def _fault(self, symbol: str, what: str, request: str) -> bool | None:
        """Do what is wrong, and tell whether there is anything to be sent besides."""
        fault = self.server.gateway.fault(symbol, what)
        if fault is None:
            return True
        if fault.code:
            self._error(request, fault.code, fault.text)
        return False if fault.close else None

    def _contract(self, message: list[str]) -> bool | None:
        gateway, request, symbol, primary = self.server.gateway, message[2], message[4], message[11]
        name = symbol.replace(" ", ".")
        gateway.requests.append((name, "contract", primary))
        rest = self._fault(name, "contract", request)
        if not rest:
            return rest
        known = name in set(gateway.bars["symbol"])
        places = gateway.listings.get(name, ["NYSE"] if known else [])
        places = [each for each in places if primary in {"", each}]
        if not places:
            self._error(request, 200, "No security definition has been found for the request")
            return None
        for number, place in enumerate(places):
            self._send(
                10, request, symbol, "STK", "", "0", "", "SMART", "USD", symbol, symbol, symbol,
                1000 + number, "0.01", "", "", "SMART", "1", "0", symbol, place, "", "", "", "",
                "US/Eastern", "", "", "", "0", "0", "1", "", "", "26", "", "COMMON",
                "1", "1", "100",
            )  # fmt: skip
        self._send(52, 1, request)
        return None

    def _history(self, message: list[str]) -> bool | None:
        gateway, request, symbol = self.server.gateway, message[1], message[3].replace(" ", ".")
        size, duration, what = message[16], message[17], message[19]
        gateway.requests.append((symbol, what, duration))
        assert size == "1 day"
        rest = self._fault(symbol, what, request)
        if not rest:
            return rest
        rows = gateway.rows(symbol, what)
        flat = [value for row in rows for value in (*row, "0", "1")]
        self._send(17, request, "", "", len(rows), *flat)
        return None

    def _error(self, request: str, code: int, text: str) -> None:
        self._send(4, 2, request, code, text, "")
