"""Functions that an expression calls, and that do not end."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import psutil
import pytest

from tests.support import wait_until
from tradewind.errors import StrategyError
from tradewind.research.features import _apart
from tradewind.research.features.compute import _calls_python, compute_features
from tradewind.research.features.leaks import refuse_lookahead
from tradewind.research.strategy.strategy import Strategy

Own = Callable[..., Strategy]
LOOP = """\
import re

def loop(values):
    while True:
        pass

def lost(values):
    return re.match("(a+)+b", "a" * 100)

def feature():
    return {expression}
"""

ENDLESS = """\
def loop(values=None):
    open({begun!r}, "w").close()  # without content, so it may be made
    while True:
        pass

def feature():
    return pl.col("close").map_batches(loop, return_dtype=pl.Float64)

{more}
"""
COMPUTES = """\
import pickle, sys
from tradewind.research.features.compute import compute_features
compute_features(*pickle.load(sys.stdin.buffer))
"""
TRIES = """\
import os, pickle, sys
from pathlib import Path
from tradewind.research.features.tried_once import try_features
_, strategy = pickle.load(sys.stdin.buffer)
try_features(strategy, Path(os.environ["TRADEWIND_HOME"], "strategies"), seconds=1800.0)
"""


def identity(values: pl.Series) -> pl.Series:
    return values


@pytest.mark.parametrize(
    "expression",
    [
        "pl.col('close').map_batches(loop, return_dtype=pl.Float64)",
        "pl.col('close').map_elements(loop, return_dtype=pl.Float64)",
        # In C, which no other thread of Python's can interrupt.
        "pl.col('close').map_elements(lost, return_dtype=pl.Float64)",
        "pl.col('close').rolling_map(loop, 5)",
        "pl.fold(pl.lit(0.0), lambda so_far, values: loop(values), [pl.col('close')])",
    ],
)
def test_what_an_expression_calls_is_ended(
    bars: pl.DataFrame, own: Own, expression: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    strategy = own(code=LOOP.format(expression=expression))
    monkeypatch.setattr(_apart, "SECONDS", 5.0)
    with pytest.raises(StrategyError) as refused:
        compute_features(bars, strategy)
    message = str(refused.value)
    assert f"mine:feature ({tmp_path}/strategies/mine.py): not done after 5 s" in message
    assert strategy.name in message


def test_the_leak_check_is_ended_too(
    bars: pl.DataFrame, own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    expression = "pl.col('close').map_batches(loop, return_dtype=pl.Float64)"
    strategy = own(code=LOOP.format(expression=expression))
    monkeypatch.setattr(_apart, "SECONDS", 5.0)
    with pytest.raises(StrategyError, match=r"mine:feature .*: not done after 5 s"):
        refuse_lookahead(bars, strategy, seed=0)


def ended(process: psutil.Process) -> bool:
    """Tell whether a process is over; nobody may have asked for its exit code."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(
    ("program", "more", "killed", "processes"),
    [
        (COMPUTES, "", "who asks", 3),
        (COMPUTES, "", "who forks", 3),
        (TRIES, "loop()", "who asks", 2),
    ],
)
def test_what_does_not_end_ends_with_who_asked_for_it(
    bars: pl.DataFrame,
    own: Own,
    tmp_path: Path,
    *,
    program: str,
    more: str,
    killed: str,
    processes: int,
) -> None:
    begun = tmp_path / "begun"
    strategy = own(code=ENDLESS.format(begun=str(begun), more=more))
    if more:  # what is tried is looked for in its folder
        text = strategy.model_dump_json()
        (tmp_path / "strategies" / f"{strategy.name}.yaml").write_text(text)
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as asking:
        assert asking.stdin
        asking.stdin.write(pickle.dumps((bars, strategy)))
        asking.stdin.close()
        known = psutil.Process(asking.pid)
        wait_until(lambda: begun.exists() or asking.poll() is not None, 120)
        found = [known, *known.children(recursive=True)]
        try:
            assert len(found) == processes
            found[0 if killed == "who asks" else 1].kill()
            wait_until(lambda: all(map(ended, found)), 30)
        finally:
            for each in found:
                if not ended(each):
                    each.kill()


@pytest.mark.parametrize("call", ["map_batches", "map_elements"])
def test_what_ends_comes_out_the_same(bars: pl.DataFrame, own: Own, call: str) -> None:
    plain = "(pl.col('close') / pl.col('open'))"
    expected = compute_features(bars, own(plain))
    called = own(f"{plain}.{call}(lambda value: value, return_dtype=pl.Float64)")
    assert compute_features(bars, called).equals(expected)


@pytest.mark.parametrize(
    "expression",
    [
        pl.col("a").map_batches(identity),
        pl.col("a").map_batches(lambda values: values).over("b", order_by="c"),
        pl.col("a").map_elements(len, return_dtype=pl.Int64),
        pl.col("a").rolling_map(identity, 3),
        pl.col("a").rolling_map(len, 3) + 1,
        pl.fold(pl.lit(0), max, [pl.col("a")]),
        pl.reduce(lambda one, other: one + other, [pl.col("a"), pl.col("b")]),
        pl.map_batches(["a", "b"], max),
        pl.map_groups(["a", "b"], max, return_dtype=pl.Float64),
        pl.col("a").list.eval(pl.element().map_elements(abs, return_dtype=pl.Float64)),
        pl.when(pl.col("a").map_batches(identity) > 0).then(1),
    ],
)
def test_an_expression_that_calls_python_is_known(expression: pl.Expr) -> None:
    assert _calls_python(expression)


@pytest.mark.parametrize(
    "expression",
    [
        pl.col("a") / pl.col("a").shift(5) - 1,
        pl.col("a").rolling_mean(20).over("b", order_by="c"),
        pl.col("a").ewm_mean(span=5).rank(),
        pl.when(pl.col("a").is_finite()).then(pl.col("a").clip(0, 1)),
    ],
)
def test_one_that_is_polars_alone_is_computed_where_it_is_asked_for(expression: pl.Expr) -> None:
    assert not _calls_python(expression)
