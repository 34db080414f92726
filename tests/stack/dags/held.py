"""More tasks than all workers have slots, which end when they are allowed to."""

import fcntl
import os
import time
from pathlib import Path

from airflow.sdk import DAG, task

from tradewind.orchestration.dags.common import dag_arguments

FOLDER = Path(os.environ.get("TRADEWIND_HOME", "."), ".tradewind", "held")
TASKS = 8

with DAG("held", schedule=None, **dag_arguments()):

    @task
    def hold(number: int) -> int:
        """Be there alone, until the file `go` is."""
        with (FOLDER / f"lock-{number}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # or another try of it lives
            (FOLDER / f"begun-{number}").touch()
            while not (FOLDER / "go").exists():
                time.sleep(0.2)
        return number

    hold.expand(number=list(range(TASKS)))
