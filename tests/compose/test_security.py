"""A read of the running stack with an attacker's eyes."""

import json
import socket

import httpx
import psutil
import pytest

from tests.compose.project import (
    INNER_PORTS,
    LONG_RUNNING,
    ONE_SHOTS,
    TARGETS,
    Project,
    airflow_client,
    answers,
    run,
)

# Services whose processes are root's, and why.
ROOT = {"secrets": "gives each file and volume to the user it is for, then ends; has no network"}
PAGES = {"airflow-webserver": "airflow", "mlflow": "mlflow", "minio": "minio"}


def test_three_pages_are_published_on_loopback_and_nothing_else(project: Project) -> None:
    published = {
        c.service: [(on["HostIp"], int(on["HostPort"])) for ports in bound for on in ports]
        for c in project.containers(stopped=True)
        if (bound := [p for p in (c.about["NetworkSettings"]["Ports"] or {}).values() if p])
    }
    assert published == {
        service: [("127.0.0.1", project.ports[page])] for service, page in PAGES.items()
    }
    others = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    ]
    assert others
    for port in project.ports.values():
        assert answers("127.0.0.1", port)
        assert [address for address in others if answers(address, port)] == []


def test_the_stores_cannot_be_reached_over_loopback(project: Project) -> None:
    """What answers there now, if anything, is what answered before the stack came up."""
    now = {port: answers("127.0.0.1", port) for port in project.loopback_before}
    assert set(now) == set(INNER_PORTS)
    assert now == project.loopback_before


def test_stores_are_reached_only_by_those_who_need_them(project: Project) -> None:
    stores = {"postgres": "database", "redis": "broker", "minio": "objects"}
    ports = {"postgres": 5432, "redis": 6379, "minio": 9000}

    def reaches(service: str, store: str) -> bool:
        address = project.container(store).address(stores[store])
        knock = f"timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{ports[store]}' && echo through"
        return "through" in project.execute(service, "bash", "-c", knock, check=False)

    allowed = {
        "trading-worker": {"redis", "postgres"},
        "mlflow": {"postgres", "minio"},
        "airflow-webserver": {"postgres", "redis"},
        "airflow-worker": {"postgres", "redis"},
        "airflow-triggerer": {"postgres", "redis"},
        "airflow-dag-processor": {"postgres"},
    }
    for service, reached in allowed.items():
        assert {store for store in stores if reaches(service, store)} == reached


@pytest.mark.parametrize("path", ["dags", "connections", "variables", "config", "dags/x/dagRuns"])
def test_airflow_refuses_anonymous_calls(logins: dict[str, dict[str, str]], path: str) -> None:
    url = f"{logins['airflow']['address']}/api/v2/{path}"
    assert httpx.get(url, timeout=30).status_code == httpx.codes.UNAUTHORIZED
    forged = httpx.get(url, headers={"Authorization": "Bearer a.b.c"}, timeout=30)
    assert forged.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}


def test_airflows_interface_of_tasks_refuses_anonymous_calls(
    logins: dict[str, dict[str, str]],
) -> None:
    url = f"{logins['airflow']['address']}/execution/variables/x"
    answer = httpx.get(url, timeout=30)
    assert answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/api/2.0/mlflow/runs/search"),
        ("GET", "/api/2.0/mlflow/registered-models/search"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/x"),
        ("GET", "/ajax-api/2.0/mlflow/experiments/search?max_results=1"),
        ("POST", "/graphql"),
    ],
)
def test_mlflow_refuses_anonymous_calls(
    logins: dict[str, dict[str, str]], method: str, path: str
) -> None:
    answer = httpx.request(method, logins["mlflow"]["address"] + path, json={}, timeout=30)
    assert answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}


def test_minio_refuses_anonymous_calls(project: Project) -> None:
    store = f"http://{project.container('minio').address('objects')}:9000"
    for path in ("/", "/mlflow", "/mlflow?list-type=2", "/minio/v2/metrics/cluster"):
        assert httpx.get(store + path, timeout=30).status_code == httpx.codes.FORBIDDEN


def test_no_process_is_roots(project: Project) -> None:
    containers = project.containers(stopped=True)
    assert {c.service for c in containers} == LONG_RUNNING | ONE_SHOTS
    for c in containers:
        user = c.about["Config"]["User"].split(":")[0]
        assert (user in {"", "0", "root"}) == (c.service in ROOT), c.name
    for c in project.containers():
        uids = run("docker", "top", c.id, "-eo", "uid,pid").stdout.splitlines()[1:]
        assert uids
        assert {line.split()[0] for line in uids} == {c.about["Config"]["User"].split(":")[0]}


def test_every_container_is_confined(project: Project) -> None:
    for c in project.containers(stopped=True):
        host = c.about["HostConfig"]
        assert host["CapDrop"] == ["ALL"], c.name
        assert bool(host["CapAdd"]) == (c.service in ROOT), c.name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], c.name
        assert host["ReadonlyRootfs"], c.name
        assert not host["Privileged"], c.name
        assert host["PidMode"] == "", c.name
        assert host["NetworkMode"] != "host", c.name
        assert "docker.sock" not in json.dumps(c.about["Mounts"]), c.name
    # And so they are: the kernel's own account of the first process of each.
    for c in project.containers():
        status = project.execute(c, "cat", "/proc/1/status")
        about = dict(line.split(":\t", 1) for line in status.splitlines())
        assert {about[f"Cap{kind}"] for kind in ("Prm", "Eff", "Bnd")} == {"0" * 16}, c.name
        assert about["NoNewPrivs"] == "1", c.name
        assert project.execute(c, "touch", "/etc/x", check=False) != "", c.name


@pytest.mark.usefixtures("training")
def test_no_secret_is_shown(project: Project, secrets: dict[str, str]) -> None:
    """Neither by the engine, for containers and images, nor in logs, nor on command lines."""
    assert len(secrets) >= 14
    assert min(len(value) for value in secrets.values()) >= 16
    shown = {}
    for c in project.containers(stopped=True):
        shown[f"inspect {c.name}"] = json.dumps(c.about)
        shown[f"logs {c.name}"] = project.logs(c, lines=100_000)
    for c in project.containers():
        shown[f"top {c.name}"] = run("docker", "top", c.id, "-eo", "pid,args").stdout
    for image in {c.about["Image"] for c in project.containers(stopped=True)}:
        shown[f"history {image}"] = run("docker", "history", "--no-trunc", image).stdout
        shown[f"inspect {image}"] = run("docker", "image", "inspect", image).stdout
    leaks = [
        (where, name) for where, text in shown.items()
        for name, value in secrets.items() if value in text
    ]  # fmt: skip
    assert leaks == []


def test_a_service_reads_its_own_secrets_and_no_others(project: Project) -> None:
    own = {
        "postgres": "postgres", "redis": "redis", "minio": "minio", "mlflow": "mlflow",
        "trading-worker": "trading", "airflow-worker": "airflow-worker",
        "airflow-webserver": "airflow", "airflow-dag-processor": "airflow-dag-processor",
    }  # fmt: skip
    for service, directory in own.items():
        found = project.execute(
            service, "bash", "-c",
            "cd /run/secrets; for name in *; do [ -r $name ] && echo $name; done; true",
        )  # fmt: skip
        assert found.split() == [directory]


def test_the_button_that_tests_a_connection_works(
    project: Project, logins: dict[str, dict[str, str]]
) -> None:
    command = ("with-secrets", "printenv", "AIRFLOW_CONN_TRADING")
    held = json.loads(project.execute("airflow-webserver", *command))
    body = {**held, "connection_id": "tried", "extra": json.dumps(held["extra"])}
    with airflow_client(logins["airflow"]) as client:
        answer = client.post("/api/v2/connections/test", json=body)
    assert answer.is_success, answer.text
    assert answer.json()["status"], answer.text


def test_images_hold_no_build_tools_and_no_root_user(project: Project) -> None:
    tools = "type -P gcc g++ cc make cargo go git uv || true"
    for target in TARGETS:
        image = f"tradewind-{target}:{project.name}"
        words = ("docker", "run", "--rm", "--network", "none", "--entrypoint", "bash", image, "-c")
        assert run(*words, tools).stdout == ""
        assert run(*words, "id -u; ps 2>/dev/null; true").stdout.strip() not in {"", "0"}
