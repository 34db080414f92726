"""The DAGs of every strategy file: training, signals, monitoring, trading.

It is read again at every start of a task, so nothing here imports polars, pandas or MLflow; the
tasks do, in `tradewind.orchestration.steps.training` and its neighbours.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from tradewind.errors import StrategyError
from tradewind.orchestration.dags.common import (
    READ_FILE,
    asked_for_task,
    broken_dags,
    each_made,
    is_wanted,
)
from tradewind.orchestration.dags.execution_dags import execute_dag
from tradewind.orchestration.dags.live_dags import monitor_dag, signals_dag
from tradewind.orchestration.dags.training_dags import training_dag
from tradewind.orchestration.slots import counted_since
from tradewind.research.strategy.files import find_strategy, load_strategies
from tradewind.research.strategy.strategy import Strategy

__all__ = ["strategy_dags"]

_TRAIN = "train_"
_KINDS: dict[str, Callable[[str, Strategy, datetime], DAG]] = {
    _TRAIN: training_dag,
    "signals_": lambda dag_id, strategy, _: signals_dag(dag_id, strategy),
    "monitor_": lambda dag_id, strategy, _: monitor_dag(dag_id, strategy),
    "execute_": lambda dag_id, strategy, _: execute_dag(dag_id, strategy),
}
_OF_TRAININGS = {_TRAIN, "monitor_"}


def strategy_dags(
    strategies_dir: Path, *, wanted: Callable[[Path], bool] = lambda _: True
) -> dict[str, DAG]:
    """Return the DAGs of strategy files, by DAG id.

    An invalid file becomes a DAG, too; its page and its only task say what is wrong. When Airflow
    parses the file to run one task, only that task's DAG is made, and only its strategy file is
    read if that is valid. So the start of a task does not grow with their number.

    Parameters
    ----------
    strategies_dir : Path
        Where the strategy files are kept.
    wanted : callable, optional
        Tells of which files the DAGs are made; all if not given.

    Raises
    ------
    StrategyError
        If there is no such directory, or a worker should run a task of a strategy that is invalid
        or gone by now. Airflow shows it as an import error, in the task's log.
    """
    if asked := _asked_for(strategies_dir):
        return asked
    # What a strategy's model names is not imported here, but where it is trained.
    strategies, errors = load_strategies(strategies_dir, wanted=wanted, imports=False)
    dags, refused = each_made(
        strategies,
        lambda name, strategy: {
            prefix + name: make(prefix + name, strategy, counted_since(strategies_dir, name))
            for prefix, make in _kinds_of(strategy).items()
            if is_wanted(prefix + name)
        },
    )
    errors |= {strategies_dir / f"{name}.yaml": StrategyError(why) for name, why in refused.items()}
    taken = {_TRAIN + name for name in strategies if name not in refused}
    return dags | broken_dags(_TRAIN, "strategy", errors, taken)


def _kinds_of(strategy: Strategy) -> Mapping[str, Callable[[str, Strategy, datetime], DAG]]:
    """Return what is made of a strategy, by the DAGs' prefixes.

    An external model is trained elsewhere, and each hand-over is a new version: there is nothing to
    train here, and nothing to watch between trainings.
    """
    if not strategy.model.external:
        return _KINDS
    return {prefix: make for prefix, make in _KINDS.items() if prefix not in _OF_TRAININGS}


def _asked_for(strategies_dir: Path) -> dict[str, DAG]:
    """Return the DAG that a worker asks for; none without a worker, or without a valid strategy."""
    dag_id = get_parsing_context().dag_id or ""
    for prefix, make in _KINDS.items():
        if dag_id.startswith(prefix):
            name = dag_id.removeprefix(prefix)
            try:
                strategy = find_strategy(name, strategies_dir, imports=False)
            except StrategyError:  # the parse of all files reports it
                if asked_for_task() not in {None, READ_FILE}:
                    raise  # the run began with a file that is invalid or gone by now
                return {}
            return {dag_id: make(dag_id, strategy, counted_since(strategies_dir, name))}
    return {}
