import asyncio
import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tradewind.orchestration import alerts

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    received: list[Any] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(404 if self.path.endswith("refused") else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("TRADEWIND_HOME", str(REPOSITORY))
        monkeypatch.setenv("TRADEWIND_ALERT_URL", f"http://127.0.0.1:{server.server_port}/hook")
        yield received
        server.shutdown()
        thread.join()


def failure() -> dict[str, Any]:
    run = "manual__2026-11-29T10:00:00+00:00"
    ti = SimpleNamespace(dag_id="train_x", task_id="train", run_id=run, try_number=2)
    return {"ti": ti, "exception": ValueError("no bars")}


def test_a_failed_task_is_told_with_what_why_and_where(hook: list[Any]) -> None:
    alerts.task_failed(failure())
    [message] = hook
    page = "http://localhost:8080/dags/train_x/runs/manual__2026-11-29T10%3A00%3A00%2B00%3A00"
    told = "train_x: task train failed in run manual__2026-11-29T10:00:00+00:00 (try 2)"
    assert message.pop("at").startswith("20")
    assert message == {
        "text": f"{told}: ValueError: no bars {page}/tasks/train",
        "event": "task_failed",
        "dag_id": "train_x",
        "run_id": "manual__2026-11-29T10:00:00+00:00",
        "task_id": "train",
        "try_number": 2,
        "reason": "ValueError: no bars",
        "url": f"{page}/tasks/train",
    }


def test_a_late_run_is_told_with_its_page(hook: list[Any]) -> None:
    asyncio.run(alerts.run_is_late(context={"dag_run": {"dag_id": "train_x", "dag_run_id": "m"}}))
    [message] = hook
    page = "http://localhost:8080/dags/train_x/runs/m"
    assert message["text"] == f"train_x: run m has not ended by its deadline {page}"
    assert (message["event"], message["url"], message["task_id"]) == ("run_late", page, None)


def test_a_run_that_failed_hours_ago_is_not_late(hook: list[Any]) -> None:
    run = {"dag_id": "train_x", "dag_run_id": "m", "state": "failed"}
    asyncio.run(alerts.run_is_late(context={"dag_run": run}))
    assert hook == []
    asyncio.run(alerts.run_is_late(context={"dag_run": {**run, "state": "running"}}))
    assert len(hook) == 1


DEAD: dict[str, Any] = {
    "dag_id": "train_x", "run_id": "m", "task_id": "train", "try_number": 1,
    "reason": "it was killed\nat postgresql://me:hunter2@host/db",
}  # fmt: skip


def test_a_task_that_cannot_tell_it_is_told_once(hook: list[Any]) -> None:
    alerts.task_failed({**failure(), "exception": None})  # as the DAG processor asks
    assert hook == []
    alerts.task_died(**DEAD)
    asyncio.run(alerts.task_never_began(**DEAD))
    for message in hook:
        message.pop("at")
    assert hook[0] == hook[1]
    assert hook[0]["reason"] == "it was killed at postgresql://***@host/db"


LONG = "Traceback (most recent call last):\n" + "  File x\n" * 300 + "KeyError: 'x'"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError(LONG), "ValueError: KeyError: 'x'"),
        (ValueError("first\nsecond"), "ValueError: first"),
        (
            ValueError("settle failed in its app: KeyError: 1\n\nThere:\n" + LONG),
            "ValueError: settle failed in its app: KeyError: 1",
        ),
        (ValueError(""), "ValueError: without a message"),
        (ValueError("\n \n"), "ValueError: without a message"),
        (KeyError("x"), "KeyError: 'x'"),
        ("as text", "str: as text"),
        (ValueError("ü" * 5000), "ValueError: " + "ü" * 285 + "..."),
        (
            ValueError("at postgresql://me:hunter2@host/db"),
            "ValueError: at postgresql://***@host/db",
        ),
        (ValueError("it was s3cret-value!"), "ValueError: it was ***!"),
        (ValueError("db said pa55word-of-db"), "ValueError: db said ***"),
    ],
)
def test_a_reason_is_a_short_line_without_secrets(
    hook: list[Any], error: object, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret-value")
    monkeypatch.setenv("TRADEWIND_DATABASE_URL", "postgresql://me:pa55word-of-db@localhost/db")
    alerts.task_failed({**failure(), "exception": error})
    [message] = hook
    assert message["reason"] == reason
    assert message["reason"] in message["text"]


def test_an_alert_is_small_whatever_failed(hook: list[Any]) -> None:
    ti = SimpleNamespace(dag_id="d" * 250, task_id="t" * 250, run_id="ü" * 250, try_number=1)
    alerts.task_failed({"ti": ti, "exception": ValueError("x" * 10**6)})
    [message] = hook
    assert len(json.dumps(message)) < 8192
    assert message["url"] in message["text"]


def test_alerts_are_as_the_documentation_has_them(hook: list[Any]) -> None:
    import jsonschema

    alerts.task_failed(failure())
    alerts.task_died(**DEAD)
    asyncio.run(alerts.task_never_began(**DEAD))
    asyncio.run(alerts.run_is_late(context={"dag_run": {"dag_id": "x", "dag_run_id": "m"}}))
    operations = (REPOSITORY / "docs" / "operations.md").read_text()
    [schema] = re.findall(r"```json\n(\{\s+\"\$schema.*?)```", operations, flags=re.DOTALL)
    assert len(hook) == 4
    for message in hook:
        jsonschema.validate(message, json.loads(schema))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**hook[0], "more": 1}, json.loads(schema))


def test_a_hook_out_of_reach_is_no_second_failure(
    hook: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_ALERT_URL", "http://127.0.0.1:1/hook")
    alerts.task_failed(failure())
    asyncio.run(alerts.run_is_late(context={}))
    assert hook == []


@pytest.mark.usefixtures("hook")
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/s3cret", "{hook}/s3cret/refused", "http://s3cret:port/"]
)
def test_a_hook_that_fails_keeps_its_secret(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TRADEWIND_ALERT_URL", url.format(hook=os.environ["TRADEWIND_ALERT_URL"]))
    alerts.task_failed(failure())
    asyncio.run(alerts.run_is_late(context={}))
    assert caplog.text.count("the alert could not be delivered") == 2
    told = [record.getMessage() for record in caplog.records if record.name == alerts.log.name]
    assert not [message for message in told if "s3cret" in message]


def test_without_a_hook_nobody_is_called(hook: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEWIND_ALERT_URL")
    alerts.task_failed(failure())
    assert hook == []
