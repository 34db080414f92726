"""Services that a team runs and the stack uses: asked how they are, never started or stopped.

Each is asked with the login that our own services have there, for what these need of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final

from tradewind.endpoints import (
    APPLICATIONS,
    ROLES,
    ObjectStore,
    PostgresServer,
    RedisServer,
    Sentinels,
)
from tradewind.host.certificates import ca_problem
from tradewind.stack.pooler import pooler_problem
from tradewind.stack.probes import TIMEOUT, Probe, ProbeFailure
from tradewind.stack.secrets import Secrets
from tradewind.stack.sentinels import NoMasterError, look_for_master
from tradewind.stack.service import Service

__all__ = [
    "FOLLOWER",
    "connect",
    "lacks_ca",
    "object_store",
    "postgres",
    "probe_objects",
    "probe_postgres",
    "probe_redis",
    "redis",
    "redis_client",
    "s3_client",
]


FOLLOWER: Final = "redis-follower"
"""Service that leads to the Redis which sentinels name."""

_BUSIEST: Final = "airflow"  # of our roles in PostgreSQL


def postgres(server: PostgresServer, secrets: Secrets) -> Service:
    """Return the team's PostgreSQL: well when each role of ours is let into its database."""
    return Service("postgres", [], probe=probe_postgres(server, secrets), address=str(server))


def redis(server: RedisServer, secrets: Secrets) -> Service:
    """Return the team's Redis: well when each application of ours may write there."""
    needs = (FOLLOWER,) if server.sentinels else ()
    return Service(
        "redis", [], needs=needs, probe=probe_redis(server, secrets), address=str(server)
    )


def object_store(store: ObjectStore, secrets: Secrets) -> Service:
    """Return the team's object store: well when the bucket is there and open to us."""
    return Service("objects", [], probe=probe_objects(store, secrets), address=store.endpoint)


def lacks_ca(where: PostgresServer | RedisServer | ObjectStore) -> str:
    """Return what is wrong with the file of the CA that an address names; "" if nothing is."""
    if isinstance(where, PostgresServer):
        setting, name, path = "TRADEWIND_POSTGRES_URL", "sslrootcert", where.sslrootcert
    elif isinstance(where, RedisServer):
        ca = where.sentinels.ca_certs if where.sentinels else where.ca_certs
        setting, name, path = "TRADEWIND_REDIS_URL", "ssl_ca_certs", ca
    else:
        setting, name, path = "TRADEWIND_OBJECTS_URL", "ca_bundle", where.ca_bundle
    problem = ca_problem(path) if path else ""
    return problem and (
        f"{path}, which {setting} names as {name}, {problem}. Put the certificate of the CA that "
        "signed the server's there, or name the file that has it"
    )


def connect(server: PostgresServer, login: tuple[str, str], database: str, **told: Any) -> Any:  # noqa: ANN401 - psycopg2 is imported late
    """Open a connection of psycopg2 to one of the team's databases.

    Parameters
    ----------
    server : PostgresServer
    login : tuple of str
        Role and password.
    database : str
        As the server calls it.
    **told
        What psycopg2 is told besides.
    """
    import psycopg2

    user, password = login
    tls: dict[str, Any] = dict(server.tls)
    return psycopg2.connect(
        host=server.host, port=server.port, user=user, password=password, dbname=database,
        connect_timeout=int(TIMEOUT), **tls, **told,
    )  # fmt: skip


def redis_client(server: RedisServer, login: tuple[str, str], number: int) -> Any:  # noqa: ANN401 - redis is imported late
    """Open a client of the team's Redis that tries once; of sentinels, of the master they name.

    Raises
    ------
    redis.exceptions.ConnectionError
        If sentinels name none.
    """
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    if server.sentinels is not None:
        server = _master(server.sentinels)
    user, password = login
    tls: dict[str, Any] = {"ssl": True, "ssl_cert_reqs": "required"} if server.tls else {}
    if server.ca_certs:
        tls["ssl_ca_certs"] = server.ca_certs
    return Redis(
        host=server.host, port=server.port, db=number, username=user or None,
        password=password or None, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT,
        decode_responses=True, retry=Retry(NoBackoff(), 0), **tls,
    )  # fmt: skip


def _master(sentinels: Sentinels) -> RedisServer:
    from redis.exceptions import ConnectionError as NoConnectionError

    try:
        found = look_for_master(sentinels)
    except NoMasterError as error:
        raise NoConnectionError(f"no sentinel names a master {sentinels.master}: {error}") from None
    return RedisServer(found.host, found.port, tls=sentinels.tls, ca_certs=sentinels.ca_certs)


def s3_client(store: ObjectStore, login: str) -> Any:  # noqa: ANN401 - boto3 ships no types
    """Open a client of the team's object store, for a login ``key:secret``, or "" for none."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    key, _, secret = login.partition(":")
    return boto3.client(
        "s3", endpoint_url=store.endpoint, aws_access_key_id=key or None,
        aws_secret_access_key=secret or None, region_name=store.region,
        verify=store.ca_bundle or None,
        config=Config(
            connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"total_max_attempts": 1},
            signature_version=None if login else UNSIGNED,
        ),
    )  # fmt: skip


def probe_postgres(server: PostgresServer, secrets: Secrets) -> Probe:
    """Well when each role of ours is let into its database, and a pooler before it suits us."""
    suits = False

    def probe(_started: float) -> None:
        nonlocal suits
        import psycopg2

        _require_ca(server)
        for role, database in ROLES.items():
            name = server.name(role)
            login = name, getattr(secrets, f"postgres_{role}")
            try:
                if not suits and role == _BUSIEST:
                    problem = pooler_problem(partial(connect, server, login, server.name(database)))
                    if problem:
                        raise ProbeFailure(problem)
                    suits = True
                connection = connect(server, login, server.name(database))
                try:
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT 1")
                finally:
                    connection.close()
            except psycopg2.Error as error:
                raise ProbeFailure(f"role {name}: {str(error).strip()}") from error

    return probe


def probe_redis(server: RedisServer, secrets: Secrets) -> Probe:
    """Well when each application of ours may write in its database, as it finds it."""

    def probe(_started: float) -> None:
        _require_ca(server)
        if server.sentinels is not None:
            with _told("sentinels"):
                _master(server.sentinels)
        found = replace(server, sentinels=None)  # by the follower
        for application in APPLICATIONS:
            login = found.user(application, getattr(secrets, f"redis_{application}"))
            with (
                _told(f"user {login[0] or 'default'}"),
                redis_client(found, login, found.number(application)) as client,
                client.pipeline() as write,
            ):
                key = f"{application}:probe"
                write.set(key, "well").delete(key).execute()

    return probe


def probe_objects(store: ObjectStore, secrets: Secrets) -> Probe:
    """Well when the bucket is there, and open to us."""

    def probe(_started: float) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        _require_ca(store)
        try:
            s3_client(store, secrets.objects_login).head_bucket(Bucket=store.bucket)
        except (BotoCoreError, ClientError) as error:
            raise ProbeFailure(f"bucket {store.bucket}: {error}") from error

    return probe


def _require_ca(where: PostgresServer | RedisServer | ObjectStore) -> None:
    if problem := lacks_ca(where):
        raise ProbeFailure(problem)


@contextmanager
def _told(who: str) -> Iterator[None]:
    from redis.exceptions import RedisError

    try:
        yield
    except RedisError as error:
        raise ProbeFailure(f"{who}: {error}") from error
