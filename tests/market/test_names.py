"""Symbols over time: one company one series, and never two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tradewind.errors import PartialSourceError, SourceError
from tradewind.market import actions
from tradewind.market.sources import sample
from tradewind.market.sources.names import Name, contradiction, read_names
from tradewind.market.sources.offers import Promise, promise_of, takes_since
from tradewind.market.sources.renamed import renamed
from tradewind.market.sources.source import SourceSpec, load_source, open_source
from tradewind.market.validation.symbol_rules import spelling_findings

FACTORS = ("split_factor", "adjustment_factor")
DAY = date(2005, 6, 1)
OLD = Name(symbol="NEW", vendor="OLD", to=DAY.replace(month=5, day=31))
NEW = Name.model_validate({"symbol": "NEW", "vendor": "NEW", "from": DAY})


@dataclass
class Vendor:
    """IBM's bars, which the vendor has under two tickers; each was another company's as well."""

    refused: Mapping[str, str] = field(default_factory=dict)
    asked: list[tuple[tuple[str, ...], dict[str, date]]] = field(default_factory=list)
    promise: Promise = field(default_factory=lambda: Promise(overlap=7))
    bars: pl.DataFrame = field(
        default_factory=lambda: pl.concat(
            [
                _as("IBM", "OLD", date.min, DAY.replace(month=5, day=31)),
                _as("MSFT", "OLD", DAY, date.max),  # the old ticker was taken up
                _as("AAPL", "NEW", date.min, DAY.replace(month=5, day=31)),
                _as("IBM", "NEW", DAY, date.max),
                _as("GOOG", "BRK-B", date.min, date.max),
            ]
        )
    )

    def symbols(self) -> tuple[str, ...]:
        return ("BRK-B", "NEW", "OLD")

    def load(self, symbols: Sequence[str], since: Mapping[str, date] | None = None) -> pl.DataFrame:
        begin = dict(since or {})
        self.asked.append((tuple(symbols), begin))
        parts = [
            self.bars.filter(
                pl.col("symbol") == one, pl.col("session") >= begin.get(one, date.min)
            ).with_columns(pl.col(name) / pl.col(name).last() for name in FACTORS)
            for one in sorted(symbols)
            if one not in self.refused
        ]
        bars = pl.concat(parts) if parts else self.bars.clear()
        if failed := {one: self.refused[one] for one in symbols if one in self.refused}:
            raise PartialSourceError("vendor", failed, bars=bars)
        return bars

    def actions(self, symbols: Sequence[str], since: date | None = None) -> pl.DataFrame:
        assert since is None or since
        rows = [
            (one, "dividend", day, None, 1.0, None)
            for one in symbols
            for day in (date(2004, 3, 1), date(2006, 3, 1))
        ]
        return pl.DataFrame(rows, schema=actions.SCHEMA, orient="row")

    def members(self, day: date) -> tuple[str, ...]:
        return ("OLD",) if day < DAY else ("NEW",)


def _as(real: str, name: str, start: date, end: date) -> pl.DataFrame:
    return (
        sample.load([real])
        .filter(pl.col("session").is_between(start, end))
        .with_columns(symbol=pl.lit(name))
    )


def test_a_renamed_company_goes_on_in_one_series_and_no_other_joins_it() -> None:
    source = renamed(Vendor(), [OLD, NEW], "here")
    assert source.symbols() == ("BRK-B", "NEW")
    found = source.load(["NEW"])
    real = sample.load(["IBM"]).with_columns(symbol=pl.lit("NEW"))
    raw = pl.exclude(FACTORS)
    assert found.select(raw).equals(real.select(raw))
    for factor in FACTORS:  # no dividend of IBM's was on the day
        assert (found[factor] / real[factor] - 1.0).abs().max() < 1e-12  # type: ignore[operator]


def test_a_ticker_that_another_company_took_up_is_a_series_of_its_own() -> None:
    reused = Name.model_validate({"symbol": "OLD.2", "vendor": "OLD", "from": DAY})
    found = renamed(Vendor(), [OLD, NEW, reused], "here").load(["OLD.2", "NEW"])
    assert found["symbol"].unique().sort().to_list() == ["NEW", "OLD.2"]
    assert found.filter(symbol="OLD.2")["session"].min() == DAY
    real = sample.load(["MSFT"]).filter(pl.col("session") >= DAY)
    assert found.filter(symbol="OLD.2")["close"].equals(real["close"])


def test_a_split_on_the_day_of_the_new_name_is_written_in_the_map() -> None:
    split = NEW.model_copy(update={"split": 2.0})
    found = renamed(Vendor(), [OLD, split], "here").load(["NEW"])
    before = found.filter(pl.col("session") < DAY)["split_factor"].unique().to_list()
    assert before == [0.5]


def test_only_what_is_new_is_asked_for_under_the_name_it_then_had() -> None:
    vendor = Vendor()
    source: Any = renamed(vendor, [OLD, NEW], "here")
    assert takes_since(source)
    assert promise_of(source).overlap == 7
    within = source.load(["NEW"], {"NEW": date(2013, 2, 1)})
    assert vendor.asked[-1] == (("NEW",), {"NEW": date(2013, 2, 1)})
    assert within["session"].min() == date(2013, 2, 1)
    across = source.load(["NEW"], {"NEW": date(2005, 5, 20)})
    assert list(vendor.asked[-1]) == [("NEW", "OLD"), {"OLD": date(2005, 5, 20)}]
    assert across["session"].min() == date(2005, 5, 20)
    assert across["symbol"].unique().to_list() == ["NEW"]


def test_a_name_that_ends_before_what_is_stored_is_told_and_not_asked_for() -> None:
    vendor = Vendor()
    names = [Name.model_validate({"symbol": "GONE", "vendor": "OLD", "to": date(2004, 1, 2)})]
    source: Any = renamed(vendor, names, "here")
    with pytest.raises(PartialSourceError) as told:
        source.load(["GONE"], {"GONE": date(2005, 5, 20)})
    assert "OLD as GONE to 2004-01-02, and bars since 2005-05-20" in told.value.failed["GONE"]
    assert vendor.asked == []
    with pytest.raises(PartialSourceError) as told:
        source.load(["GONE", "NEW"], {"GONE": date(2005, 5, 20)})
    assert list(told.value.failed) == ["GONE"]
    assert told.value.bars is not None
    assert told.value.bars["symbol"].unique().to_list() == ["NEW"]


def test_what_the_source_offers_besides_is_offered_under_todays_names() -> None:
    source: Any = renamed(Vendor(), [OLD, NEW, Name(symbol="BRK.B", vendor="BRK-B")], "here")
    told = source.actions(["NEW", "BRK.B"])
    assert told.select("symbol", "ex_date").rows() == [
        ("BRK.B", date(2004, 3, 1)), ("BRK.B", date(2006, 3, 1)),
        ("NEW", date(2004, 3, 1)), ("NEW", date(2006, 3, 1)),
    ]  # fmt: skip
    assert source.members(date(2004, 1, 2)) == source.members(date(2013, 1, 2)) == ("NEW",)
    assert not hasattr(source, "status")
    assert source.symbols() == ("BRK.B", "NEW")


def test_a_name_that_cannot_be_had_is_told_by_todays_symbol() -> None:
    source = renamed(Vendor(refused={"OLD": "404"}), [OLD, NEW], "here")
    with pytest.raises(PartialSourceError, match="NEW: OLD as NEW to 2005-05-31: 404") as told:
        source.load(["BRK-B", "NEW"])
    assert told.value.bars is not None
    assert told.value.bars["symbol"].unique().to_list() == ["BRK-B"]
    with pytest.raises(SourceError, match="no symbols OLD; see names"):
        source.load(["OLD"])


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([OLD], "the source has NEW itself: is it the same company"),
        ([OLD, NEW, Name(symbol="X", vendor="GONE")], "the source has no GONE; list it there"),
        ([OLD, Name(symbol="NEW", vendor="NEW")], "two companies would become one"),
        ([OLD, NEW, Name(symbol="X", vendor="OLD")], "two companies would become one"),
    ],
)
def test_a_map_that_leaves_open_who_is_who_is_refused(names: list[Name], reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        renamed(Vendor(), names, "here").symbols()


@given(
    st.lists(
        st.tuples(
            st.sampled_from("AB"), st.sampled_from("XY"), st.integers(1, 9), st.integers(0, 3)
        ),
        max_size=5,
    )
)
def test_no_day_of_a_vendor_s_symbol_is_two_companies(
    entries: list[tuple[str, str, int, int]],
) -> None:
    names = [
        Name.model_validate(
            {
                "symbol": symbol,
                "vendor": vendor,
                "from": date(2020, 1, first),
                "to": date(2020, 1, first + more),
            }
        )
        for symbol, vendor, first, more in entries
    ]
    twice = any(
        sum(one.first <= day <= one.last for one in names if getattr(one, side) == name) > 1
        for side, known in (("symbol", "AB"), ("vendor", "XY"))
        for name in known
        for day in (date(2020, 1, number) for number in range(1, 15))
    )
    assert bool(contradiction(names)) == twice


def test_names_stand_in_the_file_and_in_one_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "name: mine\nkind: sample\nschedule: null\nnames_file: sources/names.csv\n"
        "names:\n  - {symbol: APPLE, vendor: AAPL}\n"
    )
    (folder / "names.csv").write_text(
        "symbol,vendor,from,to\nBLUE,IBM,2005-06-01,\nNOT.OURS,GONE,,\n", "utf-8-sig"
    )
    source = open_source(load_source(folder / "mine.yaml"))
    assert source.symbols() == ("APPLE", "BLUE", "FB", "GOOG", "MSFT")
    assert source.load(["BLUE"])["session"].min() == DAY
    assert source.load(["APPLE"])["close"].equals(sample.load(["AAPL"])["close"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("symbol,name\nA,B\n", ":1: the header has to name"),
        ("symbol,vendor\nA\n", ":2: the line has not as many fields"),
        ("symbol,vendor,from\nA,B,2020-02-31\n", ":2: from"),
        ("symbol,vendor\nA,\n", ":2: vendor"),
        ("symbol,vendor\nA,X\nA,Y\n", "two companies would become one"),
        ('symbol,vendor\nA,X\nB,"X\n', "is no CSV"),
        ("", ":1: the header"),
        ("symbol,vendor,split\nA,B,nan\n", ":2: split"),
    ],
)
def test_a_file_of_names_is_refused_by_line(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "names.csv"
    file.write_text(text)
    with pytest.raises(SourceError, match=reason):
        read_names(file)
    with pytest.raises(SourceError, match="cannot be read"):
        read_names(tmp_path / "gone.csv")


def test_a_source_s_names_are_judged_when_its_file_is_read() -> None:
    for names in (
        [{"symbol": "A", "vendor": "X"}, {"symbol": "B", "vendor": "X"}],
        [{"symbol": "A", "vendor": "X", "from": "2020-01-02", "to": "2020-01-01"}],
        [{"symbol": "../A", "vendor": "X"}],
    ):
        with pytest.raises(ValidationError):
            SourceSpec.model_validate({"name": "mine", "kind": "sample", "names": names})


def test_two_spellings_of_a_share_class_are_one_instrument() -> None:
    [finding] = spelling_findings(["BRK.B", "BRK-B", "BRKB", "BF.B"])
    assert finding.value == "BRK-B, BRK.B"
