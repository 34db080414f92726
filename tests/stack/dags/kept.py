"""A run that is over at once, for housekeeping to remove."""

from airflow.sdk import DAG, task

with DAG("kept", schedule=None, is_paused_upon_creation=False):

    @task
    def done() -> str:
        return "done"

    done()
