"""Where PostgreSQL, Redis and the object store are: the stack's own, or the team's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tradewind.endpoints import (
    ObjectStore,
    PostgresServer,
    RedisServer,
    read_objects_url,
    read_postgres_url,
    read_redis_url,
)
from tradewind.settings import Settings
from tradewind.stack.secrets import Secrets

__all__ = [
    "Servers",
    "object_store",
    "postgres_server",
    "read_servers",
    "redis_server",
    "stores",
]


@dataclass(frozen=True)
class Servers:
    """Where the stores are.

    Attributes
    ----------
    postgres, redis
    objects
        The team's bucket; None where MLflow's files are kept by the stack.
    """

    postgres: PostgresServer
    redis: RedisServer
    objects: ObjectStore | None = None


def read_servers(given: Mapping[str, str | None], own: Servers, login: str = "") -> Servers:
    """Return where the stores are: where addresses say that a team's are, else our own.

    Parameters
    ----------
    given : mapping
        With the names ``TRADEWIND_POSTGRES_URL``, ``_REDIS_URL`` and ``_OBJECTS_URL``, or without.
    own : Servers
    login : str
        ``user:password`` that applications share in the team's Redis; empty if they share none.

    Raises
    ------
    ValueError
        If one is no such address; begins with its name.
    """

    def read(name: str, reader: Callable[[str], Any]) -> Any:  # noqa: ANN401 - as the reader says
        text = given.get(name)
        try:
            return reader(text) if text else None
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error

    redis = read("TRADEWIND_REDIS_URL", read_redis_url)
    if redis and redis.sentinels:  # its follower is in the place of ours
        redis = replace(redis, host=own.redis.host, port=own.redis.port)
    return Servers(
        read("TRADEWIND_POSTGRES_URL", read_postgres_url) or own.postgres,
        (redis.sharing(login) if redis and login else redis) or own.redis,
        read("TRADEWIND_OBJECTS_URL", read_objects_url) or own.objects,
    )


def postgres_server(settings: Settings) -> PostgresServer:
    """Return where PostgreSQL of the local stack is."""
    return stores(settings).postgres


def redis_server(settings: Settings, secrets: Secrets) -> RedisServer:
    """Return where Redis is, with the login that applications share where they have no own."""
    found = stores(settings, secrets.redis_login).redis
    if found.sentinels is None:
        return found
    return replace(found, sentinels=replace(found.sentinels, login=secrets.redis_sentinel_login))


def object_store(settings: Settings) -> ObjectStore | None:
    """Return the team's bucket; None where MLflow's files are kept by the stack."""
    return stores(settings).objects


def stores(settings: Settings, login: str = "") -> Servers:
    """Return where all stores of the local stack are; `login` is that of `read_servers`."""
    given = {
        "TRADEWIND_POSTGRES_URL": settings.postgres_url,
        "TRADEWIND_REDIS_URL": settings.redis_url,
        "TRADEWIND_OBJECTS_URL": settings.objects_url,
    }
    own = Servers(
        PostgresServer(port=settings.postgres_port), RedisServer(port=settings.redis_port)
    )
    return read_servers(given, own, login)
