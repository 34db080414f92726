"""Airflow starts: its five services run, the page logs in, PostgreSQL and Redis are behind it."""

import re
from typing import Any

import httpx
import pytest

from tests.compose.project import AIRFLOW, Project


def test_the_five_services_run_each_with_its_command(project: Project) -> None:
    expected = {
        "airflow-webserver": "airflow api-server",
        "airflow-scheduler": "airflow scheduler",
        "airflow-dag-processor": "airflow dag-processor",
        "airflow-triggerer": "python -m tradewind.orchestration.runtime.triggerer",
        "airflow-worker": "airflow celery worker",
    }
    found = project.containers(*expected)
    assert {c.service for c in found} == AIRFLOW
    for c in found:
        assert c.state["Status"] == "running"
        assert c.health == "healthy"
        assert " ".join(c.about["Config"]["Cmd"]).startswith(expected[c.service])


def test_every_component_says_that_it_is_well(airflow: httpx.Client) -> None:
    found = airflow.get("/api/v2/monitor/health").json()
    assert set(found) == {"metadatabase", "scheduler", "triggerer", "dag_processor"}
    assert {about["status"] for about in found.values()} == {"healthy"}


def test_the_page_logs_in_with_the_printed_credentials(
    project: Project, logins: dict[str, dict[str, str]]
) -> None:
    login = logins["airflow"]
    assert login["address"] == f"http://localhost:{project.ports['airflow']}"
    for password, welcome in ((login["password"], True), ("wrong", False)):
        with httpx.Client(base_url=login["address"], timeout=30, follow_redirects=True) as browser:
            form = browser.get("/auth/login/")
            token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form.text)
            assert token, form.text
            browser.post(
                "/auth/login/",
                data={"username": login["user"], "password": password, "csrf_token": token[1]},
            )
            assert ("_token" in browser.cookies) is welcome
            # The page itself is a program for the browser; what it shows, it asks for.
            assert 'id="root"' in browser.get("/").text
            answer = browser.get("/api/v2/dags")
            assert (answer.status_code == httpx.codes.OK) is welcome


def test_tokens_are_for_the_right_password_only(logins: dict[str, dict[str, str]]) -> None:
    login = logins["airflow"]
    for password, status in ((login["password"], 201), ("wrong", 401)):
        answer = httpx.post(
            f"{login['address']}/auth/token",
            json={"username": login["user"], "password": password}, timeout=30,
        )  # fmt: skip
        assert answer.status_code == status


def test_the_executor_is_celery(airflow: httpx.Client) -> None:
    found = airflow.get(
        "/api/v2/config/section/core/option/executor", headers={"Accept": "application/json"}
    ).json()
    assert found["sections"][0]["options"][0]["value"].startswith("CeleryExecutor:")


def test_metadata_is_in_postgresql(project: Project, training: dict[str, Any]) -> None:
    run = training["dag_run_id"]
    query = f"SELECT state, run_type FROM dag_run WHERE run_id = '{run}'"
    assert project.sql(query, "airflow") == [["success", "manual"]]
    # Nowhere else is a database: no SQLite file in any of the containers.
    for c in project.containers(*AIRFLOW):
        found = project.execute(c, "find", "/tmp", "/var/lib/tradewind", "-name", "*.db")
        assert found.split() == []


def test_celery_passes_its_tasks_through_redis(project: Project, training: dict[str, Any]) -> None:
    """Redis's own record: the scheduler pushed each task, and workers took it."""
    scheduler = project.container("airflow-scheduler").address("broker")
    workers = {c.address("broker") for c in project.containers("airflow-worker")}

    def senders(words: str) -> list[str]:
        return [sender for sender, said in training["redis"] if said.startswith(words)]

    pushed = senders('"LPUSH" "airflow:default"')
    assert set(pushed) == {scheduler}
    assert len(pushed) >= len(training["tasks"])  # its champion may begin another run meanwhile
    assert set(senders('"BRPOP" "airflow:default"')) == workers


@pytest.mark.parametrize("service", sorted(AIRFLOW))
def test_the_interface_of_tasks_is_reached_by_name(project: Project, service: str) -> None:
    """Workers, triggerer and dag-processor reach the webserver; the address is one setting."""
    environment = project.container(service).about["Config"]["Env"]
    key = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL="
    assert [line for line in environment if line.startswith(key)] == [
        key + "http://airflow-webserver:8080/execution/"
    ]
