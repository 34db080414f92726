import datetime as dt
import stat
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.errors import SnapshotError
from tradewind.market import store
from tradewind.market.store import content_hash, read_snapshot, write_snapshot


@pytest.fixture(scope="session")
def ibm(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.filter(pl.col("symbol") == "IBM")


def test_the_id_is_that_of_the_content_for_ever(bars: pl.DataFrame) -> None:
    one = pl.DataFrame(
        [("A", dt.date(2020, 1, 2), 1.0, 2.0, 0.5, 1.5, 10, 1.0, 1.0)],
        schema=bars.schema,
        orient="row",
    )
    assert content_hash(one) == "77618f7050fac098e7f97c4f0b66193655eb65dd96c93b8b73f26db0d4ffc305"


def test_a_snapshot_comes_back_as_it_was(bars: pl.DataFrame, tmp_path: Path) -> None:
    snapshot = write_snapshot(bars, tmp_path / "made")
    assert read_snapshot(snapshot, tmp_path / "made").equals(bars)
    assert [file.name for file in (tmp_path / "made").iterdir()] == [f"{snapshot}.parquet"]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(start=st.integers(0, 12_000), length=st.integers(1, 200), seed=st.integers(0, 2**32 - 1))
def test_any_part_of_the_bars_in_any_order_round_trips(
    bars: pl.DataFrame, tmp_path: Path, start: int, length: int, seed: int
) -> None:
    part = bars.slice(start, length)
    shuffled = part.sample(fraction=1.0, shuffle=True, seed=seed)
    snapshot = write_snapshot(shuffled, tmp_path)
    assert snapshot == content_hash(part)
    assert read_snapshot(snapshot, tmp_path).equals(part)


def test_every_column_changes_the_id(ibm: pl.DataFrame) -> None:
    changed = [
        ibm.with_columns(symbol=pl.lit("IBN")),
        ibm.with_columns(pl.col("session").dt.offset_by("1d")),
        *(
            ibm.with_columns((pl.col(name) + pl.lit(1, ibm.schema[name])).alias(name))
            for name in ibm.columns[2:]
        ),
        ibm.tail(-1),
    ]
    assert len({content_hash(bars) for bars in [ibm, *changed]}) == 1 + 9 + 1


def test_storing_again_changes_nothing(ibm: pl.DataFrame, tmp_path: Path) -> None:
    snapshot = write_snapshot(ibm, tmp_path)
    before = (tmp_path / f"{snapshot}.parquet").stat()
    assert write_snapshot(ibm.reverse(), tmp_path) == snapshot
    after = (tmp_path / f"{snapshot}.parquet").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert stat.S_IMODE(after.st_mode) == 0o444


@pytest.mark.parametrize("place", range(0, 100, 5))
def test_a_damaged_byte_is_noticed_or_harmless(
    ibm: pl.DataFrame, tmp_path: Path, place: int
) -> None:
    snapshot = write_snapshot(ibm, tmp_path)
    path = tmp_path / f"{snapshot}.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) * place // 100] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(content)
    try:
        assert read_snapshot(snapshot, tmp_path).equals(ibm)  # a byte that carries no value
    except SnapshotError as error:
        assert "damaged" in str(error)  # noqa: PT017


@pytest.mark.parametrize("kept", [0, 4, 1000])
def test_a_file_cut_short_is_refused_and_mended_by_storing_again(
    ibm: pl.DataFrame, tmp_path: Path, kept: int
) -> None:
    snapshot = write_snapshot(ibm, tmp_path)
    path = tmp_path / f"{snapshot}.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SnapshotError, match="damaged"):
        read_snapshot(snapshot, tmp_path)
    assert write_snapshot(ibm, tmp_path) == snapshot
    assert read_snapshot(snapshot, tmp_path).equals(ibm)


def test_other_bars_under_an_id_are_refused(ibm: pl.DataFrame, tmp_path: Path) -> None:
    snapshot = write_snapshot(ibm, tmp_path)
    other = write_snapshot(ibm.tail(10), tmp_path)
    (tmp_path / f"{other}.parquet").replace(tmp_path / f"{snapshot}.parquet")
    with pytest.raises(SnapshotError, match="damaged"):
        read_snapshot(snapshot, tmp_path)


@pytest.mark.parametrize(
    "snapshot", ["", "../" + "a" * 61, "a" * 63, "a" * 65, "A" * 64, "a" * 64 + "\n", "/etc/passwd"]
)
def test_a_malformed_id_never_becomes_a_path(snapshot: str, tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="no snapshot id"):
        read_snapshot(snapshot, tmp_path)


def test_a_missing_snapshot_is_named(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=f"no snapshot {'0' * 64} in {tmp_path}"):
        read_snapshot("0" * 64, tmp_path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (pl.col("close").cast(pl.Float32), "not the columns of bars"),
        (pl.lit(None, pl.Float64).alias("close"), "missing values"),
        (pl.lit(float("nan")).alias("close"), "'close' holds values that are not finite"),
    ],
)
def test_what_are_no_bars_is_not_stored(
    ibm: pl.DataFrame, tmp_path: Path, spoil: pl.Expr, reason: str
) -> None:
    with pytest.raises(SnapshotError, match=reason):
        write_snapshot(ibm.with_columns(spoil), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_root_that_is_a_file_is_named(ibm: pl.DataFrame, tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.touch()
    with pytest.raises(SnapshotError, match=f"cannot be written to {root}"):
        write_snapshot(ibm, root)


def test_a_failed_write_leaves_nothing_behind(
    ibm: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(SnapshotError, match="No space left on device"):
        write_snapshot(ibm, tmp_path)
    assert not list(tmp_path.iterdir())
