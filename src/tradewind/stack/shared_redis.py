"""Checks of a Redis that a team runs: our applications on it, beside the team's own.

Everything is asked with the logins of our applications, which have no administrator's rights there.
What the server itself must be like is looked at by `tradewind.stack.adoption`.
"""

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tradewind.endpoints import APPLICATIONS, RedisServer
from tradewind.stack.checks import Check, guarded
from tradewind.stack.secrets import Secrets
from tradewind.stack.theirs import redis_client

__all__ = ["foreign_prefixes", "reached", "shared_redis", "use_own"]

_NEARLY_FULL = 0.9  # of maxmemory
_MOST_KEYS = 1000  # looked at for one that is not ours
_THEIRS = "ask who runs it; tradewind adopt says what it needs"


def shared_redis(server: RedisServer, secrets: Secrets) -> Iterator[Check]:
    """Look at the team's Redis, and at how our applications are kept apart on it.

    Yields
    ------
    Check
        Never raises for what it finds.
    """
    yield guarded("redis memory", lambda: _memory(server, secrets))
    yield guarded("redis strangers", lambda: _strangers(server))
    for application in APPLICATIONS:
        name = f"redis user {application}"
        yield guarded(name, partial(_user, server, secrets, application))
        name = f"redis database {server.number(application)}"
        yield guarded(name, partial(_database, server, secrets, application))


def _client(server: RedisServer, secrets: Secrets, application: str) -> Any:  # noqa: ANN401 - redis is imported late
    login = server.user(application, getattr(secrets, f"redis_{application}"))
    return redis_client(server, login, server.number(application))


def _memory(server: RedisServer, secrets: Secrets) -> Check:
    name = "redis memory"
    with _client(server, secrets, "airflow") as client:
        memory = client.info("memory")
    used, most = int(memory["used_memory"]), int(memory.get("maxmemory") or 0)
    if not most or used < _NEARLY_FULL * most:
        return Check(name)
    return Check(
        name,
        f"{used / 2**20:.0f} of {most / 2**20:.0f} MB of {server} are used: at the limit no task "
        "is taken",
        f"raise maxmemory there; {_THEIRS}",
    )


def _strangers(server: RedisServer) -> Check:
    from redis.exceptions import AuthenticationError

    name = "redis strangers"
    try:
        with redis_client(server, ("", ""), server.first) as client:
            client.ping()
    except AuthenticationError:
        return Check(name)
    return Check(name, f"{server} answers who has no login", f"set requirepass there; {_THEIRS}")


def foreign_prefixes(application: str) -> tuple[str, ...]:
    """Return what stands before the keys of the other applications, and before those of nobody."""
    return (*(f"{other}:" for other in APPLICATIONS if other != application), "")


def use_own(client: Any, application: str, probe: str) -> None:  # noqa: ANN401 - redis is imported late
    """Write a key and publish a message as the application must be able to."""
    client.set(f"{application}:{probe}", "1", ex=5)
    client.publish(f"{application}:{probe}", "1")


def reached(client: Any, application: str, probe: str) -> list[str]:  # noqa: ANN401 - redis is imported late
    """Return what of others' keys and channels an application may touch, in words."""
    from redis.exceptions import NoPermissionError

    allowed = []
    for prefix in foreign_prefixes(application):
        key = prefix + probe
        attempts: dict[str, Callable[..., object]] = {
            f"read keys {prefix}*": partial(client.get, key),
            f"write keys {prefix}*": partial(client.set, key, "1", ex=1),
            f"publish to {prefix}*": partial(client.publish, key, "1"),
        }
        for what, attempt in attempts.items():
            try:
                attempt()
            except NoPermissionError:
                continue
            allowed.append(what)
    return allowed


def _user(server: RedisServer, secrets: Secrets, application: str) -> Check:
    """Try, as the application, what it must be able to do, and what it must not."""
    name = f"redis user {application}"
    probe = f"doctor:{uuid.uuid4()}"
    with _client(server, secrets, application) as client:
        use_own(client, application, probe)
        if server.login is not None:
            return Check(
                name,
                note=f"logs in as {server.login[0] or 'default'}, as others do: that it touches "
                f"no keys but {application}:* of database {server.number(application)} is held by "
                "its settings, not by Redis",
            )
        allowed = reached(client, application, probe)
    if not allowed:
        return Check(name)
    return Check(
        name, f"user {application} may {', '.join(allowed)}", f"tradewind adopt --apply; {_THEIRS}"
    )


def _database(server: RedisServer, secrets: Secrets, application: str) -> Check:
    """Look for keys of others in a database that is ours; nobody may do so without a login."""
    from redis.exceptions import NoPermissionError

    number = server.number(application)
    name = f"redis database {number}"
    with _client(server, secrets, application) as client:
        try:
            keys = client.scan(count=_MOST_KEYS)[1]
        except NoPermissionError:  # a user of our own, which Redis holds to its own keys
            return Check(name)
    strange = sorted(key for key in keys if not key.startswith(f"{application}:"))
    if not strange:
        return Check(name)
    return Check(
        name,
        f"database {number} of {server} also holds {', '.join(strange[:3])}: another application "
        "uses it",
        "put the number of the first of two free databases at the end of TRADEWIND_REDIS_URL, and "
        "run tradewind adopt",
    )
