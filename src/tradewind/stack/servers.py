"""PostgreSQL, Redis and object store of the local stack: its own, or the team's."""

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

__all__ = ["object_store", "postgres_server", "redis_server"]


def postgres_server(settings: Settings) -> PostgresServer:
    """Return where PostgreSQL is."""
    if settings.postgres_url:
        return read_postgres_url(settings.postgres_url)
    return PostgresServer(port=settings.postgres_port)


def redis_server(settings: Settings, secrets: Secrets) -> RedisServer:
    """Return where Redis is, with the login that applications share where they have no own."""
    if not settings.redis_url:
        return RedisServer(port=settings.redis_port)
    server = read_redis_url(settings.redis_url)
    return server.sharing(secrets.redis_login) if secrets.redis_login else server


def object_store(settings: Settings) -> ObjectStore | None:
    """Return the team's bucket; None where MLflow's files are kept by the stack."""
    return read_objects_url(settings.objects_url) if settings.objects_url else None
