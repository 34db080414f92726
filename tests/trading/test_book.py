"""The trading book against the backtest's own accounting, on real sessions."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.trading.books import DAYS, TERMS, Desk, assert_same, expected_books, weights_of
from tradewind.errors import TradingError
from tradewind.trading.book.views import fills, orders, pnl, positions
from tradewind.trading.broker import SimulatedBroker


def test_ten_real_sessions_add_up_to_the_cent(desk: Desk) -> None:
    weights = [weights_of(day) for day in range(len(DAYS))]
    for day, wanted in zip(DAYS, weights, strict=True):
        desk.run(day, wanted)
    books = expected_books(DAYS, weights)
    assert_same(desk, books)
    kinds: dict[str, int] = dict(
        desk.rows("SELECT kind, count(*) FROM trading.bookings GROUP BY kind")
    )
    assert kinds["split"] == 1
    assert kinds["borrow"] == 9  # nights
    assert kinds["buy"] + kinds["sell"] >= 25
    assert desk.rows("SELECT session, symbol FROM trading.bookings WHERE kind = 'split'") == [
        (dt.date(2005, 2, 28), "AAPL")
    ]


def test_days_that_were_missed_are_made_up_for_one_by_one(desk: Desk) -> None:
    desk.run(DAYS[0], weights_of(0))
    desk.quote(DAYS[6], after=DAYS[0])
    settled = desk.settle(DAYS[6])
    assert [each.session for each in settled] == DAYS[1:7]
    assert [each.fills for each in settled] == [3, 0, 0, 0, 0, 0]
    desk.reconcile()
    assert desk.settle(DAYS[6]) == ()


def test_the_views_show_what_was_booked(desk: Desk) -> None:
    for day in range(3):
        desk.run(DAYS[day], weights_of(day))
    days = pnl(desk.engine, "momentum")
    assert [day.session for day in days] == DAYS[:3]
    assert days[0].profit == 0
    assert days[-1].equity == Decimal("1000000.00") + sum(day.profit for day in days)
    assert days[1].costs < 0
    held = positions(desk.engine, "momentum")
    assert [(each.symbol, each.shares > 0) for each in held] == [("AAPL", True), ("IBM", False)]
    assert days[-1].positions == sum(each.value for each in held)
    traded = fills(desk.engine, "momentum")
    assert {fill.session for fill in traded} == set(DAYS[1:3])
    assert fills(desk.engine, "momentum", since=DAYS[2]) == [
        fill for fill in traded if fill.session == DAYS[2]
    ]
    found = orders(desk.engine, "momentum")
    assert {order.state for order in found if order.session <= DAYS[2]} == {"filled"}
    assert {order.state for order in found if order.session > DAYS[2]} == {"accepted"}
    assert all(order.filled == order.shares for order in found if order.state == "filled")


class Real:
    """A broker that simulates nothing, knows no order, and must not be asked."""

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def orders(self, account: str, since: dt.date | None = None) -> list[object]:
        raise AssertionError(f"asked for the orders of {account} since {since}")

    fills = positions = submit = cancel = orders


@pytest.mark.parametrize("step", [Desk.settle, Desk.submit, lambda desk, _: desk.reconcile()])
@pytest.mark.parametrize(
    ("execution", "real", "what"),
    [
        ("paper", True, "a real one"),
        ("replay", True, "a real one"),
        ("live", False, "one on paper"),
    ],
)
def test_a_broker_of_another_kind_is_refused_by_each_step(
    desk: Desk, execution: str, real: bool, what: str, step: Callable[[Desk, dt.date], object]
) -> None:
    desk.terms = replace(TERMS, execution=execution)
    desk.open()
    desk.quote(DAYS[1])
    if real:
        desk.broker = Real()  # type: ignore[assignment]
        assert not isinstance(desk.broker, SimulatedBroker)
    reason = rf"`execution: {execution}`, and this broker is {what}: no order of it goes there"
    with pytest.raises(TradingError, match=reason):
        step(desk, DAYS[1])
    assert desk.rows("SELECT session FROM trading.equity") == [(DAYS[0],)]
    assert desk.rows("SELECT * FROM paper.executions") == []
