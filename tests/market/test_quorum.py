"""Sources that are held against each other: what is agreed, what is told, who decides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.vendors.tiingo_server import TiingoServer
from tradewind.errors import PartialSourceError, SourceError
from tradewind.market.ingest import check_stored, examine, ingest
from tradewind.market.sources import sample
from tradewind.market.sources.agreement import Tolerance, agree
from tradewind.market.sources.offers import Promise
from tradewind.market.sources.quorum import Quorum
from tradewind.market.sources.quorum_options import QuorumOptions
from tradewind.market.sources.source import SourceSpec
from tradewind.market.store.bar_store import BarStore
from tradewind.market.validation.accepted import Accepted
from tradewind.market.validation.disagreements import findings_of

EVENING, NEXT = datetime(2013, 2, 28, 4, tzinfo=UTC), datetime(2013, 3, 1, 4, tzinfo=UTC)
MONDAY, WEDNESDAY = date(2013, 2, 25), date(2013, 2, 27)
FACTORS = ("split_factor", "adjustment_factor")
Made = Callable[..., Quorum]


@dataclass
class Vendor:
    """Real bars as one vendor hands them out."""

    bars: pl.DataFrame
    promise: Promise = field(default_factory=lambda: Promise(complete_after=timedelta(hours=4)))
    refused: Mapping[str, str] = field(default_factory=dict)
    down: str = ""
    asked: list[dict[str, date]] = field(default_factory=list)

    def symbols(self) -> tuple[str, ...]:
        return tuple(self.bars["symbol"].unique().sort())

    def load(self, symbols: Sequence[str], since: Mapping[str, date] | None = None) -> pl.DataFrame:
        if self.down:
            raise SourceError(self.down)
        begin = dict(since or {})
        self.asked.append(begin)
        bars = pl.concat(
            self.bars.clear()
            if one in self.refused
            else self.bars.filter(
                pl.col("symbol") == one, pl.col("session") >= begin.get(one, date.min)
            ).with_columns(pl.col(name) / pl.col(name).last() for name in FACTORS)
            for one in sorted(set(symbols))
        )
        failed = {one: self.refused[one] for one in symbols if one in self.refused}
        if failed:
            raise PartialSourceError("vendor", failed, bars=bars)
        return bars


def put(bars: pl.DataFrame, symbol: str, day: date, **values: Any) -> pl.DataFrame:
    where = (pl.col("symbol") == symbol) & (pl.col("session") == day)
    return bars.with_columns(
        pl.when(where).then(value).otherwise(name).cast(bars.schema[name]).alias(name)
        for name, value in values.items()
    )


def without(bars: pl.DataFrame, symbol: str, day: date) -> pl.DataFrame:
    return bars.filter(~((pl.col("symbol") == symbol) & (pl.col("session") == day)))


def split_on(bars: pl.DataFrame, symbol: str, day: date, ratio: float) -> pl.DataFrame:
    """Return bars whose factors tell of a split, or with a small ratio of a dividend."""
    before = (pl.col("symbol") == symbol) & (pl.col("session") < day)
    names = FACTORS if ratio >= 1.5 else FACTORS[1:]
    return bars.with_columns(
        pl.when(before).then(pl.col(one) / ratio).otherwise(one).alias(one) for one in names
    )


@pytest.fixture
def two(bars: pl.DataFrame) -> pl.DataFrame:
    """Two symbols since 2012, until Wednesday."""
    return bars.filter(
        pl.col("symbol").is_in(["AAPL", "IBM"]),
        pl.col("session").is_between(date(2012, 1, 3), WEDNESDAY),
    )


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Return a function that makes a quorum of vendors by name."""

    def make(
        vendors: Mapping[str, Any], *, now: datetime = EVENING, accept: Any = (),
        spec: Mapping[str, Any] | None = None, members: str = "", **options: Any,
    ) -> Quorum:  # fmt: skip
        folder = tmp_path / "sources"
        folder.mkdir(exist_ok=True)
        for name in vendors:
            text = f"name: {name}\nkind: {name}\nschedule: null\n{members}"
            (folder / f"{name}.yaml").write_text(text)
        monkeypatch.setattr(
            "tradewind.market.sources.source.offered",
            lambda kind, **_: lambda *_: vendors[kind],
        )
        whole = SourceSpec(
            name="both", kind="quorum", schedule=None, accept=accept,
            options={"of": list(vendors), **options}, **(spec or {}),
        )  # fmt: skip
        return Quorum(whole, tmp_path, now=lambda: now)

    return make


def same_bars(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Whether bars are the same, factors but for their last bits."""
    ratios = one.select(FACTORS) / other.select(FACTORS)
    apart = ratios.select((pl.all() - 1.0).abs().max()).row(0)
    return one.select(pl.exclude(FACTORS)).equals(other.select(pl.exclude(FACTORS))) and all(
        each < 1e-12 for each in apart
    )


def spec_of(quorum: Quorum) -> SourceSpec:
    return quorum._spec


def decision(rule: str, take: str, *, session: date = MONDAY, symbol: str = "IBM") -> Accepted:
    return Accepted(symbol=symbol, session=session, rule=rule, take=take, reason="looked it up")


def test_sources_that_agree_are_one_source(made: Made, two: pl.DataFrame, store: BarStore) -> None:
    noisy = two.with_columns(pl.col("close") * (1.0 + 1e-7), volume=pl.col("volume") + 10)
    quorum = made({"one": Vendor(two), "other": Vendor(noisy)})
    done = ingest(quorum, spec_of(quorum), store, known_at=EVENING)
    assert (done.new, done.failed, done.findings) == (two.height, {}, ())
    alone = BarStore(Path(store.root).parent / "alone")
    alone.append("both", two, known_at=EVENING, calendar="XNYS")
    assert store.snapshot("both", ["AAPL", "IBM"], calendar="XNYS") == alone.snapshot(
        "both", ["AAPL", "IBM"], calendar="XNYS"
    )
    assert store.said("both").rows().is_empty()


@pytest.mark.parametrize(
    ("values", "rule"),
    [({"close": 198.5}, "quorum_price"), ({"volume": 3_000_000}, "quorum_volume")],
)
def test_what_differs_stops_the_symbol_until_a_person_decides(
    made: Made, two: pl.DataFrame, store: BarStore, values: dict[str, Any], rule: str
) -> None:
    other = put(two, "IBM", MONDAY, **values)
    vendors = {"one": Vendor(two), "other": Vendor(other)}
    quorum = made(vendors)
    done = ingest(quorum, spec_of(quorum), store, known_at=EVENING)
    assert list(done.failed) == ["IBM"]
    [name] = values
    there = two.row(
        by_predicate=(pl.col("symbol") == "IBM") & (pl.col("session") == MONDAY), named=True
    )
    said = f"one {there[name]:.10g}, other {values[name]:.10g}"
    assert f"IBM 2013-02-25: {rule} ({name}: {said})" in done.failed["IBM"]
    assert f"session: 2013-02-25, rule: {rule}, take: one or other" in done.failed["IBM"]
    assert store.bars("both")["symbol"].unique().to_list() == ["AAPL"]
    found = examine(quorum, spec_of(quorum), known_at=EVENING)
    assert [each.rule for each in found if each.severity == "error"] == [rule]

    for take, value in (("one", there[name]), ("other", values[name])):
        decided = made(vendors, accept=(decision(rule, take),))
        kept = BarStore(Path(store.root).parent / take)
        done = ingest(decided, spec_of(decided), kept, known_at=EVENING)
        assert done.failed == {}
        assert [each.rule for each in done.findings] == [rule]
        assert done.findings[0].message.endswith(
            f"a person decided: {take}; accepted: looked it up"
        )
        bars = kept.bars("both", ["IBM"], start=MONDAY, end=MONDAY)
        assert bars[name].to_list() == [value]
        # What is shown on the run of a training.
        noted = findings_of(kept.said("both").rows())
        shown = check_stored(kept.bars("both"), spec_of(decided), ["AAPL", "IBM"], noted=noted)
        assert [str(each) for each in shown] == [str(each) for each in done.findings]


def test_by_rule_first_the_first_named_wins_and_who_said_what_is_kept(
    made: Made, two: pl.DataFrame, store: BarStore
) -> None:
    other = put(two, "IBM", MONDAY, close=198.5)
    quorum = made({"one": Vendor(two), "other": Vendor(other)}, rule="first")
    done = ingest(quorum, spec_of(quorum), store, known_at=EVENING)
    assert (done.failed, done.new) == ({}, two.height)
    [finding] = done.findings
    assert finding.severity == "warning"
    assert "rule first decided: one" in finding.message
    kept = store.said("both").rows(["IBM"])
    assert kept.select("source", "field", "value", "taken", "decided").rows() == [
        ("one", "close", 197.51, True, "first"),
        ("other", "close", 198.5, False, "first"),
    ]
    again = ingest(quorum, spec_of(quorum), store, known_at=EVENING + timedelta(minutes=1))
    assert again.new == 0
    assert store.said("both").rows(["IBM"]).equals(kept)


def test_the_median_of_three_is_a_value_that_one_of_them_said(
    made: Made, two: pl.DataFrame
) -> None:
    high, low = put(two, "IBM", MONDAY, close=199.0), put(two, "IBM", MONDAY, close=190.0)
    quorum = made({"one": Vendor(high), "other": Vendor(two), "third": Vendor(low)}, rule="median")
    found = quorum.compare(["IBM"])
    assert found.stopped == {}
    assert same_bars(found.bars, two.filter(symbol="IBM"))
    assert set(found.said["decided"]) == {"median"}
    assert found.said.filter("taken")["source"].to_list() == ["other"]


@pytest.mark.parametrize("rule", ["nobody", "first"])
@pytest.mark.parametrize(("ratio", "kind"), [(2.0, "split"), (1.01, "dividend")])
def test_a_split_or_dividend_that_only_one_knows_stops_the_symbol(
    made: Made, two: pl.DataFrame, rule: str, ratio: float, kind: str
) -> None:
    other = split_on(two, "IBM", MONDAY, ratio)
    for vendors in (
        {"one": Vendor(two), "other": Vendor(other)},
        {"one": Vendor(other), "other": Vendor(two)},
    ):
        found = made(vendors, rule=rule).compare(["AAPL", "IBM"])
        assert list(found.stopped) == ["IBM"]
        assert f"IBM 2013-02-25: quorum_action ({kind}: " in found.stopped["IBM"]
        decided = made(vendors, rule=rule, accept=(decision("quorum_action", "other"),))
        bars = decided.compare(["IBM"])
        assert bars.stopped == {}
        expected = vendors["other"].load(["IBM"])
        for factor in FACTORS:
            assert (bars.bars[factor] / expected[factor] - 1.0).abs().max() < 1e-12  # type: ignore[operator]


def test_a_dividend_of_another_method_is_the_same_one(made: Made, two: pl.DataFrame) -> None:
    one, other = (split_on(two, "IBM", MONDAY, 1.0 + each) for each in (0.0100, 0.0103))
    assert made({"one": Vendor(one), "other": Vendor(other)}).compare(["IBM"]).stopped == {}
    twice = split_on(two, "IBM", MONDAY, 1.02)
    apart = {"one": Vendor(one), "other": Vendor(twice)}
    assert list(made(apart).compare(["IBM"]).stopped) == ["IBM"]
    assert made(apart, rule="first").compare(["IBM"]).stopped == {}


def test_a_split_on_a_bar_that_a_source_lacks_is_still_contradicted(
    made: Made, two: pl.DataFrame
) -> None:
    split = split_on(two, "IBM", MONDAY, 2.0)
    gap = without(two, "IBM", MONDAY)
    accept = (decision("quorum_session", "one"),)
    found = made({"one": Vendor(split), "other": Vendor(gap)}, accept=accept).compare(["IBM"])
    assert "quorum_action (split: one has none, other 1)" in found.stopped["IBM"]
    agreed = made(
        {"one": Vendor(split), "other": Vendor(without(split, "IBM", MONDAY))}, accept=accept
    ).compare(["IBM"])
    assert agreed.stopped == {}
    assert same_bars(agreed.bars, Vendor(split).load(["IBM"]))


def test_a_bar_that_only_one_has_stops_the_symbol_and_can_be_taken_or_left(
    made: Made, two: pl.DataFrame
) -> None:
    vendors = {"one": Vendor(two), "other": Vendor(without(two, "IBM", MONDAY))}
    found = made(vendors).compare(["AAPL", "IBM"])
    assert list(found.stopped) == ["IBM"]
    assert "quorum_session (close: one 197.51, other has none)" in found.stopped["IBM"]
    assert "Ask again once all have the bar" in found.stopped["IBM"]
    for take, there in (("one", True), ("other", False)):
        decided = made(vendors, accept=(decision("quorum_session", take),)).compare(["IBM"])
        assert decided.stopped == {}
        assert (MONDAY in decided.bars["session"].to_list()) is there


def test_a_source_that_lags_behind_stops_what_it_lacks(
    made: Made, two: pl.DataFrame, store: BarStore
) -> None:
    late = two.filter(pl.col("session") < WEDNESDAY)
    quorum = made({"one": Vendor(two), "other": Vendor(late)}, rule="first")
    with pytest.raises(PartialSourceError, match="2013-02-27: quorum_session"):
        ingest(quorum, spec_of(quorum), store, known_at=EVENING)
    assert store.version("both") is None


@pytest.mark.parametrize("how", ["down", "refused", "unlisted", "nothing", "broken"])
def test_a_source_that_is_missing_is_no_quorum_of_one_in_silence(
    made: Made, two: pl.DataFrame, store: BarStore, how: str
) -> None:
    other = Vendor(two)
    if how == "down":
        other.down = "the vendor is down"
    elif how == "refused":
        other.refused = {"IBM": "no quota is left"}
    elif how == "unlisted":
        other.bars = two.filter(symbol="AAPL")
    elif how == "nothing":
        other.bars = put(two, "IBM", MONDAY, close=float("nan"))
    else:
        other.bars = pl.concat([two, two.filter(symbol="IBM").tail(1)]).sort("symbol", "session")
    vendors = {"one": Vendor(two), "other": other}
    with pytest.raises(PartialSourceError, match="1 of 2 sources could give it, and 2 must: other"):
        made(vendors).load(["IBM"])
    quorum = made(vendors, at_least=1, rule="first")
    done = ingest(quorum, spec_of(quorum), store, symbols=["IBM"], known_at=EVENING)
    assert done.failed == {}
    [finding] = done.findings
    assert finding.rule == "quorum_missing"
    assert "at_least allows it" in finding.message
    assert store.said("both").rows()["source"].to_list() == ["other"]


def test_a_source_that_cannot_list_its_symbols_is_the_reason_of_each(
    made: Made, two: pl.DataFrame, store: BarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Vendor(two)
    vendors = {"one": Vendor(two.filter(symbol="AAPL")), "other": gone}
    quorum = made(vendors, at_least=1, rule="first")

    def unread() -> tuple[str, ...]:
        raise SourceError("prices.csv is gone")

    monkeypatch.setattr(gone, "symbols", unread)
    done = ingest(quorum, spec_of(quorum), store, symbols=["AAPL", "IBM"], known_at=EVENING)
    assert done.new == two.filter(symbol="AAPL").height
    assert "prices.csv is gone" in done.failed["IBM"]


def test_a_refresh_asks_each_source_for_what_is_new(
    made: Made, bars: pl.DataFrame, store: BarStore
) -> None:
    two = bars.filter(pl.col("symbol").is_in(["AAPL", "IBM"]))
    slow = Vendor(two, Promise(complete_after=timedelta(hours=1), overlap=90))
    vendors = {"one": Vendor(two), "other": slow}
    ingest(made(vendors), spec_of(made(vendors)), store, known_at=EVENING)
    quorum = made(vendors, now=NEXT)
    assert quorum.promise.complete_after == timedelta(hours=4)
    assert quorum.promise.overlap == 90
    done = ingest(quorum, spec_of(quorum), store, known_at=NEXT)
    assert (done.new, done.revised, done.unchanged, done.failed) == (2, 0, 2 * 91, {})
    assert vendors["one"].asked[1] == vendors["other"].asked[1]
    assert set(vendors["one"].asked[1]) == {"AAPL", "IBM"}


def test_history_begins_where_enough_sources_have_bars(made: Made, two: pl.DataFrame) -> None:
    late = two.filter(pl.col("session") >= date(2012, 6, 1))
    vendors = {"one": Vendor(two), "other": Vendor(late)}
    found = made(vendors).compare(["IBM"])
    assert found.stopped == {}
    assert same_bars(found.bars, late.filter(symbol="IBM"))
    [finding] = findings_of(found.said)
    assert (finding.session, finding.rule) == (date(2012, 6, 1), "quorum_start")
    assert "one 104, other 0" in str(finding)
    assert made(vendors, at_least=1).compare(["IBM"]).bars.height == two.filter(symbol="IBM").height


def test_files_without_dividends_contradict_none(made: Made, two: pl.DataFrame) -> None:
    paid = split_on(two, "IBM", MONDAY, 1.01)
    price_only = Vendor(two, Promise(dividends=False, complete_after=timedelta(hours=4)))
    vendors = {"one": price_only, "other": Vendor(paid), "third": Vendor(paid)}
    found = made(vendors).compare(["IBM"])
    assert found.stopped == {}
    assert (
        found.bars["adjustment_factor"][0] / paid.filter(symbol="IBM")["adjustment_factor"][0] - 1.0
    ) < 1e-12
    with pytest.raises(SourceError, match="only other knows dividends"):
        made({"one": price_only, "other": Vendor(paid)})


def test_what_cannot_be_compared_is_refused_by_name(made: Made, two: pl.DataFrame) -> None:
    adjusted = Vendor(two, Promise(prices="adjusted"))
    with pytest.raises(SourceError, match="one and other cannot be compared: raw prices are no"):
        made({"one": Vendor(two), "other": adjusted})
    with pytest.raises(SourceError, match="closes alone"):
        made({"one": Vendor(two), "other": Vendor(two, Promise(closes_only=True))})
    with pytest.raises(SourceError, match="one has the sessions of XLON, and the quorum those of"):
        made({"one": Vendor(two), "other": Vendor(two)}, members="calendar: XLON\n")
    with pytest.raises(SourceError, match="take: nobody is none of one, other"):
        made(
            {"one": Vendor(two), "other": Vendor(two)},
            accept=(decision("quorum_price", "nobody"),),
        )
    with pytest.raises(SourceError, match="both is the quorum itself"):
        made({"one": Vendor(two), "both": Vendor(two)})


def test_two_files_of_one_vendor_are_no_quorum(tmp_path: Path) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    for name in ("mine", "yours", "nested"):
        (folder / f"{name}.yaml").write_text(f"name: {name}\nkind: sample\nschedule: null\n")
    spec = SourceSpec(name="both", kind="quorum", options={"of": ["mine", "yours"]})
    with pytest.raises(SourceError, match=r"mine and yours ask the same vendor \(sample\)"):
        Quorum(spec, tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "bars")
    for other in ("./bars/*.csv", f"{tmp_path}/bars/*.csv", "sources/../bars/*.csv", "link/*.csv"):
        for name, path in (("mine", "bars/*.csv"), ("yours", other)):
            (folder / f"{name}.yaml").write_text(
                f"name: {name}\nkind: files\noptions: {{path: '{path}', adjustment: none, "
                "symbol: {column: symbol}, session: {column: date, format: '%Y-%m-%d'}}\n"
            )
        with pytest.raises(SourceError, match=r"mine and yours ask the same vendor \(files\)"):
            Quorum(spec, tmp_path)
    (folder / "mine.yaml").write_text("name: mine\nkind: sample\nschedule: null\n")
    (folder / "nested.yaml").write_text("name: nested\nkind: quorum\noptions: {of: [a, b]}\n")
    nested = SourceSpec(name="both", kind="quorum", options={"of": ["mine", "nested"]})
    with pytest.raises(SourceError, match="nested is a quorum, too"):
        Quorum(nested, tmp_path)
    missing = SourceSpec(name="both", kind="quorum", options={"of": ["mine", "yuors"]})
    with pytest.raises(SourceError, match="yuors"):
        Quorum(missing, tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"of": ["one"]}, {"of": ["one", "one"]}, {"of": ["one", "other"], "rule": "median"},
        {"of": ["one", "other"], "at_least": 3}, {"of": ["one", "other"], "at_least": 0},
        {"of": ["one", "other"], "tolerance": {"relative": 0.5}},
        {"of": ["one", "other"], "tolerance": {"tick": float("nan")}},
    ],
)  # fmt: skip
def test_options_that_make_no_quorum_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QuorumOptions.model_validate(options)


def test_only_findings_of_a_quorum_say_whose_values_hold() -> None:
    for rule, take in (("quorum_price", None), ("range", "one")):
        with pytest.raises(ValidationError, match="take"):
            Accepted(symbol="IBM", session=MONDAY, rule=rule, take=take, reason="why")


def test_a_vendor_is_held_against_files(
    tmp_path: Path, bars: pl.DataFrame, store: BarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_TIINGO_KEY", TiingoServer.key)
    folder = tmp_path / "sources"
    folder.mkdir()
    two = bars.filter(pl.col("symbol").is_in(["AAPL", "IBM"]))
    put(two, "IBM", MONDAY, close=198.5).write_parquet(folder / "bars.parquet")
    (folder / "files.yaml").write_text(
        "name: files\nkind: files\noptions: {path: sources/bars.parquet, adjustment: factors, "
        "symbol: {column: symbol}, session: {}, columns: {split_factor: split_factor, "
        "adjustment_factor: adjustment_factor}}\n"
    )
    with TiingoServer(two).running() as vendor:
        (folder / "live.yaml").write_text(
            "name: live\nkind: tiingo\nschedule: null\n"
            f"options: {{symbols: [AAPL, IBM], base_url: '{vendor.url}'}}\n"
        )
        spec = SourceSpec(
            name="both", kind="quorum", options={"of": ["live", "files"]}, schedule=None,
            accept=(decision("quorum_price", "live"),),
        )  # fmt: skip
        done = ingest(Quorum(spec, tmp_path), spec, store, known_at=NEXT)
        assert done.failed == {}
        assert [str(each.session) for each in done.findings if each.rule == "quorum_price"] == [
            "2013-02-25"
        ]
        assert store.bars("both", ["IBM"])["close"].equals(
            two.filter(pl.col("symbol") == "IBM", pl.col("session") < date(2013, 3, 1))["close"]
        )


def test_a_killed_ingest_goes_on_and_loses_nothing_of_what_was_said(
    made: Made, two: pl.DataFrame, store: BarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendors = {"one": Vendor(two), "other": Vendor(put(two, "IBM", MONDAY, close=198.5))}
    quorum = made(vendors, rule="first")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "append", killed)  # after what was said, before the bars
        with pytest.raises(KeyboardInterrupt):
            ingest(quorum, spec_of(quorum), store, known_at=EVENING)
    assert store.version("both") is None
    done = ingest(quorum, spec_of(quorum), store, known_at=EVENING + timedelta(minutes=1))
    assert done.new == two.height
    assert store.said("both").rows().height == 2


def test_what_was_said_at_a_time_can_be_read(store: BarStore) -> None:
    row = ("IBM", MONDAY, "quorum_price", "close", "one", 1.0, True, "first", "")
    said = pl.DataFrame(
        [row, (*row[:4], "other", 2.0, False, "first", "")],
        schema=store.said("both").rows().drop("known_at").schema,
        orient="row",
    )
    assert store.said("both").add(said, known_at=EVENING) == 2
    assert store.said("both").add(said, known_at=NEXT) == 0
    later = said.with_columns(value=pl.col("value") + 1.0)
    assert store.said("both").add(later, known_at=NEXT) == 2
    assert store.said("both").rows()["value"].to_list() == [2.0, 3.0]
    assert store.said("both").rows(as_of=EVENING)["value"].to_list() == [1.0, 2.0]
    assert store.said("both").rows(["AAPL"]).is_empty()
    assert store.said("both").rows(start=WEDNESDAY).is_empty()


def test_what_sources_agree_on_since_is_said_no_longer(
    made: Made, bars: pl.DataFrame, store: BarStore
) -> None:
    two = bars.filter(pl.col("symbol").is_in(["AAPL", "IBM"]))
    vendors = {"one": Vendor(two), "other": Vendor(put(two, "IBM", MONDAY, close=198.5))}
    quorum = made(vendors, rule="first")
    ingest(quorum, spec_of(quorum), store, known_at=EVENING)
    before = store.snapshot(
        "both", ["AAPL", "IBM"], as_of=EVENING, calendar=quorum._spec.session_calendar
    )
    assert set(store.said("both").rows()["value"]) == {197.51, 198.5}

    vendors["one"].bars = vendors["other"].bars  # the one that was taken was wrong
    quorum = made(vendors, rule="first", now=NEXT)
    done = ingest(quorum, spec_of(quorum), store, known_at=NEXT)
    assert (done.revised, done.failed) == (1, {})
    assert store.said("both").rows().is_empty()
    assert store.said("both").rows(as_of=EVENING).height == 2
    # A snapshot of before has what was stored when they differed.
    assert store.said_of(before, store.read(before)).height == 2
    after = store.snapshot("both", ["AAPL", "IBM"], calendar=quorum._spec.session_calendar)
    assert store.said_of(after, store.read(after)).is_empty()


def test_a_snapshot_keeps_what_was_said_of_its_bars(
    made: Made, two: pl.DataFrame, store: BarStore
) -> None:
    vendors = {"one": Vendor(two), "other": Vendor(put(two, "IBM", MONDAY, close=198.5))}
    quorum = made(vendors, rule="first")
    ingest(quorum, spec_of(quorum), store, known_at=EVENING)
    snapshot = store.snapshot("both", ["AAPL", "IBM"], calendar=quorum._spec.session_calendar)
    nothing = store.said("both").rows(["AAPL"]).drop("known_at")
    later = datetime.now(UTC) + timedelta(days=1)
    assert store.said("both").settle(two, nothing, known_at=later) == 1
    assert store.said("both").settle(two, nothing, known_at=later) == 0
    assert store.said("both").rows().is_empty()
    assert store.said_of(snapshot, store.read(snapshot)).height == 2


def test_the_silence_of_a_source_takes_nothing_back(
    made: Made, bars: pl.DataFrame, store: BarStore
) -> None:
    two = bars.filter(pl.col("symbol").is_in(["AAPL", "IBM"]))
    vendors = {"one": Vendor(two), "other": Vendor(put(two, "IBM", MONDAY, close=198.5))}
    quorum = made(vendors, rule="first", at_least=1)
    ingest(quorum, spec_of(quorum), store, known_at=EVENING)
    vendors["other"].down = "the vendor is down"
    quorum = made(vendors, rule="first", at_least=1, now=NEXT)
    ingest(quorum, spec_of(quorum), store, known_at=NEXT)
    said = store.said("both").rows(["IBM"])
    assert said.filter(rule="quorum_price").height == 2
    assert said.filter(rule="quorum_missing").height == 1
    vendors["other"].down = ""
    later = NEXT + timedelta(days=1)
    quorum = made(vendors, rule="first", at_least=1, now=later)
    ingest(quorum, spec_of(quorum), store, known_at=later)
    assert store.said("both").rows(["IBM"])["rule"].unique().to_list() == ["quorum_price"]


BARS = sample.load(["AAPL", "IBM"]).filter(pl.col("session") >= date(2013, 2, 1))
TOLERANCE = Tolerance(tick=0.01, relative=1e-4, volume=0.05, dividend=0.05)
PLACES = st.integers(0, BARS.height - 1)


@settings(max_examples=30, deadline=None)
@given(
    holes=st.lists(st.tuples(st.integers(0, 2), PLACES), max_size=4),
    wrong=st.lists(st.tuples(st.integers(0, 2), PLACES, st.floats(0.5, 2.0)), max_size=4),
    rule=st.sampled_from(["first", "median", "nobody"]),
    at_least=st.integers(1, 3),
)
def test_nothing_is_handed_out_that_is_neither_agreed_nor_decided(
    holes: list[tuple[int, int]],
    wrong: list[tuple[int, int, float]],
    rule: Any,
    at_least: int,
) -> None:
    frames = [BARS.with_row_index("place") for _ in range(3)]
    for source, place, ratio in wrong:
        frames[source] = frames[source].with_columns(
            close=pl.when(pl.col("place") == place).then(pl.col("close") * ratio).otherwise("close")
        )
    for source, place in holes:
        frames[source] = frames[source].filter(pl.col("place") != place)
    given_ = {f"s{number}": each.drop("place") for number, each in enumerate(frames)}
    found = agree(given_, rule=rule, at_least=at_least, tolerance=TOLERANCE)
    key = ["symbol", "session"]
    union = pl.concat([each.select(key) for each in given_.values()]).unique()
    # Each symbol is handed out or stopped, and each bar is said by somebody.
    assert found.bars.select(key).equals(found.bars.select(key).unique().sort(key))
    assert found.bars.join(union, on=key, how="anti").is_empty()
    assert set(found.bars["symbol"]) | found.stopped == set(union["symbol"])
    assert not set(found.bars["symbol"]) & found.stopped
    for (symbol, session), close in zip(
        found.bars.select(key).iter_rows(), found.bars["close"], strict=True
    ):
        says = [
            each.filter(symbol=symbol, session=session)["close"].to_list()
            for each in given_.values()
        ]
        closes = [one for each in says for one in each]
        assert close in closes
        if max(closes) - min(closes) > max(
            0.02, 2e-4 * max(closes)
        ):  # they differ: somebody must have decided
            told = found.said.filter(symbol=symbol, session=session, rule="quorum_price")
            assert set(told["decided"]) == {rule}
    assert ("" in found.said["decided"].to_list()) == bool(found.stopped)
    if not holes and not any(abs(ratio - 1.0) > 1e-9 for _, _, ratio in wrong):
        assert found.bars.select(key).height == BARS.height
