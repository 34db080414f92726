"""The health checks of compose.yaml: well only when what is asked for is there and fresh."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

PROBE = Path(__file__).parents[2] / "docker" / "probe"
Probe = Callable[..., subprocess.CompletedProcess[str]]


class Page(BaseHTTPRequestHandler):
    port = 0
    status = 200
    body = "{}"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[type[Page]]:
    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Page.status, Page.body = 200, "{}"
    Page.port = server.server_port
    yield Page
    server.shutdown()
    server.server_close()


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    """Run a check as it is, with its host, port and folder replaced by the test's."""

    def run(*arguments: str, port: int = 1, **environment: str) -> subprocess.CompletedProcess[str]:
        text = PROBE.read_text().replace("/tmp/", f"{tmp_path}/")
        text = re.sub(r"get \S+ (8974|8080) ", f"get 127.0.0.1 {port} ", text)
        script = tmp_path / "probe"
        script.write_text(text.replace("PACE=27", "PACE=0"))
        return subprocess.run(
            ["bash", str(script), *arguments],
            env={**os.environ, **environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    (tmp_path / "started").touch()
    return run


def test_the_scheduler_is_well_only_while_its_page_says_200(probe: Probe, page: type[Page]) -> None:
    assert probe("airflow-scheduler", port=page.port).returncode == 0
    page.status = 503
    found = probe("airflow-scheduler", port=page.port)
    assert found.returncode == 1
    assert "503" in found.stdout


def test_nobody_listening_is_unhealthy(probe: Probe) -> None:
    assert probe("airflow-scheduler").returncode == 1


@pytest.mark.parametrize(("status", "expected"), [("healthy", 0), ("unhealthy", 1)])
def test_the_web_server_is_well_only_with_its_database(
    probe: Probe, page: type[Page], status: str, expected: int
) -> None:
    page.body = json.dumps({"metadatabase": {"status": status}, "triggerer": {"status": None}})
    assert probe("airflow-webserver", port=page.port).returncode == expected


def test_a_heartbeat_of_the_container_before_does_not_count(probe: Probe, tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    file.touch()
    os.utime(file, (time.time() - 10,) * 2)
    found = probe("heartbeat", WORKER_HEARTBEAT_FILE=str(file))
    assert found.returncode == 1
    assert "since the start" in found.stdout


def test_a_service_is_well_while_its_file_is_touched(probe: Probe, tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    environment = {"WORKER_HEARTBEAT_FILE": str(file)}
    assert "no heartbeat yet" in probe("heartbeat", **environment).stdout
    file.touch()
    assert probe("heartbeat", **environment).returncode == 0
    os.utime(tmp_path / "started", (time.time() - 3600,) * 2)
    os.utime(file, (time.time() - 31,) * 2)
    found = probe("heartbeat", **environment)
    assert found.returncode == 1
    assert "old" in found.stdout


def test_a_failure_ends_the_sleeping(probe: Probe, page: type[Page], tmp_path: Path) -> None:
    probe("airflow-scheduler", port=page.port)
    assert (tmp_path / ".well").exists()
    page.status = 503
    probe("airflow-scheduler", port=page.port)
    assert not (tmp_path / ".well").exists()
