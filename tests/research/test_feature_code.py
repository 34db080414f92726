"""Features of the user's own: where their code comes from, and what is refused."""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from tradewind.errors import StrategyError
from tradewind.research.features.compute import compute_features
from tradewind.research.features.own_code import feature_code_hash
from tradewind.research.strategy.strategy import Strategy

Own = Callable[..., Strategy]
RETURN = "pl.col('close') / pl.col('close').shift(5) - 1"


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """The module beside the strategy files."""
    return tmp_path / "strategies" / "mine.py"


def test_an_own_feature_equals_the_built_in_one(
    bars: pl.DataFrame, strategy: Strategy, own: Own
) -> None:
    built_in = Strategy.model_validate(
        {**strategy.model_dump(), "features": [{"return": {"window": 5}}]}
    )
    expected = compute_features(bars, built_in).rename({"return_5": "x"})
    assert compute_features(bars, own(RETURN)).equals(expected)


def test_an_own_feature_can_be_ranked(bars: pl.DataFrame, strategy: Strategy, own: Own) -> None:
    built_in = Strategy.model_validate(
        {**strategy.model_dump(), "features": [{"rank": {"of": {"return": {"window": 5}}}}]}
    )
    expected = compute_features(bars, built_in).rename({"rank_return_5": "rank_x"})
    assert compute_features(bars, own(RETURN, rank=True)).equals(expected)


def test_parameters_reach_the_function(bars: pl.DataFrame, own: Own) -> None:
    code = (
        "def feature(window, *, sign=1):\n    return sign * pl.col('close').pct_change(n=window)\n"
    )
    plus = compute_features(bars, own(code=code, parameters={"window": 3}))
    minus = compute_features(bars, own(code=code, parameters={"window": 3, "sign": -1}))
    assert plus.height == bars.filter(pl.col("symbol") != "FB").height - 3 * 4
    assert plus["x"].to_list() == (-minus["x"]).to_list()


def test_what_is_not_finite_is_left_out(bars: pl.DataFrame, own: Own) -> None:
    first = pl.col("session") == pl.col("session").min()
    found = compute_features(
        bars, own("1.0 / (pl.col('session').rank() - 1) + pl.col('close').log() * 0")
    )
    rows = bars.filter(pl.col("symbol") != "FB", ~first.over("symbol"))
    assert found.select("symbol", "session").equals(rows.select("symbol", "session"))
    yes_or_no = compute_features(bars, own("pl.col('close') > pl.col('open')"))
    assert set(yes_or_no["x"]) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def other(): ...\n", r"mine\.py has no function feature"),
        ("feature = 3\n", r"mine\.py has no function feature"),
        ("def feature(:\n", r"mine\.py cannot be run: SyntaxError: .*line 4"),
        ("1 / 0\n", r"mine\.py cannot be run: ZeroDivisionError: division by zero"),
        ("import nowhere_to_be_found\n", r"cannot be run: ModuleNotFoundError: .*nowhere_to_be"),
        ("def feature(): raise KeyError('gone')\n", r"raised KeyError: 'gone'"),
        ("def feature(window): ...\n", r"raised TypeError: .*'window'"),
        ("def feature(): return 3.0\n", "must return a polars expression, not a float"),
        ("def feature(): return pl.Series([1.0])\n", "a polars expression, not a Series"),
        ("def feature(): return None\n", "a polars expression, not a NoneType"),
        ("def feature(): return pl.col('clsoe')\n", r"cannot be computed: ColumnNotFound.*clsoe"),
        ("def feature(): return pl.all()\n", "cannot be computed: DuplicateError"),
        ("def feature(): return pl.col('close').head(3)\n", "cannot be computed: ShapeError"),
        ("def feature(): return pl.col('symbol')\n", "must give a number a bar, not a String"),
        (
            # polars panics: weights and missing values together
            "def feature(): return pl.col('close').pct_change().rolling_mean(2, weights=[1, 2])\n",
            "cannot be computed: PanicException: weights not yet supported",
        ),
        ("def feature(): return pl.col('session')\n", "must give a number a bar, not a Date"),
        (
            "def boom(_): raise KeyError('inside')\n"
            "def feature(): return pl.col('close').map_batches(boom, return_dtype=pl.Float64)\n",
            "cannot be computed: .*inside",
        ),
    ],
)
@pytest.mark.parametrize("rank", [False, True])
def test_bad_code_is_named_with_field_and_function(
    bars: pl.DataFrame, own: Own, code: str, reason: str, rank: bool
) -> None:
    where = r"features\.0\.rank\.of" if rank else r"features\.0"
    message = rf"strategy momentum: {where}\.custom\.function: mine:feature: .*{reason}"
    with pytest.raises(StrategyError, match=message):
        compute_features(bars, own(code=code, rank=rank))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("nothing_here:f", r"there is no .*strategies/nothing_here\.py, and no installed module"),
        (
            "nothing_here.deeper:f",
            r"there is no .*deeper\.py, and no installed module nothing_here",
        ),
        ("math:sqrt", "math is part of Python and holds none of your code"),
        ("sys:exit", "sys is part of Python and holds none of your code"),
    ],
)
def test_a_module_that_cannot_be_used_is_named(
    bars: pl.DataFrame, own: Own, function: str, reason: str
) -> None:
    this = own(RETURN, function=function)
    with pytest.raises(StrategyError, match=f"{function}: {reason}"):
        compute_features(bars, this)
    with pytest.raises(StrategyError, match=f"{function}: {reason}"):
        feature_code_hash(this)


def test_a_file_that_cannot_be_read_is_named(bars: pl.DataFrame, own: Own, beside: Path) -> None:
    this = own(RETURN)
    beside.unlink()
    beside.symlink_to("/proc/self/mem")  # a file that even root cannot read from its start
    with pytest.raises(StrategyError, match=r"mine:feature: .*mine\.py cannot be read: "):
        compute_features(bars, this)


def test_a_changed_file_is_run_anew(bars: pl.DataFrame, own: Own, beside: Path) -> None:
    this = own("pl.col('close') * 0 + 1")
    before, stat, code = compute_features(bars, this), beside.stat(), feature_code_hash(this)
    beside.write_text(beside.read_text().replace("+ 1", "+ 2"))
    # as long and as old as before: what Python's own cache goes by
    os.utime(beside, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert beside.stat().st_size == stat.st_size
    assert set(before["x"]) == {1.0}
    assert set(compute_features(bars, this)["x"]) == {2.0}
    assert feature_code_hash(this) != code
    assert list(beside.parent.iterdir()) == [beside]  # no __pycache__ left beside the strategies


def test_two_folders_of_strategies_do_not_mix(
    bars: pl.DataFrame, own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    this = own("pl.col('close') * 0 + 1")
    other = tmp_path / "other" / "strategies"
    other.mkdir(parents=True)
    (other / "mine.py").write_text(
        "import polars as pl\ndef feature(): return pl.col('close') * 0 + 2\n"
    )
    found = []
    for home in (tmp_path, other.parent, tmp_path):
        monkeypatch.setenv("TRADEWIND_HOME", str(home))
        found.append(compute_features(bars, this)["x"][0])
    assert found == [1.0, 2.0, 1.0]
    assert "mine" not in sys.modules


def test_an_installed_module_is_found_and_left_alone(
    bars: pl.DataFrame, own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "desk_features"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "units.py").write_text("ONE = 1\n")
    module = package / "flat.py"
    module.write_text(
        "from dataclasses import dataclass\nimport polars as pl\nfrom .units import ONE\n"
        "@dataclass\nclass Made:\n    by: int = ONE\n"
        "def feature(): return pl.col('close') * 0 + Made().by\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    this = own(RETURN, function="desk_features.flat:feature")
    assert set(compute_features(bars, this)["x"]) == {1.0}
    assert "desk_features.flat" not in sys.modules
    module.write_text(module.read_text().replace("+ Made", "- Made"))
    assert set(compute_features(bars, this)["x"]) == {-1.0}
    for name in [name for name in sys.modules if name.startswith("desk_features")]:
        monkeypatch.delitem(sys.modules, name)


def test_the_hash_is_that_of_the_file(strategy: Strategy, own: Own, beside: Path) -> None:
    assert feature_code_hash(strategy) is None
    for rank in (False, True):
        this = own(RETURN, rank=rank)
        line = f"{hashlib.sha256(beside.read_bytes()).hexdigest()}  mine\n"
        assert feature_code_hash(this) == hashlib.sha256(line.encode()).hexdigest()


def test_a_rule_has_no_code_of_its_own(strategy: Strategy) -> None:
    model = {"kind": "ma_crossover", "fast": 5, "slow": 20}
    rule = Strategy.model_validate({**strategy.model_dump(), "features": (), "model": model})
    assert feature_code_hash(rule) is None


@pytest.mark.parametrize("name", ["symbol", "session", "label", "prediction"])
def test_a_name_that_is_taken_is_refused(own: Own, name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name} is a column of its own already"):
        own(RETURN, name=name)


def test_two_meanings_of_one_name_are_refused(strategy: Strategy) -> None:
    def features(one: object, other: object) -> Strategy:
        return Strategy.model_validate(
            {**strategy.model_dump(), "features": [one, {"rank": {"of": other}}]}
        )

    mine = {"custom": {"name": "x", "function": "mine:feature"}}
    assert features(mine, mine).feature_names == ("x", "rank_x")
    other = {"custom": {"name": "x", "function": "mine:other"}}
    with pytest.raises(ValidationError, match="different features of the same name: x"):
        features(mine, other)
    disguised = {"custom": {"name": "return_5", "function": "mine:feature"}}
    with pytest.raises(ValidationError, match="different features of the same name: return_5"):
        features({"return": {"window": 5}}, disguised)
