"""A team's Redis: a database for each of our applications, and a user where it can keep one."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from tradewind.endpoints import APPLICATIONS, RedisServer, Sentinels
from tradewind.stack.adoption.findings import Part, clock, midpoint
from tradewind.stack.redis import user_rules
from tradewind.stack.secrets import Secrets
from tradewind.stack.sentinels import NoMasterError, look_for_master
from tradewind.stack.theirs import redis_client

__all__ = ["adopt"]

_OLDEST: Final = (6, 2)  # kombu's transport needs no newer one; access lists do
_MOST_KEYS: Final = 2000  # looked at in each database
_MOST_DATABASES: Final = 64
_CELERY: Final = ("_kombu.binding.", "unacked", "celery-task-meta-", "celery-taskset-meta-")


def adopt(
    server: RedisServer,
    secrets: Secrets,
    login: str,
    template: str,
    sentinel_login: str = "",
    *,
    apply: bool,
) -> tuple[Part, Secrets]:
    """Look at the server, and make users of ours, or note the login that ours share.

    Users are made only where the server has a file for its access list: else they are gone when it
    is restarted. Elsewhere our applications log in with what they are given, and keep to their own
    database and prefix by their settings.

    Parameters
    ----------
    server, secrets
    login : str
        ``user:password``, or ``:password``; empty to look with what ours have by now.
    template : str
        Text of ``config/users.acl.template``.
    sentinel_login : str
        That of the sentinels, where they ask for one; empty for the one that is kept.
    apply : bool

    Returns
    -------
    Part
    Secrets
        With the login that is shared, if it is.
    """
    from redis.exceptions import RedisError

    part = Part("redis", str(server))
    _encryption(part, server)
    if server.sentinels is not None:
        told = replace(server.sentinels, login=sentinel_login or server.sentinels.login)
        server = replace(server, sentinels=told)
        if not _sentinels(part, told):
            return part, secrets
        if apply and sentinel_login:
            secrets = replace(secrets, redis_sentinel_login=sentinel_login)
    ours = _ours(server, secrets)
    if ours is None and not login:
        login = ":"  # perhaps it asks for none
    try:
        if login:
            secrets = _enter(part, server, secrets, login, template, apply=apply)
        elif ours is not None:
            with redis_client(server, ours, server.first) as client:
                _look(part, client)
                _databases(part, server, client)
            part.note("login", "ready", _how(server))
    except RedisError as error:
        if _is_of_the_way(error):
            where = "see that it runs, and that TRADEWIND_REDIS_URL has its host, port and scheme"
            part.note("server", "in the way", f"{error}. Nobody was asked for a login: {where}")
        else:
            who = "ADOPT_REDIS_LOGIN=user:password (or :password) must be one that it takes"
            part.note("login", "in the way", f"{error}. {who}")
    return part, secrets


def _is_of_the_way(error: Exception) -> bool:
    """Whether nobody was reached: what a server answers is another error, or one of these."""
    from redis import exceptions

    answers = (
        exceptions.AuthenticationError,
        exceptions.AuthorizationError,
        exceptions.BusyLoadingError,
    )
    ways = (exceptions.ConnectionError, exceptions.TimeoutError)
    return isinstance(error, ways) and not isinstance(error, answers)


def _ours(server: RedisServer, secrets: Secrets) -> tuple[str, str] | None:
    """Return a login that our applications have there; None if any is refused."""
    from redis.exceptions import RedisError

    for application in APPLICATIONS:
        found = server.user(application, getattr(secrets, f"redis_{application}"))
        try:
            with redis_client(server, found, server.number(application)) as client:
                client.set(f"{application}:adopt", "1", ex=1)
        except RedisError:
            return None
    return server.user("airflow", secrets.redis_airflow)


def _sentinels(part: Part, sentinels: Sentinels) -> bool:
    """Say what the sentinels say; return whether they name a master."""
    try:
        found = look_for_master(sentinels)
    except NoMasterError as error:
        part.note(
            "sentinels", "in the way",
            f"{error}. See that they run and call it {sentinels.master} (master= in "
            "TRADEWIND_REDIS_URL), and give ADOPT_SENTINEL_LOGIN=user:password (or :password) if "
            "they ask for one",
        )  # fmt: skip
        return False
    known = f"{sentinels.master} is {found.host}:{found.port}"
    if found.silent:
        part.note("sentinels", "note", f"{known}; not all say so: {'; '.join(found.silent)}")
    else:
        part.note("sentinels", "ready", f"{known}, as all {found.told_by} say")
    if not found.replicas:
        part.note("replicas", "note", "there is none that could take over: add one")
    return True


def _encryption(part: Part, server: RedisServer) -> None:
    if server.sentinels.tls if server.sentinels else server.tls:
        part.note("encryption", "ready", "TLS, with the server's name checked")
    else:
        part.note(
            "encryption", "note",
            "who is between can read along: rediss:// and ssl_ca_certs=FILE in TRADEWIND_REDIS_URL "
            "close that",
        )  # fmt: skip


def _enter(
    part: Part, server: RedisServer, secrets: Secrets, login: str, template: str, *, apply: bool
) -> Secrets:
    user, _, password = login.partition(":")
    with redis_client(server, (user, password), 0) as client:
        client.ping()
        _look(part, client)
        _databases(part, server, client)
        if part.blocked:
            return secrets
        rules = user_rules(template, secrets, server)
        if server.sentinels is None and _keeps_users(client):
            own = replace(server, login=None)
            if _ours(own, secrets) is None:
                part.commands += [f"ACL SETUSER {rule}" for rule in rules] + ["ACL SAVE"]
                part.note("users", "done" if apply else "to do", " and ".join(APPLICATIONS))
                if apply:
                    for command in part.commands:
                        client.execute_command(*command.split(" "))
            else:
                part.note("users", "ready", " and ".join(APPLICATIONS))
            return replace(secrets, redis_login="") if apply else secrets
    if server.sentinels:
        why, mend = "a Redis gives its replicas no users, so ours would be gone with the master", ""
    else:
        why = "it has no file for its access list, so users of ours would be gone after a restart"
        mend = ". With `aclfile` in its configuration they get users of their own"
    part.note(
        "users", "note",
        f"{why}. Both our applications log in as {user or 'default'}; that they touch no keys but "
        f"airflow:* and trading:*, in databases {server.number('airflow')} and "
        f"{server.number('trading')}, is held by their settings, not by Redis{mend}",
    )  # fmt: skip
    if server.login == (user, password):
        part.note("login", "ready", _how(server))
        return secrets
    part.note("login", "done" if apply else "to do", f"{user or 'default'}, kept in the secrets")
    return replace(secrets, redis_login=login) if apply else secrets


def _keeps_users(client: Any) -> bool:  # noqa: ANN401 - redis is imported late
    """Whether the server has an access list that outlives it, and this login may change it."""
    from redis.exceptions import RedisError

    try:
        return bool(client.config_get("aclfile").get("aclfile")) and bool(client.acl_list())
    except RedisError:  # it may not ask: then it may not change it, either
        return False


def _how(server: RedisServer) -> str:
    if server.login is None:
        return "each application has a user of its own"
    return f"both applications log in as {server.login[0] or 'default'}, kept apart by prefixes"


def _look(part: Part, client: Any) -> None:  # noqa: ANN401 - redis is imported late
    from redis.exceptions import NoPermissionError

    try:
        found = client.info()
    except NoPermissionError:
        part.note("server", "in the way", "this login may not ask INFO, as our applications must: "
                  "ACL SETUSER it +info")  # fmt: skip
        return
    version = tuple(int(word) for word in str(found["redis_version"]).split(".")[:2])
    if version < _OLDEST:
        part.note("version", "in the way", f"Redis {found['redis_version']} is older than 6.2")
    else:
        part.note("version", "ready", str(found["redis_version"]))
    if found.get("redis_mode") == "cluster":
        part.note("mode", "in the way", "a cluster has no numbered databases and Celery cannot use "
                  "it: name a single server")  # fmt: skip
    if found.get("role", "master") != "master":
        part.note("role", "in the way", "it is a replica and takes no writes: name its master")
    policy = found.get("maxmemory_policy", "unknown")
    if policy == "noeviction" or not int(found.get("maxmemory") or 0):
        part.note("eviction", "ready", policy)
    else:
        part.note(
            "eviction", "in the way",
            f"maxmemory-policy is {policy}: queued tasks can be thrown away. CONFIG SET "
            "maxmemory-policy noeviction, and in its file",
        )  # fmt: skip
    if found.get("aof_enabled"):
        part.note("persistence", "ready", "append-only file")
    else:
        part.note("persistence", "note", "it has no append-only file: if its machine stops, tasks "
                  "queued since its last snapshot are lost, theirs too; ours are found and sent "
                  "again. CONFIG SET appendonly yes")  # fmt: skip
    with midpoint() as now:
        seconds, micros = client.time()
    clock(part, seconds + micros / 1e6, now[0])


def _databases(part: Part, server: RedisServer, client: Any) -> None:  # noqa: ANN401 - redis is imported late
    """Say who uses which database, and whether the two that are to be ours are free."""
    used = {
        int(name.removeprefix("db")): int(about["keys"])
        for name, about in client.info("keyspace").items()
        if name.startswith("db")
    }
    strangers: dict[int, list[str]] = {}
    for number in sorted(used)[:_MOST_DATABASES]:
        strangers[number] = _applications(server, client, number)
    for number, found in strangers.items():
        if found:
            part.note(f"database {number}", "note", "; ".join(found))
    ours = {server.number(application) for application in APPLICATIONS}
    if taken := sorted(number for number in ours if strangers.get(number)):
        free = next(
            (
                n
                for n in range(_MOST_DATABASES)
                if not {n, n + 1} & {x for x in used if strangers[x]}
            ),
            None,
        )
        advice = "" if free is None else f": {free} and {free + 1} are free, so end it in /{free}"
        part.note(
            "numbers", "in the way",
            f"others use database {' and '.join(map(str, taken))}, which TRADEWIND_REDIS_URL names"
            f"{advice}",
        )  # fmt: skip
        return
    for number in sorted(ours):
        _select(part, client, number)


def _select(part: Part, client: Any, number: int) -> None:  # noqa: ANN401 - redis is imported late
    from redis.exceptions import ResponseError

    connection = client.connection_pool.get_connection()
    try:
        connection.send_command("SELECT", number)
        connection.read_response()
        part.note(f"database {number}", "ready")
    except ResponseError as error:
        part.note(f"database {number}", "in the way", f"{error}: raise `databases` in its "
                  "configuration, or name a smaller number")  # fmt: skip
    finally:
        connection.disconnect()
        client.connection_pool.release(connection)


def _applications(server: RedisServer, client: Any, number: int) -> list[str]:  # noqa: ANN401 - redis is imported late
    """Return what of others is in a database, in words; nothing of ours."""
    from redis.exceptions import NoPermissionError

    pool = client.connection_pool.connection_kwargs
    login = pool.get("username") or "", pool.get("password") or ""
    mine = tuple(f"{name}:" for name in APPLICATIONS if server.number(name) == number)
    with redis_client(server, login, number) as other:
        try:
            keys = list(islice(other.scan_iter(count=1000), _MOST_KEYS))
        except NoPermissionError:  # a user of ours, which sees no other's
            return []
    strange = [key for key in keys if not (mine and key.startswith(mine))]
    if not strange:
        return []
    prefixes = Counter(_prefix(key) for key in strange if _is_celery(key))
    said = [
        f"a Celery application {'with the prefix ' + prefix if prefix else 'without a prefix'}"
        for prefix in sorted(prefixes)
    ]
    return [*said, f"{len(strange)}{'+' if len(keys) == _MOST_KEYS else ''} keys of others"]


def _is_celery(key: str) -> bool:
    return any(mark in key for mark in _CELERY)


def _prefix(key: str) -> str:
    return min((key.partition(mark)[0] for mark in _CELERY if mark in key), key=len)
