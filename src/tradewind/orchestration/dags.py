"""A DAG for every strategy file.

Read again at every start of a task, so nothing here imports polars, pandas or MLflow; the tasks
do, in `tradewind.orchestration.steps`.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import (
    DAG,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_parsing_context,
    task,
)

from tradewind.errors import (
    BacktestError,
    BarValidationError,
    ReproductionError,
    SourceError,
    SplitError,
    StrategyError,
)
from tradewind.orchestration import steps
from tradewind.research.strategy import Strategy
from tradewind.research.strategy_files import load_strategies

__all__ = ["training_dags"]

_PREFIX = "train_"
_START = datetime(2024, 1, 1, tzinfo=UTC)
_RETRY_DELAY = timedelta(seconds=5)

# A second try helps against a restarting server. These say that the input is at fault, and
# would only say it later.
_FINAL_ERRORS: tuple[type[Exception], ...] = (
    BacktestError,
    BarValidationError,
    ReproductionError,
    SourceError,
    SplitError,
    StrategyError,
)


def training_dags(strategies_dir: Path) -> dict[str, DAG]:
    """Return a training DAG for each strategy file, by DAG id.

    A file that is no strategy becomes a DAG too, so that its author sees the error where the
    strategy is looked for: on its page, and from the one task that fails with it.

    When Airflow parses the file to run one task, only that task's DAG is made.

    Parameters
    ----------
    strategies_dir : Path
        Where the strategy files are kept.

    Raises
    ------
    StrategyError
        If there is no such directory; Airflow shows it as an import error.
    """
    strategies, errors = load_strategies(strategies_dir)
    wanted = get_parsing_context().dag_id
    dags: dict[str, DAG] = {}
    for name, strategy in strategies.items():
        dag_id = _PREFIX + name
        if wanted in {None, dag_id}:
            dags[dag_id] = _training_dag(dag_id, strategy)
    taken = {_PREFIX + name for name in strategies}
    for path, error in errors.items():
        dag_id = _id_of_broken(path, taken)
        taken.add(dag_id)
        if wanted in {None, dag_id}:
            dags[dag_id] = _broken_dag(dag_id, path, error)
    return dags


def _training_dag(dag_id: str, strategy: Strategy) -> DAG:
    with DAG(
        dag_id,
        description=strategy.description.strip().splitlines()[0],
        doc_md=f"# {strategy.name}\n\n{strategy.description}",
        schedule=strategy.schedule,
        tags=["tradewind", "training"],
        default_args={
            "owner": strategy.owner or "tradewind",
            "retries": 1,
            "retry_delay": _RETRY_DELAY,
            "retry_policy": _retry_policy(),
        },
        **_common(),
    ) as dag:
        # Between tasks go names and ids, never data: bars stay in the store of snapshots, a
        # model stays in the registry.
        @task
        def ingest() -> str:
            """Load bars, refuse them if they break a rule, and store them as a snapshot."""
            return steps.ingest(strategy)

        @task(multiple_outputs=False)
        def train(snapshot_id: str) -> dict[str, str]:
            """Train on a snapshot, log the run and register the model."""
            return steps.train(strategy, snapshot_id)

        @task
        def verify(trained: dict[str, str]) -> int:
            """Fetch the models back and check that they predict what they did in training."""
            return steps.verify(trained["name"])

        # What a call returns here is the promise of its result, which the types do not know.
        verify(train(ingest()))  # type: ignore[arg-type]
    return dag


def _broken_dag(dag_id: str, path: Path, error: StrategyError) -> DAG:
    message = str(error)
    with DAG(
        dag_id,
        description=f"{path.name} is no valid strategy",
        doc_md=f"# {path.name} is no valid strategy\n\n```text\n{message}\n```\n\nMend the file; "
        "the training takes this page's place within half a minute.",
        schedule=None,
        tags=["tradewind", "training", "broken"],
        default_args={"retries": 0},
        **_common(),
    ) as dag:

        @task
        def read_strategy() -> None:
            """Fail with what is wrong with the file."""
            raise StrategyError(message)

        read_strategy()
    return dag


def _common() -> dict[str, Any]:
    """Return what every DAG here shares."""
    return {
        "start_date": _START,
        "catchup": False,
        # Two trainings of one strategy at once would race for the same aliases.
        "max_active_runs": 1,
        "is_paused_upon_creation": False,
    }


def _retry_policy() -> ExceptionRetryPolicy:
    rules = [
        RetryRule(exception=error, action=RetryAction.FAIL, reason="the input is at fault")
        for error in _FINAL_ERRORS
    ]
    return ExceptionRetryPolicy(rules=rules)


def _id_of_broken(path: Path, taken: set[str]) -> str:
    """Return an id that Airflow accepts and no other DAG has."""
    dag_id = _PREFIX + re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem)
    if dag_id in taken:
        dag_id = f"{dag_id}_{path.suffix.removeprefix('.')}"
    number = 2
    unique = dag_id
    while unique in taken:
        unique = f"{dag_id}_{number}"
        number += 1
    return unique
