"""The list of services: who waits for whom."""

from pathlib import Path

import pytest

from tradewind.settings import Settings
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import Secrets
from tradewind.stack.services import Service, services

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def listed(tmp_path: Path) -> dict[str, Service]:
    settings = Settings(home=CHECKOUT, state_dir=tmp_path, artifact_store="directory")
    return {s.name: s for s in services(settings, Layout(settings.state), Secrets())}


def all_needs(listed: dict[str, Service], name: str) -> set[str]:
    direct = set(listed[name].needs)
    return direct.union(*(all_needs(listed, need) for need in direct))


def test_roles_are_written_before_whoever_else_writes_them_starts(listed) -> None:
    for name in ("airflow-webserver", "airflow-dag-processor"):
        assert {"airflow-admin", "airflow-migrate", "postgres"} <= all_needs(listed, name)


def test_every_need_is_listed_and_none_needs_itself(listed) -> None:
    assert len(listed) > 10
    for name in listed:
        needs = all_needs(listed, name)
        assert needs <= listed.keys()
        assert name not in needs
