"""A symbol whose quotes end: its position is closed as the backtest does, once that is known."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from tests.trading.books import BARS, DAYS, TERMS, Desk
from tradewind.bookings import cents, trading_cost

HELD = {"AAPL": 0.4, "IBM": -0.2}
LAST = DAYS[2]  # of MSFT's bars


def without(*days: dt.date) -> pl.DataFrame:
    """The real bars, but for MSFT's of some sessions."""
    return BARS.filter((pl.col("symbol") != "MSFT") | ~pl.col("session").is_in(days))


def msft(desk: Desk) -> list[tuple[object, ...]]:
    """What was booked of MSFT after that."""
    return desk.rows(
        "SELECT session, kind, shares, price, amount FROM trading.bookings "
        f"WHERE symbol = 'MSFT' AND session > '{LAST}' ORDER BY id"
    )


@pytest.fixture
def opened(book_url: str) -> Iterator[Callable[..., Desk]]:
    """Opens a desk that holds MSFT at the close of its last session."""
    made: list[Desk] = []

    def open_desk(bars: pl.DataFrame, weight: float, paid: str = "0") -> Desk:
        terms = replace(TERMS, delisting_return=Decimal(paid))
        made.append(Desk(book_url, terms=terms, bars=bars))
        for day in DAYS[:3]:
            made[0].run(day, {**HELD, "MSFT": weight})
        return made[0]

    yield open_desk
    for desk in made:
        desk.close()


@pytest.mark.parametrize("weight", [0.2, -0.2])
@pytest.mark.parametrize("paid", ["0", "-0.3", "0.25", "-1"])
def test_it_is_closed_at_its_last_close_and_what_became_of_it(
    opened: Callable[..., Desk], weight: float, paid: str
) -> None:
    desk = opened(without(*DAYS[3:]), weight, paid)
    [(held, close)] = desk.rows(
        "SELECT (SELECT sum(shares)::bigint FROM trading.bookings WHERE symbol = 'MSFT'), close "
        f"FROM trading.quotes WHERE symbol = 'MSFT' AND session = '{LAST}'"
    )
    assert isinstance(held, int)
    assert isinstance(close, Decimal)
    assert (held > 0) == (weight > 0)
    # No signals on the first session without it; from the second on they say 0.0.
    desk.quote(DAYS[4], after=LAST)
    desk.signal(DAYS[4], {**HELD, "MSFT": 0.0})
    desk.settle(DAYS[4])
    desk.reconcile()
    assert [kind for _, kind, *_ in msft(desk)] == ([] if weight > 0 else ["borrow", "borrow"])
    assert desk.submit(DAYS[4]).states == {"accepted": 3}
    desk.quote(DAYS[5])
    [settled] = desk.settle(DAYS[5])
    assert settled.fills == 3
    desk.reconcile()
    price = (close * (1 + Decimal(paid))).quantize(Decimal("1e-8"))
    booked = [row[1:] for row in msft(desk) if row[0] == DAYS[5] and row[1] != "borrow"]
    trade = "sell" if held > 0 else "buy"
    expected = [(trade, -held, price, cents(held * price))]
    for kind, bps in (("commission", TERMS.commission_bps), ("slippage", TERMS.slippage_bps)):
        if cost := cents(trading_cost(held, price, bps)):
            expected.append((kind, 0, price, -cost))
    assert booked == expected
    # It is over: nothing more happens to it.
    count = len(msft(desk))
    for day in DAYS[6:8]:
        desk.run(day, {**HELD, "MSFT": 0.0})
    assert len(msft(desk)) == count


def test_one_that_was_late_by_a_session_is_traded_when_it_is_back(
    opened: Callable[..., Desk],
) -> None:
    desk = opened(without(DAYS[3]), 0.2)
    desk.quote(DAYS[3])
    desk.signal(DAYS[3], {**HELD, "MSFT": 0.0})
    desk.settle(DAYS[3])
    desk.submit(DAYS[3])
    desk.quote(DAYS[4])
    desk.settle(DAYS[4])
    desk.reconcile()
    [(opening,)] = desk.rows(
        f"SELECT open FROM trading.quotes WHERE symbol = 'MSFT' AND session = '{DAYS[4]}'"
    )
    assert [row[3] for row in msft(desk) if row[1] == "sell"] == [opening]


def test_one_without_a_quote_that_was_wanted_away_before_waits_another_session(
    opened: Callable[..., Desk],
) -> None:
    """It may be halted; the order that closes it is for a session in which nobody knew."""
    desk = opened(without(*DAYS[4:]), 0.2)
    desk.run(DAYS[3], {**HELD, "MSFT": 0.0})
    desk.run(DAYS[4], {**HELD, "MSFT": 0.0})
    ended = desk.rows(
        "SELECT state, reasons FROM trading.orders JOIN trading.order_events "
        f"USING (client_order_id) WHERE symbol = 'MSFT' AND session = '{DAYS[4]}' "
        "ORDER BY sequence DESC LIMIT 1"
    )
    assert ended == [("expired", [f"no quote of MSFT on {DAYS[4]}"])]
    desk.quote(DAYS[5])
    desk.settle(DAYS[5])
    desk.reconcile()
    sold = [row for row in msft(desk) if row[1] == "sell" and row[0] > DAYS[3]]
    assert [row[0] for row in sold] == [DAYS[5]]


def test_an_order_that_leaves_some_of_it_is_refused(opened: Callable[..., Desk]) -> None:
    desk = opened(without(*DAYS[3:]), 0.2)
    desk.quote(DAYS[4], after=LAST)
    desk.signal(DAYS[4], {**HELD, "MSFT": 0.05})
    desk.settle(DAYS[4])
    assert desk.submit(DAYS[4]).states == {"accepted": 2, "refused": 1}
    [(reasons,)] = desk.rows("SELECT reasons FROM trading.order_events WHERE state = 'refused'")
    assert reasons == [f"price: MSFT was not quoted on {DAYS[4]}, and last on {LAST}"]
