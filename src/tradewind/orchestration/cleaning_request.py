"""How the task of housekeeping asks Airflow's web server to remove what is old.

What the task, the supervisor that starts it and the web server have to agree on.
"""

from typing import Final

__all__ = ["DAG_ID", "PATH", "TASK_ID", "TOKEN"]

DAG_ID: Final = "housekeeping"
TASK_ID: Final = "airflow"
PATH: Final = "/tradewind/housekeeping"
"""Of the web server."""
TOKEN: Final = "HOUSEKEEPING_TASK_TOKEN"  # noqa: S105 - a name
"""In the environment of this one task: the token by which Airflow knows it while it runs."""
