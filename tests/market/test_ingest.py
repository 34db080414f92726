from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from tradewind.errors import BarValidationError, SourceError
from tradewind.market import ingest as ingest_module
from tradewind.market.accepted import Accepted
from tradewind.market.ingest import ingest
from tradewind.market.store import BarStore

READ_AT = datetime(2013, 3, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Spec:
    name: str = "real"
    calendar: str = "XNYS"
    accept: tuple[Accepted, ...] = ()


@dataclass
class Real:
    """The real bars as a source that remembers what it was asked for."""

    bars: pl.DataFrame
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def symbols(self) -> tuple[str, ...]:
        return tuple(self.bars["symbol"].unique().sort())

    def load(self, symbols: Sequence[str]) -> pl.DataFrame:
        self.asked.append(tuple(symbols))
        return self.bars.filter(pl.col("symbol").is_in(list(symbols)))


@pytest.fixture
def one_symbol_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "_FIRST_CHUNK", 1)
    monkeypatch.setattr(ingest_module, "_ROWS_AIMED_AT", 1)


def test_all_of_a_source_is_validated_and_stored(store: BarStore, bars: pl.DataFrame) -> None:
    done = ingest(Real(bars), Spec(), store, known_at=READ_AT, backdate=True)
    assert done.symbols == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert (done.new, done.revised, done.unchanged) == (12_154, 0, 0)
    # AAPL's crash is real, and worth a warning.
    assert ("AAPL", date(2000, 9, 29), "large_move") in [
        (finding.symbol, finding.session, finding.rule) for finding in done.findings
    ]
    assert {finding.severity for finding in done.findings} == {"warning"}
    assert store.bars("real").height == 12_154
    assert store.bars("real", as_of=datetime(2001, 1, 1, tzinfo=UTC)).height == 3 * 212

    again = ingest(Real(bars), Spec(), store, known_at=READ_AT, backdate=True)
    assert (again.new, again.revised, again.unchanged) == (0, 0, 12_154)


def test_a_revision_comes_with_the_warnings(store: BarStore, bars: pl.DataFrame) -> None:
    ingest(Real(bars), Spec(), store, known_at=READ_AT, symbols=["IBM"])
    day = (pl.col("session") == date(2005, 2, 28)) & (pl.col("symbol") == "IBM")
    other = bars.with_columns(close=pl.when(day).then(92.7).otherwise("close"))
    done = ingest(
        Real(other), Spec(), store, known_at=READ_AT + timedelta(days=1), symbols=["IBM", "IBM"]
    )
    assert (done.symbols, done.new, done.revised) == (("IBM",), 0, 1)
    assert [finding.value for finding in done.findings if finding.rule == "revision"] == [
        "92.58 -> 92.7"
    ]


@pytest.mark.usefixtures("one_symbol_a_chunk")
def test_bad_bars_stop_their_chunk_and_what_came_before_stays(
    store: BarStore, bars: pl.DataFrame
) -> None:
    day = (pl.col("session") == date(2005, 2, 28)) & (pl.col("symbol") == "GOOG")
    bad = Real(bars.with_columns(high=pl.when(day).then(1.0).otherwise("high")))
    told: list[tuple[int, int]] = []
    with pytest.raises(BarValidationError, match="GOOG 2005-02-28: ohlc_order"):
        ingest(bad, Spec(), store, known_at=READ_AT, on_progress=lambda *now: told.append(now))
    assert told == [(0, 5), (1, 5), (2, 5)]
    assert bad.asked == [("AAPL",), ("FB",), ("GOOG",)]
    assert store.bars("real")["symbol"].unique().sort().to_list() == ["AAPL", "FB"]

    done = ingest(Real(bars), Spec(), store, known_at=READ_AT)
    assert done.unchanged == store.bars("real", ["AAPL", "FB"]).height
    assert done.new == 12_154 - done.unchanged


@pytest.mark.usefixtures("one_symbol_a_chunk")
def test_what_the_source_says_is_real_is_stored_with_a_warning(
    store: BarStore, bars: pl.DataFrame
) -> None:
    day = (pl.col("session") == date(2005, 2, 28)) & (pl.col("symbol") == "GOOG")
    odd = Real(bars.with_columns(high=pl.when(day).then(1.0).otherwise("high")))
    entries = [("GOOG", "2005-02-28"), ("IBM", "2005-02-28"), ("TSLA", "2012-01-03")]
    spec = Spec(
        accept=tuple(
            Accepted.model_validate(
                {"symbol": symbol, "session": day, "rule": "ohlc_order", "reason": "as traded"}
            )
            for symbol, day in entries
        )
    )
    done = ingest(odd, spec, store, known_at=READ_AT)
    assert done.new == 12_154
    said = [(one.symbol, one.rule) for one in done.findings if "as traded" in one.message]
    assert said == [("GOOG", "ohlc_order"), ("IBM", "accepted"), ("TSLA", "accepted")]
    # Who asks for some symbols is not told of entries about others.
    some = ingest(odd, spec, store, known_at=READ_AT, symbols=["GOOG"])
    assert [one.rule for one in some.findings if "as traded" in one.message] == ["ohlc_order"]


def test_chunks_grow_until_they_hold_the_rows_aimed_at(
    store: BarStore, bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "_FIRST_CHUNK", 1)
    monkeypatch.setattr(ingest_module, "_ROWS_AIMED_AT", 2 * 3270)
    source = Real(bars)
    ingest(source, Spec(), store, known_at=READ_AT, symbols=["AAPL", "IBM", "MSFT"])
    assert source.asked == [("AAPL",), ("IBM", "MSFT")]


@pytest.mark.parametrize(
    ("symbols", "error", "reason"),
    [
        (["IBM", "TSLA"], SourceError, "gave no bars of TSLA"),
        ([], SourceError, "has no symbols"),
    ],
)
def test_symbols_that_are_not_there_are_named(
    store: BarStore,
    bars: pl.DataFrame,
    symbols: list[str],
    error: type[Exception],
    reason: str,
) -> None:
    with pytest.raises(error, match=reason):
        ingest(Real(bars), Spec(), store, known_at=READ_AT, symbols=symbols)
