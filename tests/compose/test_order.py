"""Order: each service starts only when what it needs is healthy, or done."""

import pytest

from tests.compose.project import AIRFLOW, LONG_RUNNING, ONE_SHOTS, Event, Project


class History:
    """First start, end and sign of health of each service, as the engine told them."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def first(self, service: str, what: str) -> float:
        return next(e.at for e in self._events if (e.service, e.what) == (service, what))

    def started(self, service: str) -> float:
        return self.first(service, "start")

    def healthy(self, service: str) -> float:
        return self.first(service, "health_status: healthy")

    def done(self, service: str) -> float:
        ended = next(e for e in self._events if (e.service, e.what) == (service, "die"))
        assert ended.exit_code == "0"
        return ended.at


@pytest.fixture(scope="module")
def history(project: Project) -> History:
    events = project.events()
    assert {e.service for e in events if e.what == "start"} >= LONG_RUNNING | ONE_SHOTS
    return History(events)


def test_secrets_come_before_everything(history: History) -> None:
    for service in (LONG_RUNNING | ONE_SHOTS) - {"secrets"}:
        assert history.started(service) >= history.done("secrets"), service


def test_stores_come_first(history: History) -> None:
    stores = {"postgres", "redis", "minio"}
    last = max(history.started(store) for store in stores)
    for service in (LONG_RUNNING | ONE_SHOTS) - stores - {"secrets"}:
        assert history.started(service) > last, service


def test_buckets_are_made_when_minio_is_healthy(history: History) -> None:
    assert history.started("minio-buckets") > history.healthy("minio")


@pytest.mark.parametrize("migration", ["airflow-init", "mlflow-migrate", "trading-migrate"])
def test_migrations_come_after_the_roles_that_they_run_as(history: History, migration: str) -> None:
    roles = history.done("postgres-roles")
    assert history.started(migration) > roles > history.healthy("postgres")


def test_mlflow_comes_after_its_stores_and_its_migration(history: History) -> None:
    started = history.started("mlflow")
    assert started > history.healthy("postgres")
    assert started > history.healthy("minio")
    assert started > history.done("minio-buckets")
    assert started > history.done("mlflow-migrate") > history.healthy("postgres")


@pytest.mark.parametrize("service", sorted(AIRFLOW))
def test_airflow_comes_after_its_stores_and_its_migration(history: History, service: str) -> None:
    started = history.started(service)
    assert started > history.healthy("postgres")
    assert started > history.healthy("redis")
    assert started > history.done("airflow-init") > history.healthy("postgres")


def test_the_trading_worker_comes_after_redis_and_its_migration(history: History) -> None:
    started = history.started("trading-worker")
    assert started > history.healthy("redis")
    assert started > history.done("trading-migrate") > history.healthy("postgres")


def test_what_runs_started_when_the_events_say(project: Project, history: History) -> None:
    """The same times as ``docker inspect`` gives them: the record above is of this project."""
    from datetime import datetime

    for c in project.containers(*(LONG_RUNNING - {"airflow-worker"})):
        started = datetime.fromisoformat(c.state["StartedAt"]).timestamp()
        assert abs(started - history.started(c.service)) < 5
