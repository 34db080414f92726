"""Every health check tells the truth about its service, and all of them cost little.

Services are frozen, not paused: the engine asks a paused container nothing and calls it healthy.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import psutil
import pytest

from tests.compose.project import LONG_RUNNING, Container, Project, stats_of
from tests.support import wait_until

SECONDS_TO_NOTICE = 90
SHARE_OF_A_CORE = 0.05

# The service is the first child of tini; health checks are nobody's children here.
TREE = """
main() { cut -d ' ' -f 1 /proc/1/task/1/children; }
family() {
  local child
  for child in $(cat /proc/$1/task/*/children); do
    echo $child
    family $child
  done
}
"""


def freeze(project: Project, container: Container, processes: str) -> None:
    project.execute(container, "bash", "-c", f"{TREE} kill -STOP $({processes})")


def thaw(project: Project) -> None:
    for c in project.containers(*LONG_RUNNING):
        project.execute(c, "bash", "-c", "kill -CONT -1", check=False)


def notice(project: Project, broken: dict[str, str], *, healthy: set[str]) -> dict[str, float]:
    """Freeze services all at once; seconds until each container was unhealthy.

    All but `healthy`, and none of those.
    """
    containers = project.containers(*broken)
    assert {c.service for c in containers} == set(broken)
    for c in containers:
        freeze(project, c, broken[c.service])
    began = time.monotonic()
    seen: dict[str, float] = {}

    def all_noticed() -> bool:
        for name, health in project.health().items():
            if health == "unhealthy":
                seen.setdefault(name, time.monotonic() - began)
        return set(seen) == {c.name for c in project.containers(*(LONG_RUNNING - healthy))}

    wait_until(all_noticed, SECONDS_TO_NOTICE, of=project.health)
    return seen


@pytest.mark.disturbs
def test_each_is_unhealthy_within_90_s_when_its_service_hangs(
    project: Project, figures: dict[str, str]
) -> None:
    assert project.all_healthy()
    # Of those that tell of themselves by a heartbeat the main process alone hangs: what it
    # started may live on, and for Airflow's scheduler even answers.
    first = dict.fromkeys(
        ("airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "airflow-worker",
         "trading-worker"), "main",
    ) | dict.fromkeys(("mlflow", "minio"), "family 1")  # fmt: skip
    # And what these bring down with them: everything but MinIO.
    second = dict.fromkeys(("postgres", "redis", "airflow-webserver"), "family 1")
    assert set(first) | set(second) == LONG_RUNNING
    times: dict[str, float] = {}
    try:
        times |= notice(project, first, healthy=set(second))
        thaw(project)
        project.wait_healthy()
        noticed = notice(project, second, healthy={"minio"})
        times |= {name: noticed[name] for name in noticed if name.rsplit("-", 1)[0] in second}
    finally:
        thaw(project)
    project.wait_healthy()
    figures["seconds to unhealthy"] = ", ".join(f"{name} {t:.0f}" for name, t in times.items())


@pytest.mark.disturbs
def test_a_store_that_hangs_shows_at_those_who_need_it(project: Project) -> None:
    """Each is asked directly: the tests above show that the engine counts what it says."""
    needs = {
        "postgres": ("mlflow", "airflow-webserver", "airflow-scheduler"),
        "minio": ("mlflow",),
    }
    for store, services in needs.items():
        for service in services:
            assert project.probe(project.container(service)) is None
        freeze(project, project.container(store), "family 1")
        try:
            for service in services:
                assert project.probe(project.container(service)), (store, service)
        finally:
            thaw(project)
    project.wait_healthy()


@pytest.mark.disturbs
def test_a_web_server_that_hangs_is_no_fault_of_the_others(project: Project) -> None:
    """Else `up --wait`, which replaces the web server, would end with an error of theirs."""
    freeze(project, project.container("airflow-webserver"), "family 1")
    try:
        assert project.probe(project.container("airflow-webserver"))
        for service in ("airflow-dag-processor", "airflow-triggerer", "airflow-scheduler"):
            assert project.probe(project.container(service)) is None
    finally:
        thaw(project)
    project.wait_healthy()


@pytest.mark.disturbs
def test_a_redis_that_takes_no_task_is_not_healthy(project: Project) -> None:
    redis = project.container("redis")
    before = project.redis("CONFIG", "GET", "maxmemory").split()[-1]
    assert project.probe(redis) is None
    for breaking, mending, complaint in (
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", before), "OOM"),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "READONLY"),
    ):
        project.redis(*breaking)
        try:
            assert complaint in (project.probe(redis) or "")
        finally:
            project.redis(*mending)
    assert project.probe(redis) is None


@pytest.mark.disturbs
def test_a_postgresql_without_its_databases_is_not_healthy(project: Project) -> None:
    """An initialisation that broke off leaves a server that runs and an image that skips it."""
    postgres = project.container("postgres")
    project.sql("ALTER DATABASE tradewind RENAME TO elsewhere")
    try:
        assert "2 of 3 databases" in (project.probe(postgres) or "")
    finally:
        project.sql("ALTER DATABASE elsewhere RENAME TO tradewind")
    assert project.probe(postgres) is None


@pytest.mark.disturbs
def test_a_minio_without_its_disk_is_not_healthy_and_neither_is_mlflow(project: Project) -> None:
    minio, mlflow = project.container("minio"), project.container("mlflow")
    project.execute(minio, "chmod", "000", "/data")
    try:
        wait_until(lambda: project.probe(minio), SECONDS_TO_NOTICE)
        wait_until(lambda: project.probe(mlflow), SECONDS_TO_NOTICE)
    finally:
        project.execute(minio, "chmod", "755", "/data")
    wait_until(lambda: project.probe(minio) is None, SECONDS_TO_NOTICE)
    wait_until(lambda: project.probe(mlflow) is None, SECONDS_TO_NOTICE)
    project.wait_healthy()


RUNS = 10


def cpu_of_project(project: Project) -> float:
    """CPU seconds that the containers have used so far, their health checks included."""
    with ThreadPoolExecutor() as pool:  # the engine takes a second for each answer
        stats = pool.map(stats_of, project.containers())
    return sum(about["cpu_stats"]["cpu_usage"]["total_usage"] for about in stats) / 1e9


def cpu_of_engine() -> float:
    """CPU seconds of the engine and of what it starts in order to start a process."""
    total = 0.0
    for process in psutil.process_iter(["name", "cpu_times"]):
        if process.info["name"].startswith(("dockerd", "containerd")):
            total += sum(process.info["cpu_times"][:4])  # its own and its children's
    assert total, "the engine's processes are not on this machine"
    return total


def seconds_between_checks(container: Container) -> float:
    """How often the engine asks a container now, by its own record of the last checks."""
    starts = [entry["Start"] for entry in container.state["Health"]["Log"][-2:]]
    before, last = (datetime.fromisoformat(start) for start in starts)
    return (last - before).total_seconds()


def test_all_health_checks_together_cost_little(project: Project, figures: dict[str, str]) -> None:
    """What a check asks of its service counts: CPU of all containers, less what they idle at."""

    def intervals() -> list[float]:
        return [seconds_between_checks(c) for c in project.containers(*LONG_RUNNING)]

    # Once they are well they are asked less often than at the start.
    wait_until(lambda: min(intervals()) > 15, 120, of=intervals)
    checks_a_second = sum(1 / seconds for seconds in intervals())

    at, used = time.monotonic(), cpu_of_project(project)
    wait_until(lambda: time.monotonic() - at > 15, 20)  # what is measured, not waited for
    idle = (cpu_of_project(project) - used) / (time.monotonic() - at)

    containers = project.containers(*LONG_RUNNING)
    assert len(containers) == 11
    at, used = time.monotonic(), cpu_of_project(project)
    for c in containers:
        words = " ".join(c.about["Config"]["Healthcheck"]["Test"][1:])
        # As the engine runs it, but for the file that makes it sleep first.
        loop = f"for i in {{1..{RUNS}}}; do rm -f /tmp/.well; {words} || exit 1; done"
        project.execute(c, "bash", "-c", loop)
    elapsed = time.monotonic() - at
    assert elapsed < 60  # none of them slept
    asking = (cpu_of_project(project) - used - idle * elapsed) / (RUNS * len(containers))

    # The engine may have other work, which can only add to a round: the least of them is nearest.
    rounds = []
    for _ in range(5):
        used = cpu_of_engine()
        for _ in range(RUNS):
            project.execute("redis", "true")
        rounds.append((cpu_of_engine() - used) / RUNS)
    starting = min(rounds)

    share = (max(asking, 0.0) + starting) * checks_a_second
    figures["health checks"] = (
        f"{share:.1%} of a core: {checks_a_second:.2f} a second, {asking * 1000:.0f} ms each "
        f"and {starting * 1000:.0f} ms for the engine to start it"
    )
    assert share <= SHARE_OF_A_CORE, figures["health checks"]
