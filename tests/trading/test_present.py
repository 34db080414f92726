"""An order for an open that is over is never accepted, by no path; nor is a fill in hindsight."""

import asyncio
import datetime as dt
from contextlib import closing
from dataclasses import replace
from itertools import count

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.trading.books import DAYS, SESSIONS, TERMS, Desk, opens_at, weights_of
from tradewind.errors import OrderRejectedError, TradingError
from tradewind.trading.book.present import Present
from tradewind.trading.book.views import orders
from tradewind.trading.orders import BrokerFill, OrderKind, OrderTicket
from tradewind.trading.settlement import settle
from tradewind.trading.submission import submit

EVENING = dt.timedelta(hours=9)  # after the open: 23:30 UTC
ON_PAPER = replace(TERMS, execution="paper")


@pytest.fixture
def paper(desk: Desk) -> Desk:
    """A desk that trades by the clock, on the evening of its first session."""
    desk.terms = ON_PAPER
    desk.now = opens_at(DAYS[0]) + EVENING
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    return desk


def reasons(desk: Desk) -> str:
    return " ".join(" ".join(order.reasons) for order in orders(desk.engine, "momentum"))


def ticket(symbol: str = "AAPL", session: dt.date = DAYS[1], shares: int = 10) -> OrderTicket:
    return OrderTicket(
        client_order_id=f"{symbol}-{session}-{shares}",
        account="momentum",
        symbol=symbol,
        shares=shares,
        kind=OrderKind.MARKET,
        limit_price=None,
        session=session,
    )


def rejection(desk: Desk, order: OrderTicket) -> str:
    with pytest.raises(OrderRejectedError) as found:
        asyncio.run(desk.broker.submit(order))
    return str(found.value)


@pytest.mark.parametrize(
    ("settled", "quoted", "now", "over"),
    [
        (DAYS[0], DAYS[0], None, ""),
        (DAYS[0], DAYS[0], opens_at(DAYS[1]) - dt.timedelta(seconds=1), ""),
        (DAYS[0], DAYS[0], opens_at(DAYS[1]), "it was at 2005-02-23 14:30 UTC"),
        (DAYS[0], DAYS[0], opens_at(DAYS[1]) + dt.timedelta(days=3000), "it was at"),
        (DAYS[1], DAYS[1], None, "is settled up to 2005-02-23"),
        (DAYS[0], DAYS[1], None, "its bars are known up to 2005-02-23"),
        (DAYS[0], DAYS[4], opens_at(DAYS[0]), "its bars are known up to"),
    ],
)
def test_an_open_is_over_by_whatever_knows_it_first(
    settled: dt.date, quoted: dt.date, now: dt.datetime | None, over: str
) -> None:
    present = Present("mine", settled, quoted, {DAYS[1]: opens_at(DAYS[1])}, now)
    found = present.over(DAYS[1])
    assert bool(found) == bool(over)
    assert over in found


def test_a_day_that_is_no_session_is_no_open_to_come() -> None:
    opens = {DAYS[1]: opens_at(DAYS[1])}
    now = opens_at(DAYS[0])
    assert Present("mine", DAYS[0], DAYS[0], opens, now).over(dt.date(2005, 2, 26))
    with pytest.raises(TradingError, match="task `quote`"):
        Present("mine", DAYS[0], DAYS[0], opens, now + dt.timedelta(days=2)).next_open(DAYS[0])


def test_a_clock_without_a_zone_is_refused(paper: Desk) -> None:
    paper.now = paper.now.replace(tzinfo=None)
    with pytest.raises(TradingError, match="no time zone"):
        paper.submit(DAYS[0])


def test_an_account_that_was_never_told_of_an_open_is_sent_to_quote(paper: Desk) -> None:
    paper.change("DELETE FROM trading.openings")  # as an upgrade in the middle of a run leaves it
    with pytest.raises(TradingError, match="run execute_momentum from its task `quote` on"):
        paper.submit(DAYS[0])
    with pytest.raises(TradingError, match="was never told when the exchange opens") as found:
        asyncio.run(paper.broker.submit(ticket()))
    assert not isinstance(found.value, OrderRejectedError)
    assert paper.rows("SELECT count(*) FROM trading.intents") == [(0,)]
    paper.tell_opens(DAYS[0])
    assert paper.submit(DAYS[0]).states == {"accepted": 3}


def test_an_order_in_time_is_sent_and_filled_at_the_open_it_was_for(paper: Desk) -> None:
    assert paper.submit(DAYS[0]).states == {"accepted": 3}
    paper.now = opens_at(DAYS[1]) + EVENING
    paper.quote(DAYS[1])
    [settled] = paper.settle(DAYS[1])
    assert settled.fills == 3
    paper.reconcile()


def test_by_the_clock_an_open_is_over_on_paper_too(paper: Desk) -> None:
    paper.now = opens_at(DAYS[1])
    # Told of the next open, as the task `quote` does it, the orders would be a session late.
    paper.tell_opens(DAYS[1])
    sent = paper.submit(DAYS[0])
    assert (sent.trade_session, sent.states) == (DAYS[2], {"refused": 3})
    assert "1 open has gone by" in reasons(paper)
    assert "is over: it was at" in rejection(paper, ticket())


def test_an_order_that_waited_through_a_halt_is_too_late_when_its_open_is_over(paper: Desk) -> None:
    with paper.engine.begin() as connection:  # written down, and not sent
        connection.execute(
            sa.text("INSERT INTO trading.halts (halted, reason) VALUES (true, 'a test')")
        )
    with pytest.raises(TradingError, match="a test"):
        paper.submit(DAYS[0])
    paper.change("INSERT INTO trading.halts (halted, reason) VALUES (false, 'a test')")
    paper.now = opens_at(DAYS[1]) + dt.timedelta(minutes=1)
    assert paper.submit(DAYS[0]).states == {"refused": 3}
    assert "too late: the open of 2005-02-23 is over: it was at" in reasons(paper)
    assert paper.rows("SELECT count(*) FROM paper.orders") == [(0,)]


@pytest.mark.parametrize("execution", ["paper", "replay"])
def test_bars_of_the_trade_session_that_come_first_make_it_too_late(
    desk: Desk, execution: str
) -> None:
    desk.terms = replace(TERMS, execution=execution)
    desk.now = opens_at(DAYS[0])  # a clock that is wrong opens no way
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    desk.quote(DAYS[1])
    with pytest.raises(TradingError, match="settle it before its orders"):
        desk.submit(DAYS[0])
    assert "its bars are known up to" in rejection(desk, ticket())
    desk.settle(DAYS[1])
    sent = desk.submit(DAYS[0])
    assert (sent.trade_session, sent.states) == (DAYS[2], {"refused": 3})
    assert desk.rows("SELECT count(*) FROM trading.fills") == [(0,)]


def test_intents_of_before_are_too_late_once_the_bars_are_known(desk: Desk) -> None:
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    desk.change("INSERT INTO trading.halts (halted, reason) VALUES (true, 'a test')")
    with pytest.raises(TradingError, match="a test"):
        desk.submit(DAYS[0])
    desk.change("INSERT INTO trading.halts (halted, reason) VALUES (false, 'a test')")
    desk.quote(DAYS[1])
    assert desk.submit(DAYS[0]).states == {"refused": 3}
    assert "too late: the open of 2005-02-23 is over: its bars are known" in reasons(desk)


def test_the_paper_broker_fills_no_order_that_came_after_the_bars(desk: Desk) -> None:
    desk.open(DAYS[0])
    desk.quote(DAYS[1])
    # However it got into the broker's records.
    order = ticket()
    desk.change(
        "INSERT INTO paper.orders (client_order_id, account, symbol, shares, kind, session) "
        f"VALUES ('{order.client_order_id}', 'momentum', 'AAPL', 10, 'market', '{DAYS[1]}')"
    )
    desk.change(
        "INSERT INTO paper.order_events (client_order_id, sequence, status) "
        f"VALUES ('{order.client_order_id}', 0, 'accepted')"
    )
    asyncio.run(desk.broker.trade("momentum", DAYS[1]))  # type: ignore[attr-defined]
    [found] = asyncio.run(desk.broker.orders("momentum"))
    assert (found.status, found.filled) == ("expired", 0)
    assert "bars of 2005-02-23 were known" in found.reason


def test_two_signals_do_not_trade_one_open_twice(desk: Desk) -> None:
    desk.terms = replace(TERMS, max_signal_age=1)
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    desk.quote(DAYS[1])
    desk.settle(DAYS[1])
    late = desk.submit(DAYS[0])  # a session late, which the file allows
    assert (late.trade_session, late.states) == (DAYS[2], {"accepted": 3})
    desk.signal(DAYS[1], weights_of(4))
    again = desk.submit(DAYS[1])
    assert (again.trade_session, again.states) == (DAYS[2], {"refused": 3})
    assert f"twice: orders of the signals of {DAYS[0]} wait" in reasons(desk)
    desk.quote(DAYS[2])
    [settled] = desk.settle(DAYS[2])
    assert settled.fills == 3
    desk.reconcile()


def test_signals_may_be_as_late_as_the_file_says_and_no_later(desk: Desk) -> None:
    desk.terms = replace(ON_PAPER, max_signal_age=2)
    desk.now = opens_at(DAYS[0]) + EVENING
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    for day in DAYS[:3]:
        desk.tell_opens(day)
    desk.now = opens_at(DAYS[2]) + EVENING  # two opens have gone by, and no bar has come
    sent = desk.submit(DAYS[0])
    assert (sent.trade_session, sent.states) == (DAYS[3], {"accepted": 3})


def test_no_order_leaves_where_execution_is_off_and_what_is_held_is_settled(desk: Desk) -> None:
    desk.run(DAYS[0], weights_of(0))
    desk.terms = replace(TERMS, execution="off")
    desk.now = opens_at(DAYS[1]) + EVENING
    desk.open(DAYS[0])
    desk.signal(DAYS[1], weights_of(1))
    desk.quote(DAYS[1])
    [settled] = desk.settle(DAYS[1])
    assert settled.fills == 3
    assert desk.submit(DAYS[1]).states == {"refused": 3}
    assert "execution is off" in reasons(desk)
    desk.reconcile()


class RealBroker:
    """Any broker that does not simulate."""

    def __init__(self, desk: Desk) -> None:
        self.sent: list[OrderTicket] = []
        self._paper = desk.broker

    async def submit(self, order: OrderTicket) -> None:
        self.sent.append(order)

    def __getattr__(self, name: str) -> object:
        if name == "trade":
            raise AttributeError(name)
        return getattr(self._paper, name)


@pytest.mark.parametrize(
    ("execution", "real", "sent"),
    [
        ("live", True, 3),
        ("live", False, None),
        ("paper", True, None),
        ("replay", True, None),
        ("off", True, 0),
    ],
)
def test_only_who_says_live_sends_orders_to_a_real_broker(
    desk: Desk, execution: str, real: bool, sent: int | None
) -> None:
    desk.terms = replace(TERMS, execution=execution)
    desk.now = opens_at(DAYS[0]) + EVENING
    desk.open(DAYS[0])
    desk.signal(DAYS[0], weights_of(0))
    broker = RealBroker(desk)
    if real:
        desk.broker = broker  # type: ignore[assignment]
    if sent is None:
        with pytest.raises(TradingError, match=f"`execution: {execution}`"):
            desk.submit(DAYS[0])
        assert desk.rows("SELECT count(*) FROM trading.intents") == [(0,)]
    else:
        desk.submit(DAYS[0])
        assert len(broker.sent) == sent


class Dies:
    """A broker that is out of reach while, or after, it takes an order."""

    def __init__(self, desk: Desk, *, takes: bool) -> None:
        self.sent = 0
        self._real, self._takes = desk.broker, takes

    async def submit(self, order: OrderTicket) -> None:
        self.sent += 1
        if self._takes:
            await self._real.submit(order)
        raise TradingError("the line is dead")

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


@pytest.mark.parametrize("takes", [True, False])
@pytest.mark.parametrize("why", ["off", "too late"])
def test_an_order_of_unknown_fate_that_may_not_leave_by_now_is_asked_after(
    paper: Desk, takes: bool, why: str
) -> None:
    real, dies = paper.broker, Dies(paper, takes=takes)
    paper.broker = dies  # type: ignore[assignment]
    with pytest.raises(TradingError, match="the line is dead"):
        paper.submit(DAYS[0])
    paper.broker = real
    before = paper.rows("SELECT count(*) FROM paper.orders")
    if why == "off":
        paper.terms = replace(TERMS, execution="off")
        paper.open(DAYS[0])
    else:
        paper.now = opens_at(DAYS[1]) + dt.timedelta(minutes=1)
    first = {"accepted": 1} if takes else {"expired": 1}
    assert paper.submit(DAYS[0]).states == {**first, "refused": 2}
    assert paper.submit(DAYS[0]).states == {**first, "refused": 2}
    # Nothing has left for the broker since.
    assert before == paper.rows("SELECT count(*) FROM paper.orders") == [(int(takes),)]
    told = reasons(paper)
    assert ("it never reached the broker" in told) is not takes
    assert ("execution is off" if why == "off" else "is over: it was at") in told
    paper.reconcile()
    paper.quote(DAYS[1])
    [settled] = paper.settle(DAYS[1])
    assert settled.fills == int(takes)
    paper.reconcile()


@pytest.mark.parametrize(("before", "after"), [("live", "paper"), ("replay", "live")])
def test_no_account_is_moved_to_a_broker_that_does_not_know_what_it_holds(
    desk: Desk, before: str, after: str
) -> None:
    desk.run(DAYS[0], weights_of(0))
    desk.change(f"UPDATE trading.accounts SET execution = '{before}'")
    desk.terms = replace(TERMS, execution=after)
    with pytest.raises(TradingError, match=f"0 symbols and 3 open orders.*`execution: {before}`"):
        desk.open(DAYS[0])  # orders wait
    desk.quote(DAYS[1])
    desk.change("UPDATE trading.accounts SET execution = 'paper'")  # as the broker is
    desk.settle(DAYS[1])
    desk.change(f"UPDATE trading.accounts SET execution = '{before}'")
    for off in ("off", after):  # not by a detour either
        desk.terms = replace(TERMS, execution=off)
        if off == "off":
            desk.open(DAYS[1])
            continue
        with pytest.raises(TradingError, match="positions in 3 symbols and 0 open orders"):
            desk.open(DAYS[1])
    desk.change("DELETE FROM trading.bookings WHERE symbol <> ''")
    desk.open(DAYS[1])
    assert desk.rows("SELECT execution FROM trading.accounts ORDER BY sequence DESC LIMIT 1") == [
        (after,)
    ]


class SaysAnotherSession:
    """A broker that says of each fill that it was a session before."""

    def __init__(self, desk: Desk) -> None:
        self._real = desk.broker

    async def fills(self, account: str, since: dt.date | None = None) -> list[BrokerFill]:
        told = await self._real.fills(account, since)
        return [replace(fill, session=DAYS[0]) for fill in told]

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


def test_a_fill_of_another_session_than_its_order_s_is_not_booked(desk: Desk) -> None:
    desk.run(DAYS[0], weights_of(0))
    desk.quote(DAYS[1])
    broker = SaysAnotherSession(desk)
    with pytest.raises(TradingError, match=f"for {DAYS[1]} was filled on {DAYS[0]}"):
        asyncio.run(settle(desk.engine, broker, "momentum", DAYS[1]))  # type: ignore[arg-type]
    assert desk.rows("SELECT count(*) FROM trading.fills") == [(0,)]
    desk.settle(DAYS[1])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trading.intents SET trade_session = session",
        "UPDATE trading.orders SET session = signal_session",
        "UPDATE trading.orders SET session = signal_session - 1",
    ],
)
def test_the_database_itself_refuses_to_trade_what_was_decided_on(desk: Desk, change: str) -> None:
    desk.run(DAYS[0], weights_of(0))
    with pytest.raises(sa.exc.IntegrityError, match="later"):
        desk.change(change)


NAMES = (f"played_{number}" for number in count())
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["bars", "tell", "settle", "signal", "send", "night", "noon"]),
        st.integers(0, 3),
    ),
    min_size=4,
    max_size=25,
)

TRADES = [("signal", 0), ("send", 0), ("bars", 0), ("tell", 0), ("settle", 0)]


@pytest.fixture(scope="module")
def one_book(postgres_url: str) -> str:
    with sa.create_engine(postgres_url, poolclass=sa.NullPool).begin() as connection:
        for schema in ("trading", "paper"):
            connection.execute(sa.schema.DropSchema(schema, cascade=True, if_exists=True))
        connection.execute(sa.text("DROP TABLE IF EXISTS signals"))
    from tradewind.trading.migrate import migrate

    migrate(postgres_url)
    return postgres_url


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, execution=st.sampled_from(["paper", "replay"]), age=st.integers(0, 2))
@example(steps=TRADES, execution="paper", age=0)
@example(steps=TRADES, execution="replay", age=0)
def test_whatever_is_done_in_whatever_order_nothing_is_filled_in_hindsight(  # noqa: PLR0912
    one_book: str, steps: list[tuple[str, int]], execution: str, age: int
) -> None:
    terms = replace(TERMS, account=next(NAMES), execution=execution, max_signal_age=age)
    name = terms.account
    first = SESSIONS.index(DAYS[0])
    bars = told = 0  # sessions after the first that the store has, and that the account was told
    with closing(Desk(one_book, terms=terms)) as desk:
        desk.now = opens_at(DAYS[0]) + EVENING
        desk.open(DAYS[0])
        accepted: dict[object, dt.date] = {}
        for step, number in steps:
            try:
                if step == "bars" and bars < 8:
                    bars += 1
                elif step == "tell" and told < bars:
                    told = bars
                    for day in SESSIONS[first + 1 : first + told + 1]:
                        desk.quote(day)
                    desk.terms = terms
                elif step == "settle":
                    desk.settle(DAYS[told])
                elif step == "signal":
                    desk.signal(DAYS[bars], weights_of(number), version=1 + number % 2)
                elif step == "send":
                    asyncio.run(
                        submit(
                            desk.engine, desk.broker, name, DAYS[max(told - number, 0)],
                            now=desk.now,
                        )
                    )  # fmt: skip
                elif step in {"night", "noon"}:
                    at = dt.timedelta(hours=2) if step == "noon" else EVENING
                    later = opens_at(SESSIONS[first + min(bars + number % 2, 9)]) + at
                    desk.now = max(desk.now, later)
            except TradingError:
                continue
            known = DAYS[told]
            for order, session in desk.rows(
                f"SELECT client_order_id, session FROM paper.orders WHERE account = '{name}'"
            ):
                if order not in accepted:
                    accepted[order] = session
                    [(status,)] = desk.rows(
                        "SELECT status FROM paper.order_events "
                        f"WHERE client_order_id = '{order}' AND sequence = 0"
                    )
                    if status == "accepted":
                        assert session > known
                        assert execution == "replay" or opens_at(session) > desk.now
        for day in SESSIONS[first + told + 1 : first + 10]:
            desk.quote(day)
        desk.settle(DAYS[9])
        desk.reconcile()
        hindsight = desk.rows(
            "SELECT fills.session, signal_session FROM trading.fills "
            "JOIN trading.orders USING (client_order_id) "
            f"WHERE fills.account = '{name}' AND (fills.session <= signal_session "
            "OR fills.session <> orders.session OR orders.created_at > (SELECT min(created_at) "
            "FROM trading.quotes WHERE quotes.account = fills.account "
            "AND quotes.session = fills.session))"
        )
        assert hindsight == []
        if steps == TRADES:  # so that there is something to find
            filled = f"SELECT count(*) FROM trading.fills WHERE account = '{name}'"
            assert desk.rows(filled) == [(3,)]
        twice = desk.rows(
            "SELECT symbol, session FROM trading.fills "
            f"WHERE account = '{name}' GROUP BY symbol, session HAVING count(*) > 1"
        )
        assert twice == []
