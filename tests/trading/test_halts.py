"""The kill switch is read before every order, and each halt is taken off by itself."""

import pytest

from tests.trading.books import DAYS, Desk, weights_of
from tradewind.errors import TradingError, TradingHaltedError
from tradewind.trading.book.halts import halt, resume
from tradewind.trading.orders import OrderTicket


class HaltsAfterOne:
    """A broker in whose first order somebody halts the account."""

    def __init__(self, desk: Desk, account: str | None) -> None:
        self._desk, self._real, self._account = desk, desk.broker, account

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    async def submit(self, order: OrderTicket) -> None:
        await self._real.submit(order)
        halt(self._desk.engine, self._account, "a fat finger", by="a test")


@pytest.mark.parametrize("account", ["momentum", None])
def test_a_halt_between_two_orders_keeps_the_second(desk: Desk, account: str | None) -> None:
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    real, desk.broker = desk.broker, HaltsAfterOne(desk, account)  # type: ignore[assignment]
    with pytest.raises(TradingHaltedError, match="halted: a fat finger"):
        desk.submit(DAYS[0])
    desk.broker = real
    assert desk.rows("SELECT count(*) FROM paper.orders") == [(1,)]
    with pytest.raises(TradingHaltedError):
        desk.submit(DAYS[0])
    assert desk.rows("SELECT count(*) FROM paper.orders") == [(1,)]
    desk.reconcile()
    resume(desk.engine, account, "it was a glove", by="a test")
    assert desk.submit(DAYS[0]).states == {"accepted": 3}
    desk.reconcile()


def test_a_halt_does_not_keep_an_account_from_being_settled(desk: Desk) -> None:
    desk.run(DAYS[0], weights_of(0))
    halt(desk.engine, None, "a fire drill", by="a test")
    desk.quote(DAYS[1])
    [settled] = desk.settle(DAYS[1])
    assert settled.fills == 3
    desk.reconcile()


def test_each_halt_is_taken_off_by_itself(desk: Desk) -> None:
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    halt(desk.engine, "momentum", "this one", by="a test")
    halt(desk.engine, None, "all of them", by="a test")
    resume(desk.engine, None, "all but one", by="a test")
    with pytest.raises(TradingHaltedError, match="momentum is halted: this one"):
        desk.submit(DAYS[0])
    resume(desk.engine, "momentum", "this one, too", by="a test")
    assert desk.submit(DAYS[0]).states == {"accepted": 3}
    assert desk.rows(
        "SELECT kind, account, payload->>'reason' FROM trading.events ORDER BY id"
    ) == [
        ("halt", "momentum", "this one"),
        ("halt", None, "all of them"),
        ("resume", None, "all but one"),
        ("resume", "momentum", "this one, too"),
    ]


def test_a_halt_says_whom_and_why(desk: Desk) -> None:
    with pytest.raises(TradingError, match="no account ghost; there are: none"):
        halt(desk.engine, "ghost", "boo", by="a test")
    with pytest.raises(TradingError, match="say why"):
        halt(desk.engine, None, " ", by="a test")
    with pytest.raises(TradingError, match="say why"):
        resume(desk.engine, None, "", by="a test")
