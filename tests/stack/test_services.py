"""The list of services: who waits for whom."""

import warnings
from pathlib import Path

import pytest

from tradewind.settings import Settings
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import Secrets
from tradewind.stack.service import Service
from tradewind.stack.services import services

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def listed(tmp_path: Path) -> dict[str, Service]:
    settings = Settings(home=CHECKOUT, state_dir=tmp_path, artifact_store="directory")
    return {s.name: s for s in services(settings, Layout(settings.state), Secrets())}


def all_needs(listed: dict[str, Service], name: str) -> set[str]:
    direct = set(listed[name].needs)
    return direct.union(*(all_needs(listed, need) for need in direct))


def test_roles_are_written_before_whoever_else_writes_them_starts(
    listed: dict[str, Service],
) -> None:
    for name in ("airflow-webserver", "airflow-dag-processor"):
        assert {"airflow-admin", "airflow-migrate", "postgres"} <= all_needs(listed, name)


def test_every_need_is_listed_and_none_needs_itself(listed: dict[str, Service]) -> None:
    assert len(listed) > 10
    for name in listed:
        needs = all_needs(listed, name)
        assert needs <= listed.keys()
        assert name not in needs


def test_no_service_asks_a_proxy_for_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "mine.example")
    settings = Settings(home=CHECKOUT, state_dir=tmp_path, artifact_store="directory")
    processes = [s for s in services(settings, Layout(tmp_path), Secrets()) if s.command]
    assert len(processes) > 10
    for service in processes:
        assert service.environment["http_proxy"] == "http://proxy:3128"
        for name in ("no_proxy", "NO_PROXY"):
            excepted = service.environment[name].split(",")
            assert {"mine.example", "127.0.0.1", "localhost"} <= set(excepted)


@pytest.mark.parametrize(
    ("page", "origin"),
    [
        ("https://MLflow.Example.com/", "https://mlflow.example.com"),
        ("https://mlflow.example.com:443", "https://mlflow.example.com"),
        ("http://mlflow.example.com:443", "http://mlflow.example.com:443"),
        ("http://[FD00::1]:5500", "http://[fd00::1]:5500"),
    ],
)
def test_a_page_is_known_as_browsers_write_it(tmp_path: Path, page: str, origin: str) -> None:
    settings = Settings(
        home=CHECKOUT, state_dir=tmp_path, artifact_store="directory", mlflow_public_url=page
    )
    found = {s.name: s for s in services(settings, Layout(tmp_path), Secrets())}["mlflow"]
    assert found.environment["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == origin
    hosts = found.environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert hosts[-1] == origin.partition("//")[2]


def test_mlflow_answers_under_a_forwarded_port_and_its_public_name(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's modules about each other
        from mlflow.server.security_utils import (
            is_allowed_host_header,
            should_block_cors_request,
        )

    settings = Settings(
        home=CHECKOUT, state_dir=tmp_path, mlflow_port=15500, artifact_store="directory",
        mlflow_public_url="https://mlflow.example.com/",
    )  # fmt: skip
    found = {s.name: s for s in services(settings, Layout(tmp_path), Secrets())}["mlflow"]
    allowed = found.environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    for host in ("127.0.0.1:15500", "localhost:9500", "localhost", "127.0.0.1:1", "[::1]:9500",
                 "[::1]", "mlflow.example.com"):  # fmt: skip
        assert is_allowed_host_header(allowed, host), host
    for host in ("evil.example", "localhost.evil.example:15500", "evil.example:15500", ":1"):
        assert not is_allowed_host_header(allowed, host), host
    origins = found.environment["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",")
    for origin in ("https://mlflow.example.com", "http://localhost:9500", "http://127.0.0.1:1"):
        assert not should_block_cors_request(origin, "POST", origins), origin
    for origin in ("https://evil.example", "http://mlflow.example.com"):
        assert should_block_cors_request(origin, "POST", origins), origin
