"""Airflow on a Redis and a PostgreSQL that others use too: neither sees the other's."""

from datetime import datetime
from typing import Any

import pytest

from tests.compose.project import Project
from tests.support import wait_until

OTHER = {"airflow": "trading", "trading": "airflow"}


def test_the_training_workflow_of_the_local_stack_succeeds(
    project: Project, training: dict[str, Any]
) -> None:
    assert training["state"] == "success"
    assert sorted(task["task_id"] for task in training["tasks"]) == [
        "ingest", "judge", "promote", "train", "verify",
    ]  # fmt: skip
    assert {task["state"] for task in training["tasks"]} == {"success"}
    # Celery ran them: on hosts that are its workers, each with a row in its table of results.
    workers = {c.id[:12] for c in project.containers("airflow-worker")}
    assert len(workers) == 2
    assert {task["hostname"] for task in training["tasks"]} <= workers
    query = (
        "SELECT status, count(*) FROM celery.celery_taskmeta WHERE date_done >= "
        f"'{training['start_date']}' GROUP BY status"
    )

    def all_written() -> bool:
        # What the champion has set off may have ended, too.
        [[status, count]] = project.sql(query, "airflow")
        return status == "SUCCESS" and int(count) >= len(training["tasks"])

    # A worker writes its row after Airflow has counted the task.
    wait_until(all_written, 15)


def test_both_applications_ran_tasks_at_the_same_time(
    project: Project, training: dict[str, Any]
) -> None:
    ours = {c.id[:12] for c in project.containers("trading-worker")}
    assert training["trading"]
    assert {result["worker"] for result in training["trading"]} == ours
    spans = [
        tuple(datetime.fromisoformat(task[key]) for key in ("start_date", "end_date"))
        for task in training["tasks"]
    ]
    for result in training["trading"]:
        at = datetime.fromisoformat(result["at"])
        assert any(start <= at <= end for start, end in spans)


def test_neither_application_asked_redis_for_what_it_may_not_have(
    training: dict[str, Any],
) -> None:
    assert training["denied"] == ""


def test_each_worker_is_known_to_redis_as_its_own_user(project: Project) -> None:
    expected = {
        "airflow": {c.address("broker") for c in project.containers("airflow-worker")},
        "trading": {c.address("broker") for c in project.containers("trading-worker")},
    }
    scheduler = project.container("airflow-scheduler").address("broker")
    # Airflow asks for trading tasks, and waits for them, with the other application's login.
    asking = {scheduler, project.container("airflow-triggerer").address("broker")}
    asking |= expected["airflow"]
    found: dict[str, set[str]] = {}
    for line in project.redis("CLIENT", "LIST").splitlines():
        about = dict(word.split("=", 1) for word in line.split())
        found.setdefault(about["user"], set()).add(about["addr"].rsplit(":", 1)[0])
    assert found["airflow"] - {scheduler} == expected["airflow"]
    assert expected["trading"] <= found["trading"] <= expected["trading"] | asking
    assert set(found) == {"admin", "airflow", "trading"}  # admin asks this


@pytest.mark.parametrize("user", sorted(OTHER))
def test_no_application_sees_the_others_keys(
    project: Project, secrets: dict[str, str], user: str
) -> None:
    other = OTHER[user]
    databases = {"airflow": "0", "trading": "1"}
    theirs = f"{other}:test"

    def ask(*words: str) -> str:
        password = secrets[f"redis_{user}"]
        return project.redis("-n", databases[other], *words, user=user, password=password)

    project.redis("-n", databases[other], "SET", theirs, "kept")
    project.redis("-n", databases[other], "RPUSH", f"{other}:queue", "kept")
    try:
        for words in (
            ("GET", theirs), ("SET", theirs, "1"), ("DEL", theirs), ("RENAME", theirs, f"{user}:x"),
            ("COPY", theirs, f"{user}:x"), ("BRPOP", f"{other}:queue", "1"),
            ("LPUSH", f"{other}:queue", "1"), ("SET", "unprefixed", "1"),
            ("EVAL", "return redis.call('get', ARGV[1])", "0", theirs),
            ("PUBLISH", f"{other}:x", "1"), ("PSUBSCRIBE", "*"),
            ("KEYS", "*"), ("SCAN", "0"), ("RANDOMKEY",), ("MONITOR",), ("FLUSHALL",),
            ("FLUSHDB",), ("SWAPDB", "0", "1"), ("CONFIG", "GET", "*"), ("CLIENT", "LIST"),
            ("ACL", "LIST"), ("SHUTDOWN",),
        ):  # fmt: skip
            assert "NOPERM" in ask(*words) or "No permissions" in ask(*words), words
        assert project.redis("-n", databases[other], "GET", theirs) == "kept"
        assert project.redis("-n", databases[other], "LRANGE", f"{other}:queue", "0", "9") == "kept"
    finally:
        project.redis("-n", databases[other], "DEL", theirs, f"{other}:queue")
    # Its own it may use, or this test would say nothing about prefixes.
    assert ask("SET", f"{user}:test", "1", "EX", "1") == "OK"


def test_redis_lets_nobody_in_without_a_login(project: Project) -> None:
    assert "NOAUTH" in project.execute("redis", "redis-cli", "PING")
    assert "WRONGPASS" in project.redis("PING", user="default", password="default")
    assert "WRONGPASS" in project.redis("PING", user="airflow", password="wrong")


def test_airflow_has_a_database_of_its_own(project: Project) -> None:
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_name IN ('dag', 'dag_run')"
    for database, count in (("airflow", "2"), ("mlflow", "0"), ("tradewind", "0")):
        assert project.sql(tables, database) == [[count]]
    owner = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert project.sql(owner, "airflow") == [["airflow"]]
