"""What the store does with its files: reads few, keeps all, and notices damage."""

import itertools
import json
import os
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tradewind.errors import SnapshotError, StoreError
from tradewind.market.store import table as delta
from tradewind.market.store.bar_store import BarStore

HandedOut = Callable[..., pl.DataFrame]

LOADED = datetime(2013, 3, 2, tzinfo=UTC)


def append(store: BarStore, frame: pl.DataFrame, known_at: datetime = LOADED) -> None:
    store.append("sample", frame, known_at=known_at, calendar="XNYS")


def snapshot(store: BarStore, *symbols: str, **options: Any) -> str:
    return store.snapshot("sample", symbols, calendar="XNYS", **options)


def files(store: BarStore, year: int) -> list[Path]:
    return sorted(Path(store.root).glob(f"bars/sample/year={year}/*.parquet"))


def manifest(store: BarStore, snapshot_id: str) -> Path:
    return Path(store.root) / "snapshots" / f"{snapshot_id}.json"


def test_a_range_of_dates_opens_no_other_year(store: BarStore, handed_out: HandedOut) -> None:
    append(store, handed_out("AAPL", "IBM"))
    shutil.rmtree(files(store, 2005)[0].parent)
    assert store.bars("sample", start=date(2006, 1, 1)).height == 3604
    assert store.bars("sample", end=date(2004, 12, 31)).height == 2432
    with pytest.raises(StoreError, match=r"bars/sample cannot be read: .*restore the missing"):
        store.bars("sample", start=date(2005, 12, 30))


def test_a_symbol_opens_no_file_of_others(store: BarStore, handed_out: HandedOut) -> None:
    append(store, handed_out("AAPL"))
    aapl = files(store, 2005)
    append(store, handed_out("IBM", "MSFT"))
    for file in aapl:
        file.unlink()
    assert store.bars("sample", ["MSFT"]).height == 3270
    assert store.read(snapshot(store, "IBM")).height == 3270
    with pytest.raises(StoreError, match="cannot be read"):
        store.bars("sample", ["AAPL"])


def test_years_of_small_files_are_joined_and_old_snapshots_stay(
    store: BarStore, handed_out: HandedOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltalake import DeltaTable

    monkeypatch.setattr(delta, "_FILES_A_YEAR", 10)
    history = handed_out("AAPL", "IBM", start=date(2006, 1, 3), end=date(2006, 2, 7))
    days = history["session"].unique().sort()
    assert days.len() == 25
    ids = {}
    for number, (before, day) in enumerate(itertools.pairwise(days), start=1):
        window = history.filter(pl.col("session").is_between(before, day))
        append(store, window, LOADED + timedelta(days=number))
        if number in {3, 10, 20}:
            ids[number] = snapshot(store, "AAPL")
    table = DeltaTable(f"{store.root}/bars/sample")
    # 11 files become one at the 11th append, and again at the 21st; three came after.
    assert len(table.file_uris()) == 4
    assert store.bars("sample").drop("adjustment_factor").equals(history.drop("adjustment_factor"))
    table.create_checkpoint()
    assert len(ids) == 3
    for number, snapshot_id in ids.items():
        assert store.read(snapshot_id).height == number + 1
    assert table.metadata().configuration["delta.enableExpiredLogCleanup"] == "false"


def test_a_manifest_is_small_readable_and_never_changes(
    store: BarStore, handed_out: HandedOut
) -> None:
    append(store, handed_out("IBM"))
    taken = snapshot(store, "IBM", start=date(2005, 1, 1))
    path = manifest(store, taken)
    content, before = json.loads(path.read_text()), path.stat()
    assert content | {"created": "", "content_hash": ""} == {
        "id": taken,
        "source": "sample",
        "table_version": 1,
        "symbols": ["IBM"],
        "start": "2005-01-01",
        "end": None,
        "as_of": None,
        "created": "",
        "rows": 2054,
        "calendar": {"name": "XNYS", "closed": [], "opened": [], "hours": []},
        "content_hash": "",
    }
    append(store, handed_out("AAPL"))
    assert snapshot(store, "IBM", start=date(2005, 1, 1)) == taken
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert stat.S_IMODE(after.st_mode) == 0o444
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("place", range(0, 100, 10))
def test_a_damaged_byte_is_noticed_or_harmless(
    store: BarStore, handed_out: HandedOut, place: int
) -> None:
    append(store, handed_out("IBM", start=date(2005, 1, 3), end=date(2005, 12, 30)))
    taken = snapshot(store, "IBM")
    then = store.read(taken)
    [path] = files(store, 2005)
    content = bytearray(path.read_bytes())
    content[len(content) * place // 100] ^= 0xFF
    path.write_bytes(content)
    try:
        assert store.read(taken).equals(then)  # a byte that carries no value
    except SnapshotError as error:
        assert "is damaged" in str(error) or "cannot be read" in str(error)  # noqa: PT017


@pytest.mark.parametrize("kept", [0, 4, 1000])
def test_a_file_cut_short_is_refused(store: BarStore, handed_out: HandedOut, kept: int) -> None:
    append(store, handed_out("IBM"))
    taken = snapshot(store, "IBM")
    [path] = files(store, 2005)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SnapshotError, match=rf"{taken} .*cannot be read: .*Restore the files"):
        store.read(taken)


def test_other_values_under_an_id_are_refused(store: BarStore, handed_out: HandedOut) -> None:
    ibm = handed_out("IBM")
    append(store, ibm)
    taken = snapshot(store, "IBM")
    shutil.rmtree(f"{store.root}/bars")
    append(store, ibm.with_columns(pl.col("volume") + 1))
    with pytest.raises(SnapshotError, match=rf"{taken} .* is damaged: its content has another"):
        store.read(taken)


def test_a_table_made_anew_mends_its_snapshots(store: BarStore, handed_out: HandedOut) -> None:
    append(store, handed_out("AAPL"))
    append(store, handed_out("IBM"))
    taken = snapshot(store, "IBM")
    then = store.read(taken)
    shutil.rmtree(f"{store.root}/bars")
    with pytest.raises(SnapshotError, match=r"is gone with its table\. Restore the files"):
        store.read(taken)
    append(store, handed_out("IBM"))
    with pytest.raises(SnapshotError, match=r"version 2 of .* cannot be read"):
        store.read(taken)
    assert snapshot(store, "IBM") == taken
    assert store.read(taken).equals(then)
    assert [info.table_version for info in store.snapshots()] == [1]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:0],
        lambda text: text[:-20],
        lambda text: text.replace('"sample"', '"simple"'),
        lambda text: text.replace('"rows"', '"bars"'),
        lambda text: text.replace('"table_version": 1', '"table_version": -1'),
    ],
)
def test_a_damaged_manifest_is_named_and_replaced(
    store: BarStore, handed_out: HandedOut, change: Callable[[str], str]
) -> None:
    append(store, handed_out("IBM"))
    taken = snapshot(store, "IBM")
    path = manifest(store, taken)
    text = path.read_text()
    path.chmod(0o644)
    assert change(text) != text
    path.write_text(change(text))
    for read in (lambda: store.read(taken), store.snapshots):
        with pytest.raises(SnapshotError, match=f"{taken}.json is damaged; take the same snap"):
            read()
    assert snapshot(store, "IBM") == taken
    assert store.read(taken).height == 3270


@pytest.mark.parametrize(
    "snapshot_id",
    ["", "../" + "a" * 61, "a" * 63, "a" * 65, "A" * 64, "a" * 64 + "\n", "/etc/passwd"],
)
def test_a_malformed_id_never_becomes_a_path(store: BarStore, snapshot_id: str) -> None:
    with pytest.raises(SnapshotError, match="is no snapshot id"):
        store.read(snapshot_id)


def test_a_missing_snapshot_is_named(store: BarStore) -> None:
    with pytest.raises(SnapshotError, match=f"no snapshot {'0' * 64} in {store.root}"):
        store.read("0" * 64)


def test_a_root_that_is_a_file_is_named(tmp_path: Path, handed_out: HandedOut) -> None:
    root = tmp_path / "file"
    root.touch()
    with pytest.raises(StoreError, match=f"cannot be written to {root}"):
        append(BarStore(root), handed_out("IBM"))


def test_a_log_that_is_damaged_is_named(store: BarStore, handed_out: HandedOut) -> None:
    append(store, handed_out("IBM"))
    log = Path(store.root) / "bars" / "sample" / "_delta_log" / f"{1:020}.json"
    log.write_text("{")
    with pytest.raises(StoreError, match=f"the bars in {store.root}/bars/sample cannot be read"):
        store.bars("sample")


def test_a_store_may_lie_below_a_folder_of_almost_any_name(
    tmp_path: Path, handed_out: HandedOut
) -> None:
    folder = tmp_path / " t r ä#d %e?*'\"=x;,{}<>日本 " / "a=b"
    store = BarStore(folder / "market")
    append(store, handed_out("AAPL", start=date(2006, 1, 3), end=date(2007, 2, 7)))
    taken = snapshot(store, "AAPL")
    assert store.read(taken).height == store.bars("sample").height == 276
    stored = store.stored("sample")
    assert stored is not None
    assert stored.bars == 276
    assert len(list(folder.rglob("*.parquet"))) == 2


def test_a_folder_that_delta_would_take_for_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"bars cannot be kept there: .*%41 in it"):
        BarStore(tmp_path / "%41")
    assert list(tmp_path.iterdir()) == []


def test_tidying_joins_files_and_deletes_what_no_snapshot_names(
    store: BarStore, handed_out: HandedOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tradewind.market.store import bar_store

    monkeypatch.setattr(bar_store, "_FILES_A_YEAR", 5)
    history = handed_out("AAPL", "IBM", start=date(2006, 1, 3), end=date(2006, 1, 20))
    days = history["session"].unique().sort()
    taken = ""
    for number, (before, day) in enumerate(itertools.pairwise(days), start=1):
        window = history.filter(pl.col("session").is_between(before, day))
        append(store, window, LOADED + timedelta(days=number))
        if number == 4:
            taken = snapshot(store, "AAPL")
    written = store.version("sample")
    assert len(files(store, 2006)) == 12

    tidied = store.tidy("sample", keep_days=1)
    assert (tidied.joined, tidied.files) == (11, 0)  # type: ignore[union-attr] # young files stay
    assert not store.has_new("sample", written)
    assert store.has_new("sample", (written or 0) - 1)
    age_tombstones(store)
    expected = store.tidy("sample", keep_days=1, dry_run=True)
    assert len(files(store, 2006)) == 13
    tidied = store.tidy("sample", keep_days=1)
    assert tidied == expected
    assert tidied.files == 8  # type: ignore[union-attr] # all but the joined one and the snapshot's
    assert len(files(store, 2006)) == 5
    assert store.read(taken).height == 5
    assert store.bars("sample").drop("adjustment_factor").equals(history.drop("adjustment_factor"))
    assert not store.has_new("sample", written)
    last = history.filter(pl.col("session") == days[-1])
    append(store, last.with_columns(pl.col("close") + 1), LOADED + timedelta(days=99))
    assert store.has_new("sample", written)


def age_tombstones(store: BarStore) -> None:
    """Have all files that were replaced have been so for a month."""
    log = Path(store.root) / "bars" / "sample" / "_delta_log"
    for file in log.glob("*.json"):
        actions = [json.loads(line) for line in file.read_text().splitlines()]
        for action in actions:
            if "remove" in action:
                action["remove"]["deletionTimestamp"] -= 30 * 86_400_000
        file.write_text("\n".join(map(json.dumps, actions)) + "\n")
    for path in Path(store.root).rglob("*.parquet"):
        moment = path.stat().st_mtime - 30 * 86_400
        os.utime(path, (moment, moment))


def test_with_a_damaged_manifest_nothing_is_deleted(
    store: BarStore, handed_out: HandedOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tradewind.market.store import bar_store

    monkeypatch.setattr(bar_store, "_FILES_A_YEAR", 0)
    append(store, handed_out("IBM", start=date(2006, 1, 3), end=date(2006, 1, 20)))
    taken = snapshot(store, "IBM")
    store.tidy("sample", keep_days=0)
    age_tombstones(store)
    before = files(store, 2006)
    manifest(store, taken).chmod(0o600)
    manifest(store, taken).write_text("{")
    with pytest.raises(SnapshotError, match="is damaged"):
        store.tidy("sample", keep_days=1)
    assert set(before) <= set(files(store, 2006))


def test_a_table_that_was_made_anew_has_news(store: BarStore, handed_out: HandedOut) -> None:
    assert store.tidy("sample", keep_days=1) is None
    assert not store.has_new("sample", None)
    append(store, handed_out("IBM", start=date(2006, 1, 3), end=date(2006, 1, 20)))
    assert store.has_new("sample", None)
    assert store.has_new("sample", 7)
    assert not store.has_new("sample", 1)
    assert 0 < store.bytes_used() < 100_000
