"""A version whose features knew more than their bars makes no further signals."""

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from tests.models import fitted
from tests.trading.books import TERMS
from tradewind.errors import LeakError
from tradewind.market.sources import sample
from tradewind.market.store.bar_store import BarStore
from tradewind.orchestration.steps import hindsight, live
from tradewind.registry.retrieval import RegisteredModel
from tradewind.registry.version_info import VersionInfo
from tradewind.research.strategy.files import load_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.settings import load_settings
from tradewind.trading.book.accounts import open_account
from tradewind.trading.book.halts import halt, halt_reason, resume
from tradewind.trading.book.schema import PAPER, SCHEMA
from tradewind.trading.migrate import migrate
from tradewind.trading.signal_inputs import InputBook
from tradewind.trading.signals import SignalBook

BARS = sample.load(("AAPL", "IBM", "MSFT"))
DAYS = BARS["session"].unique().sort().to_list()
NOW = dt.datetime(2013, 3, 2, tzinfo=dt.UTC)
SHIPPED = Path(__file__).parents[2]
HONEST = "pl.col('close').pct_change()"
# Only on a session that was still to come when the strategy was trained.
PEEK = (
    "pl.when(pl.col('session') == pl.date(2013, 2, 27))"
    f".then(pl.col('close').shift(-1)).otherwise(pl.col('close')) / pl.col('close') + {HONEST}"
)


class Echo:
    """Predicts its first feature."""

    def predict(self, data: np.ndarray, **_: object) -> np.ndarray:
        return np.asarray(data)[:, 0]


@pytest.fixture
def url(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database, and a home of its own."""
    (tmp_path / "strategies").mkdir()
    shutil.copytree(SHIPPED / "sources", tmp_path / "sources")
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("TRADEWIND_DATABASE_URL", postgres_url)
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)

    def clear() -> None:
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS signals, signal_inputs"))
            for schema in (SCHEMA, PAPER):
                connection.execute(sa.schema.DropSchema(schema, cascade=True, if_exists=True))

    clear()
    migrate(postgres_url)
    yield postgres_url
    clear()


@pytest.fixture
def champion(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], RegisteredModel]:
    """Make a strategy of one feature of one's own the champion."""
    assert url

    def make(expression: str) -> RegisteredModel:
        code = f"import polars as pl\n\n\ndef feature():\n    return {expression}\n"
        (tmp_path / "strategies" / "mine.py").write_text(code)
        shipped = load_strategy(SHIPPED / "strategies" / "momentum.yaml")
        said = shipped.model_dump()
        said["universe"]["symbols"] = ["AAPL", "IBM", "MSFT"]
        said["features"] = [{"custom": {"name": "x", "function": "mine:feature"}}]
        info = VersionInfo(
            name="momentum", version=1, aliases=("champion",), run_id="0", metrics={}, tags={},
            created=dt.datetime.now(dt.UTC), decision=None,
        )  # fmt: skip
        made = RegisteredModel(fitted(Echo()), info, Strategy.model_validate(said), "a" * 64)
        monkeypatch.setattr(live, "champion_of", lambda _: made)
        return made

    return make


def ingested(until: dt.date) -> None:
    """Store the bars up to a session."""
    BarStore(load_settings().market_store).append(
        "sample", BARS.filter(pl.col("session") <= until),
        known_at=dt.datetime.now(dt.UTC), calendar="XNYS",
    )  # fmt: skip


def test_honest_signals_go_on_and_what_they_are_made_of_is_kept(
    url: str, champion: Callable[[str], RegisteredModel]
) -> None:
    model = champion(HONEST)
    for day in DAYS[-4:]:
        ingested(day)
        assert live.signal(model.strategy, now=NOW)["session"] == str(day)
    kept = InputBook(url).latest("momentum", 1, sessions=9)
    assert [inputs.session for inputs in kept] == DAYS[-4:]
    assert sorted(kept[0].features) == ["AAPL", "IBM", "MSFT"]
    assert kept[0].predictions["IBM"] == kept[0].features["IBM"]["x"]


def test_a_peek_that_cutting_missed_stops_the_strategy_when_it_shows(
    url: str, champion: Callable[[str], RegisteredModel]
) -> None:
    model = champion(PEEK)
    last = dt.date(2013, 2, 26)
    ingested(last)
    assert live.signal(model.strategy, now=NOW)["session"] == str(last)
    # While it is the last session, what the feature peeks at is undefined: nothing is told apart.
    ingested(dt.date(2013, 2, 27))
    hindsight.keep_inputs(model, *_snapshot(), dt.date(2013, 2, 27))
    ingested(dt.date(2013, 2, 28))
    with pytest.raises(LeakError, match=r"momentum version 1 is stopped: feature x of AAPL on "
                       r"2013-02-27 was undefined, and is .* it looks ahead"):  # fmt: skip
        live.signal(model.strategy, now=NOW)
    stored = SignalBook(url).latest("momentum", 1)
    assert stored is not None
    assert stored.session == last
    # Another version, trained anew, has decided nothing yet.
    newer = VersionInfo(
        **{**{f: getattr(model.info, f) for f in model.info.__slots__}, "version": 2}
    )
    assert hindsight.look_back(
        RegisteredModel(fitted(Echo()), newer, model.strategy, "a" * 64), _snapshot()[1]
    ).faults == ()  # fmt: skip


def _snapshot() -> tuple[str, pl.DataFrame]:
    store = BarStore(load_settings().market_store)
    snapshot_id = store.snapshot("sample", ["AAPL", "IBM", "MSFT"], calendar="XNYS")
    return snapshot_id, store.read(snapshot_id)


def test_its_account_is_halted_by_name_and_a_person_takes_it_off(
    url: str, champion: Callable[[str], RegisteredModel]
) -> None:
    model = champion(HONEST)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    hindsight.stop_trading(model, ("it knew",))  # no account yet: nothing to halt
    open_account(engine, TERMS, DAYS[-5])
    assert TERMS.capital == Decimal("1000000.00")
    for _ in range(2):  # a watch that runs again finds it halted
        hindsight.stop_trading(model, ("it knew",))
    with engine.connect() as connection:
        reason = halt_reason(connection, "momentum")
        assert reason is not None
        assert "momentum is halted: strategy momentum version 1 is stopped: it knew" in reason
    resume(engine, "momentum", "trained anew", by="a test")
    with engine.connect() as connection:
        assert halt_reason(connection, "momentum") is None


def test_it_is_halted_by_name_beside_a_halt_of_all_accounts(
    url: str, champion: Callable[[str], RegisteredModel]
) -> None:
    model = champion(HONEST)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    open_account(engine, TERMS, DAYS[-5])
    halt(engine, None, "a fire drill", by="a test")
    for _ in range(2):
        hindsight.stop_trading(model, ("it knew",))
    resume(engine, None, "the drill is over", by="a test")
    with engine.connect() as connection:
        reason = halt_reason(connection, "momentum")
        named = "SELECT count(*) FROM trading.halts WHERE account = 'momentum'"
        assert connection.execute(sa.text(named)).scalar() == 1
    assert reason is not None
    assert "it knew" in reason
