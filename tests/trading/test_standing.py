"""How accounts stand, as the page and the command line show it."""

import datetime as dt
from decimal import Decimal

from tests.trading.books import DAYS, Desk, weights_of
from tradewind.trading.book.halts import halt, resume
from tradewind.trading.book.standing import accounts
from tradewind.trading.book.views import orders, pnl


def test_without_accounts_there_is_nothing_but_the_halt_of_all(desk: Desk) -> None:
    assert accounts(desk.engine).accounts == ()
    halt(desk.engine, None, "before the first", by="alice")
    found = accounts(desk.engine)
    assert found.halt is not None
    assert (found.halt.reason, found.halt.by) == ("before the first", "alice")
    assert abs(dt.datetime.now(dt.UTC) - found.halt.at) < dt.timedelta(minutes=5)


def test_an_account_stands_as_its_last_close_says(desk: Desk) -> None:
    desk.open(DAYS[0])
    [opened] = accounts(desk.engine).accounts
    assert (opened.equity, opened.profit) == (Decimal("1000000.00"), Decimal("0.00"))
    for day in range(3):
        desk.run(DAYS[day], weights_of(day))
    [stands] = accounts(desk.engine).accounts
    last = pnl(desk.engine, "momentum")[-1]
    assert (stands.account, stands.execution) == ("momentum", "replay")
    assert (stands.session, stands.equity, stands.profit) == (
        last.session, last.equity, last.profit,
    )  # fmt: skip
    assert stands.profit != 0
    assert stands.equity == last.cash + last.positions
    assert stands.next_open is not None
    assert stands.next_open.date() > last.session
    assert stands.refused == ()


def test_an_account_whose_equity_was_nothing_has_made_all_it_has(desk: Desk) -> None:
    """Zero is a close like any other, and no missing one."""
    desk.open(DAYS[0])
    for session, cash in ((DAYS[1], 0), (DAYS[2], 5)):
        desk.change(
            f"INSERT INTO trading.equity VALUES ('momentum', '{session}', {cash}, 0, {cash})"
        )
    [stands] = accounts(desk.engine).accounts
    assert (stands.equity, stands.profit) == (Decimal("5.00"), Decimal("5.00"))


def test_halts_stand_where_they_were_said_and_go_one_by_one(desk: Desk) -> None:
    desk.open(DAYS[0])
    halt(desk.engine, "momentum", "this one", by="bob")
    halt(desk.engine, None, "all", by="alice")
    found = accounts(desk.engine)
    [stands] = found.accounts
    assert found.halt is not None
    assert stands.halt is not None
    assert (found.halt.by, stands.halt.reason, stands.halt.by) == ("alice", "this one", "bob")
    resume(desk.engine, None, "on we go", by="alice")
    assert accounts(desk.engine).halt is None
    resume(desk.engine, "momentum", "this too", by="alice")
    assert accounts(desk.engine).accounts[0].halt is None


def test_refused_orders_are_those_of_the_newest_session(desk: Desk) -> None:
    desk.open(DAYS[0])
    desk.signal(DAYS[0], {"AAPL": 0.1, "IBM": 9.0})
    desk.submit(DAYS[0])
    [stands] = accounts(desk.engine).accounts
    logged = {order.client_order_id: order for order in orders(desk.engine, "momentum")}
    refused = [order for order in logged.values() if order.state == "refused"]
    assert refused
    assert [each.client_order_id for each in stands.refused] == [
        each.client_order_id for each in refused
    ]
    assert stands.refused[0].reasons == refused[0].reasons != ()
    desk.reconcile()
    desk.quote(DAYS[1])
    desk.settle(DAYS[1])
    desk.signal(DAYS[1], {"AAPL": 0.2})
    desk.submit(DAYS[1])
    assert accounts(desk.engine).accounts[0].refused == ()
