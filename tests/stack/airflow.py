"""Airflow's REST interface, as far as tests look at it or push it."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support import wait_until

Task = dict[str, Any]


@dataclass(frozen=True)
class Airflow:
    """A user's session."""

    http: httpx.Client

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        return self._content(self.http.get(f"/api/v2{path}", params=params))

    def post(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        return self._content(self.http.post(f"/api/v2{path}", json=content))

    def patch(self, path: str, content: dict[str, Any], **params: Any) -> dict[str, Any]:
        return self._content(self.http.patch(f"/api/v2{path}", json=content, params=params))

    def trigger(self, dag_id: str) -> str:
        """Start a run and return its id."""
        run = self.post(f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": {}})
        return run["dag_run_id"]

    def knows(self, dag_id: str) -> bool:
        """Whether a DAG is there by now."""
        return self.http.get(f"/api/v2/dags/{dag_id}").is_success

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, oldest first."""
        return self.get(f"/dags/{dag_id}/dagRuns", order_by="id")["dag_runs"]

    def tasks(self, dag_id: str, run_id: str) -> list[Task]:
        return self.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return where tasks stand, by name; of mapped ones, by name and number."""
        return {
            task["task_id"] if task["map_index"] < 0 else f"{task['task_id']} {task['map_index']}":
            task["state"]
            for task in self.tasks(dag_id, run_id)
        }  # fmt: skip

    def finished(
        self, dag_id: str, run_id: str, seconds: float = 600
    ) -> tuple[str, dict[str, str | None]]:
        """Wait for the end of a run; return its state and those of its tasks."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        wait_until(
            lambda: self.get(path)["state"] in {"success", "failed"},
            seconds,
            of=lambda: f"{dag_id}: {self._told(dag_id, run_id)}",
        )
        return self.get(path)["state"], self.states(dag_id, run_id)

    def _told(self, dag_id: str, run_id: str) -> str:
        """Return of each task that has begun its state, its try, when that began, and its log."""
        lines = []
        for task in self.tasks(dag_id, run_id):
            if task["start_date"]:
                lines.append(
                    f"{task['task_id']} {task['map_index']}: {task['state']}, try "
                    f"{task['try_number']}, {task['start_date']} to {task['end_date']}"
                )
                if task["state"] != "success":
                    log = self.log(dag_id, run_id, task, task["try_number"])
                    lines += [str(entry)[:300] for entry in log[-15:]]
        return "\n".join(lines)

    def reach(
        self, dag_id: str, run_id: str, task_id: str, states: Collection[str], seconds: float = 600
    ) -> None:
        """Wait until a task is in one of some states."""
        wait_until(
            lambda: self.states(dag_id, run_id).get(task_id) in states,
            seconds,
            of=lambda: f"{dag_id}: {self.states(dag_id, run_id)}",
        )

    def returned(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
        """Return what a task returned."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.get(path, map_index=map_index, deserialize="true")["value"]

    def events(self, **params: Any) -> dict[str, Any]:
        """Return events of assets, once each run that one of them began has started.

        Until then Airflow answers with an error: its answer has no room for a run without a
        start (https://github.com/apache/airflow/issues/71360).
        """
        found: list[httpx.Response] = []

        def answered() -> bool:
            found[:] = [self.http.get("/api/v2/assets/events", params=params)]
            return found[0].status_code != httpx.codes.INTERNAL_SERVER_ERROR

        wait_until(answered, 120)
        return self._content(found[0])

    def say(self, dag_id: str, run_id: str, task_id: str, value: Any, key: str) -> None:
        """Have a task that has ended have said something else."""
        self.patch(
            f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}",
            {"value": value, "map_index": -1},
        )

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Have a task of a run, and those after it, done again."""
        self.post(
            f"/dags/{dag_id}/clearTaskInstances",
            {
                "dry_run": False, "dag_run_id": run_id, "task_ids": [task_id],
                "include_downstream": True, "only_failed": False, "reset_dag_runs": True,
            },
        )  # fmt: skip

    def log(self, dag_id: str, run_id: str, task: Task, attempt: int) -> list[dict[str, Any]]:
        """Return the entries of a task's log."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{attempt}"
        return self.get(path, map_index=task["map_index"])["content"]

    def _content(self, response: httpx.Response) -> dict[str, Any]:
        assert response.is_success, f"{response.request.url}: {response.text}"
        return response.json()


@contextmanager
def login(address: str, user: str, password: str) -> Iterator[Airflow]:
    """Begin a user's session."""
    with httpx.Client(
        base_url=address, timeout=60, headers={"Accept": "application/json"}
    ) as client:
        content = {"username": user, "password": password}
        response = client.post("/auth/token", json=content)
        assert response.is_success, response.text
        client.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
        yield Airflow(client)
