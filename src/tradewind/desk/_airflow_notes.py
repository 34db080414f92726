"""What a run of Airflow waits for, in words for the user who waits for the run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Notes", "TaskState"]

_QUEUED_RUN = 5.0  # seconds until a note says why a run does not begin
_NO_TASK = 20.0  # and why no task of a run goes on
_QUEUED_TASK = 60.0  # and why a task does not begin
_AT_WORK = frozenset({"queued", "running", "deferred", "awaiting_input"})


@dataclass(frozen=True, slots=True)
class TaskState:
    """One task of a run: its state, and the worker that has it."""

    task_id: str
    state: str
    """Airflow's word for it; ``"none"`` before the scheduler has looked at the task."""
    try_number: int
    hostname: str
    queue: str
    map_index: int = -1
    """Index of a mapped task; -1 for a task that is not mapped."""


class Notes:
    """Tells the user each reason for waiting once.

    Parameters
    ----------
    dag_id : str
    page : str
        Address of the run's page.
    standstill : callable
        Asks why Airflow does nothing for the DAG: ``"paused"``, ``"gone"``, or empty if it does.
    tell : callable
    """

    def __init__(
        self,
        dag_id: str,
        page: str,
        standstill: Callable[[], str],
        tell: Callable[[str], None],
    ) -> None:
        self._dag_id = dag_id
        self._page = page
        self._standstill = standstill
        self._tell = tell
        self._told: set[tuple[str, int]] = set()

    def take(self, state: str, tasks: Iterable[TaskState], unchanged: float) -> None:
        """Look at a run that has not ended, and has not changed for `unchanged` seconds."""
        tasks = tuple(tasks)
        begins = state == "queued" and unchanged >= _QUEUED_RUN
        stands = (
            state == "running"
            and unchanged >= _NO_TASK
            and not any(task.state in _AT_WORK for task in tasks)
        )
        if begins or stands:
            self._take_run("begins" if begins else "goes on")
        for task in tasks:
            name, number = task.task_id, task.try_number
            if task.state == "up_for_retry" and self._is_new(name, number):
                self._tell(f"try {number} of {name} ended, and it is tried again: see {self._page}")
            waits = task.state == "queued" and unchanged >= _QUEUED_TASK
            if waits and self._is_new(f"{name} queued"):
                self._tell(f"{name} waits for a free worker: see `tradewind status`")

    def _take_run(self, then: str) -> None:
        if (then, 0) in self._told:
            return
        why = self._standstill()
        if why == "paused":
            told = f"{self._dag_id} is paused: the run {then} when {self._page} unpauses it"
        elif why == "gone":
            told = f"the file of {self._dag_id} is gone: the run {then} when it is back"
        elif then == "begins":
            told = f"another run of {self._dag_id} goes on; this one begins after it"
        else:
            return
        if self._is_new(then):
            self._tell(told)

    def _is_new(self, what: str, number: int = 0) -> bool:
        new = (what, number) not in self._told
        self._told.add((what, number))
        return new
