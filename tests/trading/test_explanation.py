"""An order's size can be followed: from the book, and by hand as docs/trading.md has it."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from tests.trading.books import DAYS, SESSIONS, TERMS, Desk, weights_of
from tradewind import display
from tradewind.errors import TradingError
from tradewind.trading.explanation import explain
from tradewind.trading.signals import SignalBook, SignalSet, tranches_of

DOCS = Path(__file__).parents[2] / "docs" / "trading.md"
EXAMPLE = replace(TERMS, capital=Decimal("100000.00"), lot_size=10)
# Of AAPL and MSFT, what each of the last five sessions wanted.
WANTED = {"AAPL": (0.5, 0.5, 0.0, 0.5, 0.5), "MSFT": (0.5, 0.0, 0.5, 0.0, 0.0)}


def sent(desk: Desk, symbol: str) -> str:
    [(order,)] = desk.rows(
        f"SELECT client_order_id FROM trading.orders WHERE symbol = '{symbol}' "
        "ORDER BY signal_session DESC LIMIT 1"
    )
    return str(order)


def signal(desk: Desk, day: int, weights: dict[str, float]) -> None:
    SignalBook(desk.url).store(
        SignalSet(
            strategy="momentum",
            session=DAYS[day],
            trade_session=SESSIONS[SESSIONS.index(DAYS[day]) + 1],
            model_version=1,
            snapshot_id="a" * 64,
            weights=weights,
            tranches=WANTED,
        )
    )


def test_the_worked_example_of_the_documents_is_what_the_book_does(desk: Desk) -> None:
    desk.terms = EXAMPLE
    desk.open(DAYS[0])
    signal(desk, 0, {symbol: sum(own) / 5 for symbol, own in WANTED.items()})
    desk.submit(DAYS[0])
    found = explain(desk.engine, sent(desk, "AAPL"))
    assert found.tranches == WANTED["AAPL"]
    assert found.weight == Decimal("0.4")
    assert (found.equity, found.cash, found.held) == (Decimal(100_000), Decimal(100_000), 0)
    # By hand: 0.4 and 0.2 of equity are bought, which costs 5 basis points.
    assert found.set_aside == Decimal("0.6") * 100_000 * Decimal("0.0005")
    exact = Decimal("0.4") * (100_000 - found.set_aside) / found.close
    assert found.wanted == pytest.approx(exact, abs=Decimal("1e-20"))
    assert found.whole == int(exact)
    assert found.shares == found.target == int(exact) // 10 * 10
    text = DOCS.read_text()
    for figure in (
        f"0.4 x (100,000.00 - {found.set_aside:.2f}) / {found.close.normalize():f} = "
        f"{found.wanted:.2f}",
        f"{found.whole} shares",
        f"{found.shares} shares",
    ):
        assert figure in text, figure


def test_what_is_held_and_owed_goes_into_the_size(desk: Desk) -> None:
    for day in range(6):  # AAPL is split on the fifth
        desk.run(DAYS[day], weights_of(day))
    found = explain(desk.engine, sent(desk, "AAPL"))
    [(cash, worth)] = desk.rows(
        f"SELECT cash, equity FROM trading.equity WHERE session = '{DAYS[5]}'"
    )
    assert (found.settled, found.cash, found.equity) == (DAYS[5], cash, worth)
    assert found.held > 0
    assert found.target == found.whole == found.held + found.shares
    assert found.tranches == ()  # nobody wrote them down


def test_terms_of_later_do_not_change_how_an_order_came_about(desk: Desk) -> None:
    desk.run(DAYS[0], weights_of(0))
    before = explain(desk.engine, sent(desk, "AAPL"))
    desk.terms = replace(TERMS, commission_bps=Decimal(50), lot_size=7)
    desk.open(DAYS[0])
    desk.quote(DAYS[1])
    desk.settle(DAYS[1])
    after = explain(desk.engine, before.client_order_id)
    assert replace(after, state=before.state) == before


def test_an_order_that_is_not_and_a_book_that_was_changed_are_said(desk: Desk) -> None:
    with pytest.raises(TradingError, match="no order tw-none"):
        explain(desk.engine, "tw-none")
    desk.run(DAYS[0], weights_of(0))
    desk.change("UPDATE trading.intents SET weight = weight * 2")
    with pytest.raises(TradingError, match="changed the book"):
        explain(desk.engine, sent(desk, "AAPL"))


def test_tranches_are_what_each_session_wanted() -> None:
    rows = []
    for symbol, own in WANTED.items():
        rows += [(symbol, day, sum(own[: number + 1]) / 5) for number, day in enumerate(DAYS[:5])]
    weights = pl.DataFrame(
        rows, {"symbol": pl.String, "session": pl.Date, "weight": pl.Float64}, orient="row"
    )
    assert tranches_of(weights.sort("session", "symbol"), 5) == WANTED


def test_signals_of_before_are_read_and_added_to(database_url: str) -> None:
    with sa.create_engine(database_url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE signals (strategy text, session date, model_version integer, "
                "symbol text, trade_session date NOT NULL, weight double precision NOT NULL, "
                "snapshot_id text NOT NULL, created_at timestamptz NOT NULL, "
                "PRIMARY KEY (strategy, session, model_version, symbol))"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO signals VALUES ('momentum', '2005-02-22', 1, 'AAPL', '2005-02-23', "
                "0.5, 'old', now())"
            )
        )
    book = SignalBook(database_url)
    old = book.latest("momentum", 1)
    assert old is not None
    assert (old.weights, old.tranches) == ({"AAPL": 0.5}, {})
    new = replace(old, session=DAYS[1], trade_session=DAYS[2], tranches={"AAPL": (0.5, 0.5)})
    assert book.store(new) == new
    assert book.latest("momentum", 1) == new
    assert book.of("momentum", DAYS[0]) == old
    assert book.of("momentum", DAYS[5]) is None


def test_a_delisted_symbol_s_weight_is_not_called_a_mean(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.open(DAYS[0])
    signal(desk, 0, {symbol: sum(own) / 5 for symbol, own in WANTED.items()})
    desk.submit(DAYS[0])
    assert not explain(desk.engine, sent(desk, "AAPL")).is_left
    desk.quote(DAYS[1])
    desk.settle(DAYS[1])
    signal(desk, 1, {"AAPL": 0.0, "MSFT": 0.2})
    desk.submit(DAYS[1])
    found = explain(desk.engine, sent(desk, "AAPL"))
    assert (found.is_left, found.target) == (True, 0)
    display.explanation(found)
    told = capsys.readouterr().out
    assert "mean of" not in told
    assert f"it has no bar of {DAYS[1]}, and is left; sessions wanted 0.5, 0.5, 0, 0.5" in told
