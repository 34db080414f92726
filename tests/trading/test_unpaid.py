"""Dividends that the book has, and a broker has not paid, are named; others are not."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from tests.trading.books import Desk
from tests.vendors.alpaca_broker_server import AlpacaBrokerServer, VendorAccount
from tradewind.broker_login import LOGIN
from tradewind.desk.trading import check_broker
from tradewind.settings import load_settings
from tradewind.trading.book.unpaid import Dividend, unpaid_dividends

MOMENTUM = Path(__file__).parents[2] / "strategies" / "momentum.yaml"

FIRST, SECOND = dt.date(2013, 2, 7), dt.date(2013, 5, 9)
LATER = dt.date(2013, 12, 2)


@pytest.fixture
def booked(desk: Desk) -> Desk:
    desk.open()
    for day, amount in ((FIRST, "26.50"), (SECOND, "30.50")):
        desk.change(
            "INSERT INTO trading.bookings (account, session, symbol, kind, shares, price, amount, "
            f"reference) VALUES ('momentum', '{day}', 'AAPL', 'dividend', 0, 2.65, {amount}, '')"
        )
    return desk


def paid(day: dt.date, symbol: str = "AAPL") -> Dividend:
    return Dividend(symbol, day, Decimal("26.50"))


@pytest.mark.parametrize(
    ("there", "today", "named"),
    [
        ([], LATER, [FIRST, SECOND]),
        ([paid(dt.date(2013, 2, 14))], LATER, [SECOND]),
        ([paid(dt.date(2013, 5, 16))], LATER, [FIRST]),
        ([paid(dt.date(2013, 2, 14)), paid(dt.date(2013, 5, 16))], LATER, []),
        ([paid(dt.date(2013, 2, 14), "IBM")], LATER, [FIRST, SECOND]),
        ([paid(dt.date(2013, 2, 14))], SECOND + dt.timedelta(days=75), []),  # may still come
        ([], FIRST + dt.timedelta(days=401), [SECOND]),
    ],
)
def test_what_is_overdue_is_named(
    booked: Desk, there: list[Dividend], today: dt.date, named: list[dt.date]
) -> None:
    with booked.engine.connect() as connection:
        found = unpaid_dividends(connection, "momentum", there, today)
    assert [one.day for one in found] == named


def test_the_doctor_names_them_of_an_account_that_trades_live(
    booked: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("sources", "strategies"):
        (tmp_path / folder).mkdir()
    text = MOMENTUM.read_text(encoding="utf-8")
    assert "execution: replay" in text
    live = text.replace("execution: replay", "execution: live")
    (tmp_path / "strategies" / "momentum.yaml").write_text(live, encoding="utf-8")
    now = dt.datetime.now(dt.UTC)
    overdue = (now - dt.timedelta(days=80)).date()
    booked.change(f"UPDATE trading.bookings SET session = '{overdue}' WHERE amount = 26.50")
    server = AlpacaBrokerServer(
        [VendorAccount("PA1", "PK1", "5ecr3t")], [dt.date(2099, 1, 2)], lambda *_: None, now
    )
    with server.running():
        for name, value in {
            "TRADEWIND_HOME": str(tmp_path),
            "TRADEWIND_DATABASE_URL": booked.url,
            "TRADEWIND_BROKER": f"alpaca://paper?account.momentum=PA1&url={server.url}",
            LOGIN: "PK1:5ecr3t",
        }.items():
            monkeypatch.setenv(name, value)
        account, dividends = check_broker(load_settings())
    assert account.ok
    assert dividends.ok
    assert f"not paid there: AAPL of {overdue} (26.50)" in dividends.note
