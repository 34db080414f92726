"""A worker of Airflow's that does not know its task: ``python older_worker.py QUEUE``."""

import sys

from airflow.providers.celery.executors.celery_executor_utils import app

app.finalize()
app.tasks.pop("execute_workload")
app.worker_main(
    ["worker", "--queues", sys.argv[1], "--concurrency", "1", "--hostname", "older@localhost",
     "--without-gossip", "--without-mingle"],
)  # fmt: skip
