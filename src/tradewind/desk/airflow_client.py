"""Airflow's REST interface, as far as the command line needs it.

Built on version 2 of the interface and on the tokens of the FAB auth manager.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from tradewind.desk._airflow_notes import Notes, TaskState
from tradewind.desk._airflow_session import AwayError, Session, ignore
from tradewind.desk.failure_reasons import executor_s_words, reason_in
from tradewind.errors import OrchestrationError

__all__ = ["AirflowClient", "DagRun", "ImportFailure", "TaskState"]

_FINAL = frozenset({"success", "failed"})
_FAILED_TASK = frozenset({"failed", "upstream_failed"})
_RAREST_LOOK = 5.0


@dataclass(frozen=True, slots=True)
class DagRun:
    """A finished run."""

    dag_id: str
    run_id: str
    state: str
    duration: float | None
    """Seconds, where Airflow knows them."""
    tasks: tuple[TaskState, ...]
    conf: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """A file from which Airflow could not read its DAGs."""

    filename: str
    stack_trace: str


class AirflowClient:
    """A user's session with Airflow; a context manager that closes its connections.

    Parameters
    ----------
    base_url : str
        Address of the api-server, such as ``"http://127.0.0.1:8080"``.
    username, password : str
        A user of the FAB auth manager.
    timeout : float
        Seconds that one request may take.
    patience : float
        Seconds for which a request is tried again while Airflow, or its database, is away.
    on_note : callable
        Called with a sentence that says what the client waits for.
    """

    def __init__(
        self,
        base_url: str,
        username: str,
        password: str,
        *,
        timeout: float = 30.0,
        patience: float = 0.0,
        on_note: Callable[[str], None] = ignore,
    ) -> None:
        self._on_note = on_note
        self._session = Session(
            base_url, username, password, timeout=timeout, patience=patience, on_outage=on_note
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def dag_exists(self, dag_id: str) -> bool:
        """Tell whether Airflow has read this DAG, and its file has had no error since.

        Raises
        ------
        OrchestrationError
            If Airflow is out of reach or refuses the login.
        """
        response = self._session.request("GET", f"/dags/{quote(dag_id, safe='')}", accept={404})
        if response.status_code == httpx.codes.NOT_FOUND:
            return False
        dag: dict[str, Any] = response.json()
        return not dag.get("is_stale", False) and not dag.get("has_import_errors", False)

    def standstill(self, dag_id: str) -> str:
        """Return why Airflow does nothing for a DAG and its runs; empty if it does.

        Returns
        -------
        str
            ``"paused"``; or ``"gone"`` if its file is gone, has no such DAG any more, or the DAG
            was deleted.

        Raises
        ------
        OrchestrationError
            If Airflow is out of reach.
        """
        path = f"/dags/{quote(dag_id, safe='')}"
        response = self._session.request("GET", path, accept={httpx.codes.NOT_FOUND})
        dag: dict[str, Any] = response.json()
        if response.status_code == httpx.codes.NOT_FOUND or dag.get("is_stale", False):
            return "gone"
        return "paused" if dag.get("is_paused", False) else ""

    def import_errors(self) -> list[ImportFailure]:
        """Return the files that Airflow could not read; empty when all is well.

        Raises
        ------
        OrchestrationError
            If Airflow is out of reach or refuses the login.
        """
        found = self._session.request("GET", "/importErrors", params={"limit": 100}).json()
        return [
            ImportFailure(filename=error["filename"], stack_trace=error["stack_trace"])
            for error in found["import_errors"]
        ]

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run now and return its id.

        Parameters
        ----------
        dag_id : str
            Such as ``"train_momentum"``.
        conf : mapping, optional
            What the run's tasks find as its configuration.

        Raises
        ------
        OrchestrationError
            If there is no such DAG, its file has errors, or Airflow is out of reach.
        """
        # The id is made here, so that a request that is repeated after a lost answer starts no
        # second run.
        run_id = f"manual__{datetime.now(UTC).isoformat()}_{secrets.token_hex(4)}"
        response = self._session.request(
            "POST",
            f"/dags/{quote(dag_id, safe='')}/dagRuns",
            # No logical date: a person asks for a training, not a schedule, and may ask for two in
            # the same second.
            json={"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})},
            accept={httpx.codes.NOT_FOUND, httpx.codes.CONFLICT},
        )
        if response.status_code == httpx.codes.NOT_FOUND:
            raise OrchestrationError(
                f"Airflow at {self._session.base_url} has no DAG {dag_id!r}. A new strategy file "
                "appears within half a minute; if this one stays away, look for import errors with "
                "`tradewind doctor`"
            )
        return run_id

    def announce(self, asset: str, extra: Mapping[str, Any]) -> bool:
        """Record an event of an asset, so that the DAGs that wait for it are started.

        Parameters
        ----------
        asset : str
            Its name.
        extra : mapping
            The event's content.

        Returns
        -------
        bool
            False if no DAG that Airflow knows uses such an asset.

        Raises
        ------
        OrchestrationError
            If Airflow is out of reach or refuses.
        """
        # The pattern finds all names that contain this one, so the exact name is looked for among
        # them. In the order of names it comes before longer names that begin with it.
        wanted: dict[str, str | int] = {"name_pattern": asset, "order_by": "name", "limit": 100}
        found = self._session.request("GET", "/assets", params=wanted).json()["assets"]
        number = next((each["id"] for each in found if each["name"] == asset), None)
        if number is None:
            return False
        self._session.request(
            "POST", "/assets/events", json={"asset_id": number, "extra": dict(extra)}
        )
        return True

    def task_states(self, dag_id: str, run_id: str) -> tuple[TaskState, ...]:
        """Return the states of a run's tasks, in the order of their start.

        Raises
        ------
        OrchestrationError
            If there is no such run or Airflow is out of reach.
        """
        return self._task_states(dag_id, run_id, None)

    def _task_states(self, dag_id: str, run_id: str, until: float | None) -> tuple[TaskState, ...]:
        path = f"{_run_path(dag_id, run_id)}/taskInstances"
        found = self._session.request("GET", path, params={"limit": 100}, until=until).json()[
            "task_instances"
        ]
        # Not started sorts last: any real date is smaller than "~".
        found.sort(key=lambda task: (task["start_date"] or "~", task["task_id"]))
        return tuple(
            TaskState(
                task_id=task["task_id"],
                state=task["state"] or "none",
                try_number=task["try_number"],
                hostname=task["hostname"] or "",
                queue=task["queue"] or "",
                map_index=task.get("map_index", -1),
            )
            for task in found
        )

    def wait(
        self,
        dag_id: str,
        run_id: str,
        *,
        on_change: Callable[[Mapping[str, str]], None] | None = None,
        timeout: float = 600.0,
        poll: float = 0.5,
    ) -> DagRun:
        """Wait until a run has succeeded.

        Parameters
        ----------
        dag_id, run_id : str
            As given to and returned by `trigger`.
        on_change : callable, optional
            Called with the state of each task, by task id, when one has changed.
        timeout : float
            Seconds to wait at most.
        poll : float
            Seconds between two looks at first. While nothing changes they grow to a tenth of that
            time, and to 5 s at most: each look is work for the web server.

        Returns
        -------
        DagRun
            The run, in state ``"success"``.

        Raises
        ------
        OrchestrationError
            If the run failed, the time is up, or patience with an Airflow that is away (the run
            goes on).
        """
        deadline = time.monotonic() + timeout
        changed = 0.0
        seen: dict[str, str] | None = None
        page = self.run_url(dag_id, run_id)
        notes = Notes(dag_id, page, lambda: self.standstill(dag_id), self._on_note)
        while True:
            run, tasks = self._look(dag_id, run_id, deadline)
            states = {task.task_id: task.state for task in tasks}
            if states != seen:
                seen, changed = states, time.monotonic()
                if on_change is not None:
                    on_change(states)
            if run["state"] in _FINAL:
                break
            now = time.monotonic()
            if now >= deadline:
                raise OrchestrationError(
                    f"run {run_id} of {dag_id} is still {run['state']} after {timeout:.0f} s "
                    f"({_listed(states)}). It goes on; watch it at {self.run_url(dag_id, run_id)}"
                )
            notes.take(run["state"], tasks, now - changed)
            time.sleep(min(max(poll, min((now - changed) / 10, _RAREST_LOOK)), deadline - now))
        if run["state"] == "failed":
            raise OrchestrationError(self._why_failed(dag_id, run_id, tasks, run.get("note")))
        return DagRun(
            dag_id=dag_id,
            run_id=run_id,
            state=run["state"],
            duration=run["duration"],
            tasks=tasks,
            conf=run["conf"] or {},
        )

    def _look(
        self, dag_id: str, run_id: str, until: float
    ) -> tuple[dict[str, Any], tuple[TaskState, ...]]:
        try:
            response = self._session.request(
                "GET", _run_path(dag_id, run_id), accept={httpx.codes.NOT_FOUND}, until=until
            )
            if response.status_code == httpx.codes.NOT_FOUND:
                raise OrchestrationError(
                    f"there is no run {run_id} of {dag_id} (Airflow at {self._session.base_url} "
                    "answered 404): it, or its DAG, was deleted from Airflow, and its tasks end"
                )
            return response.json(), self._task_states(dag_id, run_id, until)
        except AwayError as error:
            raise OrchestrationError(
                f"{error}. Run {run_id} of {dag_id} goes on without being watched; see "
                f"{self.run_url(dag_id, run_id)}"
            ) from error

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> object:
        """Return what a task returned.

        Raises
        ------
        OrchestrationError
            If the task returned nothing, there is no such task, or Airflow is out of reach.
        """
        path = (
            f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}"
            "/xcomEntries/return_value"
        )
        return self._session.request("GET", path).json()["value"]

    def dag_url(self, dag_id: str) -> str:
        """Return the address of a DAG's web page."""
        return f"{self._session.base_url}/dags/{quote(dag_id, safe='')}"

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Return the address of a run's web page."""
        return (
            f"{self._session.base_url}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
        )

    def _why_failed(
        self, dag_id: str, run_id: str, tasks: tuple[TaskState, ...], note: str | None
    ) -> str:
        failed = [task for task in tasks if task.state in _FAILED_TASK]
        first = next((task for task in failed if task.state == "failed"), None)
        where = f"run {run_id} of {dag_id} failed"
        page = self.run_url(dag_id, run_id)
        if first is None:  # of a run without tasks, whoever ended it wrote down why
            return f"{where}: {note}\nSee {page}" if note else f"{where}; see {page}"
        end = self.reason(dag_id, run_id, first)
        said = f": {end}" if end else ""
        return f"{where} in task {first.task_id!r} (try {first.try_number}){said}\nLog: {page}"

    def reason(self, dag_id: str, run_id: str, task: TaskState) -> str:
        """Return why a task failed, by its log; empty when that cannot be had."""
        path = (
            f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task.task_id, safe='')}"
            f"/logs/{task.try_number}"
        )
        try:
            content = self._session.request(
                "GET",
                path,
                params={"map_index": task.map_index},
                headers={"Accept": "application/json"},
            ).json()
            return reason_in(content["content"]) or self._in_audit_log(dag_id, run_id, task)
        except (OrchestrationError, ValueError, KeyError, TypeError):
            return ""  # a missing log must not hide that the run failed

    def _in_audit_log(self, dag_id: str, run_id: str, task: TaskState) -> str:
        """Return Airflow's audit entry of a task whose log could not be written."""
        wanted: dict[str, str | int] = {
            "dag_id": dag_id,
            "run_id": run_id,
            "task_id": task.task_id,
            "map_index": task.map_index,
            "try_number": task.try_number,
            "event": "state mismatch",
        }
        found = self._session.request("GET", "/eventLogs", params=wanted).json()["event_logs"]
        return next(filter(None, (executor_s_words(each["extra"]) for each in found)), "")


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"


def _listed(states: Mapping[str, str]) -> str:
    return ", ".join(f"{task} {state}" for task, state in states.items()) or "no task started"
