import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.errors import BarValidationError, SourceError, StoreError
from tradewind.market import ingest as ingest_module
from tradewind.market.bars import PRICES, SCHEMA
from tradewind.market.ingest import check_stored, examine, ingest
from tradewind.market.sources.source import SourceSpec
from tradewind.market.store.bar_store import BarStore
from tradewind.market.validation import _copies
from tradewind.market.validation.accepted import Accepted
from tradewind.market.validation.validate import validate

READ_AT = datetime(2013, 3, 2, tzinfo=UTC)


def Spec(**fields: Any) -> SourceSpec:  # noqa: N802 - as if it were one
    return SourceSpec(name="real", kind="made_up", **fields)


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
def test_bad_bars_of_one_chunk_stop_all(store: BarStore, bars: pl.DataFrame) -> None:
    day = (pl.col("session") == date(2005, 2, 28)) & (pl.col("symbol") == "GOOG")
    bad = Real(bars.with_columns(high=pl.when(day).then(1.0).otherwise("high")))
    told: list[tuple[int, int]] = []
    with pytest.raises(BarValidationError, match="GOOG 2005-02-28: ohlc_order"):
        ingest(bad, Spec(), store, known_at=READ_AT, on_progress=lambda *now: told.append(now))
    # All is looked at, so that all that is wrong is told at once.
    assert told == [(number, 5) for number in range(6)]
    assert bad.asked == [("AAPL",), ("FB",), ("GOOG",), ("IBM",), ("MSFT",)]
    assert store.version("real") is None
    assert ingest(Real(bars), Spec(), store, known_at=READ_AT).new == 12_154


@pytest.mark.usefixtures("one_symbol_a_chunk")
def test_all_of_a_source_is_stored_in_one_commit(store: BarStore, bars: pl.DataFrame) -> None:
    ingest(Real(bars), Spec(), store, known_at=READ_AT)
    assert store.version("real") == 1  # the table was made at 0
    ingest(Real(bars), Spec(), store, known_at=READ_AT)
    assert store.version("real") == 1


def defective(bars: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The real bars with one defect each, by the rule that finds it."""
    day, ibm = pl.col("session") == date(2005, 2, 28), pl.col("symbol") == "IBM"
    since = pl.col("session") >= date(2010, 6, 15)

    def put(where: pl.Expr, **values: Any) -> pl.DataFrame:
        return bars.with_columns(
            pl.when(where).then(value).otherwise(name).cast(bars.schema[name]).alias(name)
            for name, value in values.items()
        )

    ibm_bars, one = bars.filter(ibm), bars.filter(ibm & day)
    still = (pl.col("session") >= date(2005, 3, 1)) & (pl.col("session") < date(2005, 5, 1))
    prices = ("open", "high", "low", "close")
    found = {
        "copied_symbol": pl.concat([bars, ibm_bars.with_columns(symbol=pl.lit("AAA"))]),
        "copied for six sessions": pl.concat(
            [bars, ibm_bars.head(6).with_columns(symbol=pl.lit("ZZZ"))]
        ),
        "symbol_spelling": pl.concat([bars, ibm_bars.with_columns(symbol=pl.lit("aapl"))]),
        "ended_early": bars.filter(~(ibm & (pl.col("session") > date(2013, 1, 15)))),
        "missing_session": bars.filter(~(ibm & day)),
        "extra_session": pl.concat([bars, one.with_columns(session=date(2005, 2, 27))]),
        "duplicate": pl.concat([bars, one]),
        "future_session": pl.concat([bars, one.with_columns(session=date(2013, 3, 4))]),
        "ohlc_order": put(ibm & day, high=1.0),
        "positive": put(ibm & day, close=-1.0),
        "null": put(ibm & day, close=None),
        "finite": put(ibm & day, close=float("nan")),
        "non_negative": put(ibm & day, volume=-1),
        "range": put(ibm & day, high=pl.col("low") * 9.0),
        "stale_close": put(ibm & still, **dict.fromkeys(prices, 92.0)),
        "zero_volume": put(ibm & day, volume=0),
        "volume_jump": put(ibm & day, volume=pl.col("volume") * 1000),
        "unadjusted_split": put(ibm & since, **{name: pl.col(name) / 2 for name in prices}),
    }
    return {name: frame.sort("symbol", "session") for name, frame in found.items()}


RULES = (
    "copied_symbol", "copied for six sessions", "symbol_spelling", "ended_early",
    "missing_session", "extra_session", "duplicate", "future_session", "ohlc_order", "positive",
    "null", "finite", "non_negative", "range", "stale_close", "zero_volume", "volume_jump",
    "unadjusted_split",
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_validate_and_ingest_find_the_same_however_the_symbols_are_cut(
    store: BarStore, bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    real = Real(defective(bars)[rule])
    whole = validate(real.bars, "XNYS", known_at=READ_AT)
    assert rule.replace("copied for six sessions", "copied_symbol") in {one.rule for one in whole}
    cuts = []
    for first, rows in ((25, 500_000), (1, 1), (2, 7_000)):
        monkeypatch.setattr(ingest_module, "_FIRST_CHUNK", first)
        monkeypatch.setattr(ingest_module, "_ROWS_AIMED_AT", rows)
        cuts.append(examine(real, Spec(), known_at=READ_AT))
    # As text, for a value that is no number equals nothing.
    assert [[repr(one) for one in cut] for cut in cuts] == [[repr(one) for one in whole]] * 3
    errors = [one for one in whole if one.severity == "error"]
    if errors:
        with pytest.raises(BarValidationError, match=re.escape(str(errors[0]))):
            ingest(real, Spec(), store, known_at=READ_AT)
        assert store.version("real") is None
    else:
        done = ingest(real, Spec(), store, known_at=READ_AT)
        assert list(done.findings) == whole


@pytest.mark.usefixtures("one_symbol_a_chunk")
def test_a_copy_far_from_its_original_is_found(store: BarStore, bars: pl.DataFrame) -> None:
    ibm = bars.filter(pl.col("symbol") == "IBM")
    real = Real(pl.concat([bars, ibm.with_columns(symbol=pl.lit("ZZZ"))]))
    with pytest.raises(BarValidationError, match=r"ZZZ 2000-03-01: copied_symbol \(IBM\)"):
        ingest(real, Spec(), store, known_at=READ_AT)
    # Of symbols without the original nothing can be said.
    assert ingest(real, Spec(), store, known_at=READ_AT, symbols=["MSFT", "ZZZ"]).new == 2 * 3270


@pytest.mark.usefixtures("one_symbol_a_chunk")
@pytest.mark.parametrize(
    "disguised",
    [
        {"volume": pl.col("volume") + 1},
        {"volume": pl.lit(0, pl.Int64)},
        {name: pl.col(name) * (1 + 3e-16) for name in PRICES},
        {**{name: pl.col(name) * (1 - 2e-15) for name in PRICES}, "volume": pl.col("volume") * 2},
        {"open": pl.col("close"), "volume": pl.col("volume") + 1},
    ],
    ids=["volume", "no volume", "noise", "both", "open at the close"],
)
def test_a_copy_in_disguise_is_found(bars: pl.DataFrame, disguised: dict[str, pl.Expr]) -> None:
    ibm = bars.filter(pl.col("symbol") == "IBM")
    if "open" in disguised and "high" not in disguised:
        ibm = ibm.with_columns(open=disguised["open"])
    other = ibm.with_columns(**disguised).with_columns(symbol=pl.lit("ZZZ"))
    rest = bars.filter(pl.col("symbol") != "IBM")
    found = examine(Real(pl.concat([rest, ibm, other])), Spec(), known_at=READ_AT)
    [told] = [one for one in found if one.rule == "copied_symbol"]
    assert (told.symbol, told.value, told.severity) == ("ZZZ", "IBM", "error")


def closes_alone(bars: pl.DataFrame, symbol: str, close: pl.Expr) -> pl.DataFrame:
    """IBM's sessions with one price each, and no volume."""
    prices = [close.alias(name) for name in PRICES]
    ibm = bars.filter(pl.col("symbol") == "IBM").with_columns(*prices)
    return ibm.with_columns(
        symbol=pl.lit(symbol), volume=pl.lit(0, pl.Int64), split_factor=1.0, adjustment_factor=1.0
    )


@pytest.mark.parametrize("copied", [1.0, 1.0 + 3e-16, 0.7])
def test_a_copy_of_closes_alone_is_found(bars: pl.DataFrame, copied: float) -> None:
    """`copied`: what the prices are multiplied by; or the share of the sessions, below one."""
    days = pl.int_range(pl.len())
    close = pl.col("close") * max(copied, 1.0)
    close = pl.when(days < pl.len() * min(copied, 1.0)).then(close).otherwise(close * 1.01)
    parts = [closes_alone(bars, "IBM", pl.col("close")), closes_alone(bars, "ZZZ", close)]
    found = examine(Real(pl.concat(parts)), Spec(), known_at=READ_AT)
    [told] = [one for one in found if one.rule == "copied_symbol"]
    assert (told.symbol, told.value, told.severity) == ("ZZZ", "IBM", "error")


def test_closes_that_stand_still_or_meet_by_chance_are_no_copies(bars: pl.DataFrame) -> None:
    draw = np.random.default_rng(1)
    parts = [closes_alone(bars, name, pl.lit(1.0)) for name in ("CASH", "MONEY")]
    for number in range(20):  # of funds at ten, whose cents are few
        cents = 1000 + draw.integers(-5, 6, parts[0].height)
        parts.append(closes_alone(bars, f"P{number:02d}", pl.lit(pl.Series(cents / 100))))
    found = examine(Real(pl.concat(parts)), Spec(), known_at=READ_AT)
    assert "copied_symbol" not in {one.rule for one in found}


def test_stocks_at_a_dollar_are_no_copies_for_prices_they_share_by_chance(
    bars: pl.DataFrame,
) -> None:
    days = bars.filter(pl.col("symbol") == "IBM").get_column("session")
    parts = []
    for number in range(30):
        draw = np.random.default_rng(number)
        cents = 100 + draw.integers(-4, 5, days.len())
        opened = cents + draw.integers(-1, 2, days.len())
        parts.append(
            pl.DataFrame(
                {
                    "symbol": [f"P{number:02d}"] * days.len(),
                    "session": days,
                    "open": opened / 100,
                    "high": (np.maximum(cents, opened) + draw.integers(0, 3, days.len())) / 100,
                    "low": (np.minimum(cents, opened) - draw.integers(0, 3, days.len())) / 100,
                    "close": cents / 100,
                    "volume": draw.integers(10**5, 10**6, days.len()),
                    "split_factor": np.ones(days.len()),
                    "adjustment_factor": np.ones(days.len()),
                },
                schema=SCHEMA,
            )
        )
    found = examine(Real(pl.concat(parts)), Spec(), known_at=READ_AT)
    assert "copied_symbol" not in {one.rule for one in found}


def test_what_cannot_be_set_aside_is_told_with_the_folder(
    bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_copies, "_IN_MEMORY", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match=r"cannot be set aside in .*gone .*TMPDIR"):
        examine(Real(bars), Spec(), known_at=READ_AT)


@pytest.mark.usefixtures("one_symbol_a_chunk")
def test_beyond_a_thousand_of_a_kind_the_chunks_tell_what_the_whole_does(
    bars: pl.DataFrame,
) -> None:
    bad = bars.with_columns(high=pl.lit(0.5))
    whole = validate(bad, "XNYS", known_at=READ_AT)
    assert examine(Real(bad), Spec(), known_at=READ_AT) == whole
    told = [one for one in whole if one.rule == "ohlc_order"]
    assert (len(told), sum(one.count for one in told)) == (1001, 12_154)


@pytest.mark.usefixtures("one_symbol_a_chunk")
def test_a_thousand_findings_and_more_can_be_accepted(store: BarStore, bars: pl.DataFrame) -> None:
    odd = Real(bars.with_columns(high=pl.lit(0.5)))
    entries = [
        {"symbols": "all", "from": "2000-01-01", "to": "2013-12-31", "rule": rule, "reason": "x"}
        for rule in ("ohlc_order", "range", "unadjusted_split")
    ]
    done = ingest(odd, Spec(accept=entries), store, known_at=READ_AT)
    assert done.new == 12_154
    assert {one.severity for one in done.findings} == {"warning"}


def test_tens_of_thousands_of_gaps_are_accepted_however_the_symbols_are_cut(
    bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    ibm = bars.filter(pl.col("symbol") == "IBM").gather_every(2).head(1051)
    thin = pl.concat(
        ibm.with_columns(pl.col("volume") + number, symbol=pl.lit(f"S{number:02d}"))
        for number in range(20)
    )
    all_of = {"symbols": "all", "from": "2000-01-01", "to": "2013-12-31", "reason": "thin"}
    rules = ("missing_session", "copied_symbol", "unadjusted_split", "range")
    accepting = Spec(accept=[{**all_of, "rule": rule} for rule in rules])
    whole = examine(Real(thin), accepting, known_at=READ_AT)
    assert {one.severity for one in whole} == {"warning"}
    gaps = [one for one in whole if one.rule == "missing_session"]
    assert (len(gaps), sum(one.count for one in gaps)) == (1001, 21_000)
    stored = check_stored(thin, accepting, Real(thin).symbols())
    assert [one for one in stored if one.rule == "missing_session"] == gaps
    monkeypatch.setattr(ingest_module, "_FIRST_CHUNK", 1)
    assert examine(Real(thin), accepting, known_at=READ_AT) == whole


@dataclass
class Changing(Real):
    """A source that somebody writes to while it is read."""

    def state(self) -> int:
        return len(self.asked) // 3


@pytest.mark.usefixtures("one_symbol_a_chunk")
def test_a_source_that_changes_while_it_is_read_is_refused(
    store: BarStore, bars: pl.DataFrame
) -> None:
    with pytest.raises(SourceError, match="'real' changed while it was read"):
        ingest(Changing(bars), Spec(), store, known_at=READ_AT)
    assert store.version("real") is None


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


def test_after_short_histories_a_chunk_is_not_the_whole_source(
    bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "_FIRST_CHUNK", 2)
    monkeypatch.setattr(ingest_module, "_ROWS_AIMED_AT", 120)
    ibm = bars.filter(pl.col("symbol") == "IBM")
    source = Real(
        pl.concat(
            ibm.head(1 if number < 2 else 10).with_columns(symbol=pl.lit(f"S{number:02d}"))
            for number in range(40)
        )
    )
    examine(source, Spec(), known_at=READ_AT)
    # Four times as many each time, until ten bars a symbol are the longest that were seen.
    assert [len(chunk) for chunk in source.asked] == [2, 8, 12, 12, 6]


class Generous(Real):
    """A source that gives what it was not asked for."""

    def load(self, symbols: Sequence[str]) -> pl.DataFrame:
        super().load(symbols)
        return self.bars


@pytest.mark.usefixtures("one_symbol_a_chunk")
def test_bars_that_were_not_asked_for_are_refused_and_not_stored_twice(
    store: BarStore, bars: pl.DataFrame
) -> None:
    reason = "gave bars of FB, GOOG, IBM, MSFT, which it was not asked for"
    with pytest.raises(SourceError, match=reason):
        ingest(Generous(bars), Spec(), store, known_at=READ_AT)
    with pytest.raises(SourceError, match=reason):
        examine(Generous(bars), Spec(), known_at=READ_AT)
    assert store.version("real") is None


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
