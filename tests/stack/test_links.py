"""Addresses that commands print, and that a run shows: each opens, and what it names is there."""

import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack

ADDRESS = re.compile(r"http://[^\s\"'<>│]+")

Opened = Callable[[str], str]


@pytest.fixture
def opened(stack: Stack, airflow: Airflow, mlflow: httpx.Client) -> Opened:
    """Open an address as who is logged in to its page, and return what it names."""
    logins = stack.json("credentials")

    def open_(address: str) -> str:
        assert urlsplit(address).hostname in {"127.0.0.1", "localhost"}
        page = "mlflow" if urlsplit(address).port == stack.settings.mlflow_port else "airflow"
        login = (logins[page]["user"], logins[page]["password"]) if page == "mlflow" else None
        token = {} if login else {"Authorization": airflow.http.headers["Authorization"]}
        answer = httpx.get(
            address, auth=login, headers={**token, "Accept": "text/html"},
            follow_redirects=True, timeout=60, trust_env=False,
        )  # fmt: skip
        assert answer.status_code == 200, f"{address}: {answer.status_code}"
        assert "<html" in answer.text.lower(), address
        # Both pages are programs that answer under any name: what is named is asked for, too.
        if run := re.search(r"/runs/([0-9a-f]{32})", address):
            about = mlflow.get("/runs/get", params={"run_id": run[1]}).json()["run"]
            assert about["info"]["lifecycle_stage"] == "active"
            for artifact in re.findall(r"/artifacts/([\w./-]+)", address):
                folder, _, name = artifact.rpartition("/")
                asked = {"run_id": run[1], "path": folder}
                there = mlflow.get("/artifacts/list", params=asked).json()["files"]
                assert name in {entry["path"].rpartition("/")[2] for entry in there}
            return "run of MLflow"
        if found := re.search(r"/dags/([^/]+)/runs/([^/]+)(?:/tasks/([^/?]+))?", address):
            path = f"/dags/{found[1]}/dagRuns/{found[2]}"
            airflow.get(path if found[3] is None else f"{path}/taskInstances/{found[3]}")
            return "run of Airflow" if found[3] is None else "task"
        return page

    return open_


def test_what_a_training_prints_opens(stack: Stack, opened: Opened) -> None:
    said = stack.ok("train", "believed", "--wait", timeout=900)
    addresses = ADDRESS.findall(said)
    assert {opened(address) for address in addresses} == {"run of MLflow"}, said
    assert any("tearsheet" in address for address in addresses)


def test_what_a_training_that_fails_prints_opens(stack: Stack, opened: Opened) -> None:
    done = stack.run("train", "peeking", "--wait", timeout=900)
    assert done.returncode == 1
    addresses = ADDRESS.findall(done.stdout + done.stderr)
    assert {opened(address) for address in addresses} & {"task", "run of Airflow"}, done.stderr


def test_what_status_and_credentials_print_opens(stack: Stack, opened: Opened) -> None:
    for command in ("status", "credentials"):
        addresses = ADDRESS.findall(stack.ok(command))
        assert {opened(address) for address in addresses} >= {"airflow", "mlflow"}, command


def test_what_a_log_and_the_page_name_opens(airflow: Airflow, opened: Opened) -> None:
    run = airflow.runs("train_believed")[-1]
    tasks = {each["task_id"]: each for each in airflow.tasks("train_believed", run["dag_run_id"])}
    entries = airflow.log("train_believed", run["dag_run_id"], tasks["train"], 1)
    addresses = [one for entry in entries for one in ADDRESS.findall(str(entry["event"]))]
    assert "run of MLflow" in {opened(address) for address in addresses}
    path = f"/dags/train_believed/dagRuns/{quote(run['dag_run_id'])}/taskInstances/train/links"
    assert opened(airflow.get(path)["extra_links"]["MLflow run"]) == "run of MLflow"
