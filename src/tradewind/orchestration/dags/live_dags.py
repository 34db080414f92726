"""The DAGs of a champion between trainings: its signals, and its monitoring."""

from datetime import UTC, datetime
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, get_current_context, task

from tradewind.orchestration.dags.common import (
    bars_asset,
    champion_asset,
    dag_arguments,
    signals_asset,
)
from tradewind.orchestration.steps import live
from tradewind.research.strategy.strategy import Strategy

__all__ = ["monitor_dag", "signals_dag"]


def signals_dag(dag_id: str, strategy: Strategy) -> DAG:
    """Return the DAG that turns the champion's predictions into weights for the next session."""
    signals = signals_asset(strategy.name)
    champion = champion_asset(strategy.name)
    # What is handed in ends where it ends: new bars alone give no new signals.
    external = strategy.model.external
    with DAG(
        dag_id,
        description=f"What {strategy.name} wants to hold at the next open",
        doc_md=f"# Signals of {strategy.name}\n\nThe champion's target weights for the next "
        "session, stored with its version and the snapshot they were made from: "
        + ("" if external else "whenever there are new bars, and at once ")
        + "when another version becomes champion. Without a champion the run is skipped.",
        schedule=champion if external else bars_asset(strategy.universe.source) | champion,
        tags=["tradewind", "signals"],
        **dag_arguments(owner=strategy.owner),
    ) as dag:
        # Also if they were stored before: the execution may have missed that event.
        @task(outlets=[signals], multiple_outputs=False)
        def signal() -> dict[str, Any]:
            """Predict with the champion and store what it wants to hold."""
            stored = live.signal(strategy, now=datetime.now(UTC))
            told = {name: stored[name] for name in ("session", "model_version")}
            get_current_context()["outlet_events"][signals].extra = told
            return stored

        signal()
    return dag


def monitor_dag(dag_id: str, strategy: Strategy) -> DAG:
    """Return the DAG that compares the champion's features and returns with its training."""
    with DAG(
        dag_id,
        description=f"Whether the champion of {strategy.name} still fits the market",
        doc_md=f"# Watch over {strategy.name}\n\nDrift of its features since training "
        "(population stability index, Kolmogorov-Smirnov), and what it has earned since against "
        "what its backtest lets expect. Beyond a bound the strategy is trained again, and the "
        "new run says why. Features of past sessions are computed again: if one is not what it was "
        "when signals were made of it, the run fails and the strategy's account is halted. Without "
        "a champion the run is skipped.",
        schedule=[bars_asset(strategy.universe.source)],
        tags=["tradewind", "monitoring"],
        **dag_arguments(owner=strategy.owner),
    ) as dag:

        @task.short_circuit
        def watch() -> dict[str, Any]:
            """Log every figure to MLflow, and return why the strategy must be trained again."""
            return live.watch(strategy)

        reasons: Any = watch()
        retrain = TriggerDagRunOperator(
            task_id="retrain",
            trigger_dag_id=f"train_{strategy.name}",
            conf={"reasons": "{{ ti.xcom_pull(task_ids='watch')['reasons'] }}"},
            # A retry after a kill finds the run that it had begun. While the gate refuses new
            # versions, a training is asked for once a month, not daily.
            trigger_run_id="monitor__{{ ti.xcom_pull(task_ids='watch')['occasion'] }}",
            skip_when_already_exists=True,
        )
        reasons >> retrain
    return dag
