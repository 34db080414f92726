"""Files to begin with: each works, and its test passes as it is written."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from tradewind import cli
from tradewind.desk.new import KINDS, Kind, begin
from tradewind.errors import NewFileError
from tradewind.research.strategy.files import find_strategy
from tradewind.settings import Settings, load_settings

MOST_LINES = {"strategy": 40, "source": 40, "model": 30, "broker": 120}


@pytest.fixture
def home(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TRADEWIND_HOME", str(checkout))
    return load_settings()


def test_each_kind_s_test_passes_as_it_is_written(home: Settings) -> None:
    for kind in KINDS:
        begun = begin(home, kind, f"my_{kind}")
        main, *_, test = begun.files
        assert len((home.home / main).read_text("utf-8").splitlines()) <= MOST_LINES[kind]
        assert test == f"tests/test_my_{kind}_{kind}.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"],
        cwd=home.home, env=dict(os.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.findall(r"^PASSED tests/test_my_(\w+?)_\1\.py::", done.stdout, re.MULTILINE)
    assert set(passed) == {*KINDS}
    ruff = Path(sys.executable).with_name("ruff")
    written = subprocess.run(
        [ruff, "check", "--isolated", "--line-length", "100", "--select", "E,F,W", "."],
        cwd=home.home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert written.returncode == 0, written.stdout


def test_a_strategy_may_name_a_new_model(home: Settings) -> None:
    begin(home, "model", "two_words")
    begin(home, "strategy", "mine")
    file = home.strategies_dir / "mine.yaml"
    own = 'model: {kind: custom, class: "two_words:TwoWords"}'
    text, changed = re.subn(r"^model: .*$", own, file.read_text("utf-8"), flags=re.MULTILINE)
    assert changed == 1
    file.write_text(text, "utf-8")
    assert find_strategy("mine", home.strategies_dir).model.own_code == (
        "class", "two_words:TwoWords",
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_is_written_over_and_none_is_left(home: Settings, kind: Kind) -> None:
    begun = begin(home, kind, "mine")
    test = home.home / begun.files[-1]
    for name in begun.files[:-1]:
        (home.home / name).unlink()
    shutil.rmtree(home.sources_dir / "mine", ignore_errors=True)
    with pytest.raises(NewFileError, match=rf"{re.escape(str(test))} is there already: nothing"):
        begin(home, kind, "mine")
    assert not any((home.home / name).exists() for name in begun.files[:-1])
    assert not [each for each in home.home.rglob("mine") if each.is_dir()]
    test.unlink()
    (home.home / begun.files[0]).write_text("mine")
    with pytest.raises(NewFileError, match=r"is there already: nothing was written"):
        begin(home, kind, "mine")
    assert (home.home / begun.files[0]).read_text() == "mine"
    assert not test.exists()


@pytest.mark.parametrize("name", ["", "Mine", "1st", "my-own", "../mine", "a" * 51, "mine\n", "\0"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_name_of_a_file_is_refused(home: Settings, kind: Kind, name: str) -> None:
    with pytest.raises(NewFileError, match=f"is no name of a {kind}: lower case letters"):
        begin(home, kind, name)
    assert not (home.home / "tests").exists()


def test_code_does_not_hide_a_module_of_python(home: Settings) -> None:
    for kind in ("model", "broker"):
        with pytest.raises(NewFileError, match="json is a module of Python's own"):
            begin(home, kind, "json")
    assert begin(home, "strategy", "json").files[0] == "strategies/json.yaml"


def test_what_cannot_be_written_leaves_nothing(home: Settings) -> None:
    (home.home / "tests").write_text("a file where a folder should be")
    with pytest.raises(NewFileError, match="tests"):
        begin(home, "strategy", "mine")
    assert not (home.strategies_dir / "mine.yaml").exists()


def test_the_command_says_what_it_wrote_and_what_comes_next(home: Settings) -> None:
    del home
    run = CliRunner()
    told = run.invoke(cli.app, ["new", "model", "nearest"]).stdout
    assert "wrote strategies/nearest.py" in told
    assert "pytest tests/test_nearest_model.py" in told
    found = json.loads(run.invoke(cli.app, ["new", "source", "mine", "--json"]).stdout)
    assert found["files"] == [
        "sources/mine.yaml", "sources/mine/AAA.csv", "sources/mine/BBB.csv",
        "tests/test_mine_source.py",
    ]  # fmt: skip
    assert run.invoke(cli.app, ["new", "idea", "mine"]).exit_code == 2
    assert get_args(Kind) == KINDS
