"""A vendor's bars through Airflow: the key reaches the task, and what failed is taken up again."""

from collections.abc import Iterator
from datetime import date

import polars as pl
import pytest

from tests.stack.conftest import Stack
from tests.vendors.server import Answer
from tests.vendors.tiingo_server import TiingoServer
from tradewind.market.sources import sample
from tradewind.market.store.bar_store import BarStore

SOURCE = """
name: live
kind: tiingo
schedule: null
options: {{symbols: [IBM, MSFT], start: 2012-06-01, base_url: "{url}"}}
"""


@pytest.fixture
def vendor(stack: Stack) -> Iterator[TiingoServer]:
    env, source = stack.home / ".env", stack.home / "sources" / "live.yaml"
    with TiingoServer(sample.load(["IBM", "MSFT"]), date(2013, 2, 28)).running() as server:
        env.write_text(f"TRADEWIND_TIINGO_KEY={server.key}\n")
        source.write_text(SOURCE.format(url=server.url))
        yield server
    env.unlink()
    source.unlink()


def test_a_symbol_that_fails_is_taken_up_by_the_next_try(
    stack: Stack, vendor: TiingoServer
) -> None:
    vendor.faults["IBM"] = [Answer({"detail": "moved"}, 404)]
    told = stack.ok("data", "ingest", "live")
    bars = BarStore(stack.settings.market_store).bars("live")
    want = vendor.bars.filter(pl.col("session").is_between(date(2012, 6, 1), vendor.today))
    assert bars.select("symbol", "session", "close").equals(
        want.select("symbol", "session", "close")
    )
    asked = [path.split("/")[3] for path, _ in vendor.requests]
    # The other is asked for again, too: by the clock its newest bar is years old.
    assert sorted(asked) == ["IBM", "IBM", "MSFT", "MSFT"]
    assert "failed" not in told
    logs = stack.settings.state / "logs"
    said = [file for file in logs.rglob("*") if file.is_file()]
    assert not [file for file in said if vendor.key in file.read_text(errors="replace")]
    assert [file for file in said if "404 Not Found" in file.read_text(errors="replace")]
