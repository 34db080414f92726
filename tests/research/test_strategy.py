import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tradewind.research.strategy.files import load_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.trials.trial import configuration_hash

FIELDS: dict[str, Any] = {
    "name": "small",
    "description": "the least a strategy says",
    "universe": {"source": "sample", "symbols": ["IBM", "MSFT"]},
    "horizon": 5,
    "features": [{"return": {"window": 5}}, {"rank": {"of": {"rsi": {"window": 14}}}}],
    "model": {"kind": "lightgbm"},
    "walk_forward": {"train": 504, "test": 126},
    "backtest": {"commission_bps": 1, "slippage_bps": 4.0},
}


def test_defaults_are_safe() -> None:
    strategy = Strategy.model_validate(FIELDS)
    assert strategy.purge == strategy.horizon == 5
    assert strategy.schedule is None
    assert strategy.universe.calendar == "XNYS"
    assert strategy.feature_names == ("return_5", "rank_rsi_14")


def test_the_hash_is_that_of_the_meaning() -> None:
    strategy = Strategy.model_validate(FIELDS)
    spelled_out = strategy.model_dump(mode="json")
    reordered = dict(reversed(list(spelled_out.items())))
    assert Strategy.model_validate(reordered).content_hash() == strategy.content_hash()
    other = Strategy.model_validate(FIELDS | {"horizon": 6})
    assert other.content_hash() != strategy.content_hash()
    assert len(strategy.content_hash()) == 64


def test_limits_of_risk_do_not_make_an_older_strategy_into_another_one() -> None:
    strategy = Strategy.model_validate(FIELDS)
    # Registered by these before there was a section `risk`.
    assert strategy.content_hash() == (
        "840adebd4891d8ab6445d7aa85a3f8cf827fce9fbc6a8872e2bffef184b5d02e"
    )
    recorded = strategy.model_dump(mode="json")
    del recorded["risk"]
    assert Strategy.model_validate(recorded) == strategy
    spelled_out = Strategy.model_validate(FIELDS | {"risk": {"max_weight": 1.0}})
    assert spelled_out.content_hash() == strategy.content_hash()
    tighter = Strategy.model_validate(FIELDS | {"risk": {"max_weight": 0.5}})
    assert tighter.content_hash() != strategy.content_hash()
    assert (
        configuration_hash(tighter)
        == configuration_hash(strategy)
        == "4097e754f2eb7cd5c593084c8d1f729b0b9cd4390d0661ed5f77251162ab9a72"
    )


def test_where_folds_are_fitted_is_no_part_of_what_a_strategy_is() -> None:
    strategy = Strategy.model_validate(FIELDS)
    windows = FIELDS["walk_forward"] | {"spread": True}
    spread = Strategy.model_validate(FIELDS | {"walk_forward": windows})
    assert spread.walk_forward.spread
    assert spread.content_hash() == strategy.content_hash()
    assert configuration_hash(spread) == configuration_hash(strategy)
    recorded = strategy.model_dump(mode="json")
    del recorded["walk_forward"]["spread"]
    assert Strategy.recorded(json.dumps(recorded)) == strategy


def test_where_orders_go_is_no_part_of_what_a_strategy_is() -> None:
    strategy = Strategy.model_validate(FIELDS)
    assert strategy.execution == "paper"
    for execution in ("off", "replay", "live"):
        other = Strategy.model_validate(FIELDS | {"execution": execution})
        assert other.content_hash() == strategy.content_hash()
        assert configuration_hash(other) == configuration_hash(strategy)
    recorded = strategy.model_dump(mode="json")
    del recorded["execution"]
    assert Strategy.model_validate(recorded) == strategy
    with pytest.raises(ValidationError, match="execution"):
        Strategy.model_validate(FIELDS | {"execution": "real"})


def test_off_is_a_word_and_no_boolean(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(FIELDS) + "execution: off\n")
    assert load_strategy(file).execution == "off"


def test_a_longer_purge_than_the_horizon_is_kept() -> None:
    fields = FIELDS | {"walk_forward": {"train": 504, "test": 126, "purge": 21}}
    assert Strategy.model_validate(fields).purge == 21


def test_a_strategy_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Strategy.model_validate(FIELDS).horizon = 1  # type: ignore[misc]


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = ["numpy", "polars", "pandas", "pandera", "lightgbm", "matplotlib", "airflow", "mlflow"]
    code = (
        "import sys, tradewind.research.strategy.strategy, tradewind.research.strategy.files;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_research_needs_neither_airflow_nor_mlflow() -> None:
    code = (
        "import sys, tradewind.research.training, tradewind.research.tearsheet.plots,"
        "tradewind.market.store.bar_store, tradewind.market.validation.validate,"
        "tradewind.market.sources.files;"
        "print([name for name in ['airflow', 'mlflow', 'lightgbm', 'matplotlib', 'pandas',"
        " 'pandera', 'tradewind.registry', 'tradewind.stack'] if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def with_(**changes: Any) -> Strategy:
    backtest = {**FIELDS["backtest"], **changes.pop("backtest", {})}
    return Strategy.model_validate({**FIELDS, "backtest": backtest, **changes})


@pytest.mark.parametrize(
    ("backtest", "net_long"),
    [
        ({"positions": "long_flat"}, True),
        ({"positions": "sign"}, True),
        ({"positions": "proportional"}, True),
        ({"positions": "long_short"}, False),
        ({"positions": "long_short", "max_gross": 0.2}, False),
        ({"positions": "long_short", "max_weight": 0.5}, False),
        # Of [1, 1, 1, 0] the ranks are a sixth each, and a half short that is cut to 0.3.
        ({"positions": "long_short", "max_weight": 0.3}, True),
    ],
)
def test_what_may_be_net_long_is_held_against_its_universe(
    backtest: dict[str, Any], net_long: bool
) -> None:
    strategy = with_(backtest=backtest)
    assert strategy.may_be_net_long == net_long
    assert strategy.held_against == ("equal_weight" if net_long else "cash")
    for named in ("equal_weight", "cash"):
        assert with_(backtest=backtest, benchmark=named).held_against == named


@pytest.mark.parametrize("missing", ["refuse", "drop_row", "hold"])
def test_ranks_beside_a_signal_that_is_kept_may_be_net_long(missing: str) -> None:
    strategy = with_(backtest={"positions": "long_short"}, missing=missing)
    assert strategy.may_be_net_long == (missing == "hold")
    assert strategy.held_against == ("equal_weight" if missing == "hold" else "cash")


def test_a_symbol_as_benchmark_is_among_the_bars_it_needs_once() -> None:
    assert with_(benchmark={"symbol": "SPY"}).bar_symbols == ("IBM", "MSFT", "SPY")
    assert with_(benchmark={"symbol": "IBM"}).bar_symbols == ("IBM", "MSFT")
    assert with_().bar_symbols == with_(benchmark="cash").bar_symbols == ("IBM", "MSFT")


@pytest.mark.parametrize("benchmark", ["SPY", "", {"symbol": ""}, {"ticker": "SPY"}, 3])
def test_a_benchmark_that_cannot_be_is_refused(benchmark: object) -> None:
    with pytest.raises(ValidationError, match="benchmark"):
        with_(benchmark=benchmark)


def test_a_benchmark_does_not_make_an_older_strategy_into_another_one() -> None:
    strategy = Strategy.model_validate(FIELDS)
    recorded = strategy.model_dump(mode="json")
    del recorded["benchmark"], recorded["gate"]["min_alpha_probability"]
    old = Strategy.model_validate(recorded)
    assert old == strategy
    assert old.gate.min_alpha_probability == 0.95
    assert strategy.content_hash() == (
        "840adebd4891d8ab6445d7aa85a3f8cf827fce9fbc6a8872e2bffef184b5d02e"
    )
    for other in (with_(benchmark="cash"), with_(gate={"min_alpha_probability": None})):
        assert other.content_hash() != strategy.content_hash()
        # Neither changes what a trial earned.
        assert configuration_hash(other) == configuration_hash(strategy)
