"""What a task finds imported when it begins."""

import sys

from airflow.sdk import DAG, task

from tradewind.workers.warm import MODULES

with DAG("warm", schedule=None, is_paused_upon_creation=False):

    @task
    def missing() -> list[str]:
        return sorted(set(MODULES) - sys.modules.keys())

    missing()
