"""What was deleted in MLflow long ago is erased, unless a registered version needs it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.registry._names import ERASING_PATH
from tradewind.registry.server.erasing import Erased, erase_deleted, serve_erasing

# MLflow's own stores use what SQLAlchemy 2.1 would rather they did not.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
NOW = datetime.now(UTC)
SIZE = 100


class Server:
    """MLflow's stores as its server has them."""

    def __init__(self, home: Path) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
        from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        address = f"sqlite:///{home}/mlflow.db"
        self.store: Any = SqlAlchemyStore(address, "mlflow-artifacts:/")
        self.registry: Any = Registry(address)
        self.root = home / "artifacts"
        self.root.mkdir()
        self.artifacts: Any = get_artifact_repository(self.root.as_uri())
        self.experiment = self.store.create_experiment("tests")
        self.registry.create_registered_model("momentum")

    def file(self, address: str) -> Path:
        path = self.root / address.removeprefix("mlflow-artifacts:/") / "a folder" / "file.txt"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * SIZE)
        return path

    def run(self, *, model: bool = False) -> tuple[str, list[Path], str]:
        """Return a run's id, its files, and where the model is that it logged."""
        info = self.store.create_run(self.experiment, "u", 1, [], "run").info
        files, source = [self.file(info.artifact_uri)], ""
        if model:
            logged = self.store.create_logged_model(
                self.experiment, name="model", source_run_id=info.run_id
            )
            files.append(self.file(logged.artifact_location))
            source = logged.artifact_location
        return info.run_id, files, source

    def delete(self, run_id: str, days: float) -> None:
        self.store.delete_run(run_id)
        deleted = int((NOW - timedelta(days=days)).timestamp() * 1000)
        with self.store.engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE runs SET deleted_time = :at WHERE run_uuid = :run"),
                {"at": deleted, "run": run_id},
            )

    def runs(self) -> set[str]:
        with self.store.engine.connect() as connection:
            return set(connection.scalars(sa.text("SELECT run_uuid FROM runs")))

    def erase(self, **options: Any) -> Erased:
        options = {"now": NOW, "keep_days": 30, **options}
        return erase_deleted(self.store, self.artifacts, **options)


@pytest.fixture(scope="module")
def server(_mlflow_imported: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("mlflow"))
    yield made
    made.store.engine.dispose()


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "deleted": st.sampled_from([None, 1, 29.9, 30.1, 400]),
                "model": st.booleans(),
                "registered": st.sampled_from(["no", "run", "model", "run and deleted"]),
            }
        ),
        max_size=6,
    )
)
def test_a_deleted_run_goes_when_it_is_old_and_no_version_needs_it(
    server: Server, cases: list[dict[str, Any]]
) -> None:
    before = server.runs()
    stays, gone = set(), []
    for case in cases:
        run_id, files, source = server.run(model=case["model"])
        named = case["registered"]
        if named.startswith("run"):
            version = server.registry.create_model_version("momentum", "runs:/x/model", run_id)
            if named.endswith("deleted"):
                server.registry.delete_model_version("momentum", version.version)
        elif named == "model" and source:
            server.registry.create_model_version("momentum", source, None)
        if case["deleted"] is not None:
            server.delete(run_id, case["deleted"])
        needed = named == "run" or (named == "model" and bool(source))
        if needed or (case["deleted"] or 0) < 30:
            stays.add(run_id)
            continue
        gone += files
    runs = len(cases) - len(stays)
    expected = Erased(runs, len(gone), len(gone) * SIZE, more=False)
    assert server.erase(dry_run=True) == expected
    assert all(path.exists() for path in gone)
    assert server.erase() == expected
    assert server.runs() - before == stays
    assert not any(path.exists() for path in gone)
    assert not any(path.parents[2].exists() for path in gone)
    for run_id in stays:
        assert list((server.root / server.experiment / run_id).rglob("file.txt"))
    assert server.erase().runs == 0


def test_some_are_erased_at_a_time_and_the_rest_is_said(server: Server) -> None:
    for _ in range(3):
        run_id, _, _ = server.run()
        server.delete(run_id, 40)
    first, last = server.erase(most=2), server.erase(most=2)
    assert [(each.runs, each.more) for each in (first, last)] == [(2, True), (1, False)]


def test_a_run_whose_files_went_with_a_crash_is_erased_too(server: Server) -> None:
    run_id, [file], _ = server.run()
    server.delete(run_id, 40)
    file.unlink()
    assert server.erase() == Erased(1, 0, 0, more=False)
    assert run_id not in server.runs()


def test_files_that_may_be_others_too_are_never_deleted(server: Server) -> None:
    run_id, [file], _ = server.run()
    server.delete(run_id, 40)
    with server.store.engine.begin() as connection:
        connection.execute(sa.text(
            "UPDATE runs SET artifact_uri = 'mlflow-artifacts:/' || experiment_id "
            f"WHERE run_uuid = '{run_id}'"
        ))  # fmt: skip
    assert server.erase().runs == 0
    assert file.exists()
    assert run_id in server.runs()


def test_whoever_asks_cannot_say_what_goes(server: Server) -> None:
    run_id, _, _ = server.run()
    server.delete(run_id, 40)
    app = Flask("registry")
    serve_erasing(app, server.store, lambda: server.artifacts, keep_days=60)
    asked = {"keep_days": 0, "older_than": 0, "run_ids": [run_id]}
    answer = app.test_client().post(ERASING_PATH, json=asked)
    assert answer.json == {"runs": 0, "files": 0, "bytes": 0, "more": False}
    assert server.erase(keep_days=0).runs == 0
    assert run_id in server.runs()
