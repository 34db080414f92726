"""Backups to a bucket and of a bucket, where a `minio` program is on PATH."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest

from tests.stack.conftest import make_stack, root_login
from tradewind.errors import BackupError
from tradewind.stack.backup import kept
from tradewind.stack.backup.databases import Databases
from tradewind.stack.backup.encryption import make_key, public_keys, read_key
from tradewind.stack.backup.make import make_backup
from tradewind.stack.backup.places import place_of
from tradewind.stack.backup.restore import checked, restore_tree
from tradewind.stack.backup.system import System
from tradewind.stack.backup.trees import Objects
from tradewind.stack.postgres import program

FILES = {"1/model ä": b"m" * 100, "1/large": bytes(range(256)) * 50_000, "1/empty": b""}


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    stack = make_stack(tmp_path_factory.mktemp("minio") / "home").part("minio")
    del stack.environment["TRADEWIND_ARTIFACT_STORE"]
    with ExitStack() as ends:
        ends.callback(stack.run, "down")
        stack.ok("up", "--detach", timeout=1800)
        patch = ends.enter_context(pytest.MonkeyPatch.context())
        login = root_login(stack)
        for name, value in login.items():
            patch.setenv(name.replace("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL"), value)
        yield {
            "endpoint_url": login["MLFLOW_S3_ENDPOINT_URL"],
            "aws_access_key_id": login["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": login["AWS_SECRET_ACCESS_KEY"],
            "region_name": login["AWS_DEFAULT_REGION"],
        }


def test_objects_are_backed_up_to_a_bucket_and_restored(
    options: dict[str, str], tmp_path: Path
) -> None:
    with ExitStack() as stack:
        client = boto3.client("s3", **options)
        stack.callback(client.close)
        for bucket in ("from", "into", "backups"):
            client.create_bucket(Bucket=f"{bucket}-bucket")
        for path, content in FILES.items():
            client.put_object(Bucket="from-bucket", Key=path, Body=content)
        source, into = (Objects(f"{name}-bucket", options=options) for name in ("from", "into"))
        place = place_of("s3://backups-bucket/of/tests", tmp_path)
        system = System(Databases({}, program), {"artifacts": source})
        public = make_key(tmp_path / "key")

        made = [
            make_backup(system, place, keep=2, encrypt_to=public_keys(public)) for _ in range(3)
        ]
        names = [each.backup.name for each in made]
        assert [each.name for each in kept.backups(place)] == names[1:]
        assert made[2].removed == names[:1]

        found = kept.find(place, None)
        whole = checked(found, read_key(tmp_path / "key"))
        restore_tree(into, "artifacts", whole)
        listed = client.list_objects_v2(Bucket="into-bucket")["Contents"]
        assert {entry["Key"] for entry in listed} == set(FILES)
        for path, content in FILES.items():
            assert client.get_object(Bucket="into-bucket", Key=path)["Body"].read() == content

        key = f"of/tests/{found.name}/artifacts.tar.age"
        content = client.get_object(Bucket="backups-bucket", Key=key)["Body"].read()
        client.put_object(Bucket="backups-bucket", Key=key, Body=content[:-1])
        with pytest.raises(BackupError, match="is damaged"):
            checked(found, read_key(tmp_path / "key"))
        client.delete_object(Bucket="backups-bucket", Key=key)
        with pytest.raises(BackupError, match="is missing"):
            checked(found, read_key(tmp_path / "key"))


def test_a_bucket_that_is_not_there_is_named(options: dict[str, str], tmp_path: Path) -> None:
    assert options
    with pytest.raises(BackupError, match=r"s3://none-bucket/here: .*NoSuchBucket"):
        kept.backups(place_of("s3://none-bucket/here", tmp_path))
