"""Batches of ours leave in PostgreSQL what MLflow's own store leaves there."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.postgres import running_postgres

# MLflow's own store uses what SQLAlchemy 2.1 would rather it did not.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
FIRST, AGAIN = 1_000, 2_000  # milliseconds


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_postgres(tmp_path_factory.mktemp("batches")) as server:
        yield server.url_of("mlflow")


@pytest.fixture(scope="module")
def stores(url: str, _mlflow_imported: None) -> tuple[Any, Any]:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    from tradewind.registry.server.stores import batched, open_store

    return SqlAlchemyStore(url, "files"), open_store(batched(url), "files")


def metric(key: str, value: float, at: int = FIRST, step: int = 0) -> Any:
    from mlflow.entities import Metric

    return Metric(key, value, at, step)


def param(key: str, value: str) -> Any:
    from mlflow.entities import Param

    return Param(key, value)


def kept(url: str, run_id: str) -> dict[str, list[Any]]:
    tables = ("metrics", "latest_metrics", "params", "tags")
    with create_engine(url).connect() as connection:
        rows = {
            table: connection.execute(
                text(f"SELECT * FROM {table} WHERE run_uuid = :run"), {"run": run_id}
            ).mappings()
            for table in tables
        }
        without_run = {
            table: [{k: v for k, v in row.items() if k != "run_uuid"} for row in found]
            for table, found in rows.items()
        }
    return {table: sorted(map(str, found)) for table, found in without_run.items()}


def new_run(store: Any) -> str:
    run = store.create_run("0", "someone", FIRST, [], "a run")
    run_id: str = run.info.run_id
    return run_id


BATCHES = {
    "nothing": [([], [])],
    "many": [([(f"m{n}", n / 7) for n in range(200)], [(f"p{n}", str(n)) for n in range(10)])],
    "a later step": [([("m", 1.0, FIRST, 1)], []), ([("m", 0.5, FIRST, 2)], [])],
    "an earlier step": [([("m", 1.0, FIRST, 2)], []), ([("m", 5.0, AGAIN, 1)], [])],
    "a later time": [([("m", 1.0)], []), ([("m", 0.5, AGAIN)], [])],
    "a larger value": [([("m", 1.0)], []), ([("m", 2.0)], [])],
    "a smaller value": [([("m", 1.0)], []), ([("m", 0.5)], [])],
    "one key, many times": [([("m", v, FIRST, s) for s in (3, 1, 2) for v in (2.0, 9.0)], [])],
    "the same twice": [([("m", 1.0), ("m", 1.0)], [("p", "1")])] * 2,
    "some of it anew": [([("m", 1.0)], [("p", "1")]), ([("m", 1.0), ("n", 2.0)], [("q", "2")])],
    "no number": [([("m", math.nan), ("up", math.inf), ("down", -math.inf)], [])] * 2,
    "a number after none": [([("m", math.nan)], []), ([("m", -1.0)], []), ([("m", 3.0)], [])],
    "odd words": [([("m/a b:c-1.x", -0.0)], [("p", 'it\'s \\ {"a"} %s é'), ("q", "")])],
}


@pytest.mark.parametrize("batches", BATCHES.values(), ids=BATCHES.keys())
def test_what_is_written_is_what_mlflow_writes(
    stores: tuple[Any, Any], url: str, batches: list[tuple[list[Any], list[Any]]]
) -> None:
    found = []
    for store in stores:
        run_id = new_run(store)
        for metrics, params in batches:
            store.log_batch(
                run_id, [metric(*each) for each in metrics], [param(*each) for each in params], []
            )
        found.append(kept(url, run_id))
    assert found[0] == found[1]


def test_tags_are_written_with_the_rest(stores: tuple[Any, Any], url: str) -> None:
    from mlflow.entities import RunTag

    found = []
    for store in stores:
        run_id = new_run(store)
        store.log_batch(run_id, [metric("m", 1.0)], [param("p", "1")], [RunTag("t", "x")])
        found.append(kept(url, run_id))
    assert found[0] == found[1]


def refusals(store: Any) -> Iterator[tuple[str, Any, list[Any], list[Any]]]:
    run_id = new_run(store)
    store.log_batch(run_id, [], [param("p", "1")], [])
    deleted = new_run(store)
    store.delete_run(deleted)
    yield "another value", run_id, [], [param("p", "2")]
    yield "twice in a batch", run_id, [], [param("q", "1"), param("q", "2")]
    yield "a key that is none", run_id, [metric("", 1.0)], []
    yield "a value that is none", run_id, [metric("m", "high")], []  # type: ignore[arg-type]
    yield "too many", run_id, [metric(f"m{n}", 1.0) for n in range(1001)], []
    yield "no such run", "0" * 32, [metric("m", 1.0)], []
    yield "deleted", deleted, [metric("m", 1.0)], []


def test_what_mlflow_refuses_is_refused(stores: tuple[Any, Any]) -> None:
    from mlflow.exceptions import MlflowException

    said = []
    for store in stores:
        codes = {}
        for what, run_id, metrics, params in refusals(store):
            with pytest.raises(MlflowException) as refused:
                store.log_batch(run_id, metrics, params, [])
            codes[what] = refused.value.error_code
        said.append(codes)
    assert said[0] == said[1]


def test_a_refused_batch_leaves_nothing_behind(stores: tuple[Any, Any], url: str) -> None:
    from mlflow.exceptions import MlflowException

    _, store = stores
    run_id = new_run(store)
    store.log_batch(run_id, [], [param("p", "1")], [])
    before = kept(url, run_id)
    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        store.log_batch(run_id, [metric("m", 1.0)], [param("p", "2"), param("q", "1")], [])
    assert kept(url, run_id) == before
