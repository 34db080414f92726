"""Tasks that fail before their first line, each in a way of its own."""

import os
import signal
import tempfile
import time
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context, task

from tradewind.orchestration.dags.common import dag_arguments

here = get_parsing_context().task_id  # only where a task is run
if here == "import":
    raise ModuleNotFoundError("No module named 'gone'")
if here == "exit":
    os._exit(3)
if here == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if here == "supervisor":
    # A task may signal nobody: the test does it.
    supervisor = os.getppid()
    Path(tempfile.gettempdir(), "early.pid").write_text(str(supervisor))
    while os.getppid() == supervisor:
        time.sleep(0.05)


def nothing() -> None:
    """Never get here."""


with DAG("early", schedule=None, **dag_arguments()):
    for name in ("import", "exit", "killed", "supervisor", "log", "gone"):
        if (here, name) != ("gone", "gone"):
            task(task_id=name, retries=0)(nothing)()
