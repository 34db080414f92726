"""Risk stands before every order: what is refused is kept with its reasons, and never leaves."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.trading.books import DAYS, TERMS, Desk, weights_of
from tradewind.trading.book.accounts import Account
from tradewind.trading.book.views import orders


def refused(desk: Desk) -> dict[str, str]:
    found = orders(desk.engine, "momentum")
    return {each.symbol: " ".join(each.reasons) for each in found if each.state == "refused"}


@pytest.mark.parametrize(
    ("terms", "symbols", "named"),
    [
        (replace(TERMS, max_weight=Decimal("0.4")), {"AAPL"}, "max_weight is 0.4"),
        (replace(TERMS, max_gross=Decimal("0.8")), {"AAPL"}, "max_gross is 0.8"),
        (replace(TERMS, max_order_volume=Decimal("1e-9")), {"AAPL", "IBM", "MSFT"}, "size:"),
        (replace(TERMS, max_price_move=Decimal("0.0000001")), {"AAPL", "IBM", "MSFT"}, "price:"),
    ],
)
def test_an_order_beyond_a_limit_is_kept_and_does_not_leave(
    desk: Desk, terms: Account, symbols: set[str], named: str
) -> None:
    desk.terms = terms
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    first = desk.submit(DAYS[0])
    assert refused(desk).keys() == symbols
    assert all(named in reasons for reasons in refused(desk).values())
    assert desk.rows("SELECT count(*) FROM paper.orders") == [(3 - len(symbols),)]
    assert desk.submit(DAYS[0]) == first
    desk.reconcile()
    desk.quote(DAYS[1])
    [settled] = desk.settle(DAYS[1])
    assert settled.fills == 3 - len(symbols)
    desk.reconcile()


def test_the_champion_s_signals_are_traded_whichever_were_stored_last(desk: Desk) -> None:
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0), version=1)
    desk.signal(DAYS[0], weights_of(1), version=2)  # promoted, and taken back
    sent = desk.submit(DAYS[0], version=1)
    assert sent.model_version == 1
    # What another version has sent stands: one session is traded by one version alone.
    assert desk.submit(DAYS[0], version=2) == sent
    assert desk.rows("SELECT count(*) FROM paper.orders") == [(3,)]


def test_signals_that_come_a_session_late_are_stale_unless_that_is_allowed(desk: Desk) -> None:
    desk.open(DAYS[0])
    desk.quote(DAYS[1])
    desk.settle(DAYS[1])
    desk.signal(DAYS[0], weights_of(0))
    assert desk.submit(DAYS[0]).states == {"refused": 3}
    assert "stale signal: 1 open has gone by" in refused(desk)["IBM"]


def test_signals_that_come_late_and_may_are_traded_at_the_next_open(desk: Desk) -> None:
    desk.terms = replace(TERMS, max_signal_age=1)
    desk.open(DAYS[0])
    desk.quote(DAYS[1])
    desk.settle(DAYS[1])
    desk.signal(DAYS[0], weights_of(0))
    sent = desk.submit(DAYS[0])
    assert (sent.trade_session, sent.states) == (DAYS[2], {"accepted": 3})
    desk.quote(DAYS[2])
    [settled] = desk.settle(DAYS[2])
    assert settled.fills == 3
    desk.reconcile()


def test_new_terms_hold_from_the_session_after_they_were_given(desk: Desk) -> None:
    desk.run(DAYS[0], weights_of(0))
    dearer = replace(TERMS, commission_bps=Decimal(10), capital=Decimal(5))
    desk.terms = dearer
    desk.open(DAYS[0])
    assert desk.rows("SELECT sequence, capital, commission_bps FROM trading.accounts") == [
        (0, TERMS.capital, 1),
        (1, TERMS.capital, 10),
    ]
    desk.open(DAYS[0])
    assert desk.rows("SELECT count(*) FROM trading.accounts") == [(2,)]
    desk.run(DAYS[1], weights_of(1))
    [(paid, notional)] = desk.rows(
        "SELECT sum(commission), sum(abs(shares) * price) FROM trading.fills"
    )
    assert float(paid) == pytest.approx(float(notional) * 10 / 10_000, abs=0.02)


def test_whole_lots_are_traded_and_what_is_left_of_a_position_goes_at_once(desk: Desk) -> None:
    desk.terms = replace(TERMS, lot_size=100)
    desk.run(DAYS[0], weights_of(0))
    desk.run(DAYS[1], {"AAPL": 0.0, "IBM": -0.2, "MSFT": 0.1})
    desk.run(DAYS[2], {"AAPL": 0.0, "IBM": -0.2, "MSFT": 0.1})
    assert all(shares % 100 == 0 for (shares,) in desk.rows("SELECT shares FROM trading.fills"))
    desk.change(
        "UPDATE trading.bookings SET shares = shares + 7 WHERE kind = 'sell' AND symbol = 'IBM' "
        f"AND session = '{DAYS[1]}'"
    )
    desk.signal(DAYS[3], {"AAPL": 0.0})
    desk.quote(DAYS[3])
    desk.settle(DAYS[3])
    desk.submit(DAYS[3])
    [(held, shares)] = desk.rows(
        f"SELECT held, shares FROM trading.intents WHERE symbol = 'IBM' AND session = '{DAYS[3]}'"
    )
    assert (shares, shares % 100) == (-held, 93)
