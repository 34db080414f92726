"""The risk checks: each limit by hand, and what holds of them whatever is asked."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.test_paper import TERMS
from tradewind.trading.book.present import Present
from tradewind.trading.risk import VOLUME_SESSIONS, assess

DAYS = [dt.date(2024, 1, 1) + dt.timedelta(days=day) for day in range(25)]
LAST = DAYS[-1]
NEXT = LAST + dt.timedelta(days=1)
PRESENT = Present("mine", LAST, LAST, {NEXT: dt.datetime(2024, 1, 26, 9, tzinfo=dt.UTC)}, None)
EQUITY = Decimal(100_000)


@dataclass(frozen=True)
class Wants:
    symbol: str
    shares: int
    held: int = 0
    reference_price: Decimal = Decimal(100)
    session: dt.date = LAST
    trade_session: dt.date = NEXT


@dataclass(frozen=True)
class Known:
    session: dt.date
    close: Decimal = Decimal(100)
    volume: int = 1_000_000
    split: Fraction = Fraction(1)


def market(symbols: str = "ABCD") -> dict[dt.date, dict[str, Known]]:
    return {day: {symbol: Known(day) for symbol in symbols} for day in DAYS}


def test_what_keeps_to_all_limits_may_go() -> None:
    wanted = [Wants("A", 500), Wants("B", -500), Wants("C", 0)]
    assert assess(wanted, market(), EQUITY, TERMS, PRESENT) == {}


def test_a_signal_gets_stale_by_the_sessions_that_have_closed_since() -> None:
    wanted = [Wants("A", 10, session=DAYS[-2])]
    assert assess(wanted, market(), EQUITY, replace(TERMS, max_signal_age=1), PRESENT) == {}
    found = assess(wanted, market(), EQUITY, TERMS, PRESENT)
    assert found == {
        "A": (
            f"stale signal: 1 open has gone by since {DAYS[-2]}, after which it was made, and "
            "risk.max_signal_age is 0. Newer bars make newer signals; `execution: replay` plays "
            "the past on paper",
        )
    }


def test_a_price_is_held_against_the_close_before_and_its_split() -> None:
    jumped = market()
    jumped[LAST]["A"] = Known(LAST, close=Decimal(50))
    wanted = [Wants("A", 10, reference_price=Decimal(50))]
    assert assess(wanted, jumped, EQUITY, TERMS, PRESENT) == {
        "A": ("price: 50 is -50.0% from the close before, 100, and max_price_move is 0.4",)
    }
    jumped[LAST]["A"] = Known(LAST, close=Decimal(50), split=Fraction(2))
    assert assess(wanted, jumped, EQUITY, TERMS, PRESENT) == {}
    at_the_limit = [Wants("A", 10, reference_price=Decimal(70))]
    assert assess(at_the_limit, jumped, EQUITY, TERMS, PRESENT) == {}


@pytest.mark.parametrize("missing", [[LAST], DAYS[:-1], DAYS])
def test_a_price_that_nothing_vouches_for_is_refused(missing: Sequence[dt.date]) -> None:
    known = market()
    for day in missing:
        del known[day]["A"]
    for shares, held in ((-5, 6), (5, 0), (-6, 5)):
        [reasons] = assess([Wants("A", shares, held)], known, EQUITY, TERMS, PRESENT).values()
        assert reasons[0].startswith("price: ")


@pytest.mark.parametrize("missing", [[LAST], DAYS])
def test_the_way_out_of_a_symbol_without_quotes_is_open(missing: Sequence[dt.date]) -> None:
    known = market()
    for day in missing:
        del known[day]["A"]
    for held in (5, -5, 10**8):  # more than is ever traded of it
        assert assess([Wants("A", -held, held)], known, EQUITY, TERMS, PRESENT) == {}
    stale = [Wants("A", -5, held=5, session=DAYS[-2])]
    assert list(assess(stale, known, EQUITY, TERMS, PRESENT)) == ["A"]


def test_an_order_is_small_against_the_usual_volume() -> None:
    known = market()
    for at, day in enumerate(DAYS):
        known[day]["A"] = Known(day, volume=100 if at < len(DAYS) - VOLUME_SESSIONS else 1_000)
    known[LAST]["A"] = Known(LAST, volume=10**9)
    assert assess([Wants("A", 100)], known, EQUITY, TERMS, PRESENT) == {}
    found = assess([Wants("A", -101, held=101)], known, EQUITY, TERMS, PRESENT)
    assert found == {
        "A": ("size: 101 shares, and max_order_volume is 0.1 of a usual volume of 1000",)
    }
    # After a split in two, what was traded before was as many shares again.
    known[DAYS[-2]]["A"] = Known(DAYS[-2], volume=1_000, split=Fraction(2))
    assert assess([Wants("A", 200)], known, EQUITY, TERMS, PRESENT) == {}


def test_a_weight_is_limited_on_both_sides_but_no_way_down_is_closed() -> None:
    terms = replace(TERMS, max_weight=Decimal("0.5"), max_gross=Decimal(10), max_net=Decimal(10))
    for shares, held, allowed in [
        (500, 0, True),
        (501, 0, False),
        (-501, 0, False),
        (1, 500, False),
        (-100, 900, True),  # still 0.8, and less than it was
        (100, -900, True),
        (-900, 900, True),
        (-1_401, 900, False),  # through nothing, and out at the other side
        (-1_400, 900, True),
    ]:
        found = assess([Wants("A", shares, held)], market(), EQUITY, terms, PRESENT)
        assert (found == {}) is allowed, (shares, held)
    assert assess([Wants("A", 501)], market(), EQUITY, terms, PRESENT) == {
        "A": ("weight: 501 shares are 0.501 of equity, and max_weight is 0.5",)
    }


def test_exposure_counts_when_all_orders_are_filled() -> None:
    # Each way round one of the two is beyond a limit for a moment; together they never are.
    turned = [Wants("A", -1_000, held=500), Wants("B", 1_000, held=-500)]
    assert assess(turned, market(), EQUITY, replace(TERMS, max_net=Decimal("0.1")), PRESENT) == {}
    swapped = [Wants("A", -1_000, held=1_000), Wants("B", 1_000)]
    assert assess(swapped, market(), EQUITY, TERMS, PRESENT) == {}


def test_an_order_that_leads_too_far_is_refused_and_the_others_go() -> None:
    wanted = [Wants("A", 600), Wants("B", 600), Wants("C", -100, held=100)]
    assert assess(wanted, market(), EQUITY, TERMS, PRESENT) == {
        "B": (
            "gross exposure: it would be 1.2 of equity, and max_gross is 1",
            "net exposure: it would be 1.2 of equity, and max_net is 1",
        )
    }
    # What was to make room for it is refused itself, so there is none.
    known = market()
    known[LAST]["A"] = Known(LAST, close=Decimal(10))
    wanted = [Wants("A", -500, 500, reference_price=Decimal(10)), Wants("B", 960)]
    assert set(assess(wanted, known, EQUITY, TERMS, PRESENT)) == {"A", "B"}


def test_an_account_beyond_its_limits_may_only_come_back() -> None:
    wanted = [Wants("A", -100, held=900), Wants("B", 10, held=600)]
    found = assess(wanted, market(), EQUITY, TERMS, PRESENT)
    # Together they come back a part of the way.
    assert found == {}
    assert set(assess([Wants("A", 0, held=900), wanted[1]], market(), EQUITY, TERMS, PRESENT)) == {
        "B"
    }


@given(
    asked=st.lists(
        st.tuples(st.integers(-3_000, 3_000), st.integers(-3_000, 3_000), st.integers(70, 130)),
        min_size=1,
        max_size=4,
    ),
    limits=st.tuples(*[st.sampled_from(["0.1", "0.5", "1", "2"]).map(Decimal)] * 3),
)
def test_what_goes_never_leads_further_beyond_a_limit(
    asked: list[tuple[int, int, int]], limits: tuple[Decimal, Decimal, Decimal]
) -> None:
    weight, gross, net = limits
    terms = replace(TERMS, max_weight=weight, max_gross=gross, max_net=net)
    wanted = [
        Wants(symbol, shares, held, Decimal(price))
        for symbol, (shares, held, price) in zip("ABCD", asked, strict=False)
    ]
    refused = assess(wanted, market(), EQUITY, terms, PRESENT)
    assert refused.keys() <= {one.symbol for one in wanted if one.shares}
    assert all(refused.values())
    before = [one.held * one.reference_price for one in wanted]
    after = [
        (one.held + (0 if one.symbol in refused else one.shares)) * one.reference_price
        for one in wanted
    ]
    assert sum(map(abs, after)) <= max(gross * EQUITY, sum(map(abs, before)))
    assert abs(sum(after, Decimal())) <= max(net * EQUITY, abs(sum(before, Decimal())))
    for was, is_ in zip(before, after, strict=True):
        assert abs(is_) <= max(weight * EQUITY, abs(was))
    # The rest asked alone goes, too: what is refused made no room for it.
    rest = [replace(one, shares=0) if one.symbol in refused else one for one in wanted]
    assert assess(rest, market(), EQUITY, terms, PRESENT) == {}
    assert assess(list(reversed(wanted)), market(), EQUITY, terms, PRESENT) == refused
