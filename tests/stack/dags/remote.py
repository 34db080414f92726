"""Tasks of the trading workers."""

from airflow.sdk import DAG

from tradewind.bridge import CeleryTaskOperator
from tradewind.orchestration.dags.common import dag_arguments

with DAG("remote", schedule=None, **dag_arguments()):
    for number in range(3):
        CeleryTaskOperator(task_id=f"health_{number}", app="trading", task="trading.health")
