"""One account's questions to Alpaca: each answer is whole and of the form asked for, or an error.

The library (`alpaca-py`) knows addresses, headers and forms. What it lacks is here: a limit of
time, what is asked again and what is not, and what Alpaca means by an error.
"""

import asyncio
import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tradewind.errors import TradingError
from tradewind.foreign import ForeignNames
from tradewind.trading.brokers._alpaca_records import (
    Chain,
    Record,
    Reference,
    field,
    moment_of,
)
from tradewind.trading.brokers.alpaca_address import NEW_YORK, Address, Key
from tradewind.trading.orders import OrderKind, OrderTicket

if TYPE_CHECKING:
    from alpaca.common.exceptions import APIError
    from alpaca.trading.client import TradingClient
    from tenacity import RetryCallState

__all__ = ["FOREIGN", "KeyRefusedError", "Link", "NotFoundError", "RefusedError"]

FOREIGN: Final = (
    ForeignNames(
        "alpaca-py",
        ("alpaca.common.rest:RESTClient._one_request",),
        "give each question a limit of time, and see at once that too much was asked",
        "no account at Alpaca is reached",
    ),
)

_ORDERS: Final = 500  # a page, the most that there may be
_ACTIVITIES: Final = 100
_BEFORE: Final = timedelta(days=10)  # an order is sent after the session before its own
_TRIES: Final = 4
_LONGEST_WAIT: Final = 60.0  # seconds; what is allowed is counted by the minute
_TOO_MUCH: Final = 429
_LINKS: Final = 20  # of a chain of orders that replaced one another


class _PassingError(TradingError):
    """What may be otherwise in a moment; `after` says when, in seconds, where Alpaca does."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class _TooMuchError(_PassingError):
    """Too much was asked in a minute: nothing was done."""


class KeyRefusedError(TradingError):
    """The key opens no account."""


class RefusedError(TradingError):
    """Alpaca has understood what was asked, and will not do it; `said` are its words."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class NotFoundError(RefusedError):
    """There is no such thing at Alpaca."""


class Link:
    """Asks about the account that a key opens.

    Parameters
    ----------
    key : Key
    address : Address
    """

    def __init__(self, key: Key, address: Address) -> None:
        self.key = key
        self._address = address
        self._client = _client(key, address)

    async def account(self) -> Record:
        return _record(await self._ask(self._client.get_account))

    async def clock(self) -> Record:
        return _record(await self._ask(self._client.get_clock))

    async def order_named(self, reference: Reference) -> Record | None:
        """Return the order by our name for it, as it was sent; None if Alpaca has none."""
        try:
            found = await self._ask(lambda: self._client.get_order_by_client_id(str(reference)))
        except NotFoundError:
            return None
        return _record(found)

    async def order(self, order_id: str) -> Record:
        return _record(await self._ask(lambda: self._client.get_order_by_id(order_id)))

    async def place(self, order: OrderTicket) -> Record:
        """Send an order; after an error the caller must ask whether it came to anything."""
        from alpaca.trading.enums import OrderSide, TimeInForce
        from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

        common = {
            "symbol": order.symbol,
            "qty": abs(order.shares),
            "side": OrderSide.BUY if order.shares > 0 else OrderSide.SELL,
            "time_in_force": TimeInForce(self._address.time_in_force),
            "client_order_id": str(Reference.of(order)),
        }
        asked: LimitOrderRequest | MarketOrderRequest
        if order.kind is OrderKind.LIMIT and order.limit_price is not None:
            asked = LimitOrderRequest(**common, limit_price=float(order.limit_price))
        else:
            asked = MarketOrderRequest(**common)
        return _record(await self._ask(lambda: self._client.submit_order(asked), _TooMuchError))

    async def cancel(self, order_id: str) -> None:
        await self._ask(lambda: self._client.cancel_order_by_id(order_id))

    async def positions(self) -> list[Record]:
        return _records(await self._ask(self._client.get_all_positions))

    async def chain(self, record: Record) -> Chain | None:
        """Return an order with what has replaced it; None if it is not ours."""
        reference = Reference.parse(field(record, "client_order_id"))
        if reference is None:
            return None
        found = [record]
        while found[-1].get("status") == "replaced":
            if len(found) > _LINKS:
                raise TradingError(f"{self._address}: order {reference} was replaced endlessly")
            found.append(await self.order(str(field(found[-1], "replaced_by"))))
        return Chain(reference, found)

    async def orders(self, since: date | None) -> list[Record]:
        """Return all orders that may be for sessions from `since` on, oldest first."""
        from alpaca.common.enums import Sort
        from alpaca.trading.enums import QueryOrderStatus
        from alpaca.trading.requests import GetOrdersRequest

        after = _begin(since)
        found: dict[str, Record] = {}
        while True:
            asked = GetOrdersRequest(
                status=QueryOrderStatus.ALL, limit=_ORDERS, direction=Sort.ASC, after=after
            )
            page = _records(await self._ask(partial(self._client.get_orders, asked)))
            if not self._has_more(found, page, _ORDERS):
                return list(found.values())
            # As of one moment there may be several, some of them on the next page.
            after = moment_of(page[-1], "submitted_at") - timedelta(microseconds=1)

    async def trades(self, since: date | None) -> list[Record]:
        """Return all trades from `since` on, oldest first."""
        return await self._activities("FILL", since)

    async def dividends(self, since: date) -> list[Record]:
        """Return all dividends that were paid from `since` on, oldest first."""
        return await self._activities("DIV", since)

    async def _activities(self, kind: str, since: date | None) -> list[Record]:
        asked: dict[str, Any] = {"direction": "asc", "page_size": _ACTIVITIES}
        if (begin := _begin(since)) is not None:
            asked["after"] = begin.isoformat()
        found: dict[str, Record] = {}
        while True:
            page = _records(
                await self._ask(partial(self._client.get, f"/account/activities/{kind}", asked))
            )
            if not self._has_more(found, page, _ACTIVITIES):
                return list(found.values())
            asked = {**asked, "page_token": str(field(page[-1], "id"))}

    def _has_more(self, found: dict[str, Record], page: list[Record], whole: int) -> bool:
        """Keep a page, and tell whether another follows."""
        new = {str(field(record, "id")): record for record in page}
        if len(page) >= whole and not new.keys() - found.keys():
            raise TradingError(
                f"{self._address} answers with the same page again and again; the same is asked "
                "again by the next try"
            )
        found |= new
        return len(page) >= whole

    async def _ask(
        self, question: Callable[[], Any], again_after: type[_PassingError] = _PassingError
    ) -> Any:  # noqa: ANN401 - JSON
        """Ask, and a few times again where the trouble may pass."""
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

        tries = AsyncRetrying(
            stop=stop_after_attempt(_TRIES),
            retry=retry_if_exception_type(again_after),
            wait=_wait,
            reraise=True,
        )
        return await tries(self._once, question)

    async def _once(self, question: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON
        import requests
        from alpaca.common.exceptions import APIError

        try:
            return await asyncio.to_thread(question)
        except APIError as error:
            raise self._meant(error) from None  # its request has the key in its headers
        except (requests.RequestException, ValueError) as error:
            kind = type(error).__name__
            said = self.key.hidden_in(str(error))[:200]
            raise _PassingError(
                f"{self._address} gave no usable answer ({kind}: {said}); the same is asked again "
                "by the next try"
            ) from None

    def _meant(self, error: "APIError") -> TradingError:
        """Return what an error of Alpaca's means."""
        status = error.status_code or 0
        code, words = _said(str(error))
        said = self.key.hidden_in(words)[:300]
        answer = f"{self._address} answered {status}: {said}"
        if status == _TOO_MUCH:
            return _TooMuchError(
                f"{answer}: too much was asked in a minute; the same is asked again by the next "
                "try",
                _seconds_left(error),
            )
        if status == 401 or (status == 403 and code is None):  # noqa: PLR2004
            return KeyRefusedError(
                f"{answer}: the key is refused. A key of a paper account opens no live one, and "
                "the reverse; a new key makes the old one void"
            )
        if status == 404:  # noqa: PLR2004
            return NotFoundError(answer, said)
        if 400 <= status < 500 and status != 408:  # noqa: PLR2004
            return RefusedError(answer, said)
        return _PassingError(f"{answer}; the same is asked again by the next try")


def _client(key: Key, address: Address) -> "TradingClient":
    try:
        from alpaca.trading.client import TradingClient
    except ImportError as error:
        raise TradingError(
            "the broker `alpaca` needs alpaca-py: install tradewind with its extra `alpaca`"
        ) from error

    class Client(TradingClient):
        """Waits no longer than is said; what is asked again is said elsewhere."""

        def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:  # noqa: ANN401, ARG002
            return super()._one_request(method, url, {**opts, "timeout": address.timeout}, 0)

    return Client(
        key.id, key.secret, paper=address.place == "paper", raw_data=True, url_override=address.url
    )


def _wait(state: "RetryCallState") -> float:
    """Return the seconds to wait before the next try."""
    error = state.outcome.exception() if state.outcome else None
    after = error.after if isinstance(error, _PassingError) else None
    return min(0.1 * 2**state.attempt_number if after is None else after, _LONGEST_WAIT)


def _seconds_left(error: "APIError") -> float | None:
    """Return how long to wait where too much was asked, as far as Alpaca says it."""
    headers = error.response.headers
    try:
        if "Retry-After" in headers:
            found = float(headers["Retry-After"])
        else:
            found = float(headers["X-RateLimit-Reset"]) - datetime.now(UTC).timestamp()
    except (KeyError, ValueError):
        return None
    return max(found, 0.0) if math.isfinite(found) else None


def _said(text: str) -> tuple[int | None, str]:
    """Return code and message of an error; of one that is no JSON the text."""
    try:
        found = json.loads(text)
        return found.get("code"), str(found["message"])
    except (ValueError, KeyError, AttributeError):
        return None, " ".join(text.split())


def _begin(since: date | None) -> datetime | None:
    return None if since is None else datetime.combine(since, time(), NEW_YORK) - _BEFORE


def _record(found: object) -> Record:
    if not isinstance(found, dict):
        raise _PassingError(f"Alpaca answered with {str(found)[:100]!r} and no record")
    return found


def _records(found: object) -> list[Record]:
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise _PassingError(f"Alpaca answered with {str(found)[:100]!r} and no list of records")
    return found
