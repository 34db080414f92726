"""A checkout of its own with Compose run on it, and what the engine tells about its containers."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from tests.support import free_ports, wait_until

CHECKOUT = Path(__file__).parents[2]
PORTS = {
    "airflow": "TRADEWIND_AIRFLOW_PORT",
    "mlflow": "TRADEWIND_MLFLOW_PORT",
    "minio": "TRADEWIND_MINIO_CONSOLE_PORT",
}
# PostgreSQL, Redis, MinIO's S3 and the scheduler's health page: for other containers only.
INNER_PORTS = (5432, 6379, 9000, 8974)
ONE_SHOTS = {
    "secrets", "minio-buckets", "mlflow-migrate", "airflow-init", "trading-migrate",
    "postgres-roles",
}  # fmt: skip
TOOLS = {"credentials", "adopt", "backup", "backups", "restore"}
AIRFLOW = {
    "airflow-webserver", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer",
    "airflow-worker",
}  # fmt: skip
LONG_RUNNING = {"postgres", "redis", "minio", "mlflow", "trading-worker", *AIRFLOW}
LABEL = "com.docker.compose."
TARGETS = ("airflow", "backup", "mlflow", "trading")
COMMIT = "c0ffee" * 6 + "cafe"
KEPT = "tests"


def run(
    *words: str, check: bool = True, timeout: float = 300, **options: Any
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=timeout, **options
    )
    assert not check or done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True)
class Container:
    """What ``docker inspect`` said of a container."""

    about: dict[str, Any]

    @property
    def id(self) -> str:
        return self.about["Id"]

    @property
    def service(self) -> str:
        return self.about["Config"]["Labels"][LABEL + "service"]

    @property
    def name(self) -> str:
        number = self.about["Config"]["Labels"][LABEL + "container-number"]
        return f"{self.service}-{number}"

    @property
    def state(self) -> dict[str, Any]:
        return self.about["State"]

    @property
    def health(self) -> str:
        return self.state["Health"]["Status"]

    def address(self, network: str) -> str:
        found = self.about["NetworkSettings"]["Networks"]
        return next(how["IPAddress"] for name, how in found.items() if name.endswith(network))


@dataclass(frozen=True)
class Event:
    """One line of ``docker events``."""

    at: float
    what: str
    service: str
    container: str
    exit_code: str | None


@dataclass
class Project:
    """One compose project: a copy of the checkout, ports of its own, a name of its own."""

    home: Path
    name: str
    ports: dict[str, int]
    environment: dict[str, str]
    seconds_to_healthy: float = 0.0
    loopback_before: dict[int, bool] = field(default_factory=dict)
    events_file: Path = field(init=False)

    def __post_init__(self) -> None:
        self.events_file = self.home.parent / f"{self.name}.events"

    # --- Compose

    def compose(
        self, *words: str, check: bool = True, timeout: float = 600, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return run(
            "docker", "compose", "--project-name", self.name, *words,
            check=check, timeout=timeout, cwd=self.home, env=self.environment | variables,
        )  # fmt: skip

    def up(self, **variables: str) -> float:
        """Bring everything up, and return the seconds until all of it was healthy."""
        began = time.monotonic()
        self.compose(
            "up", "--detach", "--no-build", "--wait", "--wait-timeout", "300",
            check=True, timeout=600, **variables,
        )  # fmt: skip
        return time.monotonic() - began

    def down(self, *words: str) -> None:
        """Take everything down, also where the engine forgot to unplug what was killed.

        Engine 20.10 sometimes keeps a killed container on its network, and then refuses to remove
        the network: unplug what is left, and go on. Sometimes it counts a container that it does
        not even know: then the empty network stays. Both are between engine and test.
        """
        done = self.compose(*words, check=False)
        if "has active endpoints" not in done.stderr:
            assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
            return
        for network, left in self._plugged().items():
            for name in left:
                run("docker", "network", "disconnect", "--force", network, name, check=False)
        done = self.compose(*words, check=False)
        if done.returncode:
            assert "has active endpoints" in done.stderr, f"{words}:\n{done.stdout}\n{done.stderr}"
            assert not any(self._plugged().values()), self._plugged()
            assert self.containers(stopped=True) == [], f"{words}:\n{done.stderr}"

    def _plugged(self) -> dict[str, list[str]]:
        """By each of our networks, the containers that the engine knows to be on it."""
        networks = run(
            "docker", "network", "ls", "--quiet", "--filter", f"label={LABEL}project={self.name}"
        ).stdout.split()
        return {
            network: [
                left["Name"]
                for about in json.loads(run("docker", "network", "inspect", network).stdout)
                for left in about["Containers"].values()
            ]
            for network in networks
        }

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Write the engine's events down: it keeps the last 256 only, and probes are events."""
        words = ["docker", "events", "--format", "{{json .}}"]
        for kind in ("start", "die", "oom", "health_status"):
            words += ["--filter", f"event={kind}"]
        words += ["--filter", f"label={LABEL}project={self.name}"]
        with self.events_file.open("w") as file, subprocess.Popen(words, stdout=file) as recorder:
            try:
                yield
            finally:
                recorder.terminate()

    def events(self) -> list[Event]:
        found = []
        for line in self.events_file.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):  # still being written
                break
            event = json.loads(line)
            about = event["Actor"]["Attributes"]
            found.append(
                Event(
                    event["timeNano"] / 1e9, event["Action"], about[LABEL + "service"],
                    event["Actor"]["ID"], about.get("exitCode"),
                )
            )  # fmt: skip
        return found

    # --- Containers

    def containers(self, *services: str, stopped: bool = False) -> list[Container]:
        """Containers of these services (of all, where none is named), one-off ones left out."""
        words = ["docker", "ps", "--quiet", "--no-trunc"]
        words += ["--filter", f"label={LABEL}project={self.name}"]
        words += ["--filter", f"label={LABEL}oneoff=False", *(["--all"] if stopped else [])]
        ids = run(*words).stdout.split()
        if not ids:
            return []
        # One that goes away between the two commands is none of ours any more.
        text = run("docker", "inspect", "--type", "container", *ids, check=False).stdout
        found = [Container(about) for about in json.loads(text)]
        chosen = [c for c in found if not services or c.service in services]
        return sorted(chosen, key=lambda c: c.name)

    def container(self, service: str) -> Container:
        return self.containers(service)[0]

    def execute(
        self,
        container: str | Container,
        *words: str,
        check: bool = True,
        timeout: float = 120,
        **variables: str,
    ) -> str:
        """Run a command in a container (the first of a service), as its user; what it printed."""
        if isinstance(container, str):
            container = self.container(container)
        # By name, so that values are on no command line.
        names = [word for name in variables for word in ("--env", name)]
        done = run("docker", "exec", *names, container.id, *words,
                   check=check, timeout=timeout, env=os.environ | variables)  # fmt: skip
        return done.stdout + done.stderr

    def python(self, service: str, program: str) -> str:
        """Run Python in a container with that service's secrets in the environment."""
        return self.execute(service, "with-secrets", "python", "-c", program).strip()

    def probe(self, container: Container) -> str | None:
        """Ask a container's health check now; what it complains of, or nothing."""
        words = container.about["Config"]["Healthcheck"]["Test"][1:]
        at = next(i for i, word in enumerate(words) if word.endswith("probe"))
        words = [*words[: at + 1], "--once", *words[at + 1 :]]
        done = run("timeout", "10", "docker", "exec", container.id, *words, check=False)
        return None if done.returncode == 0 else f"exit {done.returncode}: {done.stdout}"

    def health(self) -> dict[str, str]:
        """Health of each long-running container by name, such as ``airflow-worker-2``."""
        return {c.name: c.health for c in self.containers(*LONG_RUNNING)}

    def all_healthy(self) -> bool:
        found = self.health()
        return {re.sub(r"-\d+$", "", name) for name in found} == LONG_RUNNING and set(
            found.values()
        ) == {"healthy"}

    def wait_healthy(self, seconds: float = 120) -> None:
        wait_until(self.all_healthy, seconds, of=self.health)

    def memory(self) -> dict[str, dict[str, float]]:
        """Memory (MiB) of each running container, and its limit, without the cache of files."""
        containers = self.containers()
        with ThreadPoolExecutor() as pool:  # the engine takes a second for each answer
            stats = pool.map(stats_of, containers)
        return {c.name: memory_of(s) for c, s in zip(containers, stats, strict=True)}

    def logs(self, container: Container, lines: int = 40) -> str:
        done = run("docker", "logs", "--tail", str(lines), container.id, check=False)
        return done.stdout + done.stderr

    def trouble(self) -> str:
        """What a reader of a failure wants to see: containers that are not well, and their logs."""
        found = []
        for c in self.containers(stopped=True):
            health = c.state.get("Health", {})
            ended_well = c.service in ONE_SHOTS and c.state["Status"] == "exited"
            if health.get("Status") == "healthy" or (ended_well and c.state["ExitCode"] == 0):
                continue
            said = "".join(entry["Output"] for entry in health.get("Log") or [])
            found.append(
                f"=== {c.name}: {c.state['Status']}, exit code {c.state['ExitCode']}, "
                f"health {health.get('Status')}\nhealth check: {said}\n{self.logs(c)}"
            )
        return "\n".join(found) or "all containers are well"

    # --- Stores

    def sql(self, query: str, database: str = "postgres") -> list[list[str]]:
        """Ask PostgreSQL as its superuser, over the socket in its container."""
        text = self.execute(
            "postgres", "psql", "-XAtq", "-F", "\t", "-U", "postgres", "-d", database, "-c", query
        )
        return [line.split("\t") for line in text.splitlines()]

    def redis(self, *words: str, user: str = "admin", password: str | None = None) -> str:
        """Ask Redis as one of its users, over loopback in its container."""
        secret = password or self.execute("redis", "cat", "/run/secrets/redis/admin").strip()
        return self.execute(
            "redis", "redis-cli", "--no-auth-warning", "--user", user, *words, REDISCLI_AUTH=secret
        ).strip()

    @contextmanager
    def redis_commands(self) -> Iterator[list[tuple[str, str]]]:
        """Fill a list with the client's address and the words of each command that Redis gets."""
        found: list[tuple[str, str]] = []
        secret = self.execute("redis", "cat", "/run/secrets/redis/admin").strip()
        # It ends with its input: a client in a container outlives `docker exec`.
        watch = "redis-cli --no-auth-warning --user admin monitor & cat; kill $!"
        words = ["docker", "exec", "--interactive", "--env", "REDISCLI_AUTH",
                 self.container("redis").id, "bash", "-c", watch]  # fmt: skip
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"REDISCLI_AUTH": secret},
        ) as client:  # fmt: skip
            assert client.stdin
            assert client.stdout
            assert client.stdout.readline() == "OK\n"
            reader = threading.Thread(target=lambda: lines.extend(client.stdout or ()))
            lines: list[str] = []
            reader.start()
            try:
                yield found
            finally:
                client.stdin.close()
                reader.join()
        for line in lines:
            said = re.match(r"\S+ \[\d+ (\S+):\d+\] (.*)", line)
            if said:
                found.append((said[1], said[2]))

    def secrets(self) -> dict[str, str]:
        """All secrets by name, as the one container that may read them all sees them."""
        found = json.loads(
            self.compose(
                "run", "--rm", "--no-deps", "--entrypoint", "cat", "secrets",
                "/run/secrets/secrets.json",
            ).stdout
        )  # fmt: skip
        # Those of services that a team runs are empty where there are none.
        return {name: value for name, value in found.items() if value}

    # --- Pages

    def credentials(self) -> dict[str, dict[str, str]]:
        """What ``docker compose run --rm credentials`` prints."""
        lines = self.compose("run", "--rm", "credentials").stdout.splitlines()
        rows = [line.split() for line in lines]
        return {
            page: {"address": address, "user": user, "password": password}
            for page, address, user, password in rows
        }


@contextmanager
def airflow_client(login: dict[str, str]) -> Iterator[httpx.Client]:
    """Client of Airflow's REST interface, logged in with a token."""
    with httpx.Client(base_url=login["address"], timeout=30) as client:
        answer = client.post(
            "/auth/token", json={"username": login["user"], "password": login["password"]}
        )
        assert answer.status_code == httpx.codes.CREATED, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


def mlflow_client(login: dict[str, str]) -> httpx.Client:
    """Client of MLflow's REST interface, with its login."""
    return httpx.Client(
        base_url=login["address"], auth=(login["user"], login["password"]), timeout=60
    )


def s3_client(project: Project, password: str) -> Any:
    """A client of the test's own, at MinIO's S3 port, which is published nowhere."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://{project.container('minio').address('objects')}:9000",
        aws_access_key_id="tradewind",
        aws_secret_access_key=password,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
    )


def answers(address: str, port: int) -> bool:
    """Whether anybody accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2):
        return True
    return False


def make_project(home: Path, name: str) -> Project:
    """Copy what git knows of the checkout, uncommitted changes included, and choose free ports."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
                 cwd=CHECKOUT).stdout  # fmt: skip
    for path in (CHECKOUT / word for word in listed.split("\0") if word):
        if path.is_file():
            copy = home / path.relative_to(CHECKOUT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    shutil.copy2(CHECKOUT / "tests" / "stack" / "strategies" / "believed.yaml", home / "strategies")
    # What the images keep of a checkout's history: which commit it is at.
    git = home / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs" / "heads" / "main").write_text(COMMIT + "\n")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    ours = re.compile(r"(TRADEWIND|AIRFLOW|MLFLOW|COMPOSE|SECRET)_")
    environment = {k: v for k, v in os.environ.items() if not ours.match(k)}
    environment |= {PORTS[page]: str(port) for page, port in ports.items()}
    environment["AIRFLOW_PUBLIC_URL"] = f"http://localhost:{ports['airflow']}"
    environment["TRADEWIND_IMAGE_TAG"] = name
    before = {port: answers("127.0.0.1", port) for port in INNER_PORTS}
    return Project(home, name, ports, environment, loopback_before=before)


def start_training(airflow: httpx.Client, strategy: str = "believed") -> str:
    """Start the workflow over Airflow's interface, and return the path of its run there."""
    dag = f"/api/v2/dags/train_{strategy}"
    wait_until(lambda: airflow.get(dag).is_success, 60)  # read by the dag-processor by then
    made = airflow.post(f"{dag}/dagRuns", json={"logical_date": None})
    assert made.is_success, made.text
    return f"{dag}/dagRuns/{made.json()['dag_run_id']}"


def image_ids(references: Iterable[str]) -> set[str]:
    """Ids of those images that there are."""
    done = run("docker", "image", "inspect", "--format", "{{.Id}}", *references, check=False)
    return set(done.stdout.split())


def image_sizes(project: Project) -> dict[str, int]:
    """Bytes of each image in use, by name; layers that images share count in each."""
    names = sorted({c.about["Config"]["Image"] for c in project.containers(stopped=True)})
    sizes = run("docker", "image", "inspect", "--format", "{{.Size}}", *names).stdout.split()
    return {
        name.removesuffix(f":{project.name}"): int(size)
        for name, size in zip(names, sizes, strict=True)
    }


def build(project: Project) -> None:
    """Build the images under the project's own tag, so that no other run can change them.

    Under another they are kept: what has not changed since is not made again.
    """
    kept = [f"tradewind-{target}:{KEPT}" for target in TARGETS]
    before = image_ids(kept)
    project.compose("--profile", "tools", "build", timeout=1800, TRADEWIND_IMAGE_TAG=KEPT)
    for target, name in zip(TARGETS, kept, strict=True):
        run("docker", "tag", name, f"tradewind-{target}:{project.name}")
    for replaced in before - image_ids(kept):
        run("docker", "image", "rm", replaced, check=False)  # another run may still use it


def remove(project: Project) -> None:
    """Remove everything of the project, by its name."""
    project.down("--profile", "tools", "down", "--volumes", "--timeout", "10")
    names = [f"tradewind-{target}:{project.name}" for target in TARGETS]
    run("docker", "image", "rm", *names, check=False)  # where none was built, there is none


def stats_of(container: Container) -> Mapping[str, Any]:
    """Figures of the engine about one container, the same for both versions of cgroups."""
    host = run("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").stdout
    assert host.startswith("unix://"), f"the engine is at {host}, not on this machine"
    transport = httpx.HTTPTransport(uds=host.strip().removeprefix("unix://"))
    with httpx.Client(transport=transport, base_url="http://engine", timeout=30) as client:
        answer = client.get(
            f"/containers/{container.id}/stats", params={"stream": "false", "one-shot": "true"}
        )
    assert answer.is_success, answer.text
    return answer.json()


def memory_of(stats: Mapping[str, Any]) -> dict[str, float]:
    """Memory in use and its limit, in MiB; pages of files that can be dropped do not count."""
    memory = stats["memory_stats"]
    details = memory["stats"]
    droppable = details.get("total_inactive_file", details.get("inactive_file", 0))
    return {"used": (memory["usage"] - droppable) / 2**20, "limit": memory["limit"] / 2**20}
