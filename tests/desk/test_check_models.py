"""The doctor's look at models asks an MLflow that is away once, and says so."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

PROGRAM = """\
from tradewind.desk import _connections, registry
from tradewind.settings import load_settings
from tradewind.stack.secrets import Secrets

_connections._secrets = lambda settings: Secrets()
[check] = registry.check_models(load_settings())
print(check.name, "|", check.problem)
"""


def test_an_mlflow_that_is_overloaded_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Overloaded(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(503)

        do_POST = do_GET  # noqa: N815 - as http.server has it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Overloaded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
        monkeypatch.setenv("TRADEWIND_MLFLOW_PORT", str(server.server_port))
        monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
        )
        server.shutdown()
    assert done.stdout.startswith("models | could not be checked: ")
    assert len(asked) == 1
