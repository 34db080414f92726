"""From a strategy's signals to positions: trading workers do the work, Airflow says when."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.sdk import DAG, task

from tradewind.bridge.operators import CeleryTaskOperator
from tradewind.orchestration.dags.common import dag_arguments, signals_asset
from tradewind.orchestration.retries import RETRIES, OutagesAreFree
from tradewind.orchestration.steps import execution
from tradewind.research.strategy.strategy import Strategy
from tradewind.trading.announcement import where_orders_go

__all__ = ["execute_dag"]

_CONNECTION = "trading"
# The trading app's own limit is two minutes. A task that takes longer was lost with its worker: it
# is revoked and sent again. That does no harm, for each step finds what an earlier one has done.
_REMOTE_TIMEOUT = timedelta(minutes=3)
# In the errors that a remote task ends with, an outage cannot be told from other errors.
_REMOTE_POLICY = OutagesAreFree(own_tries=RETRIES + 1)
# Another try ends with the same error; a person has to look.
_FINAL_ERRORS = ("ReconciliationError", "TradingHaltedError", "OrderStateError")


def execute_dag(dag_id: str, strategy: Strategy) -> DAG:
    """Return the DAG that trades a strategy's signals.

    The session is settled before it is traded on: fills at its open, corporate actions and
    borrowing are booked, and the book is reconciled with the broker's before an order leaves.
    """
    with DAG(
        dag_id,
        description=f"Orders of {strategy.name} for the next open",
        doc_md=_page(strategy),
        schedule=[signals_asset(strategy.name)],
        tags=["tradewind", "trading"],
        user_defined_macros={"quoted": partial(execution.quoted, strategy)},
        **dag_arguments(owner=strategy.owner),
    ) as dag:

        @task(multiple_outputs=False)
        def quote() -> dict[str, Any]:
            """Store the quotes that the trading workers settle by, and name the session."""
            return execution.quote(strategy, now=datetime.now(UTC))

        said = "{{{{ quoted(ti.xcom_pull(task_ids='quote'))['{}'] }}}}"
        steps = [
            _remote("settle", strategy.name, said.format("settle_to")),
            _remote("reconcile", strategy.name),
            _remote("submit", strategy.name, said.format("session"), said.format("model_version")),
            _remote("confirm", strategy.name, name="reconcile"),
        ]
        before: Any = quote()
        for step in steps:
            before >> step
            before = step
    return dag


def _remote(task_id: str, *args: str, name: str | None = None) -> CeleryTaskOperator:
    """Return a task of the trading workers: no slot of Airflow's is taken while it runs."""
    return CeleryTaskOperator(
        task_id=task_id,
        app=_CONNECTION,
        task=f"trading.{name or task_id}",
        args=args,
        final_errors=_FINAL_ERRORS,
        execution_timeout=_REMOTE_TIMEOUT,
        retry_policy=_REMOTE_POLICY,
    )


def _page(strategy: Strategy) -> str:
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {value} |"
        for name, value in strategy.risk.model_dump().items()
    )
    return (
        f"# Trading {strategy.name}\n\n{where_orders_go(strategy)}\n\n"
        "Each session: its quotes are stored, the trading workers "
        "settle it, the book is held against the broker's, orders for the next open pass the "
        "limits of risk and leave, and both are compared again. Any difference fails the run and "
        f"is told. `tradewind trading halt {strategy.name}` lets no further order leave.\n\n"
        f"| limit | |\n| --- | --- |\n{rows}\n"
    )
