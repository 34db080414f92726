"""Airflow's REST interface, as far as the command line needs it.

Built on version 2 of the interface and on the tokens of the FAB auth manager.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from tradewind.errors import OrchestrationError

__all__ = ["AirflowClient", "DagRun", "ImportFailure", "TaskState"]

_FINAL = frozenset({"success", "failed"})
_FAILED_TASK = frozenset({"failed", "upstream_failed"})
_RAREST_LOOK = 5.0


@dataclass(frozen=True, slots=True)
class TaskState:
    """One task of a run: where it stands and which worker has it."""

    task_id: str
    state: str
    """Airflow's word for it; ``"none"`` before the scheduler has looked at the task."""
    try_number: int
    hostname: str
    queue: str


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
    """

    def __init__(
        self, base_url: str, username: str, password: str, *, timeout: float = 30.0
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._username = username
        self._password = password
        # trust_env: a proxy of the environment must not see a password meant for this machine.
        self._http = httpx.Client(base_url=self._base_url, timeout=timeout, trust_env=False)
        self._token: str | None = None

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
        self._http.close()

    def dag_exists(self, dag_id: str) -> bool:
        """Tell whether Airflow has read this DAG, and its file without an error since.

        Raises
        ------
        OrchestrationError
            If Airflow is out of reach or refuses the login.
        """
        response = self._request("GET", f"/dags/{quote(dag_id, safe='')}", accept={404})
        if response.status_code == httpx.codes.NOT_FOUND:
            return False
        dag: dict[str, Any] = response.json()
        return not dag.get("is_stale", False) and not dag.get("has_import_errors", False)

    def import_errors(self) -> list[ImportFailure]:
        """Return the files that Airflow could not read; empty when all is well.

        Raises
        ------
        OrchestrationError
            If Airflow is out of reach or refuses the login.
        """
        found = self._request("GET", "/importErrors", params={"limit": 100}).json()
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
        response = self._request(
            "POST",
            f"/dags/{quote(dag_id, safe='')}/dagRuns",
            # No logical date: a training is asked for by a person, not by a schedule, and two
            # of them may be asked for in the same second.
            json={"logical_date": None, "conf": dict(conf or {})},
            accept={404},
        )
        if response.status_code == httpx.codes.NOT_FOUND:
            raise OrchestrationError(
                f"Airflow at {self._base_url} has no DAG {dag_id!r}. A new strategy file appears "
                "within half a minute; if this one stays away, look for import errors with "
                "`tradewind doctor`"
            )
        run_id: str = response.json()["dag_run_id"]
        return run_id

    def announce(self, asset: str, extra: Mapping[str, Any]) -> bool:
        """Record an event of an asset, so that the DAGs that wait for it are started.

        Parameters
        ----------
        asset : str
            Its name.
        extra : mapping
            What the event says.

        Returns
        -------
        bool
            False if no DAG that Airflow knows has to do with such an asset.

        Raises
        ------
        OrchestrationError
            If Airflow is out of reach or refuses.
        """
        # The pattern finds names that hold this one, so it is looked for once more among them;
        # in the order of names it is before those that it begins.
        wanted: dict[str, str | int] = {"name_pattern": asset, "order_by": "name", "limit": 100}
        found = self._request("GET", "/assets", params=wanted).json()["assets"]
        number = next((each["id"] for each in found if each["name"] == asset), None)
        if number is None:
            return False
        self._request("POST", "/assets/events", json={"asset_id": number, "extra": dict(extra)})
        return True

    def task_states(self, dag_id: str, run_id: str) -> tuple[TaskState, ...]:
        """Return where the tasks of a run stand, in the order of their start.

        Raises
        ------
        OrchestrationError
            If there is no such run or Airflow is out of reach.
        """
        path = f"{_run_path(dag_id, run_id)}/taskInstances"
        found = self._request("GET", path, params={"limit": 100}).json()["task_instances"]
        # Not started sorts last: any real date is smaller than "~".
        found.sort(key=lambda task: (task["start_date"] or "~", task["task_id"]))
        return tuple(
            TaskState(
                task_id=task["task_id"],
                state=task["state"] or "none",
                try_number=task["try_number"],
                hostname=task["hostname"] or "",
                queue=task["queue"] or "",
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
            Called with the state of each task, by task id, when a look finds that one has changed.
        timeout : float
            Seconds to wait at most.
        poll : float
            Seconds between two looks, at first. It is a tenth of how long nothing has changed
            where that is longer, and 5 s at most: each look is work for the web server.

        Returns
        -------
        DagRun
            The run, in state ``"success"``.

        Raises
        ------
        OrchestrationError
            If the run failed, the time is up (the run goes on), or Airflow is out of reach.
        """
        deadline = time.monotonic() + timeout
        changed = 0.0
        seen: dict[str, str] | None = None
        while True:
            run = self._request("GET", _run_path(dag_id, run_id)).json()
            tasks = self.task_states(dag_id, run_id)
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
            time.sleep(min(max(poll, min((now - changed) / 10, _RAREST_LOOK)), deadline - now))
        if run["state"] == "failed":
            raise OrchestrationError(self._why_failed(dag_id, run_id, tasks))
        return DagRun(
            dag_id=dag_id,
            run_id=run_id,
            state=run["state"],
            duration=run["duration"],
            tasks=tasks,
            conf=run["conf"] or {},
        )

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
        return self._request("GET", path).json()["value"]

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Return the address of a run's web page."""
        return f"{self._base_url}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"

    def _why_failed(self, dag_id: str, run_id: str, tasks: tuple[TaskState, ...]) -> str:
        failed = [task for task in tasks if task.state in _FAILED_TASK]
        first = next((task for task in failed if task.state == "failed"), None)
        where = f"run {run_id} of {dag_id} failed"
        page = self.run_url(dag_id, run_id)
        if first is None:
            return f"{where}; see {page}"
        end = self._end_of_log(dag_id, run_id, first)
        said = f": {end}" if end else ""
        return f"{where} in task {first.task_id!r} (try {first.try_number}){said}\nLog: {page}"

    def _end_of_log(self, dag_id: str, run_id: str, task: TaskState) -> str:
        """Return the last error in a task's log; empty when the log cannot be had."""
        path = (
            f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task.task_id, safe='')}"
            f"/logs/{task.try_number}"
        )
        try:
            content = self._request("GET", path, headers={"Accept": "application/json"}).json()
            return _last_error(content["content"])
        except (OrchestrationError, ValueError, KeyError, TypeError):
            return ""  # the run's failure is the news; a missing log must not hide it

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
    ) -> httpx.Response:
        """Send a request with a token; once more with a new one if that has run out."""
        for token in (self._token, None):
            known = {**(headers or {}), "Authorization": f"Bearer {token or self._login()}"}
            response = self._send(method, f"/api/v2{path}", params=params, json=json, headers=known)
            if response.status_code != httpx.codes.UNAUTHORIZED:
                break
        if response.is_success or response.status_code in accept:
            return response
        raise OrchestrationError(
            f"Airflow at {self._base_url} answered {response.status_code} to {method} {path}: "
            f"{_detail(response)}"
        )

    def _login(self) -> str:
        response = self._send(
            "POST", "/auth/token", json={"username": self._username, "password": self._password}
        )
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise OrchestrationError(
                f"Airflow at {self._base_url} refused the password of user {self._username!r}. "
                "Does another stack answer at this address? See `tradewind credentials` and "
                "`tradewind status`"
            )
        if not response.is_success:
            raise OrchestrationError(
                f"Airflow at {self._base_url} answered {response.status_code} to the login: "
                f"{_detail(response)}"
            )
        self._token = str(response.json()["access_token"])
        return self._token

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            return self._http.request(method, path, params=params, json=json, headers=headers)
        except httpx.HTTPError as error:
            raise OrchestrationError(
                f"Airflow at {self._base_url} is out of reach ({method} {path}: {error!r}). "
                "Is the stack up? See `tradewind status`; start it with `tradewind up --detach`"
            ) from error


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"


def _listed(states: Mapping[str, str]) -> str:
    return ", ".join(f"{task} {state}" for task, state in states.items()) or "no task started"


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.text[:500]


def _last_error(lines: object) -> str:
    """Return type and message of the last exception in a structured log."""
    if not isinstance(lines, list):
        return ""
    for line in reversed(lines):
        details = line.get("error_detail") if isinstance(line, dict) else None
        if details:
            return f"{details[0]['exc_type']}: {details[0]['exc_value']}"
    return ""
