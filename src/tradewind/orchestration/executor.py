"""Airflow's CeleryExecutor in a scheduler that is woken up when there is something to do.

Named by ``[core] executor`` in ``config/airflow.env``.
"""

from typing import Any

from airflow.providers.celery.executors.celery_executor import CeleryExecutor

from tradewind.orchestration.bell import Bell

__all__ = ["PromptCeleryExecutor"]

# How late the scheduler may be for what does not ring: schedules, triggers, workers that died.
AT_MOST_SECONDS = 0.5


class PromptCeleryExecutor(CeleryExecutor):
    """The CeleryExecutor, whose heartbeat in an idle scheduler lasts until the bell rings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - what Airflow gives it
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._bell = Bell()

    def heartbeat(self) -> None:
        """Send what is queued, see what has ended; if it is nothing, wait."""
        queued = bool(self.queued_tasks or self.queued_callbacks or self.queued_connection_tests)
        super().heartbeat()
        if not (queued or self.event_buffer):
            self._bell.wait(AT_MOST_SECONDS)
