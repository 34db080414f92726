import asyncio
import json
import os
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
    ti = SimpleNamespace(dag_id="train_x", task_id="train", run_id="manual", try_number=2)
    return {"ti": ti, "exception": ValueError("no bars")}


def test_a_failed_task_is_told_with_what_and_why(hook: list[Any]) -> None:
    alerts.task_failed(failure())
    [message] = hook
    assert "train_x: task train failed in run manual (try 2): ValueError('no bars')" in str(message)


def test_a_late_run_is_told(hook: list[Any]) -> None:
    context = {"dag_run": {"dag_id": "train_x", "dag_run_id": "manual"}}
    asyncio.run(alerts.run_is_late(context=context))
    assert hook == [{"text": "train_x: run manual has not ended by its deadline"}]


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
