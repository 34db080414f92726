"""The contracts in the wheel: what is sound passes, and each promise that is broken fails one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.research.own_models import SEQUENCES, SOUND

PAGE = Path(__file__).parents[1] / "docs" / "own-models.md"
MODEL = """
from tradewind.testing import ModelContract

class TestIt(ModelContract):
    model = {{"kind": "custom", "class": "{module}:Mine"{more}}}
"""
FEATURE = """
from tradewind.testing import FeatureContract

class TestIt(FeatureContract):
    feature = {{"custom": {{"name": "x", "function": "{module}:feature"}}}}
"""
SOURCE = """
from tradewind.testing import SourceContract

class TestIt(SourceContract):
    name = "{module}"
"""
RULE = "def rule(features):\n    return features['return_5']\n"
RETURN = "import polars as pl\n\ndef feature():\n    return {}\n"

# What each breaks, as the test that says so; nothing for what is sound.
MODELS = {
    "sound": (SOUND, ""),
    "sequences": (SEQUENCES, ""),
    "draws": (
        SOUND.replace("rcond=None)[0]", "rcond=None)[0] + np.random.normal(size=3)"),
        "two_fits_on_the_same_rows",
    ),
    "threads": (
        SOUND.replace("rcond=None)[0]", "rcond=None)[0] * context.threads"),
        "threads_do_not_change_it",
    ),
    "saves_half": (
        SOUND.replace("scale=self.scale,", "scale=1.0,").replace("scale=1.0)", "scale=2.0)"),
        "when_it_was_saved_and_loaded",
    ),
    "keeps_state": (
        SOUND.replace(
            "        assert features", "        self.scale *= 1.5\n        assert features"
        ),
        "alike_in_any_order",
    ),
    "no_number": (
        SOUND.replace(".sum(axis=1)", ".sum(axis=1) / 0"),
        "predicts_a_number_a_row",
    ),
}
FEATURES = {
    "sound": (RETURN.format("pl.col('close') / pl.col('close').shift(5) - 1"), ""),
    "ahead": (
        RETURN.format("pl.col('close').shift(-1) / pl.col('close') - 1"),
        "neither_looks_ahead",
    ),
    "level": (RETURN.format("pl.col('close').log()"), "neither_looks_ahead"),
    "holes": (
        RETURN.format("pl.when(pl.col('session').dt.day() > 2).then(pl.col('close').pct_change())"),
        "defined_after_its_warm_up",
    ),
    "constant": (RETURN.format("pl.col('close') * 0.0"), "says_something"),
    "endless": (
        "import polars as pl\n\ndef loop(values):\n    while True: ...\n\n"
        "def feature():\n    return pl.col('close').map_batches(loop, return_dtype=pl.Float64)\n",
        "comes_out_the_same",
    ),
}


def outcomes(home: Path, folder: str) -> dict[str, set[str]]:
    """Run the tests of a folder; the names of those that failed, by file."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", folder],
        cwd=home, env={**os.environ, "TRADEWIND_HOME": str(home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found: dict[str, set[str]] = {}
    said = re.findall(
        r"^(PASSED|FAILED|ERROR) \S*/test_(\w+)\.py::Test\w+::(\w+)", done.stdout, re.MULTILINE
    )
    assert said, done.stdout + done.stderr
    for outcome, file, name in said:
        found.setdefault(file, set())
        if outcome != "PASSED":
            found[file].add(name)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("strategies", "sources", "tests"):
        (tmp_path / folder).mkdir()
    return tmp_path


def check(found: dict[str, set[str]], expected: dict[str, tuple[str, str]]) -> None:
    assert found.keys() == expected.keys()
    for name, (_, broken) in expected.items():
        failed = found[name]
        assert bool(failed) == bool(broken), (name, failed)
        assert not broken or any(broken in each for each in failed), (name, failed)


def test_models(home: Path) -> None:
    for name, (code, _) in MODELS.items():
        (home / "strategies" / f"{name}.py").write_text(code)
        more = ', "lookback": 5' if name == "sequences" else ""
        test = MODEL.format(module=name, more=more)
        (home / "tests" / f"test_{name}.py").write_text(test)
    (home / "strategies" / "ruled.py").write_text(RULE)
    (home / "tests" / "test_ruled.py").write_text(
        "from tradewind.testing import ModelContract\n\n"
        "class TestIt(ModelContract):\n"
        "    model = {'kind': 'rule', 'function': 'ruled:rule'}\n"
    )
    # The page's own example, to the letter.
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for file, word in (
        ("strategies/my_models.py", "class Nearest"), ("strategies/my_rules.py", "def dips"),
        ("tests/test_documented.py", "ModelContract"),
    ):  # fmt: skip
        [block] = [block for block in blocks if word in block]
        (home / file).write_text(block)
    (home / "tests" / "test_dips.py").write_text(
        "from tradewind.testing import ModelContract\n\n"
        "class TestIt(ModelContract):\n"
        "    model = {'kind': 'rule', 'function': 'my_rules:dips', 'parameters': {'depth': 0.05}}\n"
    )
    sound = dict.fromkeys(("ruled", "documented", "dips"), ("", ""))
    check(outcomes(home, "tests"), MODELS | sound)


def test_features(home: Path) -> None:
    for name, (code, _) in FEATURES.items():
        (home / "strategies" / f"{name}.py").write_text(code)
        limit = "    seconds = 1.0\n" if name == "endless" else ""
        (home / "tests" / f"test_{name}.py").write_text(FEATURE.format(module=name) + limit)
    check(outcomes(home, "tests"), FEATURES)


BARS = "Date,Open,High,Low,Close,Volume\n" + "".join(
    f"2012-01-{day:02d},{100 + day},{102 + day},{99 + day},{101 + day},1000\n"
    for day in (3, 4, 5, 6, 9, 10)
)
FILES = """
name: {name}
description: made up
kind: files
calendar: XNYS
options:
  path: data/{name}/*.csv
  symbol: {{file_name: stem}}
  session: {{column: Date, format: "%Y-%m-%d"}}
  columns: {{open: Open, high: High, low: Low, close: Close, volume: Volume}}
  adjustment: none
"""


def test_sources(home: Path) -> None:
    broken = BARS.replace("2012-01-05,105,107", "2012-01-05,105,99")
    for name, text in (("sound", BARS), ("wrong", broken)):
        (home / "data" / name).mkdir(parents=True)
        other = text.replace(",1000\n", ",2000\n").replace(",10", ",20").replace(",11", ",21")
        for symbol, bars in (("AAA", text), ("BBB", other)):
            (home / "data" / name / f"{symbol}.csv").write_text(bars)
        (home / "sources" / f"{name}.yaml").write_text(FILES.format(name=name))
        (home / "tests" / f"test_{name}.py").write_text(SOURCE.format(module=name))
    found = outcomes(home, "tests")
    check(found, {"sound": ("", ""), "wrong": ("", "bars_pass_every_rule")})
