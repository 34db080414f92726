"""A function that a strategy file names is looked for when the file is read, and not run."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.research.test_strategy_files import GOOD, write
from tradewind.errors import StrategyError
from tradewind.research.code.time_limit import time_limit
from tradewind.research.features.own_code import custom_features
from tradewind.research.features.tried_once import try_features
from tradewind.research.strategy.files import find_strategy, load_strategies, load_strategy

SOUND = "import polars as pl\ndef f(): return pl.col('close') / pl.col('close').shift(5) - 1\n"


def asking(directory: Path, function: str, name: str = "good") -> Path:
    feature = f'custom: {{name: x, function: "{function}"}}'
    text = GOOD.replace("return: {window: 5}", feature).replace("name: good", f"name: {name}")
    return write(directory, text, f"{name}.yaml")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def g(): ...", "has no function f"),
        ("f = 5", "1: f is a value, not a function"),
        ("\nclass f: ...", "2: f is a class, not a function"),
        ("async def f(): ...", "1: f is async, not a function"),
        ("def f(:", "1: no Python: "),
        ("def f(): ...\n\0", "no Python: .*null bytes"),
        ("x = " + "(" * 5000 + ")" * 5000, "no Python: "),
        ("#" * 2_000_000, "cannot be read: larger than 1024 KiB"),
    ],
)
def test_a_file_without_the_function_is_named_by_line(tmp_path: Path, code: str, told: str) -> None:
    (tmp_path / "mine.py").write_text(code)
    path = asking(tmp_path, "mine:f")
    message = rf":6: features\.0\.custom\.function: mine:f: .*mine\.py.*{told}"
    with pytest.raises(StrategyError, match=message):
        load_strategy(path)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (os.mkfifo, "it is a named pipe"),
        (Path.mkdir, "it is a folder"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to nowhere"),
    ],
)
def test_what_is_no_file_of_code_is_named(
    tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    make(tmp_path / "mine.py")
    with pytest.raises(StrategyError, match=rf"mine:f: .*mine\.py cannot be read: {told}"):
        load_strategy(asking(tmp_path, "mine:f"))


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (
            "os:system",
            "os is part of Python and holds none of your code; write it into .*os.py",
        ),
        ("builtins:eval", "builtins is part of Python"),
        ("subprocess:run", "subprocess is part of Python"),
        ("nowhere:f", r"there is no .*nowhere\.py, and no installed module nowhere"),
        ("nowhere.deeper:f", "there is no .*deeper.py, and no installed module nowhere"),
    ],
)
def test_what_is_no_module_of_features_is_named(tmp_path: Path, function: str, told: str) -> None:
    with pytest.raises(StrategyError, match=rf"features\.0\.custom\.function: {function}: {told}"):
        load_strategy(asking(tmp_path, function))


@pytest.mark.parametrize(
    "code",
    [
        SOUND,
        "from elsewhere import f",
        "from elsewhere import *",
        "def __getattr__(name): ...",
        "f = lambda: 5",
        "if True:\n  def f(): ...",
        "try:\n  from x import f\nexcept ImportError:\n  f = None",
        "raise SystemExit\ndef f(): ...",
        "while True: ...\ndef f(): ...",
    ],
)
def test_what_only_running_it_tells_is_not_judged(tmp_path: Path, code: str) -> None:
    (tmp_path / "mine.py").write_text(code)
    strategy = load_strategy(asking(tmp_path, "mine:f"))
    assert [feature.code.place for feature in custom_features(strategy)] == [
        "features.0.custom.function"
    ]


def test_code_that_catches_whatever_ends_it_is_ended_with_its_process() -> None:
    script = """
from tradewind.research.code import time_limit
time_limit._RINGS = 2

def stubborn():
    count = 0
    while True:
        try:
            while True:
                count += len("x")
        except BaseException:
            pass

with time_limit.time_limit(0.2):
    stubborn()
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert done.returncode == -signal.SIGALRM


def test_one_file_of_code_that_is_wrong_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def f(:")
    (tmp_path / "mine.py").write_text(SOUND)
    bad = asking(tmp_path, "bad:f")
    asking(tmp_path, "mine:f", "other")
    strategies, errors = load_strategies(tmp_path)
    assert (list(strategies), list(errors)) == (["other"], [bad])


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (SOUND, None),
        ("raise ValueError('no')\ndef f(): ...", "cannot be run: ValueError: no"),
        ("raise SystemExit(0)\ndef f(): ...", "cannot be run: SystemExit: 0"),
        ("import os\nos._exit(3)\ndef f(): ...", "ended the process with code 3"),
        ("while True: ...\ndef f(): ...", "not done after 5 s on made-up bars; does its module"),
        (
            "import polars as pl\ndef loop(series):\n  while True: ...\n"
            "def f(): return pl.col('close').map_elements(loop, return_dtype=pl.Float64)",
            "not done after 5 s on made-up bars; does its module, or what its expression calls",
        ),
        ("def f(): return 5", "must return a polars expression, not a int"),
        ("import polars as pl\ndef f(): return pl.col('nope')", "cannot be computed: .*nope"),
    ],
)
def test_a_trial_tells_what_only_running_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str | None
) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    directory = tmp_path / "strategies"
    directory.mkdir()
    (directory / "mine.py").write_text(code)
    asking(directory, "mine:f")
    strategy = find_strategy("good", directory)
    found = try_features(strategy, directory, seconds=5.0 if "while" in code else 120.0)
    if told is None:
        assert found == ""
    else:
        with pytest.raises(
            StrategyError, match=rf"strategy good: .*mine:f(?: \({directory}/mine.py\))?: .*{told}"
        ):
            raise StrategyError(found)


def spin() -> None:
    with time_limit(0.2):
        while True:
            pass


def test_code_that_does_not_end_is_ended() -> None:
    with pytest.raises(TimeoutError, match=r"not done after 0\.2 s"):
        spin()
    with time_limit(60.0):
        pass
