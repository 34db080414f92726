"""Bars and snapshots as objects in MinIO, where a `minio` program is on PATH."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import boto3
import polars as pl
import pytest

from tests.stack.conftest import NewStack, root_login
from tradewind.errors import SnapshotError
from tradewind.market.sources import sample
from tradewind.market.store.bar_store import Appended, BarStore

LOADED = datetime(2013, 3, 2, tzinfo=UTC)


@pytest.fixture
def store(new_stack: NewStack, tmp_path: Path) -> Iterator[BarStore]:
    stack = new_stack(tmp_path / "home").part("minio")
    del stack.environment["TRADEWIND_ARTIFACT_STORE"]
    try:
        stack.ok("up", "--detach", timeout=1800)
        login = root_login(stack)
        client = boto3.client(
            "s3",
            endpoint_url=login["MLFLOW_S3_ENDPOINT_URL"],
            aws_access_key_id=login["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=login["AWS_SECRET_ACCESS_KEY"],
            region_name=login["AWS_DEFAULT_REGION"],
        )
        client.create_bucket(Bucket="market")
        client.close()
        yield BarStore(
            "s3://market/of/tests",
            {
                "AWS_ENDPOINT_URL": login["MLFLOW_S3_ENDPOINT_URL"],
                "AWS_ACCESS_KEY_ID": login["AWS_ACCESS_KEY_ID"],
                "AWS_SECRET_ACCESS_KEY": login["AWS_SECRET_ACCESS_KEY"],
                "AWS_REGION": login["AWS_DEFAULT_REGION"],
                "AWS_ALLOW_HTTP": "true",
            },
        )
    finally:
        stack.run("down")


def test_bars_in_minio_are_those_of_a_directory(store: BarStore, tmp_path: Path) -> None:
    bars = sample.load(sample.SYMBOLS)
    local = BarStore(tmp_path / "local")
    ids = set()
    assert store.snapshots() == []
    for one in (store, local):
        for new in (12_154, 0):
            done = one.append("sample", bars, known_at=LOADED, calendar="XNYS", backdate=True)
            assert (done.new, done.unchanged) == (new, 12_154 - new)
        ids.add(one.snapshot("sample", ["AAPL", "IBM"], calendar="XNYS"))
    [taken] = ids
    assert store.read(taken).equals(local.read(taken))
    assert [info.id for info in store.snapshots()] == [taken]
    evening = datetime(2005, 2, 25, 22, tzinfo=UTC)
    assert store.bars("sample", ["AAPL"], as_of=evening)["session"][-1] == date(2005, 2, 25)
    with pytest.raises(SnapshotError, match=f"no snapshot {'0' * 64} in s3://market/of/tests"):
        store.read("0" * 64)


def test_two_writers_in_minio_store_each_bar_once(store: BarStore) -> None:
    bars = sample.load(["AAPL", "IBM"]).filter(pl.col("session").dt.year() == 2005)
    done: list[Appended] = []

    def grow() -> None:
        for month in range(1, 13):
            until = bars.filter(pl.col("session").dt.month() <= month)
            known_at = LOADED + timedelta(days=month)
            done.append(store.append("raced", until, known_at=known_at, calendar="XNYS"))

    writers = [threading.Thread(target=grow) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(done) == 24
    assert sum(one.new for one in done) == bars.height == 504
    raw = bars.drop("split_factor", "adjustment_factor")
    assert store.bars("raced").drop("split_factor", "adjustment_factor").equals(raw)
