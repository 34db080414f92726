"""The training DAG of a strategy: from bars to a version that its gate has judged."""

from datetime import datetime
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, TriggerRule, get_current_context, task

from tradewind.orchestration.dags.common import bars_asset, champion_asset, dag_arguments, headline
from tradewind.orchestration.dags.links import MlflowRunLink
from tradewind.orchestration.slots import NextSlot
from tradewind.orchestration.steps import folds as fold_steps
from tradewind.orchestration.steps import sweeps, training
from tradewind.research.strategy.strategy import ON_NEW_BARS, Strategy
from tradewind.trading.announcement import consequences, where_orders_go

__all__ = ["training_dag"]


def training_dag(dag_id: str, strategy: Strategy, since: datetime) -> DAG:
    """Return the training DAG of a strategy, whose file has its content since a moment."""
    champion = champion_asset(strategy.name)
    with DAG(
        dag_id,
        description=headline(strategy.description, strategy.name),
        doc_md=_page(strategy),
        schedule=_schedule(strategy, since),
        tags=["tradewind", "training"],
        **dag_arguments(owner=strategy.owner),
    ) as dag:
        # Tasks pass names and ids, never data: bars stay in their store, trials in the ledger,
        # models in the registry. A call here returns a reference to a result, which the types do
        # not express.
        @task
        def ingest() -> str:
            """Load bars, refuse them if they break a rule, store what is new, name the snapshot."""
            return training.ingest(strategy)

        @task
        def plan_sweep(snapshot_id: str) -> list[int]:
            """Draw the parameters of every trial and store the trials as waiting."""
            return sweeps.plan_sweep(strategy, snapshot_id)

        @task(map_index_template="batch {{ task.op_kwargs['batch'] }}")
        def run_trials(snapshot_id: str, batch: int) -> int:
            """Judge trials until none is left; a second try goes on where the first was killed."""
            return sweeps.run_trials(strategy, snapshot_id, batch)

        @task
        def plan_folds(snapshot_id: str) -> list[list[int]]:
            """Divide the folds among tasks, once the strategy is known to be worth fitting."""
            return fold_steps.plan_folds(strategy, snapshot_id)

        @task(map_index_template="fold {{ task.op_kwargs['folds'] | join(', ') }}")
        def run_folds(snapshot_id: str, folds: list[int]) -> int:
            """Fit a fold and hand over what it predicts; a second try leaves out what is there."""
            return fold_steps.run_folds(strategy, snapshot_id, folds)

        @task(multiple_outputs=False)
        def train(snapshot_id: str) -> dict[str, str]:
            """Judge the best parameters, fit the final model, log the run, register the version."""
            return training.train(strategy, snapshot_id)

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def judge(trained: dict[str, str]) -> bool:
            """Judge the version by the gate's rules and store the decision."""
            return training.judge(trained["name"], trained["version"])

        # The asset tells those who wait for a new champion; it has no event if this task is
        # skipped.
        @task(outlets=[champion])
        def promote(trained: dict[str, str]) -> int:
            """Make the version the champion."""
            version = training.promote(trained["name"], trained["version"])
            get_current_context()["outlet_events"][champion].extra = {"model_version": version}
            return version

        # Also for a version that the gate refused: this checks the registry, not the version.
        @task(trigger_rule=TriggerRule.NONE_FAILED)
        def verify(trained: dict[str, str]) -> int:
            """Fetch the models back and check that they predict what they did in training."""
            return training.verify(trained["name"], trained["version"])

        snapshot: Any = ingest()
        trained: Any = train(snapshot)
        trained.operator.operator_extra_links = (MlflowRunLink(),)
        if strategy.sweep is not None:
            batches: Any = plan_sweep(snapshot)
            swept = run_trials.partial(snapshot_id=snapshot).expand(batch=batches)
            swept >> trained
        if strategy.walk_forward.spread:
            parts: Any = plan_folds(snapshot)
            if strategy.sweep is not None:
                swept >> parts
            run_folds.partial(snapshot_id=snapshot).expand(folds=parts) >> trained
        judged: Any = judge(trained)
        promoted: Any = promote(trained)
        if strategy.gate.promotion == "approval":
            judged >> _approval(strategy) >> promoted
        else:
            judged >> promoted
        promoted >> verify(trained)
    return dag


def _schedule(strategy: Strategy, since: datetime) -> Any:  # noqa: ANN401 - Airflow takes many
    if strategy.schedule == ON_NEW_BARS:
        return [bars_asset(strategy.universe.source)]
    return None if strategy.schedule is None else NextSlot(strategy.schedule, since)


def _approval(strategy: Strategy) -> ApprovalOperator:
    version = "{{ ti.xcom_pull(task_ids='train')['version'] }}"
    return ApprovalOperator(
        task_id="approve",
        subject=f"Make version {version} of {strategy.name} the champion?",
        body="It passed the gate. The evidence is in MLflow: "
        "{{ ti.xcom_pull(task_ids='train')['url'] }}\n\n"
        f"As the champion it trades. {where_orders_go(strategy)}",
        execution_timeout=None,  # a person may take days
    )


def _page(strategy: Strategy) -> str:
    universe, gate = strategy.universe, strategy.gate
    facts = {
        "bars": f"{', '.join(universe.symbols)} from `{universe.source}`, sessions of "
        f"{universe.calendar}",
        "predicts": f"{strategy.label.kind} over {strategy.horizon} sessions",
        "model": strategy.model.title,
        "sweep": f"{strategy.sweep.trials} trials" if strategy.sweep else "none",
        "gate": f"deflated Sharpe probability >= {gate.min_deflated_sharpe}, probability of "
        f"overfitting <= {gate.max_pbo}, drawdown <= {gate.max_drawdown}, "
        f"trades >= {gate.min_trades}",
        "promotion": gate.promotion,
        "execution": strategy.execution,
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return (
        f"# {strategy.name}\n\n{strategy.description}\n\n**What a training leads to.** "
        f"{consequences(strategy)}\n\n| | |\n| --- | --- |\n{rows}\n"
    )
