"""Orders: their id, and which states may follow which, in code and in the database alike."""

import datetime as dt
from decimal import Decimal
from itertools import pairwise

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.trading.books import DAYS, Desk, weights_of
from tradewind.errors import OrderStateError
from tradewind.trading.book.order_log import add_state, logged_orders
from tradewind.trading.book.schema import order_events
from tradewind.trading.orders import (
    TRANSITIONS,
    OrderKind,
    OrderState,
    OrderTicket,
    check_history,
    client_order_id,
    is_final,
)

S = OrderState
PARTS = st.tuples(st.text(), st.dates(), st.text(), st.integers(0, 10**9))
# Walks along legal transitions, with now and then a step that is not.
HISTORIES = st.lists(st.sampled_from(OrderState), max_size=6)


@st.composite
def legal_histories(draw: st.DrawFn) -> list[OrderState]:
    states = [S.NEW]
    while not is_final(states[-1]) and draw(st.booleans() | st.just(value=True)):
        states.append(draw(st.sampled_from(TRANSITIONS[states[-1]])))
    return states


@given(one=PARTS, other=PARTS)
@example(("a", DAYS[0], "bc", 1), ("ab", DAYS[0], "c", 1))
@example(("a", DAYS[0], "b", 11), ("a", DAYS[0], "b1", 1))
def test_two_intents_never_have_one_id(
    one: tuple[str, dt.date, str, int], other: tuple[str, dt.date, str, int]
) -> None:
    assert (client_order_id(*one) == client_order_id(*other)) == (one == other)


def test_an_id_stays_what_it_was() -> None:
    # Orders that were sent before an upgrade must be known after it.
    assert (
        client_order_id("momentum", dt.date(2005, 2, 22), "AAPL", 3)
        == "tw-4cf61481209a93199fedd7fc"
    )


@given(legal_histories())
def test_a_walk_along_the_table_is_legal_and_ends_where_nothing_follows(
    states: list[OrderState],
) -> None:
    assert check_history("x", states) is states[-1]
    if is_final(states[-1]):
        for state in OrderState:
            with pytest.raises(OrderStateError, match="that is final"):
                check_history("x", [*states, state])


@given(HISTORIES)
def test_whatever_is_no_such_walk_is_refused(states: list[OrderState]) -> None:
    legal = bool(states) and states[0] is S.NEW
    legal = legal and all(b in TRANSITIONS[a] for a, b in pairwise(states))
    if legal:
        assert check_history("x", states) is states[-1]
    else:
        with pytest.raises(OrderStateError):
            check_history("x", states)


def test_every_state_can_be_reached_and_left_or_is_final() -> None:
    reached = {S.NEW} | {state for following in TRANSITIONS.values() for state in following}
    assert reached == set(OrderState) == set(TRANSITIONS)
    assert {state for state in OrderState if is_final(state)} == {
        S.REFUSED, S.REJECTED, S.FILLED, S.EXPIRED, S.CANCELLED,
    }  # fmt: skip


@pytest.fixture
def order_id(desk: Desk) -> str:
    """An order that is written down, with no events."""
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    desk.submit(DAYS[0])
    desk.change("DELETE FROM trading.order_events")
    return str(desk.rows("SELECT min(client_order_id) FROM trading.orders")[0][0])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(states=HISTORIES.map(lambda rest: [S.NEW, *rest]) | HISTORIES | legal_histories())
def test_the_database_refuses_what_the_code_refuses(
    desk: Desk, order_id: str, states: list[OrderState]
) -> None:
    if not states:
        return
    try:
        check_history(order_id, states)
        legal = True
    except OrderStateError:
        legal = False
    with desk.engine.connect() as connection:
        try:
            for at, state in enumerate(states):
                connection.execute(
                    sa.insert(order_events),
                    {
                        "client_order_id": order_id,
                        "sequence": at,
                        "state": state.value,
                        "previous_sequence": at - 1 if at else None,
                        "previous_state": states[at - 1].value if at else None,
                        "reasons": [],
                    },
                )
            accepted = True
        except sa.exc.IntegrityError:
            accepted = False
        connection.rollback()
    assert accepted == legal


def test_a_history_that_was_tampered_with_is_an_error(desk: Desk) -> None:
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    desk.submit(DAYS[0])
    with desk.engine.connect() as connection:
        first, *_ = logged_orders(connection, "momentum")
        assert first.states == (S.NEW, S.SUBMITTED, S.ACCEPTED)
        with pytest.raises(OrderStateError, match="accepted and cannot become new"):
            add_state(connection, first, S.NEW)
    desk.change("DELETE FROM trading.order_events")
    with desk.engine.connect() as connection, pytest.raises(OrderStateError, match="no events"):
        logged_orders(connection, "momentum")


@pytest.mark.parametrize(
    ("shares", "kind", "limit"),
    [(0, "market", None), (1, "limit", None), (1, "market", Decimal(2))],
)
def test_a_ticket_that_means_nothing_is_refused(
    shares: int, kind: str, limit: Decimal | None
) -> None:
    with pytest.raises(OrderStateError):
        OrderTicket("x", "a", "IBM", shares, OrderKind(kind), limit, DAYS[0])
