"""Alpaca's trading interface as its documents describe it, REST and stream, with real opens.

A stand-in on loopback, which the product knows by its address alone. Its clock stands still until
it is told to go on, its exchange fills at the opens that it is given, and it can be told to
misbehave.
"""

import json
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

from tests.vendors.server import Answer
from tests.vendors.websocket import serve_socket

__all__ = ["AlpacaBrokerServer", "Fault", "Opening", "VendorAccount"]

NEW_YORK = ZoneInfo("America/New_York")
OPEN = time(9, 30)
ENDED = frozenset({"filled", "canceled", "expired", "rejected", "replaced", "done_for_day"})


@dataclass(frozen=True)
class Opening:
    """How a symbol opens: at which price, and how many shares of an order are filled."""

    price: Decimal
    shares: int = 10**9


@dataclass(frozen=True)
class Fault:
    """What is answered in the place of the truth, and whether what was asked is done meanwhile."""

    answer: Answer
    done: bool = False


@dataclass
class VendorAccount:
    """One account there; `secret` belongs to the key `id`."""

    number: str
    id: str
    secret: str
    equity: Decimal = Decimal("1000000.00")
    status: str = "ACTIVE"
    flags: dict[str, bool] = field(default_factory=dict)
    refuses: dict[str, str] = field(default_factory=dict)
    """By symbol, in which words an order is refused."""
    orders: list[dict[str, Any]] = field(default_factory=list)
    trades: list[dict[str, Any]] = field(default_factory=list)
    dividends: list[dict[str, Any]] = field(default_factory=list)
    positions: dict[str, Decimal] = field(default_factory=dict)
    listeners: list[Callable[[dict[str, Any]], None]] = field(default_factory=list)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # who asked may have been killed
            super().handle_error(request, client_address)


class AlpacaBrokerServer:
    """The exchange and its broker.

    Parameters
    ----------
    accounts : sequence of VendorAccount
    sessions : sequence of date
        On which the exchange opens.
    opening : callable
        Says how a symbol opens on a session; None for one that does not.
    now : datetime
    """

    def __init__(
        self,
        accounts: Sequence[VendorAccount],
        sessions: Sequence[date],
        opening: Callable[[str, date], Opening | None],
        now: datetime,
    ) -> None:
        self.accounts = {account.number: account for account in accounts}
        self.sessions = list(sessions)
        self.opening = opening
        self.now = now
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.faults: dict[str, list[Fault]] = {}
        """By ``METHOD /path``, what is answered next."""
        self.late: dict[str, str] = {}
        """By symbol, what an order that was answered with ``pending_new`` becomes."""
        self.unfilled = "canceled"
        self.parts = 2
        """In how many trades an order is filled, at most."""
        self.split: Callable[[str, date], Decimal] = lambda *_: Decimal(1)
        """What one share becomes before a session's open; paper accounts may skip it."""
        self.page = 500
        self.before_order: Callable[[], None] | None = None
        self.after_order: Callable[[], None] | None = None
        """Called once, when an order has come: before it is taken, or before it is answered."""
        self.deaf = False
        """Whether connections to the stream break before they hear anything."""
        self._number = 0
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[Self]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def open_session(self, session: date, *, until: time = time(20)) -> None:
        """Let a session's open come, fill what waits for it, and let the day pass."""
        with self._lock:
            self.now = datetime.combine(session, OPEN, NEW_YORK)
            for account in self.accounts.values():
                for symbol, shares in account.positions.items():
                    account.positions[symbol] = shares * self.split(symbol, session)
                for order in list(account.orders):
                    if order["status"] not in ENDED and order["session"] <= session:
                        self._trade(account, order, session)
            self.now = datetime.combine(session, until, NEW_YORK)

    def order(self, number: str, name: str) -> dict[str, Any]:
        """Return the order whose `client_order_id` begins with a name."""
        [found] = [
            order
            for order in self.accounts[number].orders
            if order["client_order_id"].startswith(f"{name}/")
        ]
        return found

    def change(self, number: str, order: dict[str, Any], event: str, **changes: Any) -> None:
        """Change an order, and tell who listens."""
        with self._lock:
            order.update(changes, updated_at=self._stamp())
            for tell in list(self.accounts[number].listeners):
                tell({"event": event, "order": _shown(order), "timestamp": self._stamp()})

    def replace(self, number: str, order: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Replace an order, as somebody does on the vendor's page."""
        with self._lock:
            other = {
                **order, "id": self._id(), "client_order_id": self._id(), "status": "accepted",
                "replaces": order["id"], "submitted_at": self._stamp(), **changes,
            }  # fmt: skip
            self.accounts[number].orders.append(other)
            self.change(number, order, "replaced", status="replaced", replaced_by=other["id"])
            return other

    def ask(
        self, method: str, target: str, headers: dict[str, str], body: dict[str, Any]
    ) -> Answer:
        parts = urlsplit(target)
        path = unquote(parts.path).removeprefix("/v2")
        asked = body or dict(parse_qsl(parts.query))
        with self._lock:
            self.requests.append((method, path, asked))
            waiting = self.faults.get(f"{method} {path}", [])
            fault = waiting.pop(0) if waiting else None
            if fault is not None and not fault.done:
                return fault.answer
            account = self.account_of(
                headers.get("apca-api-key-id"), headers.get("apca-api-secret-key")
            )
            if account is None:
                said = f"unauthorized {headers.get('apca-api-secret-key')}"  # careless
                return Answer({"code": 40110000, "message": said}, 401)
            ordered = (method, path) == ("POST", "/orders")
            if ordered and (call := self.before_order):
                self.before_order = None
                call()
            answer = self._answer(account, method, path, asked)
            if ordered and (call := self.after_order):
                self.after_order = None
                call()
            return fault.answer if fault is not None else answer

    def account_of(self, name: object, secret: object) -> VendorAccount | None:
        for account in self.accounts.values():
            if (account.id, account.secret) == (name, secret):
                return account
        return None

    def _answer(  # noqa: PLR0911 - one for each address
        self, account: VendorAccount, method: str, path: str, asked: dict[str, Any]
    ) -> Answer:
        match method, path.strip("/").split("/"):
            case "GET", ["account"]:
                return Answer(self._account(account))
            case "GET", ["clock"]:
                return Answer(self._clock())
            case "GET", ["positions"]:
                return Answer([_position(*each) for each in account.positions.items() if each[1]])
            case "GET", ["account", "activities", "FILL"]:
                return Answer(self._trades(account, asked))
            case "GET", ["account", "activities", "DIV"]:
                return Answer(account.dividends)
            case "GET", ["orders"]:
                return Answer(self._orders(account, asked))
            case "GET", ["orders:by_client_order_id"]:
                return _one(account, "client_order_id", asked["client_order_id"])
            case "GET", ["orders", name]:
                return _one(account, "id", name)
            case "DELETE", ["orders", name]:
                return self._cancel(account, name)
            case "POST", ["orders"]:
                return self._take(account, asked)
        return Answer({"code": 40410000, "message": "endpoint not found."}, 404)

    def _account(self, account: VendorAccount) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, account.number)),
            "account_number": account.number, "status": account.status, "currency": "USD",
            "cash": str(account.equity), "equity": str(account.equity),
            "buying_power": str(account.equity * 2), "account_blocked": False,
            "trading_blocked": False, "trade_suspended_by_user": False, **account.flags,
        }  # fmt: skip

    def _clock(self) -> dict[str, Any]:
        coming = self._next_open(self.now)
        today = self.now.date() in self.sessions
        return {
            "timestamp": self.now.isoformat(),
            "is_open": today and OPEN <= self.now.time() < time(16),
            "next_open": datetime.combine(coming, OPEN, NEW_YORK).isoformat(),
            "next_close": datetime.combine(coming, time(16), NEW_YORK).isoformat(),
        }

    def _next_open(self, moment: datetime) -> date:
        return next(day for day in self.sessions if datetime.combine(day, OPEN, NEW_YORK) > moment)

    def _take(self, account: VendorAccount, asked: dict[str, Any]) -> Answer:
        symbol, name = asked["symbol"], asked["client_order_id"]
        if any(order["client_order_id"] == name for order in account.orders):
            return Answer({"code": 40010001, "message": "client_order_id must be unique"}, 422)
        if symbol in account.refuses:
            return Answer({"code": 40310000, "message": account.refuses[symbol]}, 403)
        session = self._next_open(self.now)
        if self.opening(symbol, session) is None:
            return Answer({"code": 42210000, "message": f'asset "{symbol}" not found'}, 422)
        quantity = Decimal(str(asked["qty"]))
        if quantity != int(quantity) and asked["time_in_force"] != "day":
            return Answer(
                {"code": 42210000, "message": "fractional orders must be DAY orders"}, 422
            )
        if asked["time_in_force"] == "opg" and time(9, 28) <= self.now.time() < time(19):
            said = "opg orders must be submitted after 7:00pm and before 9:28am"
            return Answer({"code": 42210000, "message": said}, 422)
        order: dict[str, Any] = {
            "id": self._id(), "client_order_id": name, "symbol": symbol,
            "submitted_at": self._stamp(), "created_at": self._stamp(),
            "qty": f"{quantity.normalize():f}",
            "filled_qty": "0", "filled_avg_price": None, "type": asked["type"],
            "side": asked["side"], "time_in_force": asked["time_in_force"],
            "limit_price": None if "limit_price" not in asked else str(asked["limit_price"]),
            "status": "pending_new" if symbol in self.late else "accepted",
            "replaced_by": None, "replaces": None, "canceled_at": None, "failed_at": None,
            "asset_class": "us_equity", "session": session,
        }  # fmt: skip
        account.orders.append(order)
        answer = Answer(_shown(order))
        self.change(account.number, order, order["status"])
        return answer

    def decide(self, number: str) -> None:
        """Say what becomes of orders that are pending."""
        for order in self.accounts[number].orders:
            if order["status"] == "pending_new":
                status = self.late[order["symbol"]]
                at = {"failed_at": self._stamp()} if status == "rejected" else {}
                self.change(number, order, status, status=status, **at)

    def _cancel(self, account: VendorAccount, name: str) -> Answer:
        for order in account.orders:
            if order["id"] == name and order["status"] not in ENDED:
                self.change(account.number, order, "canceled", status="canceled",
                            canceled_at=self._stamp())  # fmt: skip
                return Answer(b"", 204)
        return Answer({"code": 42210000, "message": "order is not cancelable"}, 422)

    def _orders(self, account: VendorAccount, asked: dict[str, Any]) -> list[dict[str, Any]]:
        found = sorted(account.orders, key=lambda order: str(order["submitted_at"]))
        if asked.get("status", "open") == "open":
            found = [order for order in found if order["status"] not in ENDED]
        if "after" in asked:
            after = datetime.fromisoformat(asked["after"])
            found = [o for o in found if datetime.fromisoformat(o["submitted_at"]) > after]
        if asked.get("direction", "desc") == "desc":
            found.reverse()
        return [_shown(order) for order in found[: min(int(asked.get("limit", 50)), self.page)]]

    def _trades(self, account: VendorAccount, asked: dict[str, Any]) -> list[dict[str, Any]]:
        found = sorted(account.trades, key=lambda trade: str(trade["id"]))
        if "after" in asked:
            after = datetime.fromisoformat(asked["after"])
            found = [t for t in found if datetime.fromisoformat(t["transaction_time"]) > after]
        if "page_token" in asked:
            found = [trade for trade in found if trade["id"] > asked["page_token"]]
        return found[: int(asked.get("page_size", 100))]

    def _trade(self, account: VendorAccount, order: dict[str, Any], session: date) -> None:
        quote = self.opening(order["symbol"], session)
        wanted, buys = Decimal(order["qty"]), order["side"] == "buy"
        limit = None if order["limit_price"] is None else Decimal(order["limit_price"])
        traded = Decimal(0)
        if quote is not None and not (
            limit is not None and (quote.price > limit if buys else quote.price < limit)
        ):
            traded = min(wanted, Decimal(quote.shares))
        if quote is not None and traded:
            half = traded // 2 if self.parts > 1 else Decimal(0)
            parts = [part for part in (half, traded - half) if part]
            for part in parts:
                self.fill(account.number, order, part, quote.price)
        if order["status"] not in ENDED:
            ended = {"canceled_at": self._stamp()} if self.unfilled == "canceled" else {}
            self.change(account.number, order, self.unfilled, status=self.unfilled, **ended)

    def fill(
        self, number: str, order: dict[str, Any], shares: Decimal, price: Decimal
    ) -> dict[str, Any]:
        account = self.accounts[number]
        filled = Decimal(order["filled_qty"]) + shares
        whole = filled == Decimal(order["qty"])
        sign = 1 if order["side"] == "buy" else -1
        held = account.positions.get(order["symbol"], Decimal(0))
        account.positions[order["symbol"]] = held + sign * shares
        trade = {
            "id": f"{self.now:%Y%m%d%H%M%S}{self._next():06d}::{self._id()}",
            "activity_type": "FILL", "type": "fill" if whole else "partial_fill",
            "transaction_time": self._stamp(), "price": f"{price:f}", "qty": f"{shares:f}",
            "side": order["side"], "symbol": order["symbol"], "order_id": order["id"],
            "leaves_qty": f"{Decimal(order['qty']) - filled:f}", "cum_qty": f"{filled:f}",
        }  # fmt: skip
        account.trades.append(trade)
        event, status = ("fill", "filled") if whole else ("partial_fill", "partially_filled")
        self.change(number, order, event, filled_qty=f"{filled:f}", status=status)
        return trade

    def _stamp(self) -> str:
        """A moment with nanoseconds; no two are the same."""
        moment = self.now + timedelta(microseconds=self._next())
        return f"{moment:%Y-%m-%dT%H:%M:%S.%f}123{moment:%z}"[:-2] + ":00"

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _id(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"order {self._next()}"))


def _shown(order: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name != "session"}


def _one(account: VendorAccount, name: str, value: str) -> Answer:
    for order in account.orders:
        if order[name] == value:
            return Answer(_shown(order))
    return Answer({"code": 40410000, "message": f"order not found for {value}"}, 404)


def _position(symbol: str, shares: Decimal) -> dict[str, Any]:
    return {
        "symbol": symbol, "qty": f"{shares:f}", "side": "long" if shares > 0 else "short",
        "asset_class": "us_equity", "exchange": "NASDAQ", "avg_entry_price": "1",
    }  # fmt: skip


def _handler_of(server: AlpacaBrokerServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/stream":
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                serve_socket(self, server)
                self.close_connection = True
            else:
                self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def do_DELETE(self) -> None:
            self._answer("DELETE")

        def _answer(self, method: str) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = server.ask(method, self.path, headers, body)
            content = answer.content
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(content)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            with suppress(OSError):  # who asked may have been killed meanwhile
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if answer.cut else content)
            self.close_connection |= answer.cut

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    return Handler
