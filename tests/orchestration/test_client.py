"""The client against answers of Airflow 3.3, written by hand; tests/stack has the real one."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tradewind.desk.airflow_client import AirflowClient, ImportFailure
from tradewind.errors import OrchestrationError

Answer = tuple[int, Any]
RUN = "/api/v2/dags/train_trend/dagRuns/manual__2024-01-02T00%3A00%3A00%2B00%3A00"
RUN_ID = "manual__2024-01-02T00:00:00+00:00"


class Airflow:
    """Answers by method and path; a list of answers is given one by one, the last one stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {
            "POST /auth/token": [(201, {"access_token": "token-1"})]
        }
        self.requests: list[tuple[str, str | None, Any]] = []
        self.asked: list[str] = []
        self.url = ""

    def answer(self, request: str, token: str | None, body: Any) -> Answer:
        self.requests.append((request, token, body))
        answers = self.answers.get(request, [(404, {"detail": "not found"})])
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    state = Airflow()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            state.asked.append(self.path)
            path = self.path.split("?")[0]
            token = self.headers.get("Authorization")
            status, content = state.answer(f"{self.command} {path}", token, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        do_GET = do_POST = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(airflow: Airflow) -> Iterator[AirflowClient]:
    with AirflowClient(airflow.url, "admin", "secret") as opened:
        yield opened


def task(task_id: str, state: str | None, start: str | None, try_number: int = 1) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "state": state,
        "start_date": start,
        "try_number": try_number,
        "hostname": "worker-1" if start else None,
        "queue": "default",
    }


def run(state: str) -> dict[str, Any]:
    return {"dag_run_id": RUN_ID, "state": state, "duration": 2.5, "conf": None}


def test_a_run_is_triggered_without_a_logical_date(airflow: Airflow, client: AirflowClient) -> None:
    airflow.answers["POST /api/v2/dags/train_trend/dagRuns"] = [(200, run("queued"))]
    run_id = client.trigger("train_trend")
    login, trigger = airflow.requests
    assert login[2] == {"username": "admin", "password": "secret"}
    content: dict[str, Any] = {"dag_run_id": run_id, "logical_date": None, "conf": {}}
    assert trigger[1:] == ("Bearer token-1", content)
    assert re.fullmatch(r"[A-Za-z0-9_.~:+-]+", run_id)  # what Airflow allows
    assert client.trigger("train_trend") != run_id


def test_an_event_is_of_the_asset_of_that_very_name(
    airflow: Airflow, client: AirflowClient
) -> None:
    assets = [{"id": 3, "name": "champion_trend"}, {"id": 4, "name": "champion_trend_2"}]
    airflow.answers["GET /api/v2/assets"] = [(200, {"assets": assets, "total_entries": 2})]
    airflow.answers["POST /api/v2/assets/events"] = [(200, {"id": 1})]
    assert client.announce("champion_trend", {"model_version": 2})
    assert airflow.requests[-1][2] == {"asset_id": 3, "extra": {"model_version": 2}}
    assert not client.announce("champion_tren", {"model_version": 2})
    assert [request for request, _, _ in airflow.requests].count("POST /api/v2/assets/events") == 1


@pytest.mark.parametrize(
    "refusal", [(401, {"detail": "Token Expired"}), (403, {"detail": "Invalid JWT token"})]
)
def test_a_token_that_does_not_hold_any_more_is_replaced_once(
    airflow: Airflow, client: AirflowClient, refusal: Answer
) -> None:
    airflow.answers["POST /auth/token"] = [
        (201, {"access_token": "token-1"}),
        (201, {"access_token": "token-2"}),
    ]
    fine = (200, {"import_errors": [], "total_entries": 0})
    airflow.answers["GET /api/v2/importErrors"] = [fine, refusal, fine]
    assert client.import_errors() == []
    assert client.import_errors() == []
    tokens = [token for request, token, _ in airflow.requests if request.startswith("GET")]
    assert tokens == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


def test_a_token_refused_for_good_is_an_error(airflow: Airflow, client: AirflowClient) -> None:
    airflow.answers["GET /api/v2/importErrors"] = [(401, {"detail": "no"})]
    with pytest.raises(OrchestrationError, match=r"answered 401 to GET /importErrors: no"):
        client.import_errors()
    assert len(airflow.requests) == 4


def test_waiting_tells_of_every_change_and_returns_the_run(
    airflow: Airflow, client: AirflowClient
) -> None:
    airflow.answers[f"GET {RUN}"] = [
        (200, run("running")),
        (200, run("running")),
        (200, run("success")),
    ]
    first = {"task_instances": [task("train", None, None), task("ingest", "running", "2024-01-02")]}
    last = {
        "task_instances": [
            task("train", "success", "2024-01-03"),
            task("ingest", "success", "2024-01-02"),
        ]
    }
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, first), (200, first), (200, last)]
    seen: list[dict[str, str]] = []
    done = client.wait(
        "train_trend", RUN_ID, on_change=lambda states: seen.append(dict(states)), poll=0.01
    )
    assert seen == [
        {"ingest": "running", "train": "none"},
        {"ingest": "success", "train": "success"},
    ]
    assert (done.state, done.duration) == ("success", 2.5)
    assert [(t.task_id, t.hostname, t.queue) for t in done.tasks] == [
        ("ingest", "worker-1", "default"),
        ("train", "worker-1", "default"),
    ]


def test_a_run_is_looked_at_less_often_the_longer_nothing_changes(
    airflow: Airflow, client: AirflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(round(seconds, 2))
        clock[0] += seconds

    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr("time.sleep", sleep)
    looks = 60
    waits = {"task_instances": [task("ingest", "running", "2024-01-02")]}
    goes_on = {"task_instances": [task("ingest", "success", "2024-01-02")]}
    airflow.answers[f"GET {RUN}"] = [(200, run("running"))] * looks + [(200, run("success"))]
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, waits)] * (looks - 5) + [(200, goes_on)]
    client.wait("train_trend", RUN_ID)
    assert pauses[:10] == [0.5] * 10  # 5 s
    quiet = pauses[10 : looks - 5]
    assert quiet == sorted(quiet)
    assert quiet[-1] == 5.0
    assert pauses[looks - 5 :] == [0.5] * 5  # something has happened


def test_a_failed_run_names_task_and_error(airflow: Airflow, client: AirflowClient) -> None:
    airflow.answers[f"GET {RUN}"] = [(200, run("failed"))]
    tasks = [task("ingest", "failed", "2024-01-02", 2), task("train", "upstream_failed", None)]
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, {"task_instances": tasks})]
    error = {"exc_type": "BarValidationError", "exc_value": "1 errors in the bars"}
    log = [{"event": "start"}, {"event": "Task failed", "error_detail": [error]}, {"event": "end"}]
    airflow.answers[f"GET {RUN}/taskInstances/ingest/logs/2"] = [(200, {"content": log})]
    with pytest.raises(
        OrchestrationError,
        match=r"task 'ingest' \(try 2\): BarValidationError: 1 errors in the bars\n.*http://",
    ):
        client.wait("train_trend", RUN_ID)


@pytest.mark.parametrize(
    ("log", "events", "reason"),
    [
        (
            [{"error_detail": [{"exc_type": "E", "exc_value": "x"}]}, {"reason": "killed"}],
            [],
            "killed",
        ),
        ([{"level": "error", "event": "Dag not found"}], [], "Dag not found"),
        ([], ["finished with state failed. Extra info: OSError: full"], "OSError: full"),
    ],
)
def test_a_task_that_could_not_say_why_it_failed_is_told_by_others(
    airflow: Airflow, client: AirflowClient, log: list[Any], events: list[str], reason: str
) -> None:
    airflow.answers[f"GET {RUN}"] = [(200, run("failed"))]
    tasks = [{**task("trials", "failed", "2024-01-02"), "map_index": 3}]
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, {"task_instances": tasks})]
    airflow.answers[f"GET {RUN}/taskInstances/trials/logs/1"] = [(200, {"content": log})]
    found = {"event_logs": [{"extra": extra} for extra in events]}
    airflow.answers["GET /api/v2/eventLogs"] = [(200, found)]
    with pytest.raises(OrchestrationError, match=rf"'trials' \(try 1\): {reason}\n"):
        client.wait("train_trend", RUN_ID)
    assert any("logs/1" in path and "map_index=3" in path for path in airflow.asked)


def test_a_failed_run_without_a_log_is_still_told(airflow: Airflow, client: AirflowClient) -> None:
    airflow.answers[f"GET {RUN}"] = [(200, run("failed"))]
    tasks = [task("ingest", "failed", "2024-01-02")]
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, {"task_instances": tasks})]
    with pytest.raises(OrchestrationError, match=r"failed in task 'ingest' \(try 1\)\n"):
        client.wait("train_trend", RUN_ID)


def test_a_run_that_takes_too_long_goes_on(airflow: Airflow, client: AirflowClient) -> None:
    airflow.answers[f"GET {RUN}"] = [(200, run("running"))]
    tasks = [task("ingest", "running", "2024-01-02")]
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, {"task_instances": tasks})]
    with pytest.raises(OrchestrationError, match=r"still running .*ingest running.* goes on"):
        client.wait("train_trend", RUN_ID, timeout=0.05, poll=0.01)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((404, {"detail": "no such DAG"}), False),
        ((200, {"is_stale": False, "has_import_errors": False}), True),
        ((200, {"is_stale": True, "has_import_errors": False}), False),
        ((200, {"is_stale": False, "has_import_errors": True}), False),
    ],
)
def test_a_dag_exists_when_it_can_be_run(
    airflow: Airflow, client: AirflowClient, answer: Answer, expected: bool
) -> None:
    airflow.answers["GET /api/v2/dags/train_trend"] = [answer]
    assert client.dag_exists("train_trend") is expected


def test_import_errors_are_told(airflow: Airflow, client: AirflowClient) -> None:
    error = {"filename": "strategies.py", "stack_trace": "Traceback ..."}
    airflow.answers["GET /api/v2/importErrors"] = [(200, {"import_errors": [error]})]
    assert client.import_errors() == [ImportFailure("strategies.py", "Traceback ...")]


def test_a_dag_that_is_not_there_is_named(client: AirflowClient) -> None:
    with pytest.raises(OrchestrationError, match=r"no DAG 'train_nothing'.*tradewind doctor"):
        client.trigger("train_nothing")


@pytest.mark.parametrize(
    "call",
    [lambda c: c.trigger("x"), lambda c: c.import_errors(), lambda c: c.dag_exists("x")],
)
def test_a_wrong_password_is_told(
    airflow: Airflow, client: AirflowClient, call: Callable[[AirflowClient], object]
) -> None:
    airflow.answers["POST /auth/token"] = [(401, {"detail": "Invalid credentials"})]
    with pytest.raises(OrchestrationError, match=r"refused the password of user 'admin'"):
        call(client)


DOWN = (500, {"detail": "Internal Server Error"})
NO_LOGIN = (401, {"detail": "Invalid credentials"})
DONE = {"task_instances": [task("train", "success", "2024-01-03")]}


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def patient(
    airflow: Airflow, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[AirflowClient]:
    """A client with a minute of patience, on a clock of its own."""
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr("time.sleep", lambda s: clock.__setitem__(0, clock[0] + s))
    with AirflowClient(airflow.url, "admin", "secret", patience=60, on_note=notes.append) as opened:
        yield opened


@pytest.mark.parametrize("where", [f"GET {RUN}", f"GET {RUN}/taskInstances"])
@pytest.mark.parametrize("answer", [DOWN, (503, {}), (502, "a page"), (429, {}), (401, {})])
def test_a_look_that_fails_is_not_the_end_of_a_wait(
    airflow: Airflow, patient: AirflowClient, notes: list[str], where: str, answer: Answer
) -> None:
    airflow.answers[f"GET {RUN}"] = [(200, run("success"))]
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, DONE)]
    airflow.answers[where] = [*[answer] * 20, *airflow.answers[where]]
    assert patient.wait("train_trend", RUN_ID).state == "success"
    [told] = notes  # once, however often it is asked
    assert str(answer[0]) in told
    assert "asked again for 60 s" in told


def test_a_login_without_a_database_is_waited_for(
    airflow: Airflow, patient: AirflowClient, notes: list[str]
) -> None:
    airflow.answers["POST /auth/token"] = [
        *[NO_LOGIN] * 9, (201, {"access_token": "token-1"})
    ]  # fmt: skip
    health = {"metadatabase": {"status": "unhealthy"}}
    airflow.answers["GET /api/v2/monitor/health"] = [(200, health)]
    airflow.answers["GET /api/v2/importErrors"] = [(200, {"import_errors": []})]
    assert patient.import_errors() == []
    [told] = notes
    assert "database is away" in told


def test_a_login_that_was_right_a_moment_ago_is_waited_for(
    airflow: Airflow, patient: AirflowClient, notes: list[str]
) -> None:
    fine: tuple[int, dict[str, Any]] = (200, {"import_errors": []})
    airflow.answers["GET /api/v2/importErrors"] = [fine, (401, {}), fine]
    token = (201, {"access_token": "token-1"})
    airflow.answers["POST /auth/token"] = [token, *[NO_LOGIN] * 9, token]
    patient.import_errors()
    assert patient.import_errors() == []
    assert len(notes) == 1


def test_a_wrong_password_is_told_at_once_with_a_database(
    airflow: Airflow, patient: AirflowClient, notes: list[str]
) -> None:
    airflow.answers["POST /auth/token"] = [NO_LOGIN]
    health = {"metadatabase": {"status": "healthy"}}
    airflow.answers["GET /api/v2/monitor/health"] = [(200, health)]
    with pytest.raises(OrchestrationError, match=r"refused the password.*another stack"):
        patient.import_errors()
    assert notes == []


def test_patience_has_an_end_that_is_said(
    airflow: Airflow, patient: AirflowClient, notes: list[str]
) -> None:
    airflow.answers[f"GET {RUN}"] = [DOWN]
    with pytest.raises(
        OrchestrationError, match=r"answered 500.*asked for 60 s.*goes on without.*http://"
    ):
        patient.wait("train_trend", RUN_ID)
    assert len(notes) == 1


def test_patience_ends_with_the_time_to_wait(airflow: Airflow, patient: AirflowClient) -> None:
    airflow.answers[f"GET {RUN}"] = [DOWN]
    with pytest.raises(OrchestrationError, match=r"asked for 10 s.*goes on without"):
        patient.wait("train_trend", RUN_ID, timeout=10)


def test_a_trigger_whose_answer_was_lost_starts_one_run(
    airflow: Airflow, patient: AirflowClient
) -> None:
    path = "POST /api/v2/dags/train_trend/dagRuns"
    airflow.answers[path] = [DOWN, (409, {"detail": "already exists"})]
    run_id = patient.trigger("train_trend")
    asked = [body["dag_run_id"] for request, _, body in airflow.requests if request == path]
    assert asked == [run_id, run_id]


@pytest.mark.parametrize("refusal", [403, 404, 422])
def test_a_refusal_is_not_waited_for(
    airflow: Airflow, patient: AirflowClient, notes: list[str], refusal: int
) -> None:
    airflow.answers[f"GET {RUN}"] = [(refusal, {"detail": "no"})]
    with pytest.raises(OrchestrationError, match=f"answered {refusal}"):
        patient.wait("train_trend", RUN_ID)
    assert notes == []


@pytest.mark.parametrize(
    ("dag", "said"),
    [
        ({"is_paused": True}, "train_trend is paused: the run begins when"),
        ({"is_stale": True}, "the file of train_trend is gone: the run begins when it is back"),
        ({"is_paused": False}, "another run of train_trend"),
    ],
)
def test_a_run_that_does_not_begin_says_what_it_waits_for(
    airflow: Airflow, patient: AirflowClient, notes: list[str], dag: dict[str, bool], said: str
) -> None:
    airflow.answers[f"GET {RUN}"] = [(200, run("queued"))] * 40 + [(200, run("success"))]
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, {"task_instances": []})]
    airflow.answers["GET /api/v2/dags/train_trend"] = [(200, dag)]
    patient.wait("train_trend", RUN_ID)
    [told] = notes
    assert said in told


@pytest.mark.parametrize(
    ("dag", "state", "said"),
    [
        ({"is_paused": True}, None, ["train_trend is paused: the run goes on when"]),
        ({"is_stale": True}, "scheduled", ["the file of train_trend is gone: the run goes on"]),
        ({"is_stale": True}, "running", []),
        ({"is_paused": False}, None, []),
    ],
)
def test_a_run_that_stands_still_says_why(
    airflow: Airflow,
    patient: AirflowClient,
    notes: list[str],
    *,
    dag: dict[str, bool],
    state: str | None,
    said: list[str],
) -> None:
    airflow.answers[f"GET {RUN}"] = [(200, run("running"))] * 99 + [(200, run("success"))]
    tasks = [task("ingest", "success", "2024-01-02"), task("train", state, None)]
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, {"task_instances": tasks})]
    airflow.answers["GET /api/v2/dags/train_trend"] = [(200, dag)]
    patient.wait("train_trend", RUN_ID)
    assert len(notes) == len(said)
    assert all(words in note for words, note in zip(said, notes, strict=True))


def test_a_run_that_is_deleted_is_not_waited_for(airflow: Airflow, patient: AirflowClient) -> None:
    airflow.answers[f"GET {RUN}"] = [(200, run("running")), (404, {"detail": "not found"})]
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, {"task_instances": []})]
    with pytest.raises(OrchestrationError, match=r"there is no run .* was deleted from Airflow"):
        patient.wait("train_trend", RUN_ID)


@pytest.mark.parametrize(("note", "said"), [("a note", "failed: a note\n"), (None, "failed; see ")])
def test_a_run_that_failed_without_a_task_says_what_was_noted(
    airflow: Airflow, patient: AirflowClient, note: str | None, said: str
) -> None:
    airflow.answers[f"GET {RUN}"] = [(200, {**run("failed"), "note": note})]
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, {"task_instances": []})]
    with pytest.raises(OrchestrationError, match=said):
        patient.wait("train_trend", RUN_ID)


def test_a_task_that_waits_or_is_tried_again_is_told_of_once(
    airflow: Airflow, patient: AirflowClient, notes: list[str]
) -> None:
    airflow.answers[f"GET {RUN}"] = [(200, run("running"))] * 99 + [(200, run("success"))]
    again = task("train", "up_for_retry", "2024-01-02", 2)
    waits = {"task_instances": [again, task("watch", "queued", None, 1)]}
    airflow.answers[f"GET {RUN}/taskInstances"] = [(200, waits)]
    patient.wait("train_trend", RUN_ID)
    assert [note.split(":")[0] for note in notes] == [
        "try 2 of train ended, and it is tried again",
        "watch waits for a free worker",
    ]


def test_an_airflow_out_of_reach_is_told() -> None:
    with (
        AirflowClient("http://127.0.0.1:9", "admin", "secret") as client,
        pytest.raises(OrchestrationError, match=r"out of reach.*tradewind up"),
    ):
        client.import_errors()
