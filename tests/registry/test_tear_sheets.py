"""A version's tear sheet, saved by one command, and the address that shows it at once."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tradewind.desk import tear_sheets as desk
from tradewind.errors import RegistryError
from tradewind.registry import _names as names
from tradewind.registry.tear_sheets import address, find_version, read
from tradewind.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture
def model(client: "MlflowClient", request: pytest.FixtureRequest) -> str:
    """A model of two versions; the first has no tear sheet."""
    name = f"sheets_{abs(hash(request.node.name))}"
    experiment = client.create_experiment(name)
    client.create_registered_model(name)
    for page in (None, "<html>two</html>"):
        run = client.create_run(experiment)
        client.log_text(run.info.run_id, "{}", "folds.json")
        if page is not None:
            client.log_text(run.info.run_id, page, names.TEAR_SHEET_FILE)
        client.create_model_version(name, run.info.artifact_uri, run.info.run_id)
    return name


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(desk, "use_mlflow", lambda _: None)  # the test's server is set already
    return Settings(home=tmp_path, mlflow_public_url="https://mlflow.example.com/")


def test_the_newest_version_is_saved_in_the_state_directory(
    model: str, settings: Settings, client: "MlflowClient"
) -> None:
    saved = desk.save(settings, model)
    assert (saved.name, saved.version) == (model, 2)
    assert saved.file == settings.state / "tearsheets" / f"{model}-2.html"
    assert saved.file.read_text() == "<html>two</html>"
    run_id = client.get_model_version(model, "2").run_id
    assert run_id is not None
    run = client.get_run(run_id).info
    assert saved.address == (
        f"https://mlflow.example.com/#/experiments/{run.experiment_id}/runs/{run.run_id}"
        "/artifacts/tearsheet/tearsheet.html?workflowType=machine_learning"
    )


def test_it_is_saved_where_it_is_asked_for(model: str, settings: Settings, tmp_path: Path) -> None:
    wanted = tmp_path / "deep er" / "ü.html"
    assert desk.save(settings, model, 2, wanted).file == wanted
    assert wanted.read_text() == "<html>two</html>"


def test_what_cannot_be_written_is_refused(model: str, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match=r"cannot be written to .*Name another file: --output"):
        desk.save(settings, model, 2, tmp_path / "file" / "sheet.html")


def test_a_version_without_one_and_versions_that_are_not_there_are_named(model: str) -> None:
    with pytest.raises(RegistryError, match=r"version 1 has no tearsheet/tearsheet\.html"):
        read(find_version(model, 1))
    with pytest.raises(RegistryError, match=r"no version 7 of .*; versions are 1, 2"):
        find_version(model, 7)
    with pytest.raises(RegistryError, match="holds no model 'nobody'"):
        find_version("nobody")


def test_mlflows_page_still_has_the_route_that_the_address_names() -> None:
    import mlflow

    built = Path(mlflow.__file__).parent / "server" / "js" / "build" / "static" / "js"
    [main] = built.glob("main.*.js")
    text = main.read_text("utf-8")
    assert "/experiments/:experimentId/runs/:runUuid/*" in text
    assert '["artifacts",' in text  # how the page itself links to a file of a run


def test_a_version_without_a_run_has_no_address(model: str) -> None:
    from dataclasses import replace

    info = find_version(model)
    assert address("http://localhost:5500", replace(info, run_id="")) == ""
