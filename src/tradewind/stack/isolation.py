"""Proof that applications on one Redis cannot see, restore or lose each other's tasks.

Everything is asked of what runs: Redis is asked as each application's user, and each application's
workers are asked for the settings that they run with.
"""

import itertools
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from tradewind.endpoints import APPLICATIONS, RedisServer
from tradewind.settings import Settings
from tradewind.stack.checks import Check, guarded
from tradewind.stack.secrets import Secrets
from tradewind.stack.servers import redis_server
from tradewind.stack.shared_redis import foreign_prefixes, reached, shared_redis, use_own
from tradewind.stack.theirs import redis_client

__all__ = ["Longest", "isolation", "longest_celery_task"]

TIMEOUT = 5.0  # seconds, for an answer of Redis or of a worker
NEARLY_FULL = 0.9  # of maxmemory
MOST_KEYS = 10_000  # looked at for the largest
KOMBU_VISIBILITY = 3600.0  # seconds; kombu's own, where an application sets none
NEW_ACCESS_LIST = "tradewind down and up writes the access list anew from config/users.acl.template"
IN_REDIS_CONF = "set it in config/redis.conf, then tradewind down and up"
# With any of these a user reaches past its prefix: all keys, all databases, or the server itself.
BEYOND_A_PREFIX = (
    "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "KEYS *", "SCAN 0", "RANDOMKEY", "CONFIG GET maxmemory",
    "ACL LIST", "MONITOR", "SHUTDOWN", "DEBUG SLEEP 0", "CLIENT KILL TYPE normal",
    "MIGRATE h 1 '' 0 1",
)  # fmt: skip

Longest = Callable[[Mapping[str, Any]], tuple[float | None, str]]
"""From a worker's answers: seconds of the longest task (None: no end), and which one it is."""


def isolation(
    settings: Settings, secrets: Secrets, workers: Mapping[str, int], longest: Mapping[str, Longest]
) -> Iterator[Check]:
    """Look at Redis, and at the applications that share it.

    Parameters
    ----------
    settings, secrets
    workers : mapping of str to int
        How many Celery workers each application has.
    longest : mapping of str to callable
        How each application's longest task is found.

    Yields
    ------
    Check
        Never raises for what it finds.
    """
    if settings.redis_url:
        yield from shared_redis(redis_server(settings, secrets), secrets)
    else:
        yield from _own_redis(settings, secrets)
    for application, find in longest.items():
        yield guarded(
            f"visibility timeout {application}",
            partial(_visibility, settings, secrets, application, workers[application], find),
        )


def _own_redis(settings: Settings, secrets: Secrets) -> Iterator[Check]:
    yield guarded("redis eviction", lambda: _eviction(settings, secrets))
    yield guarded("redis persistence", lambda: _persistence(settings, secrets))
    yield guarded("redis memory", lambda: _memory(settings, secrets))
    yield guarded("redis strangers", lambda: _strangers(settings))
    for application in APPLICATIONS:
        yield guarded(f"redis user {application}", partial(_user, settings, secrets, application))
    yield guarded("redis databases", lambda: _databases(settings, secrets))


def longest_celery_task(answers: Mapping[str, Any]) -> tuple[float | None, str]:
    """Find the longest task of an application whose tasks Celery itself ends (`Longest`)."""
    common = answers["conf"].get("task_time_limit")
    found: tuple[float | None, str] = (0.0, "no task")
    for task in answers["registered"]:
        name, _, about = task.partition(" ")
        own = re.search(r"\btime_limit=([\d.]+)", re.sub(r"soft_time_limit=\S+", "", about))
        limit = float(own[1]) if own else common
        if limit is None:
            return None, name
        if found[0] is not None and limit > found[0]:
            found = limit, name
    return found


def _client(settings: Settings, user: str, password: str, number: int = 0) -> Any:  # noqa: ANN401 - redis is imported late
    return redis_client(RedisServer(port=settings.redis_port), (user, password), number)


def _admin(settings: Settings, secrets: Secrets) -> Any:  # noqa: ANN401 - redis is imported late
    return _client(settings, "admin", secrets.redis_admin)


def _eviction(settings: Settings, secrets: Secrets) -> Check:
    with _admin(settings, secrets) as client:
        policy = client.config_get("maxmemory-policy")["maxmemory-policy"]
    if policy == "noeviction":
        return Check("redis eviction")
    return Check(
        "redis eviction",
        f"maxmemory-policy is {policy}, not noeviction: queued tasks can be lost",
        IN_REDIS_CONF,
    )


def _persistence(settings: Settings, secrets: Secrets) -> Check:
    name = "redis persistence"
    with _admin(settings, secrets) as client:
        appendonly = client.config_get("appendonly")["appendonly"]
        found = client.info("persistence")
        reads_all = client.execute_command("ACL DRYRUN", "default", "SET", "any", "1") == "OK"
    if appendonly != "yes" or not found["aof_enabled"]:
        return Check(
            name, f"appendonly is {appendonly}: a restart loses every queued task", IN_REDIS_CONF
        )
    if not reads_all:
        return Check(
            name,
            "the user default, as which Redis reads its file again, may not do everything: a "
            "restart loses what is unacknowledged, and results",
            NEW_ACCESS_LIST,
        )
    failed = [
        what
        for what in ("aof_last_write_status", "aof_last_bgrewrite_status")
        if found.get(what) != "ok"
    ]
    if failed:
        return Check(
            name,
            f"{' and '.join(failed)} failed: what is queued now is lost with the process",
            "free space on the disk of the state directory; tradewind logs redis",
        )
    return Check(name)


def _memory(settings: Settings, secrets: Secrets) -> Check:
    """See that there is room for tasks; the few keys of all that are largest say where it went."""
    name = "redis memory"
    with _admin(settings, secrets) as client:
        memory = client.info("memory")
        used, most = int(memory["used_memory"]), int(memory["maxmemory"])
        if not most or used < NEARLY_FULL * most:
            return Check(name)
        largest = _largest_keys(settings, secrets)
    return Check(
        name,
        f"{used / 2**20:.0f} of {most / 2**20:.0f} MB are used: at the limit no task is taken. "
        f"Largest: {', '.join(largest)}",
        "see why the workers do not take what is queued (tradewind status); or raise maxmemory "
        "in config/redis.conf, then tradewind down and up",
    )


def _largest_keys(settings: Settings, secrets: Secrets) -> list[str]:
    found: list[tuple[int, str]] = []
    for number in range(len(APPLICATIONS)):
        with _client(settings, "admin", secrets.redis_admin, number) as client:
            for key in itertools.islice(client.scan_iter(count=1000), MOST_KEYS):
                size = client.memory_usage(key, samples=5) or 0
                found.append((size, f"{key} of database {number}"))
    return [f"{key} ({size / 2**20:.1f} MB)" for size, key in sorted(found, reverse=True)[:3]]


def _strangers(settings: Settings) -> Check:
    from redis.exceptions import AuthenticationError

    try:
        with _client(settings, "", "") as client:
            client.ping()
    except AuthenticationError:
        return Check("redis strangers")
    return Check("redis strangers", "Redis answers who has no login", NEW_ACCESS_LIST)


def _user(settings: Settings, secrets: Secrets, application: str) -> Check:
    """Try, as the user, what it must be able to do, and what it must not."""
    name = f"redis user {application}"
    probe = f"doctor:{uuid.uuid4()}"
    password = getattr(secrets, f"redis_{application}")
    number = APPLICATIONS.index(application)
    with _client(settings, application, password, number) as client:
        use_own(client, application, probe)
        allowed = reached(client, application, probe)
    with _admin(settings, secrets) as admin:
        # Not tried in earnest: a subscription changes the connection, and these change the server.
        asked = {
            f"subscribe to {prefix}*": f"SUBSCRIBE {prefix}{probe}"
            for prefix in foreign_prefixes(application)
        }
        asked |= {command: command for command in BEYOND_A_PREFIX}
        for what, command in asked.items():
            if admin.execute_command("ACL DRYRUN", application, *command.split()) == "OK":
                allowed.append(what)
    if allowed:
        return Check(name, f"user {application} may {', '.join(allowed)}", NEW_ACCESS_LIST)
    return Check(name)


def _databases(settings: Settings, secrets: Secrets) -> Check:
    """Ask Redis in which database each connection of an application is."""
    name = "redis databases"
    used: dict[str, set[int]] = {application: set() for application in APPLICATIONS}
    with _admin(settings, secrets) as client:
        for connection in client.client_list():
            if connection["user"] in used:
                used[connection["user"]].add(int(connection["db"]))
    absent = [application for application, numbers in used.items() if not numbers]
    if absent:
        return Check(name, f"nothing of {', '.join(absent)} is connected", "tradewind status")
    for application, numbers in used.items():
        if numbers != {APPLICATIONS.index(application)}:
            found = ", ".join(map(str, sorted(numbers)))
            return Check(
                name,
                f"{application} uses database {found}, not {APPLICATIONS.index(application)} alone",
                "stop what connects there: CLIENT LIST, as Redis's user admin, names its address",
            )
    return Check(name)


def _visibility(
    settings: Settings, secrets: Secrets, application: str, workers: int, longest: Longest
) -> Check:
    """See that no task is delivered again, for want of an acknowledgement, while it runs."""
    name = f"visibility timeout {application}"
    server = redis_server(settings, secrets)
    login = server.user(application, getattr(secrets, f"redis_{application}"))
    with redis_client(server, login, server.number(application)) as client:
        client.ping()  # Celery would try for minutes to reach one that is gone
    answers = _ask_workers(settings, secrets, application, workers)
    if len(answers) < workers:
        return Check(
            name,
            f"{len(answers)} of {workers} workers said which settings they run with",
            "tradewind status; tradewind logs",
        )
    for worker, said in sorted(answers.items()):
        conf = said["conf"]
        options = conf.get("broker_transport_options") or {}
        timeout = float(options.get("visibility_timeout", KOMBU_VISIBILITY))
        seconds, task = longest(said)
        if seconds is None:
            return Check(name, f"{task} may run without end", "give it a time limit")
        # What is fetched beforehand waits for what runs, and its time runs meanwhile.
        seconds *= int(conf.get("worker_prefetch_multiplier", 1))
        if timeout <= seconds:
            return Check(
                name,
                f"{worker} gives up on a task after {timeout:g} s, and {task} may take "
                f"{seconds:g} s: it would be run twice",
                "raise visibility_timeout, or lower the task's time limit",
            )
    return Check(name)


def _ask_workers(
    settings: Settings, secrets: Secrets, application: str, workers: int
) -> dict[str, dict[str, Any]]:
    """Return the settings and tasks of the workers that answer, by name.

    They answer below their application's prefix and in its database, so an answer proves these.
    """
    from celery import Celery

    password = getattr(secrets, f"redis_{application}")
    app = Celery(
        set_as_current=False,
        broker=redis_server(settings, secrets).url(application, password),
    )
    app.conf.broker_transport_options = {
        "global_keyprefix": f"{application}:", "socket_timeout": TIMEOUT,
    }  # fmt: skip
    try:
        inspect = app.control.inspect(timeout=TIMEOUT, limit=workers)
        conf = inspect.conf() or {}
        registered = inspect.registered("time_limit", "soft_time_limit") or {}
    finally:
        app.close()
    return {
        worker: {"conf": conf[worker], "registered": registered[worker]}
        for worker in conf.keys() & registered.keys()
    }
