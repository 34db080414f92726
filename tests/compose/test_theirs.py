"""Containers on the PostgreSQL, Redis and MinIO of a team's own compose project, started first."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compose.project import (
    Project,
    airflow_client,
    build,
    make_project,
    mlflow_client,
    remove,
    run,
    start_training,
)
from tests.support import wait_until

pytestmark = pytest.mark.disturbs  # a stack of its own: after those that measure

PASSWORD = "theirs-alone"
TASKS = 1000
WAITING = 50
# The images as their documentation starts them, and a Celery app with all at its defaults.
TEAM = f"""
services:
  postgres:
    image: postgres:17-trixie
    environment: {{POSTGRES_PASSWORD: {PASSWORD}}}
  redis:
    image: redis:8-trixie
    command: [redis-server, --requirepass, {PASSWORD}, --appendonly, "yes"]
  minio:
    image: ${{MINIO}}
    command: [server, /data]
    environment: {{MINIO_ROOT_USER: theirs, MINIO_ROOT_PASSWORD: {PASSWORD}}}
  app:
    image: tradewind-trading:${{TAG}}
    entrypoint: [celery, --app, their_app]
    command: [worker, --concurrency, "1"]
    profiles: [later]
    working_dir: /app
    environment: {{THEIR_REDIS: "redis://:{PASSWORD}@redis/0", PYTHONPATH: /app}}
    volumes: [./app:/app:ro]
"""
LOGINS: Any = {
    "ADOPT_POSTGRES_LOGIN": f"postgres:{PASSWORD}",
    "ADOPT_REDIS_LOGIN": f":{PASSWORD}",
    "ADOPT_OBJECTS_LOGIN": f"theirs:{PASSWORD}",
}
SEND = """
import os, sys
from their_app import note
for number in range(int(sys.argv[1]), int(sys.argv[2])):
    note.delay(number)
"""
READ = """
import json, os
from redis import Redis
redis = Redis.from_url(os.environ["THEIR_REDIS"], decode_responses=True)
read = {
    "string": redis.get, "hash": redis.hgetall, "set": lambda key: sorted(redis.smembers(key)),
    "list": lambda key: redis.lrange(key, 0, -1),
    "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
}
print(json.dumps({key: read[redis.type(key)](key) for key in sorted(redis.scan_iter())}))
"""
LEAVE = """
import os, boto3
client = boto3.client("s3", endpoint_url="http://minio:9000", region_name="us-east-1")
client.create_bucket(Bucket="app")
client.put_object(Bucket="app", Key="report", Body=b"theirs")
client.create_bucket(Bucket="research")
"""


@dataclass
class Team:
    """The team's project."""

    home: Path
    name: str
    environment: dict[str, str]
    tag: str

    @property
    def network(self) -> str:
        return f"{self.name}_default"

    def compose(self, *words: str, check: bool = True) -> str:
        done = run(
            "docker", "compose", "--project-name", self.name, *words,
            cwd=self.home, env=self.environment, check=check, timeout=600,
        )  # fmt: skip
        return done.stdout

    def redis(self, *words: str) -> str:
        return self.compose(
            "exec", "-T", "redis", "redis-cli", "--no-auth-warning", "-a", PASSWORD, *words
        ).strip()

    def python(self, program: str, *words: str, image: str = "trading") -> str:
        """Run Python in the team's network, with the team's code and logins."""
        return run(
            "docker", "run", "--rm", "--network", self.network, "--entrypoint", "python",
            "--volume", f"{self.home}/app:/app:ro", "--workdir", "/app",
            "--env", f"THEIR_REDIS=redis://:{PASSWORD}@redis/0", "--env", "PYTHONPATH=/app",
            "--env", "AWS_ACCESS_KEY_ID=theirs", "--env", f"AWS_SECRET_ACCESS_KEY={PASSWORD}",
            f"tradewind-{image}:{self.tag}", "-c", program, *words,
        ).stdout  # fmt: skip

    def found(self) -> tuple[dict[str, Any], str]:
        """All that is in the team's database of Redis and in its database of PostgreSQL."""
        held = json.loads(self.python(READ))
        dump = self.compose(
            "exec", "-T", "postgres", "pg_dump", "--create", "-U", "postgres", "desk"
        )
        # Of the last releases each dump has a word of its own against injected commands.
        lines = [line for line in dump.splitlines() if "restrict " not in line]
        return held, "\n".join(lines)


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = make_project(
        tmp_path_factory.mktemp("guest") / "checkout", f"tradewind-guest-{uuid.uuid4().hex[:6]}"
    )
    try:
        build(made)
        yield made
    finally:
        remove(made)


@pytest.fixture(scope="module")
def team(guest: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The team's services, with data and with tasks that wait for a worker."""
    home = tmp_path_factory.mktemp("team")
    (home / "compose.yaml").write_text(TEAM)
    (home / "app").mkdir()
    source = Path(__file__).parents[1] / "stack" / "their_app.py"
    (home / "app" / "their_app.py").write_text(source.read_text())
    for path in (home, home / "app"):
        path.chmod(0o755)
    said = guest.compose("config", "--images").stdout.split()
    [minio] = [image for image in said if "silo" in image or "minio" in image.split("/")[-1]]
    environment = {**guest.environment, "MINIO": minio, "TAG": guest.name}
    made = Team(home, f"team-{uuid.uuid4().hex[:6]}", environment, guest.name)
    try:
        made.compose("up", "--detach")
        ready = ("exec", "-T", "postgres", "psql", "-h", "127.0.0.1", "-U", "postgres", "-c")

        def started() -> bool:
            done = run(
                "docker", "compose", "--project-name", made.name, *ready, "SELECT 1",
                cwd=home, env=environment | {"PGPASSWORD": PASSWORD}, check=False,
            )  # fmt: skip
            return done.returncode == 0

        wait_until(started, 120)
        made.compose(*ready, "CREATE DATABASE desk")
        made.compose(*ready[:-1], "-d", "desk", "-c", "CREATE TABLE trades AS SELECT 1 AS n")
        made.python(LEAVE, image="mlflow")
        made.python(SEND, "0", str(WAITING))
        yield made
    finally:
        made.compose("--profile", "later", "down", "--volumes", "--timeout", "5", check=False)


@pytest.fixture(scope="module")
def before(team: Team) -> tuple[dict[str, Any], str]:
    return team.found()


@pytest.fixture(scope="module")
def adopted(guest: Project, team: Team, before: tuple[dict[str, Any], str]) -> Project:
    """The guest, moved in as the page says: lines in .env, and one command."""
    assert before
    name_theirs(guest, team, "", 2, "mlflow")
    looked = guest.compose("run", "--rm", "adopt", check=False, **LOGINS)
    assert looked.returncode == 1
    assert "to do      database airflow" in looked.stdout
    assert team.found() == before
    said = guest.compose("run", "--rm", "adopt", "--apply", **LOGINS).stdout
    assert "all is ready" in said
    guest.up()
    return guest


def name_theirs(guest: Project, team: Team, prefix: str, number: int, folder: str) -> None:
    """Name the team's services in .env, and what of them is to be the guest's."""
    files = ("compose.yaml", *(f"compose.{name}.yaml" for name in ("postgres", "redis", "objects")))
    (guest.home / ".env").write_text(
        f"COMPOSE_FILE={':'.join(files)}\n"
        f"TRADEWIND_NETWORK={team.network}\n"
        f"TRADEWIND_POSTGRES_URL=postgresql://{team.name}-postgres-1/{prefix}\n"
        f"TRADEWIND_REDIS_URL=redis://{team.name}-redis-1/{number}\n"
        f"TRADEWIND_OBJECTS_URL=http://{team.name}-minio-1:9000/research/{folder}\n"
    )
    (guest.home / ".env").chmod(0o600)  # as the page on secrets says


def test_ours_are_well_beside_theirs(
    adopted: Project, team: Team, before: tuple[dict[str, Any], str]
) -> None:
    assert team.found() == before
    services = {container.service for container in adopted.containers()}
    assert {"existing-postgres", "existing-redis", "existing-objects"} <= services
    # What holds the place of a service runs nothing.
    for place in ("postgres", "redis", "minio"):
        assert adopted.container(place).about["Config"]["Cmd"] is None or (
            "server" not in str(adopted.container(place).about["Config"]["Cmd"])
        )
        networks = adopted.container(place).about["NetworkSettings"]["Networks"]
        assert team.network not in networks  # it would answer to the name of theirs


def test_their_tasks_and_a_training_go_on_side_by_side(adopted: Project, team: Team) -> None:
    team.compose("--profile", "later", "up", "--detach", "app")
    logins = adopted.credentials()
    with airflow_client(logins["airflow"]) as airflow:
        path = start_training(airflow)
        team.python(SEND, str(WAITING), str(TASKS))
        assert outcome(airflow, path) == "success"
        wait_until(lambda: team.redis("HLEN", "done") == str(TASKS), 300)
        assert set(team.redis("HVALS", "done").split()) == {"1"}
        # And once more, with their services restarted in the middle.
        team.compose("--profile", "later", "stop", "app")
        held = team.found()
        path = start_training(airflow)
        wait_until(lambda: state_of(airflow, path, "train") in {"running", "success"}, 300)
        team.compose("restart", "--timeout", "10", "redis", "postgres")
        assert outcome(airflow, path) == "success"
    assert team.found() == held
    with mlflow_client(logins["mlflow"]) as mlflow:
        name = {"name": "believed"}
        answer = mlflow.get("/api/2.0/mlflow/registered-models/get", params=name)
        assert answer.json()["registered_model"]["latest_versions"][0]["status"] == "READY"


def outcome(airflow: httpx.Client, path: str) -> str:
    """Wait for the end of a run, through answers without one while its database is away."""

    def state() -> str:
        answer = airflow.get(path)
        return str(answer.json()["state"]) if answer.is_success else answer.text

    wait_until(lambda: state() in {"success", "failed"}, 600, of=state)
    return state()


def state_of(airflow: httpx.Client, path: str, task: str) -> str | None:
    found = airflow.get(f"{path}/taskInstances").json()["task_instances"]
    return next((each["state"] for each in found if each["task_id"] == task), None)


def test_a_service_of_theirs_that_is_away_is_said(adopted: Project, team: Team) -> None:
    team.compose("stop", "--timeout", "10", "redis")

    def said() -> str:
        health = adopted.container("existing-redis").state["Health"]
        return json.dumps(health) if health["Status"] == "unhealthy" else ""

    try:
        wait_until(said, 180)
        assert "docker compose run --rm adopt" in said()
    finally:
        team.compose("start", "redis")
    wait_until(lambda: adopted.container("existing-redis").health == "healthy", 180)


def test_a_backup_is_restored_in_another_place_of_theirs(adopted: Project, team: Team) -> None:
    """Last of all: our project, with all its volumes, is lost in between."""
    run_tool = ("run", "--rm", "-T")
    made = json.loads(adopted.compose(*run_tool, "backup").stdout)
    assert made["versions"] >= 1
    assert made["incomplete"] == []
    adopted.down("--profile", "tools", "down", "--volumes", "--timeout", "10")
    held = team.found()
    name_theirs(adopted, team, "?prefix=again_", 4, "again")
    adopted.compose("run", "--rm", "adopt", "--apply", **LOGINS)
    restored = json.loads(adopted.compose(*run_tool, "restore").stdout)
    assert (restored["rows"], restored["files"]) == (made["rows"], made["files"])
    again = adopted.compose(*run_tool, "restore", check=False)
    assert "there is data in database again_airflow" in again.stderr
    assert team.found() == held
    counted = "SELECT count(*) FROM model_versions"
    for database in ("mlflow", "again_mlflow"):
        said = team.compose(
            "exec", "-T", "postgres", "psql", "-XAtU", "postgres", "-d", database, "-c", counted
        )
        assert int(said) == made["versions"]
