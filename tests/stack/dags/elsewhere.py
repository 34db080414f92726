"""Tasks of queues whose workers cannot do them."""

from airflow.sdk import DAG, task

from tradewind.orchestration.dags.common import dag_arguments


def nothing() -> None:
    """Never get here."""


with DAG("elsewhere", schedule=None, **dag_arguments()):
    for name in ("older", "cut_off"):
        task(task_id=name, queue=name, retries=0)(nothing)()
