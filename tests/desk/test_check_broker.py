"""The doctor asks the broker of live orders."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tests.vendors.alpaca_broker_server import AlpacaBrokerServer, VendorAccount
from tradewind.broker_login import LOGIN
from tradewind.desk.trading import check_broker
from tradewind.settings import load_settings

URL = "postgresql+psycopg2://nobody:nothing@127.0.0.1:9/nowhere"


def test_each_account_is_asked_for_and_none_on_paper(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(checkout))
    monkeypatch.setenv("TRADEWIND_DATABASE_URL", URL)
    assert check_broker(load_settings()) == []
    now = datetime.now(UTC)
    server = AlpacaBrokerServer(
        [VendorAccount("PA1", "PK1", "5ecr3t")], [date(2099, 1, 2)], lambda *_: None, now
    )
    address = f"alpaca://paper?account.mine=PA1&account.other=PA2&url={server.url}"
    monkeypatch.setenv("TRADEWIND_BROKER", address)
    monkeypatch.setenv(LOGIN, "PK1:5ecr3t")
    with server.running():
        mine, other = check_broker(load_settings())
    assert mine.ok
    assert (mine.name, mine.note) == (
        "broker: PA1 of mine at Alpaca (paper)", "it is ACTIVE, with 1000000.00 in equity",
    )  # fmt: skip
    assert "no key opens account PA2 of other" in other.problem
    assert "5ecr3t" not in f"{mine}{other}"


@pytest.mark.parametrize(
    ("address", "said"),
    [("alpaca://papr", "must come paper or live"), ("ib://gateway", "no account is named")],
)
def test_an_address_that_cannot_be_meant_is_said_before_an_order(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(checkout))
    monkeypatch.setenv("TRADEWIND_DATABASE_URL", URL)
    monkeypatch.setenv("TRADEWIND_BROKER", address)
    [check] = check_broker(load_settings())
    assert said in check.problem
