"""Reconciliation finds each kind of difference, and names it."""

import pytest

from tests.trading.books import DAYS, Desk, weights_of
from tradewind.errors import ReconciliationError


@pytest.fixture
def traded(desk: Desk) -> Desk:
    """Two sessions traded, and orders working for a third."""
    for day in range(3):
        desk.run(DAYS[day], weights_of(day))
    found = desk.reconcile()
    assert (found.orders, found.fills, found.positions) == (9, 6, 2)
    return desk


WORKING = (
    f"(SELECT client_order_id FROM paper.orders WHERE session = '{DAYS[3]}' AND symbol = 'IBM')"
)
FILL = f"(SELECT execution_id FROM paper.executions WHERE session = '{DAYS[2]}' AND symbol = 'IBM')"


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "WITH o AS (INSERT INTO paper.orders (client_order_id, account, symbol, shares, kind, "
            f"session) VALUES ('x', 'momentum', 'IBM', 7, 'market', '{DAYS[3]}')) "
            "INSERT INTO paper.order_events (client_order_id, sequence, status) "
            "VALUES ('x', 0, 'accepted')",
            f"order x of IBM for {DAYS[3]} is accepted at the broker and unknown here",
        ),
        (
            "UPDATE paper.orders SET account = 'another' WHERE client_order_id = " + WORKING,
            f"of IBM for {DAYS[3]} is accepted here and unknown to the broker",
        ),
        (
            "INSERT INTO paper.order_events (client_order_id, sequence, status) "
            f"SELECT client_order_id, 1, 'cancelled' FROM {WORKING} w",
            f"of IBM for {DAYS[3]} is accepted here and cancelled at the broker",
        ),
        (
            f"UPDATE paper.orders SET shares = 1 WHERE client_order_id = {WORKING}",
            "shares, and at the broker for 1 of IBM",
        ),
        (
            "INSERT INTO paper.executions (execution_id, client_order_id, account, session, symbol,"
            " shares, price, commission, slippage) SELECT 'second', client_order_id, account, "
            "session, symbol, shares, price, commission, slippage FROM paper.executions "
            f"WHERE execution_id = {FILL}",
            f"IBM on {DAYS[2]} is unknown here",
        ),
        (
            f"DELETE FROM paper.executions WHERE execution_id = {FILL}",
            f"IBM on {DAYS[2]} is unknown to the broker",
        ),
        (
            f"UPDATE paper.executions SET price = 1.5 WHERE execution_id = {FILL}",
            "here and 1.50000000 at the broker",
        ),
        (
            f"UPDATE paper.executions SET commission = 1.23 WHERE execution_id = {FILL}",
            "here and 1.23 at the broker",
        ),
        (
            "INSERT INTO paper.adjustments (account, session, symbol, shares) "
            f"VALUES ('momentum', '{DAYS[2]}', 'GOOG', 3)",
            "position in GOOG is 0 here and 3 at the broker",
        ),
        (
            f"UPDATE trading.bookings SET shares = shares + 1 WHERE reference = {FILL} "
            "AND kind IN ('buy', 'sell')",
            "position in IBM is",
        ),
        (
            f"DELETE FROM trading.bookings WHERE reference = {FILL}",
            "was never booked",
        ),
        (
            f"DELETE FROM trading.fills WHERE execution_id = {FILL}",
            "that there is not",
        ),
        (
            "UPDATE trading.bookings SET amount = amount + 0.01 WHERE kind = 'borrow'",
            "in cash, and",
        ),
    ],
)  # fmt: skip
def test_a_difference_is_found_and_named(traded: Desk, statement: str, named: str) -> None:
    traded.change(statement)
    with pytest.raises(ReconciliationError, match="book of momentum and its broker differ") as told:
        traded.reconcile()
    assert named in str(told.value)


def test_all_differences_are_named_at_once(traded: Desk) -> None:
    traded.change("UPDATE paper.executions SET shares = shares * 2")
    with pytest.raises(ReconciliationError) as told:
        traded.reconcile()
    message = str(told.value)
    assert message.count("has shares") == 6
    assert all(f"position in {symbol}" in message for symbol in ("AAPL", "IBM"))
