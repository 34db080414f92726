"""What a desk brings of its own: trees of another library, a network of its own, and a rule.

Each is a strategy that trades the sessions of `tests.sessions`.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests import sessions
from tests.stack.airflow import Airflow

CHECKOUT = Path(__file__).parents[1]
PACKAGES = ("xgboost-cpu>=3,<4", "torch>=2.9,<3")
NETWORK = {"kind": "custom", "class": "sequential_model:Network", "parameters": {"hidden": 8}}
PYTORCH = {"kind": "custom", "class": "pytorch_network:Network", "parameters": {"hidden": 8}}
COUNT = sessions.count_asked_for(5)


def strategies(network: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the three by name; of networks, of which all see ten sessions, this one."""
    models: dict[str, dict[str, Any]] = {
        "trees": {
            "kind": "estimator",
            "class": "xgboost:XGBRegressor",
            "parameters": {"n_estimators": 20, "max_depth": 3},
        },
        "network": {**network, "lookback": 10},
        "rule": {
            "kind": "rule",
            "function": "leaning_rule:lean",
            "parameters": {"share": 0.25},
        },
    }
    found = {
        f"traded_{name}": {**sessions.STRATEGY, "name": f"traded_{name}", "model": model}
        for name, model in models.items()
    }
    rule = found["traded_rule"]
    rule["backtest"] = {**rule["backtest"], "positions": "weights"}
    return found


def lay_code(home: Path) -> None:
    """Lay the code that they name beside the strategy files of a workspace."""
    for path in ("examples/pytorch_network.py", "tests/stack/strategies/leaning_rule.py"):
        shutil.copy(CHECKOUT / path, home / "strategies")


@contextmanager
def took(what: str) -> Iterator[None]:
    """Print how long something took, as a campaign does."""
    began = time.monotonic()
    yield
    print(f"{what} took {time.monotonic() - began:.1f} s")  # noqa: T201


def told(airflow: Airflow, names: Iterable[str]) -> None:
    """Print how long runs of strategies took, from start to end."""
    for name in names:
        for dag_id in (f"train_{name}", f"signals_{name}", f"execute_{name}"):
            seconds = [
                (moment(run["end_date"]) - moment(run["start_date"])).total_seconds()
                for run in airflow.runs(dag_id)
                if run["end_date"]
            ]
            print(dag_id, *(f"{each:.1f}" for each in seconds), "s")  # noqa: T201


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
