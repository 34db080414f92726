"""The stand-ins keep what compose.yaml and the Dockerfile rely on, and both Composes run here."""

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.compose.conftest import REQUIRE
from tests.support import wait_until

PYTHON = "python:3.13-slim-trixie"
POSTGRES = "postgres:17-trixie"
REDIS = "redis:8-trixie"


def run(*words: str, check: bool = True, **options: Any) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert not check or done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def succeeds(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module", autouse=True)
def stand_ins() -> None:
    label = '{{index .Config.Labels "tradewind.stand-in"}}'
    if not os.environ.get(REQUIRE) and not run(
        "docker", "image", "inspect", "--format", label, PYTHON, check=False
    ).startswith(tuple("0123456789abcdef")):
        pytest.skip("the images here are not the stand-ins")


class Container:
    def __init__(self, *words: str) -> None:
        self.name = f"stand-in-{uuid.uuid4().hex[:8]}"
        run("docker", "run", "--detach", "--name", self.name, *words)

    def command(self, *words: str) -> tuple[str, ...]:
        return ("docker", "exec", self.name, *words)

    def ok(self, *words: str) -> str:
        return run(*self.command(*words))

    def wait_for(self, *words: str) -> None:
        wait_until(lambda: succeeds(*self.command(*words)), 60, of=lambda: (self.name, words))

    def uid_of_first_process(self) -> int:
        status = self.ok("cat", "/proc/1/status")
        return int(status.split("Uid:")[1].split()[0])

    def inspect(self, template: str) -> str:
        return run("docker", "inspect", "--format", template, self.name).strip()


@pytest.fixture
def start() -> Iterator[Callable[..., Container]]:
    started: list[Container] = []

    def start(*words: str) -> Container:
        started.append(Container(*words))
        return started[-1]

    yield start
    for container in started:
        run("docker", "rm", "--force", "--volumes", container.name)


def test_build_reaches_package_registries(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"""
FROM {PYTHON} AS build
RUN pip install --no-cache-dir uv && uv venv /opt/app
RUN VIRTUAL_ENV=/opt/app uv pip install six
FROM {PYTHON}
RUN apt-get update && apt-get install -y --no-install-recommends tini
COPY --from=build /opt/app /opt/app
USER 1000
ENTRYPOINT ["tini", "--", "/opt/app/bin/python", "-c"]
""")
    tag = f"stand-in-{uuid.uuid4().hex[:8]}"
    # Without --no-cache a layer of a day when the registries answered would prove nothing.
    run("docker", "build", "--no-cache", "--tag", tag, str(tmp_path))
    try:
        said = run(
            "docker", "run", "--rm", tag, "import os, six, sys; print(sys.version, os.getuid())"
        )
        assert said.startswith("3.13.")
        assert said.endswith(" 1000\n")
    finally:
        run("docker", "rmi", "--force", tag)


def test_python_has_what_slim_has_and_no_more(start: Callable[..., Container]) -> None:
    container = start(PYTHON, "sleep", "infinity")
    found = container.ok("bash", "-c", "type -P python python3 pip gcc curl git tini || true")
    assert found.split() == [f"/usr/local/bin/{name}" for name in ("python", "python3", "pip")]


def test_postgres_initialises_on_the_first_start_only(
    tmp_path: Path, start: Callable[..., Container]
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "1.sh").write_text(
        'psql -U "$POSTGRES_USER" -d shop -c "CREATE TABLE runs (n int)"\n'
    )
    (tmp_path / "2.sql").write_text("INSERT INTO runs VALUES (1);\n")
    (tmp_path / "password").write_text("of a file\n")
    database = start(
        *("-e", "POSTGRES_PASSWORD_FILE=/docker-entrypoint-initdb.d/password"),
        *("-e", "POSTGRES_USER=keeper", "-e", "POSTGRES_DB=shop"),
        *("-v", f"{tmp_path}:/docker-entrypoint-initdb.d:ro"),
        *(POSTGRES, "postgres", "-c", "max_connections=17"),
    )
    # By address: over the socket the server of the first start answers too.
    ready = ("pg_isready", "-h", "127.0.0.1", "-U", "keeper")
    database.wait_for(*ready)
    assert database.uid_of_first_process() == 999
    assert database.inspect("{{.Config.StopSignal}}") == "SIGINT"

    def ask(question: str, *, password: str) -> str:
        address = database.ok("hostname", "-i").split()[0]  # not loopback, which is trusted
        url = f"postgresql://keeper:{password.replace(' ', '%20')}@{address}/shop"
        return run(*database.command("psql", url, "-qAtc", question), check=False).strip()

    assert ask("SHOW max_connections", password="of a file") == "17"
    assert "password authentication failed" in ask("SELECT 1", password="another")
    run("docker", "restart", database.name)
    database.wait_for(*ready)
    assert ask("SELECT count(*) FROM runs", password="of a file") == "1"


def test_postgres_refuses_to_start_without_a_password(start: Callable[..., Container]) -> None:
    database = start(POSTGRES)
    assert run("docker", "wait", database.name).strip() == "1"
    assert "POSTGRES_PASSWORD" in run("docker", "logs", database.name)


def test_redis_reads_an_acl_file_and_keeps_data(
    tmp_path: Path, start: Callable[..., Container]
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "users.acl").write_text("user default off\nuser app on >word ~app:* &app:* +@all\n")
    (tmp_path / "redis.conf").write_text("aclfile /acl/users.acl\nappendonly yes\n")
    server = start("-v", f"{tmp_path}:/acl:ro", REDIS, "redis-server", "/acl/redis.conf")
    client = ("redis-cli", "--user", "app", "--pass", "word", "--no-auth-warning")
    server.wait_for(*client, "get", "app:x")
    assert server.uid_of_first_process() == 999
    assert "OK" in server.ok(*client, "set", "app:x", "kept")
    assert "NOPERM" in server.ok(*client, "set", "other:x", "1")
    assert "NOAUTH" in server.ok("redis-cli", "ping")
    run("docker", "restart", server.name)
    # redis-cli ends well, too, when the server says that it still loads its data.
    get = server.command(*client, "get", "app:x")
    wait_until(lambda: run(*get, check=False).strip() == "kept", 60)


def test_redis_is_open_to_other_containers_without_a_configuration(
    start: Callable[..., Container],
) -> None:
    server = start(REDIS)
    address = server.inspect("{{.NetworkSettings.IPAddress}}")
    server.wait_for("redis-cli", "-h", address, "ping")
    assert server.ok("redis-cli", "-h", address, "ping").strip() == "PONG"


def test_minio_takes_its_login_from_files(tmp_path: Path, start: Callable[..., Container]) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "user").write_text("keeper")
    (tmp_path / "password").write_text("long enough")
    server = start(
        *("-e", "MINIO_ROOT_USER_FILE=/keys/user", "-e", "MINIO_ROOT_PASSWORD_FILE=/keys/password"),
        *("-v", f"{tmp_path}:/keys:ro", "-p", "127.0.0.1::9000"),
        *(minio_image(), "server", "/data", "--console-address", ":9001"),
    )
    server.wait_for("curl", "-sf", "http://localhost:9000/minio/health/ready")
    server.wait_for("curl", "-sf", "http://localhost:9001/")
    port = json.loads(server.inspect("{{json .NetworkSettings.Ports}}"))["9000/tcp"][0]["HostPort"]
    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="keeper",
        aws_secret_access_key="long enough",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    s3.create_bucket(Bucket="shelf")
    s3.put_object(Bucket="shelf", Key="a/b", Body=b"bytes")
    assert s3.get_object(Bucket="shelf", Key="a/b")["Body"].read() == b"bytes"


def minio_image() -> str:
    for line in run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
        if line.startswith("pgsty/silo:"):
            return line
    raise AssertionError("no MinIO image")


TWO_SERVICES = f"""
services:
  redis:
    image: {REDIS}
    healthcheck: {{test: [CMD, redis-cli, ping], interval: 1s, retries: 20}}
  prepare:
    image: {REDIS}
    depends_on: {{redis: {{condition: service_healthy}}}}
    command: redis-cli -h redis set prepared yes
  worker:
    image: {REDIS}
    depends_on: {{prepare: {{condition: service_completed_successfully}}}}
    command: sh -c 'redis-cli -h redis get prepared >/tmp/seen && exec sleep infinity'
    init: true
    healthcheck: {{test: [CMD, grep, "yes", /tmp/seen], interval: 1s, retries: 20}}
"""


@pytest.mark.parametrize("compose", [("docker", "compose"), ("docker-compose",)])
def test_both_composes_start_services_in_order(compose: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(TWO_SERVICES)
    words = (*compose, "-p", f"stand-in-{uuid.uuid4().hex[:8]}")
    try:
        run(*words, "up", "--detach", cwd=tmp_path)
        worker = run(*words, "ps", "-q", "worker", cwd=tmp_path).strip()
        state = ("docker", "inspect", "--format", "{{.State.Health.Status}}", worker)
        wait_until(lambda: run(*state).strip() == "healthy", 60)
    finally:
        run(*words, "down", "--volumes", cwd=tmp_path)
