"""Services that a team runs and the stack uses: asked how they are, never started or stopped.

Each is asked with the login that our own services have there, for what these need of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tradewind.endpoints import APPLICATIONS, DATABASES, ObjectStore, PostgresServer, RedisServer
from tradewind.stack.probes import TIMEOUT, Probe, ProbeFailure
from tradewind.stack.secrets import Secrets
from tradewind.stack.service import Service

__all__ = [
    "connect",
    "object_store",
    "postgres",
    "probe_objects",
    "probe_postgres",
    "probe_redis",
    "redis",
    "redis_client",
    "s3_client",
]


def postgres(server: PostgresServer, secrets: Secrets) -> Service:
    """Return the team's PostgreSQL: well when each role of ours is let into its database."""
    return Service("postgres", [], probe=probe_postgres(server, secrets), address=str(server))


def redis(server: RedisServer, secrets: Secrets) -> Service:
    """Return the team's Redis: well when each application of ours may write there."""
    return Service("redis", [], probe=probe_redis(server, secrets), address=str(server))


def object_store(store: ObjectStore, secrets: Secrets) -> Service:
    """Return the team's object store: well when the bucket is there and open to us."""
    return Service("objects", [], probe=probe_objects(store, secrets), address=store.endpoint)


def connect(server: PostgresServer, login: tuple[str, str], database: str) -> Any:  # noqa: ANN401 - psycopg2 is imported late
    """Open a connection of psycopg2 to one of the team's databases.

    Parameters
    ----------
    server : PostgresServer
    login : tuple of str
        Role and password.
    database : str
        As the server calls it.
    """
    import psycopg2

    user, password = login
    tls: dict[str, Any] = dict(server.tls)
    return psycopg2.connect(
        host=server.host, port=server.port, user=user, password=password, dbname=database,
        connect_timeout=int(TIMEOUT), **tls,
    )  # fmt: skip


def redis_client(server: RedisServer, login: tuple[str, str], number: int) -> Any:  # noqa: ANN401 - redis is imported late
    """Open a client of the team's Redis that tries once."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    user, password = login
    tls: dict[str, Any] = {"ssl": True, "ssl_cert_reqs": "required"} if server.tls else {}
    if server.ca_certs:
        tls["ssl_ca_certs"] = server.ca_certs
    return Redis(
        host=server.host, port=server.port, db=number, username=user or None,
        password=password or None, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT,
        decode_responses=True, retry=Retry(NoBackoff(), 0), **tls,
    )  # fmt: skip


def s3_client(store: ObjectStore, login: str) -> Any:  # noqa: ANN401 - boto3 ships no types
    """Open a client of the team's object store, for a login ``key:secret``."""
    import boto3
    from botocore.config import Config

    key, _, secret = login.partition(":")
    return boto3.client(
        "s3", endpoint_url=store.endpoint, aws_access_key_id=key, aws_secret_access_key=secret,
        region_name=store.region, verify=store.ca_bundle or None,
        config=Config(
            connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"total_max_attempts": 1}
        ),
    )  # fmt: skip


def probe_postgres(server: PostgresServer, secrets: Secrets) -> Probe:
    """Well when each role of ours is let into its database."""

    def probe(_started: float) -> None:
        import psycopg2

        for database in DATABASES:
            name = server.name(database)
            try:
                connection = connect(server, (name, getattr(secrets, f"postgres_{database}")), name)
                try:
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT 1")
                finally:
                    connection.close()
            except psycopg2.Error as error:
                raise ProbeFailure(f"role {name}: {str(error).strip()}") from error

    return probe


def probe_redis(server: RedisServer, secrets: Secrets) -> Probe:
    """Well when each application of ours may write in its database."""

    def probe(_started: float) -> None:
        for application in APPLICATIONS:
            login = server.user(application, getattr(secrets, f"redis_{application}"))
            with (
                _told(f"user {login[0] or 'default'}"),
                redis_client(server, login, server.number(application)) as client,
                client.pipeline() as write,
            ):
                key = f"{application}:probe"
                write.set(key, "well").delete(key).execute()

    return probe


def probe_objects(store: ObjectStore, secrets: Secrets) -> Probe:
    """Well when the bucket is there, and open to us."""

    def probe(_started: float) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            s3_client(store, secrets.objects_login).head_bucket(Bucket=store.bucket)
        except (BotoCoreError, ClientError) as error:
            raise ProbeFailure(f"bucket {store.bucket}: {error}") from error

    return probe


@contextmanager
def _told(who: str) -> Iterator[None]:
    from redis.exceptions import RedisError

    try:
        yield
    except RedisError as error:
        raise ProbeFailure(f"{who}: {error}") from error
