"""Appending, revisions, and what was known when; figures are those of the real bars."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import typed
from tradewind.errors import SnapshotError, StoreError
from tradewind.market.sources.factors import adjustment_factor_from, split_factor_from
from tradewind.market.store._staging import Appended
from tradewind.market.store.bar_store import BarStore, content_hash
from tradewind.market.store.table import ConflictError, Table
from tradewind.market.validation.findings import Finding

HandedOut = Callable[..., pl.DataFrame]

LOADED = datetime(2013, 3, 2, tzinfo=UTC)
RAW = ["symbol", "session", "open", "high", "low", "close", "volume"]
IDS_FOR_EVER = {
    "AAPL": "13028b830507e3907677422aeaf314d3ac96a5407d8a7660191a56e2eee987fa",
    "IBM": "0161a22c200e4302be7ec2215b06f9fd711126023e7c793a363d745a8fd1a9a6",
}


def append(
    store: BarStore, frame: pl.DataFrame, known_at: datetime = LOADED, **options: Any
) -> Appended:
    return store.append("sample", frame, known_at=known_at, calendar="XNYS", **options)


def counts(done: Appended) -> tuple[int, int, int]:
    return done.new, done.revised, done.unchanged


def version(store: BarStore) -> int:
    from deltalake import DeltaTable

    return DeltaTable(f"{store.root}/bars/sample").version()


def with_close(frame: pl.DataFrame, session: date, close: float) -> pl.DataFrame:
    day = pl.col("session") == session
    return frame.with_columns(close=pl.when(day).then(close).otherwise("close"))


def test_a_history_comes_back_as_it_was(store: BarStore, bars: pl.DataFrame) -> None:
    assert counts(append(store, bars)) == (12_154, 0, 0)
    back = store.bars("sample")
    assert back.schema == bars.schema
    assert back.drop("adjustment_factor").equals(bars.drop("adjustment_factor"))
    error = (back["adjustment_factor"] / bars["adjustment_factor"] - 1.0).abs().max()
    assert typed(error, float) < 1e-9


def test_appending_again_makes_no_new_version(store: BarStore, bars: pl.DataFrame) -> None:
    append(store, bars)
    before = version(store)
    later = LOADED + timedelta(days=1)
    assert counts(append(store, bars.reverse(), later)) == (0, 0, 12_154)
    # Rounding, of a source that computes its factors anew, is no revision.
    noisy = bars.with_columns(pl.col("close", "adjustment_factor") * (1.0 + 1e-12))
    assert counts(append(store, noisy, later)) == (0, 0, 12_154)
    assert version(store) == before


def test_a_vendors_rounding_is_no_revision(store: BarStore, handed_out: HandedOut) -> None:
    """Two downloads of adjusted prices in 32 bits differ in the seventh digit."""
    ibm = handed_out("IBM", end=date(2005, 3, 1))
    prices = pl.col("open", "high", "low", "close")
    first = ibm.with_columns((prices * 0.8123456789).cast(pl.Float32).cast(pl.Float64))
    append(store, first)
    for day, scale in enumerate((1.0 + 2e-7, 1.0 - 2e-7, 1.0 + 3e-7), start=1):
        again = first.with_columns(
            (prices * scale).cast(pl.Float32).cast(pl.Float64),
            pl.col("adjustment_factor").cast(pl.Float32).cast(pl.Float64),
        )
        done = append(store, again, LOADED + timedelta(days=day))
        assert counts(done) == (0, 0, ibm.height)
    assert store.bars("sample")["close"].to_list() == first["close"].to_list()  # as first told


def rounded(ibm: pl.DataFrame, digits: int, actions: dict[int, float]) -> pl.DataFrame:
    """Bars with the factors of adjusted closes that a vendor rounds, as they are after the last.

    `actions`: what a close is multiplied by before a session, by its place.
    """
    scale = [1.0] * ibm.height
    for place, step in actions.items():
        scale[:place] = [each * step for each in scale[:place]]
    adjusted = (pl.col("close") * pl.Series(scale)).round(digits).alias("adj_close")
    factors = split_factor_from("adj_close"), adjustment_factor_from("adj_close")
    return ibm.with_columns(adjusted).with_columns(*factors).drop("adj_close")


@pytest.mark.parametrize("digits", [2, 3, 4, 6])
@pytest.mark.parametrize("later", [0.9951, 0.955, 0.5, 10.0])  # dividends, a split, a reverse one
def test_adjusted_closes_that_a_later_action_rounds_anew_are_no_revision(
    store: BarStore, handed_out: HandedOut, digits: int, later: float
) -> None:
    ibm = handed_out("IBM")
    quarterly = dict.fromkeys(range(40, ibm.height - 1, 63), 0.9963)
    last = ibm.height - 1
    append(store, rounded(ibm.head(last), digits, quarterly))
    done = append(store, rounded(ibm, digits, {**quarterly, last: later}), LOADED + timedelta(1))
    assert counts(done) == (1, 0, last)


@pytest.mark.parametrize("digits", [2, 4])
def test_a_dividend_found_later_is_a_revision_whatever_the_digits(
    store: BarStore, handed_out: HandedOut, digits: int
) -> None:
    ibm = handed_out("IBM")
    append(store, rounded(ibm, digits, {900: 0.9963}))
    found = append(store, rounded(ibm, digits, {500: 0.9963, 900: 0.9963}), LOADED + timedelta(1))
    assert [(each.session, each.rule) for each in found.findings] == [
        (ibm["session"][500], "revision")
    ]


def test_factors_that_are_not_rounded_are_held_to_as_before(
    store: BarStore, handed_out: HandedOut
) -> None:
    ibm = handed_out("IBM")
    append(store, ibm)
    early = pl.col("session") < date(2005, 3, 1)
    factor = pl.col("adjustment_factor")
    moved = ibm.with_columns(pl.when(early).then(factor * (1.0 + 1e-6)).otherwise(factor))
    assert counts(append(store, moved, LOADED + timedelta(1))) == (0, 1, ibm.height - 1)


@pytest.mark.parametrize(
    ("name", "other"),
    [("close", 92.59), ("open", 93.00001), ("low", 91.9), ("volume", 1), ("volume", -100)],
)
def test_a_real_revision_is_one_however_small(
    store: BarStore, handed_out: HandedOut, name: str, other: float
) -> None:
    ibm, day = handed_out("IBM", end=date(2005, 3, 1)), pl.col("session") == date(2005, 2, 28)
    append(store, ibm)
    value = pl.col("volume") + int(other) if name == "volume" else pl.lit(other)
    changed = ibm.with_columns(pl.when(day).then(value).otherwise(name).alias(name))
    assert counts(append(store, changed, LOADED + timedelta(days=1))) == (0, 1, ibm.height - 1)


def test_rounding_in_one_direction_does_not_creep(store: BarStore, handed_out: HandedOut) -> None:
    """What comes in is held against what is stored, not against what came in before."""
    ibm = handed_out("IBM", end=date(2005, 3, 1)).with_columns(pl.col("close") * 0.7310585786)
    append(store, ibm)
    found = []
    for day in range(1, 11):
        drifted = ibm.with_columns(pl.col("close") * (1.0 + day * 2e-7))
        found.append(append(store, drifted, LOADED + timedelta(days=day)).revised)
        error = (store.bars("sample")["close"] / drifted["close"] - 1.0).abs().max()
        assert typed(error, float) <= 5.1e-7
    assert found == [0, 0, ibm.height, 0, 0, ibm.height, 0, 0, ibm.height, 0]


def test_a_revision_is_kept_beside_what_it_revises(store: BarStore, handed_out: HandedOut) -> None:
    ibm, day = handed_out("IBM", end=date(2005, 3, 1)), date(2005, 2, 28)
    monday, tuesday = datetime(2005, 3, 7, tzinfo=UTC), datetime(2005, 3, 8, tzinfo=UTC)
    append(store, ibm, monday)
    done = append(store, with_close(ibm, day, 92.85), tuesday)
    assert counts(done) == (0, 1, ibm.height - 1)
    assert done.findings == (
        Finding(
            "warning", "IBM", day, "revision", "92.58 -> 92.85",
            "close was 92.58, known since 2005-03-07T00:00:00+00:00; both are kept",
        ),
    )  # fmt: skip

    def close(as_of: datetime | None = None) -> float:
        return store.bars("sample", ["IBM"], start=day, end=day, as_of=as_of)["close"].item()

    assert close() == close(tuesday) == 92.85
    assert close(monday) == close(tuesday - timedelta(microseconds=1)) == 92.58
    # And back again: a third row, since that is what is known now.
    assert counts(append(store, ibm, tuesday + timedelta(days=1)))[1] == 1
    assert (close(), close(tuesday)) == (92.58, 92.85)
    rows = pl.scan_delta(f"{store.root}/bars/sample").filter(pl.col("session") == day).collect()
    assert rows["close"].sort().to_list() == [92.58, 92.58, 92.85]


def test_a_revised_factor_and_volume_name_the_step_and_the_shares(
    store: BarStore, handed_out: HandedOut
) -> None:
    aapl, day = handed_out("AAPL", end=date(2005, 3, 1)), date(2005, 2, 28)
    append(store, aapl)
    # The vendor forgot the split: no later factor differs, and nor does a step but one.
    forgot = aapl.with_columns(
        pl.when(pl.col("session") < day).then(pl.col(name) * 2.0).otherwise(name).alias(name)
        for name in ("split_factor", "adjustment_factor")
    ).with_columns(volume=pl.when(pl.col("session") == day).then(1).otherwise("volume"))
    done = append(store, forgot, LOADED + timedelta(days=1))
    assert counts(done)[1] == 1
    assert [finding.value for finding in done.findings] == [
        "11635900 -> 1", "2 -> 1", "2 -> 1",
    ]  # fmt: skip
    assert {finding.session for finding in done.findings} == {day}


@pytest.mark.parametrize("split", [date(2000, 6, 21), date(2005, 2, 28)])
def test_a_split_adds_a_step_and_rewrites_nothing(
    store: BarStore, handed_out: HandedOut, split: date
) -> None:
    before = handed_out("AAPL", end=split - timedelta(days=1))
    eve, ex_day = datetime(split.year, 12, 1, tzinfo=UTC), datetime(split.year, 12, 2, tzinfo=UTC)
    append(store, before, eve)
    done = append(store, handed_out("AAPL", end=split), ex_day)
    assert counts(done) == (1, 0, before.height)
    assert done.findings == ()
    whole = {date(2000, 6, 21): (1.0, 0.5), date(2005, 2, 28): (0.5, 0.25)}[split]
    first = [
        store.bars("sample", ["AAPL"], as_of=moment)["split_factor"][0] for moment in (eve, ex_day)
    ]
    assert tuple(first) == whole
    assert store.bars("sample", ["AAPL"])["split_factor"][-1] == 1.0


def test_the_first_session_of_a_frame_revises_nothing(
    store: BarStore, handed_out: HandedOut
) -> None:
    append(store, handed_out("AAPL", end=date(2005, 3, 31)))
    window = handed_out("AAPL", start=date(2005, 2, 28), end=date(2005, 4, 1))
    assert counts(append(store, window, LOADED + timedelta(days=1))) == (1, 0, 23)
    assert store.bars("sample", ["AAPL"])["split_factor"][0] == 0.25


def test_a_longer_history_links_to_the_stored_one(store: BarStore, handed_out: HandedOut) -> None:
    later = handed_out("AAPL", start=date(2005, 2, 28))
    append(store, later)
    done = append(store, handed_out("AAPL"), LOADED + timedelta(days=1))
    # The step of 2005-02-28 is news as well: until now that was the first session.
    assert counts(done) == (3270 - later.height + 1, 0, later.height - 1)
    assert done.findings == ()
    assert store.bars("sample")["split_factor"][0] == 0.25
    assert store.bars("sample", as_of=LOADED).height == later.height


@pytest.mark.parametrize(
    ("start", "end"),
    [(date(2005, 3, 1), date(2005, 3, 31)), (date(2004, 1, 2), date(2004, 12, 31))],
)
def test_bars_with_a_gap_to_the_stored_ones_are_refused(
    store: BarStore, handed_out: HandedOut, start: date, end: date
) -> None:
    append(store, handed_out("AAPL", start=date(2005, 1, 3), end=date(2005, 2, 28)))
    with pytest.raises(StoreError, match=rf"AAPL {start}: .* do not connect .* 2005-01-03"):
        append(store, handed_out("AAPL", start=start, end=end))


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.sets(st.integers(250, 3268), max_size=3))
def test_increments_give_the_same_bars_as_one_go(
    tmp_path: Path, bars: pl.DataFrame, handed_out: HandedOut, cuts: set[int]
) -> None:
    sessions = bars["session"].unique().sort()
    symbols = ("AAPL", "FB", "IBM")
    grown = BarStore(tmp_path / "-".join(map(str, sorted(cuts))))
    ends = [*(sessions[cut] for cut in sorted(cuts)), sessions[-1]]
    for number, end in enumerate(ends):
        done = append(grown, handed_out(*symbols, end=end), LOADED + timedelta(days=number))
        assert done.revised == 0
    at_once = BarStore(tmp_path / "at-once")
    append(at_once, handed_out(*symbols))
    assert grown.bars("sample").equals(at_once.bars("sample"))
    ids = {s.snapshot("sample", symbols, calendar="XNYS") for s in (grown, at_once)}
    assert len(ids) == 1


def test_daily_increments_over_a_split_give_the_same_bars(
    store: BarStore, tmp_path: Path, handed_out: HandedOut
) -> None:
    days = handed_out("AAPL", start=date(2005, 2, 18), end=date(2005, 3, 8))["session"]
    for day in days:
        window = handed_out("AAPL", "IBM", start=day - timedelta(days=10), end=day)
        append(store, window, LOADED + timedelta(days=day.toordinal()))
    at_once = BarStore(tmp_path / "at-once")
    append(at_once, handed_out("AAPL", "IBM", start=date(2005, 2, 8), end=days[-1]))
    assert store.bars("sample").equals(at_once.bars("sample"))
    assert store.bars("sample", ["AAPL"])["split_factor"][0] == 0.5


@pytest.mark.parametrize("symbol", sorted(IDS_FOR_EVER))
def test_the_same_bars_have_the_same_id_for_ever(
    store: BarStore, bars: pl.DataFrame, symbol: str
) -> None:
    append(store, bars)
    snapshot = store.snapshot("sample", [symbol], calendar="XNYS")
    assert snapshot == IDS_FOR_EVER[symbol]


def test_a_backdated_history_is_known_from_each_close_on(
    store: BarStore, handed_out: HandedOut
) -> None:
    append(store, handed_out("AAPL", "IBM"), backdate=True)

    def last(as_of: datetime) -> date:
        return store.bars("sample", ["AAPL"], as_of=as_of)["session"][-1]

    # 16:00 in New York, which is 20:00 or 21:00 UTC; 13:00 after Thanksgiving.
    assert last(datetime(2005, 2, 25, 20, 59, tzinfo=UTC)) == date(2005, 2, 24)
    assert last(datetime(2005, 2, 25, 21, 0, tzinfo=UTC)) == date(2005, 2, 25)
    assert last(datetime(2005, 7, 1, 20, 0, tzinfo=UTC)) == date(2005, 7, 1)
    assert last(datetime(2005, 11, 25, 17, 59, tzinfo=UTC)) == date(2005, 11, 23)
    assert last(datetime(2005, 11, 25, 18, 0, tzinfo=UTC)) == date(2005, 11, 25)

    # What the vendor would have handed out on that evening, before the split of 02-28.
    evening = datetime(2005, 2, 25, 22, tzinfo=UTC)
    then = handed_out("AAPL", "IBM", end=date(2005, 2, 25))
    found = store.bars("sample", as_of=evening)
    assert found.drop("adjustment_factor").equals(then.drop("adjustment_factor"))
    assert found["split_factor"][0] == 0.5


def test_backdating_is_for_symbols_never_seen(store: BarStore, handed_out: HandedOut) -> None:
    append(store, handed_out("AAPL", end=date(2005, 2, 25)), backdate=True)
    append(store, handed_out("AAPL", "IBM"), LOADED + timedelta(days=1), backdate=True)
    in_2010 = store.bars("sample", as_of=datetime(2010, 1, 1, tzinfo=UTC))
    last = in_2010.group_by("symbol").agg(pl.max("session")).sort("symbol")
    assert last.rows() == [("AAPL", date(2005, 2, 25)), ("IBM", date(2009, 12, 31))]


def test_nothing_is_known_before_it_is_loaded(store: BarStore, handed_out: HandedOut) -> None:
    append(store, handed_out("IBM"))
    assert store.bars("sample", as_of=LOADED - timedelta(microseconds=1)).is_empty()
    assert store.bars("sample", as_of=LOADED).height == 3270
    with pytest.raises(SnapshotError, match=r"no bars of IBM .* known at 2010-01-01"):
        store.snapshot("sample", ["IBM"], calendar="XNYS", as_of=datetime(2010, 1, 1, tzinfo=UTC))


def test_a_snapshot_gives_the_same_bars_whatever_comes_later(
    store: BarStore, handed_out: HandedOut
) -> None:
    append(store, handed_out("AAPL", "IBM", end=date(2005, 2, 25)))
    taken = store.snapshot("sample", ["IBM", "AAPL", "IBM"], calendar="XNYS")
    then = store.read(taken)
    later = with_close(handed_out("AAPL", "IBM"), date(2005, 2, 24), 1.0)
    assert counts(append(store, later, LOADED + timedelta(days=1)))[1] == 2
    assert store.read(taken).equals(then)
    # The same content has the same name, also by another question at another version.
    again = store.snapshot(
        "sample", ["AAPL", "IBM"], calendar="XNYS", end=date(2005, 2, 25), as_of=LOADED
    )
    assert again == taken
    now = store.snapshot("sample", ["AAPL", "IBM"], calendar="XNYS")
    assert now != taken

    first, second = store.snapshots()
    assert (first.id, second.id) == (taken, now)
    assert (first.table_version, second.table_version) == (1, 2)
    assert first.symbols == ("AAPL", "IBM")
    assert (first.start, first.end, first.as_of) == (None, None, None)
    assert first.rows == then.height
    assert first.content_hash == content_hash(then)


def test_sources_with_the_same_bars_have_snapshots_of_their_own(
    store: BarStore, handed_out: HandedOut
) -> None:
    ids = set()
    for source in ("one", "another"):
        store.append(source, handed_out("IBM"), known_at=LOADED, calendar="XNYS")
        ids.add(store.snapshot(source, ["IBM"], calendar="XNYS"))
    assert len(ids) == 2


def test_a_symbol_not_listed_yet_is_no_mistake_and_an_unknown_one_is(
    store: BarStore, bars: pl.DataFrame
) -> None:
    append(store, bars)
    taken = store.snapshot("sample", ["FB", "IBM"], calendar="XNYS", end=date(2011, 12, 30))
    assert store.read(taken)["symbol"].unique().to_list() == ["IBM"]
    with pytest.raises(SnapshotError, match=r"no bars of META, TSLA in .*correct the symbols"):
        store.snapshot("sample", ["IBM", "TSLA", "META"], calendar="XNYS")


@pytest.mark.parametrize(
    ("change", "options", "reason"),
    [
        (pl.all(), {"known_at": datetime(2005, 3, 1)}, "has no time zone"),  # noqa: DTZ001
        (
            pl.all(),
            {"known_at": datetime(2005, 3, 1, 20, 59, tzinfo=UTC)},
            "2005-03-01: the session closes at 2005-03-01T21:00:00",
        ),
        (pl.all(), {"calendar": "XTKS"}, "IBM 2005-01-10: XTKS was closed"),
        (pl.col("session").dt.truncate("1mo"), {}, "the bar is there twice"),
        (pl.lit(0.0).alias("split_factor"), {}, "factors must be above zero"),
    ],
)
def test_bars_that_cannot_be_are_refused(
    store: BarStore, handed_out: HandedOut, change: pl.Expr, options: dict[str, Any], reason: str
) -> None:
    frame = handed_out("IBM", start=date(2005, 1, 4), end=date(2005, 3, 1)).with_columns(change)
    with pytest.raises(StoreError, match=reason):
        store.append("sample", frame, **{"known_at": LOADED, "calendar": "XNYS", **options})
    assert not Path(store.root).exists()


def test_knowledge_of_a_bar_only_moves_forward(store: BarStore, handed_out: HandedOut) -> None:
    ibm = handed_out("IBM", end=date(2005, 3, 1))
    append(store, ibm)
    other = with_close(ibm, date(2005, 2, 28), 92.85)
    for moment in (LOADED, LOADED - timedelta(days=1)):
        with pytest.raises(StoreError, match=r"IBM 20.*must become known later"):
            append(store, other, moment)
    assert counts(append(store, ibm, LOADED - timedelta(days=1))) == (0, 0, ibm.height)


def test_a_source_keeps_its_calendar(store: BarStore, handed_out: HandedOut) -> None:
    append(store, handed_out("IBM"))
    with pytest.raises(StoreError, match="sessions of XNYS, not XNAS"):
        store.append("sample", handed_out("IBM"), known_at=LOADED, calendar="XNAS")
    with pytest.raises(StoreError, match="sessions of XNYS, not XLON"):
        store.snapshot("sample", ["IBM"], calendar="XLON")


@pytest.mark.parametrize("source", ["", "../x", "a/b", "a b", ".", "x" * 64])
def test_the_name_of_a_source_never_becomes_another_path(
    store: BarStore, handed_out: HandedOut, source: str
) -> None:
    with pytest.raises(StoreError, match="no name of a source"):
        store.append(source, handed_out("IBM"), known_at=LOADED, calendar="XNYS")


def test_what_is_not_stored_is_named(store: BarStore) -> None:
    with pytest.raises(StoreError, match=r"no bars of source 'sample' .* tradewind data ingest"):
        store.bars("sample")
    with pytest.raises(SnapshotError, match=r"no bars of source 'sample' .* tradewind data ingest"):
        store.snapshot("sample", ["IBM"], calendar="XNYS")
    with pytest.raises(SnapshotError, match="name at least one"):
        store.snapshot("sample", [], calendar="XNYS")
    assert store.snapshots() == []


def test_what_is_stored_is_told_as_soon_as_it_is(store: BarStore, bars: pl.DataFrame) -> None:
    assert store.stored("sample") is None
    began = datetime.now(UTC) - timedelta(seconds=1)
    append(store, bars)
    told = store.stored("sample")
    assert told is not None
    assert (told.source, told.symbols) == ("sample", ("AAPL", "FB", "GOOG", "IBM", "MSFT"))
    assert (told.first, told.last) == (date(2000, 3, 1), date(2013, 3, 1))
    assert (told.bars, told.revised, told.snapshots) == (12_154, 0, 0)
    assert began <= told.stored <= datetime.now(UTC)


def test_a_revision_is_no_other_bar_and_a_snapshot_is_counted(
    store: BarStore, bars: pl.DataFrame
) -> None:
    append(store, bars)
    before = store.stored("sample")
    day = date(2013, 2, 28)
    append(
        store, with_close(bars, day, 35.0).filter(pl.col("symbol") == "MSFT"), LOADED + timedelta(1)
    )
    store.snapshot("sample", ["IBM"], calendar="XNYS")
    told = store.stored("sample")
    assert before is not None
    assert told is not None
    assert (told.bars, told.revised, told.snapshots) == (12_154, 1, 1)
    assert told.stored >= before.stored


def test_who_always_comes_second_gives_up_after_growing_waits(
    store: BarStore, bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(*_: object) -> None:
        raise ConflictError

    waits: list[float] = []
    monkeypatch.setattr(Table, "append", overtaken)
    monkeypatch.setattr("time.sleep", waits.append)
    with pytest.raises(StoreError, match="50 times before this one could"):
        append(store, bars)
    assert waits == pytest.approx([min(0.5, 0.02 * conflict) for conflict in range(49)])
    monkeypatch.undo()
    assert counts(append(store, bars)) == (bars.height, 0, 0)
