"""A version whose run was deleted is shown as such, and hides no other."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tradewind.desk import registry as desk
from tradewind.errors import RegistryError
from tradewind.registry.comparison import compare
from tradewind.registry.reproduction import reproduce
from tradewind.registry.retrieval import load_registered
from tradewind.registry.tear_sheets import find_version, read
from tradewind.registry.versions import list_models, show_model
from tradewind.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = [
    pytest.mark.usefixtures("mlflow_url"),
    # MLflow's own store, which `mlflow gc` works with, uses what SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


@pytest.fixture
def model(client: "MlflowClient", request: pytest.FixtureRequest) -> str:
    """A model of two versions; the first is the champion."""
    name = f"lost_{abs(hash(request.node.name))}"
    experiment = client.create_experiment(name)
    client.create_registered_model(name)
    for _ in range(2):
        run = client.create_run(experiment)
        client.create_model_version(name, run.info.artifact_uri, run.info.run_id)
    client.set_registered_model_alias(name, "champion", "1")
    return name


@pytest.fixture
def said_by_doctor(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    monkeypatch.setattr(desk, "use_mlflow", lambda *_, **__: None)  # it is set already

    def look() -> str:
        [found] = desk.check_models(Settings(home=tmp_path))
        said = found.problem.split("; ")  # of the models of all tests
        return next((each for each in said if model in each), "")

    return look


def test_a_version_without_its_run_is_shown_and_hides_no_other(
    model: str, lose_run: Callable[[str], None]
) -> None:
    for lost in (1, 2):  # the champion, then the newest
        lose_run(find_version(model, lost).run_id)
        stages = {each.version: each.run_stage for each in show_model(model)}
        assert stages == {1: "gone", 2: "gone" if lost == 2 else "active"}
        [listed] = [each for each in list_models() if each.name == model]
        assert listed.latest is not None
        assert (listed.latest.version, listed.latest.run_stage) == (2, stages[2])
        assert listed.aliases == {"champion": 1}


def test_what_needs_the_run_says_that_it_is_gone(
    model: str, lose_run: Callable[[str], None]
) -> None:
    lose_run(find_version(model, 1).run_id)
    for ask in (
        lambda: load_registered(model, "champion"),
        lambda: load_registered(model, 1),
        lambda: compare(model, 1, 2),
        lambda: read(find_version(model, 1)),
        lambda: reproduce(model, 1, None, home=None),  # type: ignore[arg-type]
    ):
        with pytest.raises(RegistryError, match=r"version 1: its run .* was deleted .*for good"):
            ask()


def test_what_is_missing_is_named_for_what_it_is(model: str) -> None:
    with pytest.raises(RegistryError, match="no model 'nobody'"):
        show_model("nobody")
    with pytest.raises(RegistryError, match="no model 'nobody' with the alias"):
        load_registered("nobody")
    with pytest.raises(RegistryError, match="version 9"):
        load_registered(model, 9)


def test_the_doctor_names_a_champion_without_its_run_and_the_advice_helps(
    model: str,
    client: "MlflowClient",
    lose_run: Callable[[str], None],
    said_by_doctor: Callable[[], str],
) -> None:
    assert said_by_doctor() == ""
    run_id = find_version(model, 1).run_id
    client.delete_run(run_id)
    assert "in MLflow's bin" in said_by_doctor()
    client.restore_run(run_id)
    assert said_by_doctor() == ""
    lose_run(run_id)
    assert f"{model} version 1 (champion)" in said_by_doctor()
    assert "deleted for good with their evidence" in said_by_doctor()
    client.set_registered_model_alias(model, "champion", "2")
    assert said_by_doctor() == ""
