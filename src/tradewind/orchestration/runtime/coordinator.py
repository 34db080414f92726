"""Runs tasks as Airflow does, and learns at once that a task has ended, and why.

Named by ``[sdk] coordinators`` in ``config/airflow.env``.
"""

from typing import Any, Final

from airflow.sdk.execution_time.coordinator import BaseCoordinator

from tradewind.foreign import ForeignNames

__all__ = ["FOREIGN", "PromptCoordinator"]

_SUPERVISOR: Final = "airflow.sdk.execution_time.supervisor"

FOREIGN: Final = (
    ForeignNames(
        "apache-airflow-task-sdk",
        (
            f"{_SUPERVISOR}:MAX_FAILED_HEARTBEATS",
            f"{_SUPERVISOR}:_subprocess_main",
            *(
                f"{_SUPERVISOR}:ActivitySubprocess.{name}"
                for name in (
                    "_exit_code", "_pending_terminal_state_msg", "_rendered_map_index",
                    "_should_retry", "_terminal_state", "client", "failed_heartbeats",
                    "final_state", "id", "pid", "process_log", "selector", "start", "ti",
                    "update_task_state_if_needed", "wait",
                )
            ),
            "airflow.sdk.api.client:BearerAuth.token",
        ),
        "free a task's slot when it ends, to end it with its worker, and to say why it failed",
        "Airflow's own supervisor runs the tasks",
    ),
    ForeignNames(
        "structlog",
        ("structlog:BoundLoggerBase._logger", "structlog:BoundLoggerBase._processors"),
        "read in a task's log why it failed",
        "Airflow's own supervisor runs the tasks",
    ),
)  # fmt: skip

# Imported now and not when a task comes: a worker imports this module before it forks.
if all(names.usable() for names in FOREIGN):
    from tradewind.orchestration.runtime.task_process import PromptSubprocess as TaskProcess
else:
    from airflow.sdk.execution_time.supervisor import (  # type: ignore[assignment]
        ActivitySubprocess as TaskProcess,
    )


class PromptCoordinator(BaseCoordinator):
    """Runs tasks in Python, each in a process whose end is noticed at once."""

    def execute_task(self, **task: Any) -> BaseCoordinator.ExecutionResult:  # noqa: ANN401
        """Run a task to its end; Airflow passes the arguments."""
        process = TaskProcess.start(**task)
        return self.ExecutionResult(process.wait(), process.final_state)
