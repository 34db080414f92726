"""A team's object store: a bucket, or a folder of one, for MLflow's files."""

import json
import uuid
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any, Final

from tradewind.endpoints import ObjectStore
from tradewind.stack.adoption.findings import Part, clock, midpoint
from tradewind.stack.secrets import Secrets
from tradewind.stack.theirs import s3_client

__all__ = ["adopt"]

_ABSENT: Final = ("404", "NoSuchBucket", "NotFound")


def adopt(store: ObjectStore, secrets: Secrets, login: str, *, apply: bool) -> tuple[Part, Secrets]:
    """Look at the bucket, make it if it is missing, and keep the login with which MLflow uses it.

    Parameters
    ----------
    store, secrets
    login : str
        ``key:secret``; empty to look with the one that is kept.
    apply : bool

    Returns
    -------
    Part
    Secrets
        With the login, if it may do what MLflow must.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,  # noqa: A004 - it is called so there
        HTTPClientError,
    )

    part = Part("objects", str(store))
    if store.endpoint.startswith("https://"):
        part.note("encryption", "ready", "TLS, with the server's name checked")
    else:
        part.note("encryption", "note", "who is between can read along: https:// closes that")
    used = login or secrets.objects_login
    if not used:
        if said := _out_of_reach(store):
            _lost(part, said)
            return part, secrets
        part.commands.append(_policy(store))
        part.note(
            "login", "to do", "give ADOPT_OBJECTS_LOGIN=key:secret of a user with this policy"
        )
        return part, secrets
    client = s3_client(store, used)
    try:
        if _bucket(part, client, store, apply=apply):
            _try(part, client, store)
            _versions(part, client, store)
    except (ConnectionError, HTTPClientError) as error:
        _lost(part, str(error))
    except (BotoCoreError, ClientError) as error:
        part.commands.append(_policy(store))
        part.note("login", "in the way", f"{error}. The policy says what the user must be allowed")
    if part.blocked or used == secrets.objects_login:
        return part, secrets
    part.note("login", "done" if apply else "to do", "kept in the secrets, for MLflow alone")
    return part, replace(secrets, objects_login=used) if apply else secrets


def _lost(part: Part, said: str) -> None:
    part.note(
        "server", "in the way",
        f"{said}. Nobody was asked for a login: see that it runs, and that TRADEWIND_OBJECTS_URL "
        "has its host, port and scheme",
    )  # fmt: skip


def _out_of_reach(store: ObjectStore) -> str:
    """Return why nobody is reached there, as who has no login; "" if somebody answers."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        s3_client(store, "").head_bucket(Bucket=store.bucket)
    except ClientError:  # an answer
        pass
    except BotoCoreError as error:
        return str(error)
    return ""


def _bucket(part: Part, client: Any, store: ObjectStore, *, apply: bool) -> bool:  # noqa: ANN401 - boto3 ships no types
    """Return whether the bucket is there now."""
    from botocore.exceptions import ClientError

    try:
        with midpoint() as now:
            answer = client.head_bucket(Bucket=store.bucket)
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if date:
            clock(part, parsedate_to_datetime(date).timestamp(), now[0])
    except ClientError as error:
        if str(error.response["Error"]["Code"]) not in _ABSENT:
            raise
    else:
        part.note("bucket", "ready", store.bucket)
        return True
    part.commands.append(f"aws --endpoint-url {store.endpoint} s3 mb s3://{store.bucket}")
    if not apply:
        part.note("bucket", "to do", f"{store.bucket} is not there")
        return False
    client.create_bucket(Bucket=store.bucket)
    client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    part.note("bucket", "done", f"{store.bucket}, which keeps old versions")
    return True


def _try(part: Part, client: Any, store: ObjectStore) -> None:  # noqa: ANN401 - boto3 ships no types
    """Write, list, read and delete an object where MLflow's will be."""
    key = "/".join(filter(None, (store.prefix, f"tradewind-adopt-{uuid.uuid4().hex}")))
    content = key.encode()
    version = client.put_object(Bucket=store.bucket, Key=key, Body=content).get("VersionId")
    listed = client.list_objects_v2(Bucket=store.bucket, Prefix=key).get("KeyCount")
    read = client.get_object(Bucket=store.bucket, Key=key)["Body"].read()
    told = {"VersionId": version} if version else {}
    client.delete_object(Bucket=store.bucket, Key=key, **told)
    if read == content and listed == 1:
        part.note("objects", "ready", "written, listed, read and deleted")
    else:
        part.note("objects", "in the way", "what was written did not come back as it was")


def _versions(part: Part, client: Any, store: ObjectStore) -> None:  # noqa: ANN401 - boto3 ships no types
    from botocore.exceptions import ClientError

    try:
        status = client.get_bucket_versioning(Bucket=store.bucket).get("Status")
    except ClientError:
        status = "unknown"
    if status == "Enabled":
        part.note("versioning", "ready", "what is overwritten or deleted can be had back")
    else:
        part.note(
            "versioning", "note",
            "a file that is deleted by mistake is gone: aws --endpoint-url "
            f"{store.endpoint} s3api put-bucket-versioning --bucket {store.bucket} "
            "--versioning-configuration Status=Enabled",
        )  # fmt: skip


def _policy(store: ObjectStore) -> str:
    """Return what MLflow's user must be allowed, and no more, as a policy of S3."""
    bucket = f"arn:aws:s3:::{store.bucket}"
    folder = f"{store.prefix}/*" if store.prefix else "*"
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion",
                       "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            "Resource": [f"{bucket}/{folder}"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketVersioning",
                       "s3:GetBucketLocation"],
            "Resource": [bucket],
        },
    ]  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)
