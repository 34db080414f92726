"""What a browser that has never seen MLflow's page gets of it."""

from importlib.util import find_spec
from pathlib import Path

from flask import Flask

from tradewind.registry.server.first_view import FIRST_CHOICES, begin_with_training

_SPEC = find_spec("mlflow")  # without importing it
assert _SPEC is not None
assert _SPEC.submodule_search_locations is not None
[_MLFLOW] = _SPEC.submodule_search_locations
BUILD = Path(_MLFLOW) / "server" / "js" / "build"


def test_the_page_begins_with_model_training() -> None:
    app = Flask(__name__, static_folder=str(BUILD))
    app.add_url_rule("/", "serve", lambda: "as it was")
    begin_with_training(app)
    answer = app.test_client().get("/")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/html")
    choices = answer.text.index("localStorage")
    assert answer.text.index("<head>") < choices < answer.text.index("src=")
    assert '"mlflow.workflowType_v1": "\\"machine_learning\\""' in answer.text


def test_the_page_knows_the_names_of_the_choices() -> None:
    """Another release of MLflow that calls them otherwise would not hear them."""
    scripts = (BUILD / "static" / "js").glob("*.js")
    missing = {name.removesuffix("_v1") for name in FIRST_CHOICES}
    for script in scripts:
        text = script.read_text("utf-8")
        missing = {name for name in missing if f'key:"{name}",version:1' not in text}
    assert missing == set()
