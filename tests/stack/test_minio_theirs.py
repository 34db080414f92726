"""MLflow's files in a bucket that a team runs already, with TLS before it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from tests.stack.conftest import NewStack, Stack
from tests.support import free_ports, wait_until
from tests.tls import make_authority, tls_before
from tradewind.endpoints import read_objects_url
from tradewind.settings import Settings
from tradewind.stack.adoption import adopt
from tradewind.stack.backup import kept
from tradewind.stack.backup.databases import Databases
from tradewind.stack.backup.make import make_backup
from tradewind.stack.backup.places import Directory
from tradewind.stack.backup.restore import checked, restore_tree
from tradewind.stack.backup.system import System
from tradewind.stack.backup.trees import Objects
from tradewind.stack.layout import Layout
from tradewind.stack.postgres import program
from tradewind.stack.secrets import load_secrets

CHECKOUT = Path(__file__).parents[2]
PART = ("postgres", "databases", "objects", "forkserver", "mlflow-migrate", "mlflow")
ROOT, PASSWORD = "their-root", "their secret"
KEY = "their/file"


@dataclass
class Bucket:
    """A team's MinIO, with a bucket and an object of the team's in it."""

    url: str
    ca: str
    client: Any

    def keys(self, bucket: str = "research") -> dict[str, str]:
        found = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {each["Key"]: each["ETag"] for each in found}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    root = tmp_path_factory.mktemp("minio")
    program = shutil.which("minio")
    assert program is not None, "no minio on PATH"
    port, console = free_ports(2)
    authority = make_authority(root / "tls")
    environment = {**os.environ, "MINIO_ROOT_USER": ROOT, "MINIO_ROOT_PASSWORD": PASSWORD}
    with (
        (root / "log").open("wb") as log,
        subprocess.Popen(
            [program, "server", str(root / "data"), "--address", f"127.0.0.1:{port}",
             "--console-address", f"127.0.0.1:{console}"],
            env=environment, stdout=log, stderr=log,
        ) as server,
        tls_before(authority, port) as tls,
    ):  # fmt: skip
        url = f"https://localhost:{tls}"
        ready = f"http://127.0.0.1:{port}/minio/health/ready"

        def answers() -> bool:
            try:
                return httpx.get(ready, trust_env=False).is_success
            except httpx.HTTPError:
                return False

        try:
            wait_until(answers, 60)
            client = boto3.client(
                "s3", endpoint_url=url, aws_access_key_id=ROOT, aws_secret_access_key=PASSWORD,
                region_name="us-east-1", verify=str(authority.ca),
            )  # fmt: skip
            client.create_bucket(Bucket="research")
            client.put_object(Bucket="research", Key=KEY, Body=b"a year of ticks")
            yield Bucket(url, str(authority.ca), client)
            client.close()
        finally:
            server.terminate()


def address(bucket: Bucket, path: str) -> str:
    return f"{bucket.url}/{path}?ca_bundle={bucket.ca}"


def settings_of(tmp_path: Path, bucket: Bucket, path: str) -> Settings:
    (tmp_path / "config").symlink_to(CHECKOUT / "config")
    return Settings(home=tmp_path, objects_url=address(bucket, path))


def test_a_bucket_that_is_there_is_left_as_it_is(tmp_path: Path, bucket: Bucket) -> None:
    given = settings_of(tmp_path, bucket, "research/mlflow")
    login = {"ADOPT_OBJECTS_LOGIN": f"{ROOT}:{PASSWORD}"}
    before = bucket.keys()
    assert not adopt(given, login).ready
    found = adopt(given, login, apply=True)
    assert found.ready, found
    assert load_secrets(Layout(given.state)).objects_login == f"{ROOT}:{PASSWORD}"
    assert adopt(given, {}).ready
    assert bucket.keys() == before
    assert "Status" not in bucket.client.get_bucket_versioning(Bucket="research")
    [part] = found.parts
    assert {each.what: each.state for each in part.findings}["versioning"] == "note"


def test_a_bucket_that_is_missing_is_made(tmp_path: Path, bucket: Bucket) -> None:
    given = settings_of(tmp_path, bucket, "made-for-us")
    login = {"ADOPT_OBJECTS_LOGIN": f"{ROOT}:{PASSWORD}"}
    first = adopt(given, login)
    assert not first.ready
    with pytest.raises(ClientError):
        bucket.keys("made-for-us")
    assert adopt(given, login, apply=True).ready
    kept = bucket.client.get_bucket_versioning(Bucket="made-for-us")
    assert kept["Status"] == "Enabled"


def test_a_login_that_may_not_write_is_told_the_policy(tmp_path: Path, bucket: Bucket) -> None:
    given = settings_of(tmp_path, bucket, "research/mlflow")
    [part] = adopt(given, {"ADOPT_OBJECTS_LOGIN": f"{ROOT}:wrong"}, apply=True).parts
    assert part.blocked
    policy = json.loads(part.commands[-1])
    assert policy["Statement"][0]["Resource"] == ["arn:aws:s3:::research/mlflow/*"]
    assert load_secrets(Layout(given.state)).objects_login == ""


def test_a_certificate_of_another_authority_is_refused(tmp_path: Path, bucket: Bucket) -> None:
    false = make_authority(tmp_path / "false")
    given = settings_of(tmp_path, replace(bucket, ca=str(false.ca)), "research")
    [part] = adopt(given, {"ADOPT_OBJECTS_LOGIN": f"{ROOT}:{PASSWORD}"}, apply=True).parts
    assert "CERTIFICATE_VERIFY_FAILED" in str(part.findings)


def test_files_are_backed_up_from_a_folder_and_restored_into_another(
    tmp_path: Path, bucket: Bucket
) -> None:
    source, into = (
        Objects.at(read_objects_url(address(bucket, f"research/{name}")), (ROOT, PASSWORD))
        for name in ("old", "new")
    )
    for path in ("1/model", "1/ä b"):
        bucket.client.put_object(Bucket="research", Key=f"old/{path}", Body=path.encode())
    bucket.client.put_object(Bucket="research", Key="old/tradewind-probe", Body=b"")
    before = bucket.keys()
    place = Directory(tmp_path / "backups")
    make_backup(System(Databases({}, program), {"artifacts": source}), place)
    whole = checked(kept.find(place, None), None)
    assert into.paths() == []
    restore_tree(into, "artifacts", whole)
    assert into.paths() == ["1/model", "1/ä b"]
    found = bucket.keys()
    assert {key: tag for key, tag in found.items() if not key.startswith("new/")} == before


def test_files_of_mlflow_are_kept_in_the_folder(
    new_stack: NewStack, tmp_path: Path, bucket: Bucket
) -> None:
    made = new_stack(tmp_path / "desk")
    environment = {
        **made.environment,
        "TRADEWIND_OBJECTS_URL": address(bucket, "research/mlflow"),
        "ADOPT_OBJECTS_LOGIN": f"{ROOT}:{PASSWORD}",
    }
    stack = replace(made, environment=environment).part(*PART)
    before = bucket.keys()
    stack.ok("adopt", "--apply")
    try:
        stack.ok("up", "--detach", timeout=1800)
        write_through_mlflow(stack)
    finally:
        stack.run("down")
    ours = {key: tag for key, tag in bucket.keys().items() if key not in before}
    assert [key for key in ours if key != "mlflow/tradewind-probe"] == ["mlflow/any/file.txt"]
    assert {key: bucket.keys()[key] for key in before} == before
    elsewhere = replace(stack, environment={**stack.environment, "TRADEWIND_OBJECTS_URL": ""})
    refused = elsewhere.run("up", "--detach")
    assert refused.returncode == 1
    assert "TRADEWIND_OBJECTS_URL no longer names it" in refused.stderr


def write_through_mlflow(stack: Stack) -> None:
    page = stack.json("credentials")["mlflow"]
    url = f"{page['address']}/api/2.0/mlflow-artifacts/artifacts/any/file.txt"
    with httpx.Client(auth=(page["user"], page["password"]), timeout=60, trust_env=False) as client:
        assert client.put(url, content=b"a model").is_success
        assert client.get(url).content == b"a model"
