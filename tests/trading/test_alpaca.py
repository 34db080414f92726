"""The broker `alpaca`: the contract of all brokers through the real library, and its own ways."""

import asyncio
import datetime as dt
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support import wait_until
from tests.vendors.alpaca_broker_server import (
    AlpacaBrokerServer,
    Fault,
    Opening,
    VendorAccount,
)
from tests.vendors.server import HTML, Answer
from tradewind.broker_login import LOGIN
from tradewind.errors import OrderRejectedError, TradingError
from tradewind.testing.broker import (
    AAPL,
    FIRST,
    MSFT,
    SECOND,
    SIGNAL,
    BrokerContract,
    Market,
    only_order,
    run,
    ticket,
)
from tradewind.trading.book.unpaid import Dividend
from tradewind.trading.broker import Broker, ExaminedBroker, PayingBroker, open_broker
from tradewind.trading.brokers import _alpaca_link
from tradewind.trading.brokers.alpaca import Alpaca
from tradewind.trading.brokers.alpaca_address import Address, read_keys
from tradewind.trading.orders import OrderState

NEW_YORK = ZoneInfo("America/New_York")
SESSIONS = [SIGNAL, FIRST, SECOND, *(dt.date(2024, 1, day) for day in (10, 11, 12))]
OPENINGS = {
    "AAPL": Opening(AAPL),
    "MSFT": Opening(MSFT),
    "IBM": Opening(Decimal("160.25"), shares=300),
    "BRK.B": Opening(Decimal("350.123456789")),
}
MINE = ("PA1", "PK111", "5ecr3t-0ne")
YOURS = ("PA2", "PK222", "5ecr3t-tw0")
LOGINS = ",".join(f"{name}:{secret}" for _, name, secret in (MINE, YOURS))


def at(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour, minute), NEW_YORK)


class AtAlpaca:
    """The market of the contract, as a server on this machine."""

    accounts = ("mine", "yours")

    def __init__(self) -> None:
        self.server = AlpacaBrokerServer(
            [VendorAccount(*MINE), VendorAccount(*YOURS)],
            SESSIONS,
            lambda symbol, _: OPENINGS.get(symbol),
            at(SIGNAL, 20),
        )

    def address(self, **options: object) -> str:
        asked = {"account.mine": "PA1", "account.yours": "PA2", "url": self.server.url} | options
        return "alpaca://paper?" + "&".join(f"{name}={value}" for name, value in asked.items())

    def broker(self, login: str = LOGINS, **options: object) -> Broker:
        return Alpaca(
            self.address(**options), "", find_login=lambda: login, clock=lambda: self.server.now
        )

    async def trade(self, broker: Broker, account: str, session: dt.date) -> None:
        del broker, account
        self.server.open_session(session)

    def asked(self, method: str, path: str) -> list[dict[str, Any]]:
        return [what for how, where, what in self.server.requests if (how, where) == (method, path)]


@pytest.fixture
def market() -> Iterator[AtAlpaca]:
    with ExitStack() as stack:
        found = AtAlpaca()
        stack.enter_context(found.server.running())
        yield found


class TestAlpaca(BrokerContract):
    @pytest.fixture
    def market(self) -> Iterator[Market]:
        found = AtAlpaca()
        found.server.parts = 1
        with found.server.running():
            yield found


class TestAlpacaQueuedForTheDay(BrokerContract):
    @pytest.fixture
    def market(self) -> Iterator[Market]:
        class Queued(AtAlpaca):
            def broker(self, login: str = LOGINS, **options: object) -> Broker:
                return super().broker(login, time_in_force="day", **options)

        found = Queued()
        found.server.parts, found.server.unfilled = 1, "expired"
        with found.server.running():
            yield found


def test_it_is_found_by_its_name_and_can_be_examined() -> None:
    broker = open_broker("alpaca://paper?account.mine=PA1", "postgresql://nowhere")
    assert isinstance(broker, Alpaca)
    assert isinstance(broker, ExaminedBroker)


def test_orders_are_for_the_opening_auction_and_have_our_id(market: AtAlpaca) -> None:
    async def test() -> None:
        broker = market.broker()
        await broker.submit(ticket("mine", "BRK.B", -7, name="a", limit=Decimal("350.12")))
        await broker.submit(ticket("yours", "AAPL", 3, name="b"))
        await market.trade(broker, "mine", FIRST)
        fills = await broker.fills("mine")
        assert [(fill.symbol, fill.shares, fill.price) for fill in fills] == [
            ("BRK.B", -3, Decimal("350.12345679")),
            ("BRK.B", -4, Decimal("350.12345679")),
        ]
        assert dict(await broker.positions("mine")) == {"BRK.B": -7}
        assert dict(await broker.positions("yours")) == {"AAPL": 3}
        await broker.close()

    run(test())
    first, second = market.asked("POST", "/orders")
    assert (first["type"], first["limit_price"], first["side"]) == ("limit", 350.12, "sell")
    assert (first["qty"], first["time_in_force"]) == (7, "opg")
    assert (second["type"], second["side"], second["qty"]) == ("market", "buy", 3)
    assert second["client_order_id"] == "yours-b/20240108"


# What becomes of one order when the answer to it is lost, late or wrong. `done` says whether the
# vendor took it. There must be one order in the end, whatever the broker said at first.
TROUBLE = {
    "500 and nothing done": Fault(Answer({"message": "internal error"}, 500)),
    "500 after it was taken": Fault(Answer({"message": "internal error"}, 500), done=True),
    "504 after it was taken": Fault(Answer(b"<html>", 504, "text/html"), done=True),
    "422 after it was taken": Fault(Answer({"code": 1, "message": "no"}, 422), done=True),
    "the answer is cut": Fault(Answer({"id": "x" * 400}, cut=True), done=True),
    "a page of HTML": Fault(HTML, done=True),
    "an empty answer": Fault(Answer(b""), done=True),
    "too much asked": Fault(Answer({"message": "rate"}, 429, headers={"Retry-After": "0"})),
}


@pytest.mark.parametrize("what", TROUBLE)
def test_whatever_the_answer_there_is_one_order(market: AtAlpaca, what: str) -> None:
    market.server.faults["POST /orders"] = [TROUBLE[what]]

    async def test() -> None:
        if what == "500 and nothing done":
            with pytest.raises(TradingError, match="internal error") as told:
                await market.broker().submit(ticket("mine"))
            assert not isinstance(told.value, OrderRejectedError)
        else:
            await market.broker().submit(ticket("mine"))
        for _ in range(2):  # as the next try does, in another process
            await market.broker().submit(ticket("mine"))
        market.server.open_session(FIRST)
        broker = market.broker()
        assert (await only_order(broker, "mine")).filled == 10
        assert sum(fill.shares for fill in await broker.fills("mine")) == 10

    run(test())
    assert len(market.server.accounts["PA1"].orders) == 1


def test_an_order_that_two_send_at_once_is_one_order(market: AtAlpaca) -> None:
    async def test() -> None:
        await asyncio.gather(*(market.broker().submit(ticket("mine")) for _ in range(5)))

    run(test())
    assert len(market.server.accounts["PA1"].orders) == 1


def test_a_refusal_is_not_taken_for_one_where_the_id_is_there_already(market: AtAlpaca) -> None:
    # Its records lag behind: the order is there, and is not found yet.
    lost = Fault(Answer({"code": 40410000, "message": "order not found"}, 404))

    async def test() -> None:
        await market.broker().submit(ticket("mine"))
        market.server.faults["GET /orders:by_client_order_id"] = [lost] * 4
        with pytest.raises(TradingError, match="client_order_id must be unique") as told:
            await market.broker().submit(ticket("mine"))
        assert not isinstance(told.value, OrderRejectedError)
        await market.broker().submit(ticket("mine"))

    run(test())


@pytest.mark.parametrize(
    "words",
    [
        "insufficient buying power",
        "asset AAPL is not tradable",
        "trade denied due to pattern day trading protection",
        "account is not eligible to trade short",
    ],
)
def test_what_it_refuses_is_rejected_in_its_words(market: AtAlpaca, words: str) -> None:
    market.server.accounts["PA1"].refuses["AAPL"] = words

    async def test() -> None:
        for _ in range(2):
            with pytest.raises(OrderRejectedError, match=f"order for AAPL: {words}"):
                await market.broker().submit(ticket("mine"))

    run(test())


@pytest.mark.parametrize(
    ("status", "flags", "said"),
    [
        ("ACTIVE", {"trading_blocked": True}, "trading_blocked"),
        ("ACTIVE", {"account_blocked": True}, "account_blocked"),
        ("ACTIVE", {"trade_suspended_by_user": True}, "trade_suspended_by_user"),
        ("ACCOUNT_CLOSED", {}, "ACCOUNT_CLOSED"),
    ],
)
def test_an_account_that_is_blocked_loses_no_order(
    market: AtAlpaca, status: str, flags: dict[str, bool], said: str
) -> None:
    account = market.server.accounts["PA1"]
    account.status, account.flags = status, flags

    async def test() -> None:
        with pytest.raises(TradingError, match=said) as told:
            await market.broker().submit(ticket("mine"))
        assert not isinstance(told.value, OrderRejectedError)  # which would be for good
        assert dict(await market.broker().positions("mine")) == {}
        account.status, account.flags = "ACTIVE", {}
        await market.broker().submit(ticket("mine"))

    run(test())


@pytest.mark.parametrize("deaf", [False, True])
def test_a_rejection_that_comes_later_is_waited_for(
    market: AtAlpaca, deaf: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # the library logs each connection that breaks
    market.server.late["AAPL"] = "rejected"
    market.server.deaf = deaf

    async def test() -> None:
        broker = market.broker()
        if deaf:  # what no update told is asked for
            order = asyncio.create_task(broker.submit(ticket("mine")))
            heard: tuple[str, str, dict[str, Any]] = ("STREAM", "/stream", {})
            await asyncio.to_thread(wait_until, lambda: heard in market.server.requests, 30)
            market.server.decide("PA1")
            with pytest.raises(OrderRejectedError, match="rejected it at"):
                await order
        else:
            with pytest.raises(OrderRejectedError, match="rejected it at"):
                await broker.submit(ticket("mine"))
            assert market.asked("STREAM", "/listen") == [{"streams": ["trade_updates"]}]
        await broker.close()

    run(test())


def test_what_stays_pending_is_accepted(market: AtAlpaca) -> None:
    market.server.late["AAPL"] = "pending_new"

    async def test() -> None:
        broker = market.broker(patience=0.05)
        await broker.submit(ticket("mine"))
        assert (await only_order(broker, "mine")).status is OrderState.ACCEPTED
        await broker.close()

    run(test())


STATES = {
    **dict.fromkeys(
        ("new", "accepted", "accepted_for_bidding", "held", "stopped", "suspended", "calculated",
         "pending_new", "pending_cancel", "pending_replace", "pending_review"),
        OrderState.ACCEPTED,
    ),
    "partially_filled": OrderState.PARTIALLY_FILLED,
    "filled": OrderState.FILLED,
    "expired": OrderState.EXPIRED,
    "done_for_day": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
}  # fmt: skip


@pytest.mark.parametrize("status", STATES)
def test_each_of_its_states_is_one_of_ours(market: AtAlpaca, status: str) -> None:
    async def test() -> None:
        broker = market.broker()
        await broker.submit(ticket("mine"))
        filled = {"filled": "10", "partially_filled": "4"}.get(status, "0")
        market.server.order("PA1", "mine-one").update(status=status, filled_qty=filled)
        assert (await only_order(broker, "mine")).status is STATES[status]

    run(test())


def test_all_states_of_the_library_are_known() -> None:
    from alpaca.trading.enums import OrderStatus

    apart = {"canceled", "replaced"}  # by when, and by what
    assert {status.value for status in OrderStatus} == STATES.keys() | apart


def test_a_state_that_nobody_knows_is_named(market: AtAlpaca) -> None:
    async def test() -> None:
        await market.broker().submit(ticket("mine"))
        market.server.order("PA1", "mine-one")["status"] = "levitating"
        with pytest.raises(TradingError, match="mine-one is 'levitating'"):
            await market.broker().orders("mine")

    run(test())


@pytest.mark.parametrize(
    ("at_", "state"),
    [(at(FIRST, 9, 27), OrderState.CANCELLED), (at(FIRST, 9, 31), OrderState.EXPIRED)],
)
def test_who_cancelled_is_told_by_when(
    market: AtAlpaca, at_: dt.datetime, state: OrderState
) -> None:
    async def test() -> None:
        await market.broker().submit(ticket("mine"))
        order = market.server.order("PA1", "mine-one")
        order.update(status="canceled", canceled_at=at_.astimezone(dt.UTC).isoformat())
        assert (await only_order(market.broker(), "mine")).status is state

    run(test())


def test_what_somebody_put_in_the_place_of_an_order_stands_for_it(market: AtAlpaca) -> None:
    async def test() -> None:
        broker = market.broker()
        await broker.submit(ticket("mine"))
        sent = market.server.order("PA1", "mine-one")
        first = market.server.replace("PA1", sent, qty="11")
        market.server.replace("PA1", first, qty="12")
        await broker.submit(ticket("mine"))  # it is there still
        market.server.open_session(FIRST)
        order = await only_order(broker, "mine")
        assert (order.shares, order.filled, order.status) == (12, 12, OrderState.FILLED)
        fills = await broker.fills("mine")
        assert sum(fill.shares for fill in fills) == 12
        assert {fill.client_order_id for fill in fills} == {"mine-one"}

    run(test())


def test_orders_and_trades_by_hand_are_not_taken_for_ours(market: AtAlpaca) -> None:
    async def test() -> None:
        broker = market.broker()
        await broker.submit(ticket("mine"))
        ours = market.server.order("PA1", "mine-one")
        by_hand = {**ours, "id": "1", "client_order_id": "by/hand"}
        market.server.accounts["PA1"].orders.append(by_hand)
        market.server.open_session(FIRST)
        assert [order.client_order_id for order in await broker.orders("mine")] == ["mine-one"]
        assert sum(fill.shares for fill in await broker.fills("mine")) == 10
        assert dict(await broker.positions("mine")) == {"AAPL": 20}

    run(test())


def test_a_busted_and_a_corrected_trade_are_other_trades(market: AtAlpaca) -> None:
    async def test() -> None:
        broker = market.broker()
        await broker.submit(ticket("mine"))
        market.server.open_session(FIRST)
        before = await broker.fills("mine")
        trades = market.server.accounts["PA1"].trades
        busted = trades.pop()
        trades.append({**trades[0], "id": "9::corrected", "price": "99.5"})
        del trades[0]
        after = await broker.fills("mine")
        assert not {fill.execution_id for fill in before} & {f.execution_id for f in after}
        assert [(fill.execution_id, fill.price) for fill in after] == [
            ("9::corrected", Decimal("99.5"))
        ]
        trades.append({**busted, "type": "trade_bust"})
        with pytest.raises(TradingError, match="order mine-one is a 'trade_bust', and no trade"):
            await broker.fills("mine")

    run(test())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"qty": "0.5"}, "0.5 shares of AAPL in qty: the book holds whole ones"),
        ({"qty": "NaN"}, "has qty 'NaN'"),
        ({"qty": "many"}, "has qty 'many'"),
        ({"price": "-1"}, "has a price of -1"),
        ({"price": None}, "lacks price"),
        ({"side": "sideways"}, "has the side 'sideways'"),
        ({"transaction_time": "noon"}, "has transaction_time 'noon', which is no moment"),
    ],
)
def test_a_trade_of_another_form_is_named(
    market: AtAlpaca, change: dict[str, object], said: str
) -> None:
    async def test() -> None:
        await market.broker().submit(ticket("mine"))
        market.server.open_session(FIRST)
        market.server.accounts["PA1"].trades[0].update(change)
        with pytest.raises(TradingError, match=said):
            await market.broker().fills("mine")

    run(test())


def test_a_fraction_of_a_share_is_named(market: AtAlpaca) -> None:
    market.server.accounts["PA1"].positions["AAPL"] = Decimal("10.25")
    with pytest.raises(TradingError, match=r"10\.25 shares of AAPL in qty"):
        asyncio.run(market.broker().positions("mine"))


@pytest.mark.parametrize(
    ("now", "session", "kind", "said"),
    [
        (at(FIRST, 9, 28), FIRST, "opg", "too late for the open of 2024-01-08"),
        (at(FIRST, 9, 28), FIRST, "day", "too late for the open of 2024-01-08"),
        (at(FIRST, 21), FIRST, "opg", "too late for the open of 2024-01-08"),
        (at(SIGNAL, 20), dt.date(2024, 1, 6), "opg", "too late .* next open is that of 2024-01-08"),
        (at(SIGNAL, 20), SECOND, "opg", "too early .* next open is that of 2024-01-08"),
        (at(SIGNAL, 18, 59), FIRST, "opg", "too early .* opg for it are taken after 19:00"),
        (at(SIGNAL, 15), FIRST, "day", "too early .* day for it are taken after the close"),
    ],
)
def test_an_order_for_an_open_that_is_not_the_next_would_be_filled_at_another(
    market: AtAlpaca, now: dt.datetime, session: dt.date, kind: str, said: str
) -> None:
    market.server.now = now

    async def test() -> None:
        with pytest.raises(TradingError, match=said) as told:
            await market.broker(time_in_force=kind).submit(ticket("mine", session=session))
        # Too early passes by itself, too late does not.
        assert isinstance(told.value, OrderRejectedError) == ("too late" in said)

    run(test())
    assert not market.asked("POST", "/orders")


def test_orders_that_are_queued_for_the_day_can_be_sent_after_the_close(market: AtAlpaca) -> None:
    market.server.now = at(SIGNAL, 17)
    asyncio.run(market.broker(time_in_force="day").submit(ticket("mine")))
    assert market.asked("POST", "/orders")[0]["time_in_force"] == "day"


def test_long_lists_come_in_pages(market: AtAlpaca, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_alpaca_link, "_ORDERS", 3)
    monkeypatch.setattr(_alpaca_link, "_ACTIVITIES", 3)

    async def test() -> None:
        broker = market.broker()
        names = [f"n{number}" for number in range(5)]
        for name in names:
            await broker.submit(ticket("mine", name=name))
        for order in market.server.accounts["PA1"].orders[1:3]:  # of one moment
            order["submitted_at"] = market.server.accounts["PA1"].orders[1]["submitted_at"]
        market.server.open_session(FIRST)
        assert len(await broker.orders("mine")) == 5
        assert sum(fill.shares for fill in await broker.fills("mine")) == 50
        for order in market.server.accounts["PA1"].orders:
            order["submitted_at"] = market.server.accounts["PA1"].orders[0]["submitted_at"]
        with pytest.raises(TradingError, match="same page again and again"):
            await broker.orders("mine")

    run(test())


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"message": "oops"}, 500),
        Answer({"message": "slow down"}, 429, headers={"Retry-After": "0"}),
        Answer({"message": "slow down"}, 429, headers={"X-RateLimit-Reset": "0"}),
        HTML,
        Answer(b'[{"id": "cut'),
        Answer([{"a": 1}] * 99, cut=True),
    ],
)
def test_a_passing_trouble_is_passed(market: AtAlpaca, answer: Answer) -> None:
    market.server.accounts["PA1"].positions["AAPL"] = Decimal(3)
    market.server.faults["GET /positions"] = [Fault(answer)]
    assert dict(asyncio.run(market.broker().positions("mine"))) == {"AAPL": 3}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (HTML, r"Alpaca \(paper\) gave no usable answer"),
        (Answer({"message": "slow down"}, 429, headers={"Retry-After": "0"}), "too much was asked"),
        (Answer({"not": "a list"}), "and no list of records"),
        (Answer([1, 2]), "and no list of records"),
        (Answer(b""), "'None' and no list of records"),
    ],
)
def test_a_trouble_that_lasts_is_named(market: AtAlpaca, answer: Answer, said: str) -> None:
    market.server.faults["GET /positions"] = [Fault(answer)] * 9
    with pytest.raises(TradingError, match=said):
        asyncio.run(market.broker().positions("mine"))


def test_a_server_that_is_gone_or_silent_is_named(market: AtAlpaca) -> None:
    async def test() -> None:
        gone = market.broker(url="http://127.0.0.1:9")
        with pytest.raises(TradingError, match=r"Alpaca \(paper\) gave no usable answer"):
            await gone.positions("mine")

    run(test())


@pytest.mark.parametrize(
    ("login", "said"),
    [
        (None, "needs a key"),
        ("", "needs a key"),
        ("PK111", "key 1 in TRADEWIND_BROKER_LOGIN has 5 characters"),
        (f"{LOGINS},", "key 3 in TRADEWIND_BROKER_LOGIN has 0 characters"),
        ("PK1:a b", "key 1 .* not of the form id:secret"),
        ("AK111:5ecr3t-0ne", "begins with AK, as those of Alpaca's live accounts"),
        ("PK111:5ecr3t-0ld", "answered 401: unauthorized .*the key is refused"),
        ("PK222:5ecr3t-tw0", "no key opens account PA1 of mine .* given open PA2"),
    ],
)
def test_a_key_that_does_not_open_the_account_is_said_and_not_shown(
    market: AtAlpaca, login: str | None, said: str
) -> None:
    async def test() -> None:
        broker = Alpaca(market.address(), "", find_login=lambda: login)
        with pytest.raises(TradingError, match=said) as told:
            await broker.positions("mine")
        assert "5ecr3t" not in repr(told.value)
        assert told.value.__cause__ is None
        [first, _] = await broker.examine()
        assert first.problem
        assert "5ecr3t" not in first.problem

    run(test())


def test_a_key_that_is_void_closes_no_other_account(market: AtAlpaca) -> None:
    async def test() -> None:
        broker = market.broker("PK111:5ecr3t-0ld,PK222:5ecr3t-tw0")
        assert await broker.positions("yours") == {}
        with pytest.raises(TradingError, match="the key is refused"):
            await broker.positions("mine")

    run(test())


def test_a_key_for_play_money_opens_no_real_account() -> None:
    live = Address.parse("alpaca://live?account.mine=1")
    assert (live.url, live.stream_url) == (
        "https://api.alpaca.markets", "wss://api.alpaca.markets/stream",
    )  # fmt: skip
    with pytest.raises(TradingError, match="begins with PK, as those of Alpaca's paper accounts"):
        read_keys("PK1:s", live)
    [key] = read_keys("AK1:5ecr3t", live)
    assert "5ecr3t" not in repr(key)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("alpaca", "after alpaca:// must come paper or live"),
        ("alpaca://?account.mine=PA1", "paper or live"),
        ("alpaca://papr?account.mine=PA1", "paper or live"),
        ("alpaca://paper:80?account.mine=PA1", "paper or live"),
        ("alpaca://paper", "no account is named"),
        ("alpaca://paper?account.mine=", "no account is named"),
        ("alpaca://paper?account.a=PA1&account.b=PA1", "two accounts share one"),
        ("alpaca://paper?account.a=PA1&nope=1", "there is no option nope"),
        ("alpaca://paper?account.a=PA1&time_in_force=gtc", "must be opg or day, not 'gtc'"),
        ("alpaca://paper?account.a=PA1&timeout=nan", "seconds above 0"),
        ("alpaca://paper?account.a=PA1&timeout=soon", "could not convert"),
        ("alpaca://paper?account.a=PA1&url=http://example.com", "must begin with https://"),
        ("alpaca://paper?account.a=PA1&url=https://a:b@example.com", "without a key"),
    ],
)
def test_an_address_that_cannot_be_meant_is_said(address: str, said: str) -> None:
    with pytest.raises(TradingError, match=said):
        open_broker(address, "")


def test_a_key_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(TradingError, match=f"it goes into {LOGIN}") as told:
        open_broker("alpaca://PK1:5ecr3t@paper?account.mine=PA1", "")
    assert "5ecr3t" not in repr(told.value)


def test_without_the_library_its_extra_is_named(
    market: AtAlpaca, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "alpaca.trading.client", None)
    with pytest.raises(TradingError, match="install tradewind with its extra `alpaca`"):
        asyncio.run(market.broker().positions("mine"))


def test_an_account_that_the_address_does_not_name_is_said(market: AtAlpaca) -> None:
    with pytest.raises(TradingError, match=r"add account\.other=NUMBER"):
        asyncio.run(market.broker().positions("other"))


def test_it_says_whether_orders_can_go_there(market: AtAlpaca) -> None:
    async def test() -> None:
        broker = market.broker()
        assert isinstance(broker, ExaminedBroker)
        market.server.accounts["PA2"].flags = {"trading_blocked": True}
        mine, yours = await broker.examine()
        assert mine.what == "PA1 of mine at Alpaca (paper)"
        assert (mine.problem, mine.note) == ("", "it is ACTIVE, with 1000000.00 in equity")
        assert "trading_blocked" in yours.problem
        wrong = Alpaca(market.address(), "", find_login=lambda: LOGINS, clock=lambda: at(SECOND, 0))
        assert "clock is +" in (await wrong.examine())[0].problem
        gone = market.broker(url="http://127.0.0.1:9")
        assert isinstance(gone, ExaminedBroker)
        assert all("no usable answer" in each.problem for each in await gone.examine())

    run(test())


def test_dividends_that_it_has_paid_are_told(market: AtAlpaca) -> None:
    record = {"id": "1", "activity_type": "DIV", "date": "2024-01-05", "symbol": "AAPL",
              "net_amount": "2.4", "qty": "10", "per_share_amount": "0.24"}  # fmt: skip
    market.server.accounts["PA1"].dividends.append(record)
    broker = market.broker()
    assert isinstance(broker, PayingBroker)
    assert asyncio.run(broker.dividends("mine", SIGNAL)) == [
        Dividend("AAPL", SIGNAL, Decimal("2.40"))
    ]
    record["date"] = "soon"
    with pytest.raises(TradingError, match="has the date 'soon'"):
        asyncio.run(broker.dividends("mine", SIGNAL))


def test_the_key_is_in_no_log(
    market: AtAlpaca, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    market.server.late["AAPL"] = "rejected"
    market.server.faults["POST /orders"] = [Fault(Answer({"message": "5ecr3t-0ne"}, 500))]

    async def test() -> None:
        for _ in range(2):
            broker = market.broker()
            with pytest.raises(TradingError):
                await broker.submit(ticket("mine"))
            await broker.close()

    run(test())
    printed = capsys.readouterr()
    said = json.dumps([record.getMessage() for record in caplog.records])
    assert "/v2/orders" in said  # there is a log
    assert "5ecr3t" not in said + printed.out + printed.err
