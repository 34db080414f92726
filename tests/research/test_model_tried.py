"""Code of the desk's own models is run once, apart, and what is wrong with it is told."""

from pathlib import Path

import pytest

from tests.research.own_models import SOUND
from tests.research.test_strategy_files import GOOD, write
from tradewind.errors import StrategyError
from tradewind.research.models.tried_once import try_model
from tradewind.research.strategy.files import find_strategy

CUSTOM = '{kind: custom, class: "mine:Mine", parameters: {scale: 2.0}}'
RULE = '{kind: rule, function: "mine:rule", parameters: {depth: 2.0}}'


def named(tmp_path: Path, model: str, code: str) -> Path:
    """Return a folder with a strategy that names code of its own."""
    directory = tmp_path / "strategies"
    directory.mkdir()
    (directory / "mine.py").write_text(code)
    [line] = [each for each in GOOD.splitlines() if each.startswith("model:")]
    write(directory, GOOD.replace(line, f"model: {model}"), "good.yaml")
    return directory


@pytest.mark.parametrize(
    ("model", "code", "told"),
    [
        (CUSTOM, SOUND, None),
        (RULE, "def rule(features, depth): ...", None),
        (RULE, "def rule(features, **any): ...", None),
        (CUSTOM, f"import no_such_package\n{SOUND}", "No module named 'no_such_package'"),
        (CUSTOM, SOUND.replace("def save", "def keep"), "has no save: a model has the methods"),
        (CUSTOM, SOUND.replace("scale=1.0", ""), "__init__ failed: TypeError: .*'scale'"),
        (CUSTOM, SOUND.replace("self.scale = scale", "1 / 0"), "in line 7 .*ZeroDivisionError"),
        (CUSTOM, SOUND.replace("self.scale = scale", "raise SystemExit"), "in line 7 .*SystemExit"),
        (CUSTOM, f"import os\nos._exit(3)\n{SOUND}", "ended the process with code 3"),
        (CUSTOM, f"while True: ...\n{SOUND}", "not done after 5 s; does its module"),
        (RULE, "def rule(features): ...", r"rule\(features\) is called with .* depth: .*'depth'"),
        (RULE, "def rule(features, depth, more): ...", "missing a required argument: 'more'"),
    ],
)
def test_a_trial_tells_what_only_running_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, code: str, told: str | None
) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    directory = named(tmp_path, model, code)
    strategy = find_strategy("good", directory)
    found = try_model(strategy, directory, seconds=5.0 if "while" in code else 120.0)
    if told is None:
        assert found == ""
    else:
        with pytest.raises(StrategyError, match=rf"^strategy good: model\..*mine:.*{told}"):
            raise StrategyError(found)


def test_a_model_of_ours_needs_no_trial(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "good.yaml")
    assert try_model(find_strategy("good", tmp_path), tmp_path, seconds=0.0) == ""
