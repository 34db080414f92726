"""Features that know the future are refused by name; honest ones are not."""

import datetime as dt
import os
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.research import disguises
from tests.support import typed
from tradewind.errors import LeakError, ResearchError, StrategyError
from tradewind.market.bars import adjusted
from tradewind.research.features import leaks
from tradewind.research.features._apart import Here
from tradewind.research.features.leaks import refuse_lookahead
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import train

Own = Callable[..., Strategy]

CLOSE, VOLUME = "pl.col('close')", "pl.col('volume')"
CHANGE = f"{CLOSE}.pct_change()"
HONEST = {
    "log return": f"{CLOSE}.log().diff()",
    "long log return": f"{CLOSE}.log() - {CLOSE}.log().shift(252)",
    "gap": f"pl.col('open') / {CLOSE}.shift(1) - 1",
    "range, guarded": f"({CLOSE} - pl.col('low')) / (pl.col('high') - pl.col('low') + 1e-9)",
    "rolling mean": f"{CHANGE}.rolling_mean(20)",
    "rolling skewness": f"{CHANGE}.rolling_skew(63)",
    "rolling kurtosis": f"{CHANGE}.rolling_kurtosis(63)",
    "rolling quantile": f"{CLOSE} / {CLOSE}.rolling_quantile(0.9, window_size=20)",
    "rolling extremes": f"{CLOSE}.rolling_min(20) / {CLOSE}.rolling_max(20)",
    "rolling correlation": f"pl.rolling_corr({CHANGE}, {VOLUME}.pct_change(), window_size=20)",
    "weighted mean": f"{CHANGE}.fill_null(0).rolling_mean(5, weights=[1, 2, 3, 4, 5])",
    "exponential mean": f"{CLOSE} / {CLOSE}.ewm_mean(span=20) - 1",
    "exponential deviation": f"{CHANGE}.ewm_std(half_life=10)",
    "drawdown": f"{CLOSE} / {CLOSE}.cum_max() - 1",
    "cumulative sum": f"{CHANGE}.cum_sum()",
    "cumulative z score": f"{CHANGE} / ({CHANGE}.pow(2).cum_sum() / {CHANGE}.cum_count()).sqrt()",
    "dollar volume": f"({CLOSE} * {VOLUME}).log() - ({CLOSE} * {VOLUME}).rolling_mean(20).log()",
    "dollar volume as it was traded": "pl.col('dollar_volume').log()",
    "mean dollar volume as it was traded": "pl.col('dollar_volume').rolling_mean(20) / 1e6",
    "weekday": "pl.col('session').dt.weekday()",
    "direction": f"({CLOSE} > {CLOSE}.shift(1))",
    "constant": f"{CLOSE} / {CLOSE}",
    "Python in a function": f"{CHANGE}.rolling_map(lambda s: s.sum(), window_size=10)",
    "tail": f"{CLOSE}.shift(1).forward_fill() / {CLOSE}",
}
AHEAD = {
    "tomorrow": f"{CLOSE}.shift(-1) / {CLOSE} - 1",
    "a month ahead": f"{CLOSE}.shift(-21) / {CLOSE} - 1",
    "centred window": f"{CLOSE} / {CLOSE}.rolling_mean(5, center=True)",
    "mean of all": f"{CHANGE} - {CHANGE}.mean()",
    "deviation of all": f"{CHANGE} / {CHANGE}.std()",
    "rank in all": f"{CHANGE}.rank() / pl.len()",
    "quantile of all": f"({CHANGE} > {CHANGE}.quantile(0.99))",
    "sum from the end": f"{CHANGE}.cum_sum(reverse=True)",
    "filled backwards": f"pl.when({CHANGE} > 0.02).then({CHANGE}).backward_fill()",
    "interpolated": f"pl.when(pl.int_range(pl.len()) % 7 == 0).then({CHANGE}).interpolate()",
    "number of bars": f"pl.int_range(pl.len()) / pl.len() + {CHANGE} * 0",
    "tomorrow, on Mondays": (
        f"pl.when(pl.col('session').dt.weekday() == 1).then({CHANGE}.shift(-1)).otherwise({CHANGE})"
    ),
    "tomorrow, a millionth of a millionth of it": f"{CHANGE} + 1e-12 * {CHANGE}.shift(-1)",
}
LEVEL = {
    "price": CLOSE,
    "logarithm of price": f"{CLOSE}.log()",
    "change in dollars": f"{CLOSE}.diff()",
    "cheap": f"({CLOSE} < 50)",
    "shares": f"{VOLUME}.log()",
    "last digit": f"{CLOSE} % 1.0",
}

DIVIDENDS_ONLY = {
    "dollar volume": f"({CLOSE} * {VOLUME}).log()",
    "turnover in millions": f"({CLOSE} * {VOLUME}).rolling_mean(20) / 1e6",
}
# How many seeds each disguise is tried with.
SEEDS = int(os.environ.get("TRADEWIND_SEEDS", "3"))
SEEDS_APART = int(os.environ.get("TRADEWIND_SEEDS", "1"))  # where each check starts a process


@pytest.mark.parametrize("name", HONEST)
def test_honest_features_pass(bars: pl.DataFrame, own: Own, name: str) -> None:
    for seed in range(SEEDS_APART):
        refuse_lookahead(bars, own(HONEST[name]), seed=seed)


def test_all_built_in_features_pass(bars: pl.DataFrame, strategy: Strategy) -> None:
    kinds = {spec.kind for spec in strategy.features} | {"ma_ratio"}
    assert kinds >= {"return", "momentum", "volatility", "rsi", "ma_distance", "volume_ratio"}
    more = [*strategy.model_dump()["features"], {"ma_ratio": {"fast": 50, "slow": 200}}]
    this = Strategy.model_validate({**strategy.model_dump(), "features": more})
    for seed in range(5):
        refuse_lookahead(bars, this, seed=seed)


@pytest.mark.parametrize("rank", [False, True])
@pytest.mark.parametrize("name", AHEAD)
def test_looking_ahead_is_refused(bars: pl.DataFrame, own: Own, name: str, rank: bool) -> None:
    with pytest.raises(LeakError, match=r"strategy momentum: feature x of .* it looks ahead"):
        refuse_lookahead(bars, own(AHEAD[name], rank=rank), seed=1)


@pytest.mark.parametrize("rank", [False, True])
@pytest.mark.parametrize("name", LEVEL)
def test_levels_are_refused(bars: pl.DataFrame, own: Own, name: str, rank: bool) -> None:
    with pytest.raises(LeakError, match=r"feature x of .* it uses the level of a price or volume"):
        refuse_lookahead(bars, own(LEVEL[name], rank=rank), seed=1)


@pytest.mark.parametrize("rank", [False, True])
@pytest.mark.parametrize("name", DIVIDENDS_ONLY)
def test_what_only_dividends_change_is_told_so(
    bars: pl.DataFrame, own: Own, name: str, rank: bool
) -> None:
    with pytest.raises(LeakError, match=r"feature x of .* once later dividends have changed"):
        refuse_lookahead(bars, own(DIVIDENDS_ONLY[name], rank=rank), seed=1)


@pytest.mark.parametrize("name", disguises.AHEAD)
def test_every_disguise_is_seen_through(
    bars: pl.DataFrame, own: Own, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # None of them remembers, so that one process does as well, and faster.
    monkeypatch.setattr(leaks, "Apart", Here)
    disguised = own(code=disguises.AHEAD[name])
    for seed in range(SEEDS):
        with pytest.raises(LeakError, match=r"feature x of .* it looks ahead"):
            refuse_lookahead(bars, disguised, seed=seed)


@pytest.mark.parametrize("name", disguises.REMEMBERING)
def test_what_remembers_is_refused_wherever_it_keeps_it(
    bars: pl.DataFrame, own: Own, name: str
) -> None:
    remembering = own(code=disguises.REMEMBERING[name])
    # Symbols are computed at one time: what a list of all grows to differs each time, too.
    reason = r"(it remembers|it looks ahead|A feature may write no file|computed again)"
    for seed in range(SEEDS_APART):
        with pytest.raises((LeakError, StrategyError), match=r"mine:feature|feature x of") as found:
            refuse_lookahead(bars, remembering, seed=seed)
        assert re.search(reason, str(found.value))


@pytest.mark.parametrize("name", disguises.BETWEEN)
def test_a_feature_of_one_symbol_that_sees_others_is_refused(
    bars: pl.DataFrame, own: Own, name: str
) -> None:
    for seed in range(SEEDS_APART):
        with pytest.raises(LeakError, match=r"feature x of .*(it remembers|it looks ahead)"):
            refuse_lookahead(bars, own(code=disguises.BETWEEN[name]), seed=seed)


@pytest.mark.parametrize("name", disguises.ACROSS)
def test_a_feature_across_symbols_that_sees_other_sessions_is_refused(
    bars: pl.DataFrame, own: Own, name: str
) -> None:
    code, inputs = disguises.ACROSS[name]
    across = {"across": {"name": "x", "function": "mine:feature", "inputs": inputs}}
    said = {**own(code=code).model_dump(), "features": [across]}
    reason = r"feature (x|next) of .*(it remembers|it looks ahead|computed again)"
    for seed in range(SEEDS_APART):
        with pytest.raises((LeakError, StrategyError), match=reason):
            refuse_lookahead(bars, Strategy.model_validate(said), seed=seed)


def test_honest_features_across_symbols_pass(bars: pl.DataFrame, own: Own) -> None:
    code = (
        "def share():\n    return pl.col('dollar_volume') / pl.col('dollar_volume').sum()\n\n\n"
        "def place():\n    return pl.map_batches(['ret'], lambda s: s[0].rank() / len(s[0]),\n"
        "        return_dtype=pl.Float64)\n\n\n"
        "def apart():\n    return pl.col('ret') - pl.col('ret').median()\n"
    )
    inputs = {"ret": {"return": {"window": 5}}}
    features = [
        {"across": {"name": name, "function": f"mine:{name}", "inputs": inputs}}
        for name in ("share", "place", "apart")
    ]
    said = {**own(code=code).model_dump(), "features": features}
    refuse_lookahead(bars, Strategy.model_validate(said), seed=1)


def test_a_feature_that_ends_its_process_as_if_all_were_well_is_named(
    bars: pl.DataFrame, own: Own
) -> None:
    code = (
        "import os\n\n\ndef feature():\n    return pl.col('close').map_batches(\n"
        "        lambda s: os._exit(0), return_dtype=pl.Float64)\n"
    )
    with pytest.raises(StrategyError, match=r"ended the process that computed it \(exit code 0\)"):
        refuse_lookahead(bars, own(code=code), seed=1)


@pytest.mark.parametrize("least", [1, 100, 1000])
def test_what_is_kept_of_longer_frames_only_is_found(
    bars: pl.DataFrame, own: Own, least: int
) -> None:
    """The first frame is the shortest: what waits for a longer one must not get away with it."""
    code = "KEPT = {}\n" + disguises.batch(
        f"    if n >= {least}:\n        KEPT.setdefault(symbol[0], max(close) / close[0])\n"
        "    return [KEPT.get(symbol[0], 1.0)] * n"
    )
    for seed in range(SEEDS_APART):
        with pytest.raises(LeakError, match=r"feature x of .*(it remembers|it looks ahead)"):
            refuse_lookahead(bars, own(code=code), seed=seed)


def test_a_scaler_of_the_first_frame_is_said_to_remember(bars: pl.DataFrame, own: Own) -> None:
    code = disguises.REMEMBERING["a scaler by symbol"]
    with pytest.raises(LeakError, match=r"feature x of AAPL .* by the same code: it remembers"):
        refuse_lookahead(bars, own(code=code), seed=1)


def test_what_is_written_to_a_file_stays_unwritten(
    bars: pl.DataFrame, own: Own, tmp_path: Path
) -> None:
    with pytest.raises(StrategyError, match="A feature may write no file"):
        refuse_lookahead(bars, own(code=disguises.REMEMBERING["a file"]), seed=1)
    kept = list((tmp_path / "strategies").glob("kept_*"))
    assert all(path.stat().st_size == 0 for path in kept)


@pytest.mark.parametrize("labels", ["", ", labels=list('abcde'), allow_duplicates=True"])
def test_codes_of_quantiles_look_ahead_and_are_not_random(
    bars: pl.DataFrame, own: Own, labels: str
) -> None:
    body = f"{CHANGE}.qcut(5{labels}).to_physical()"
    with pytest.raises(LeakError, match=r"feature x of .* it looks ahead"):
        refuse_lookahead(bars, own(body), seed=1)


def test_what_depends_on_the_process_is_refused(bars: pl.DataFrame, own: Own) -> None:
    body = "pl.col('symbol').map_elements(lambda s: hash(s) % 1000, return_dtype=pl.Int64)"
    with pytest.raises(StrategyError, match=r"feature x of AAPL .* in this process"):
        refuse_lookahead(bars, own(body), seed=1)


def test_a_feature_that_ends_its_process_is_named(bars: pl.DataFrame, own: Own) -> None:
    code = (
        "import os\n\n\ndef feature():\n    return pl.col('close').map_batches(\n"
        "        lambda s: os._exit(3), return_dtype=pl.Float64)\n"
    )
    with pytest.raises(StrategyError, match=r"ended the process that computed it \(exit code 3\)"):
        refuse_lookahead(bars, own(code=code), seed=1)


def test_a_feature_that_fails_on_few_bars_is_told_so(bars: pl.DataFrame, own: Own) -> None:
    code = (
        "def feature():\n    return pl.col('close').pct_change().map_batches(\n"
        "        lambda s: s if len(s) > 2000 else s / ([] or 1 / 0), return_dtype=pl.Float64)\n"
    )
    with pytest.raises(StrategyError, match=r"division by zero.*It can be of all bars, but not"):
        refuse_lookahead(bars, own(code=code), seed=1)


def test_what_a_feature_prints_does_no_harm(bars: pl.DataFrame, own: Own) -> None:
    code = (
        "import sys\n\n\ndef feature():\n    print('out')\n    print('err', file=sys.stderr)\n"
        "    return pl.col('close').pct_change()\n"
    )
    refuse_lookahead(bars, own(code=code), seed=1)


def test_symbol_session_and_both_values_are_named(bars: pl.DataFrame, own: Own) -> None:
    with pytest.raises(LeakError) as caught:
        refuse_lookahead(bars, own(f"{CLOSE}.shift(-1) / {CLOSE} - 1"), rounds=3, seed=1)
    found = re.search(
        r"feature x of (\w+) on (\S+) is (\S+), but undefined without the bars of (\w+) after "
        r"(\S+): it looks ahead",
        str(caught.value),
    )
    assert found is not None
    symbol, session, value, of, cut = found.groups()
    assert (symbol, session) == (of, cut)
    prices = adjusted(bars).filter(pl.col("symbol") == symbol)
    closes = prices.filter(pl.col("session") >= dt.date.fromisoformat(session))["close"]
    assert float(value) == closes[1] / closes[0] - 1
    assert isinstance(caught.value, ValueError)


def test_few_bars_and_few_rounds(bars: pl.DataFrame, own: Own) -> None:
    days = bars["session"].unique().sort()
    honest = own(f"{CHANGE}")
    goog = bars.filter(pl.col("symbol") == "GOOG")["session"][0]
    for last in (goog, days[typed(days.index_of(goog), int) + 1]):
        refuse_lookahead(bars.filter(pl.col("session") <= last), honest, seed=1)
    with pytest.raises(ResearchError, match="needs 3 rounds or more, not 2"):
        refuse_lookahead(bars, honest, rounds=2, seed=1)


def test_numbers_that_change_each_time_are_refused(bars: pl.DataFrame, own: Own) -> None:
    code = (
        "import random\n\n\ndef feature():\n    return pl.col('close').map_batches(\n"
        "        lambda s: pl.Series([random.random() for _ in s]), return_dtype=pl.Float64)\n"
    )
    with pytest.raises(
        StrategyError, match=r"feature x of AAPL on 2000-03-01 is .* computed again"
    ):
        refuse_lookahead(bars, own(code=code), seed=1)


def test_a_training_begins_with_the_check(bars: pl.DataFrame, own: Own) -> None:
    with pytest.raises(LeakError, match=r"feature x of AAPL"):
        train(bars, own(f"{CLOSE}.shift(-1) / {CLOSE} - 1"))
