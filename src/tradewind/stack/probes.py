"""Probes: each asks a service for the thing that its users need of it.

A probe is called with the moment its service was started (epoch seconds), returns nothing if
the service is healthy, and raises `ProbeFailure` with the reason if it is not. How old a heartbeat
is, it tells by how long it has not changed: the clock that dates it may be set meanwhile.
"""

import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

__all__ = [
    "Probe",
    "ProbeFailure",
    "airflow_api",
    "airflow_scheduler",
    "heartbeat_file",
    "http_ok",
    "listens",
    "mlflow_api",
    "postgres",
    "redis",
]

Probe = Callable[[float], None]
TIMEOUT = 5.0  # seconds; a service that needs longer to say it is well is not


class ProbeFailure(Exception):  # noqa: N818 - not an error of ours: the finding of a probe
    """Why a service is not healthy."""


@cache
def _client() -> "httpx.Client":
    # Made once: its TLS context costs 40 ms, and a start asks twice a second. No
    # connection is kept, since one that a dying service left behind says nothing of the next.
    import httpx

    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(timeout=TIMEOUT, trust_env=False, limits=limits)


def _get(url: str, auth: tuple[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
    import httpx

    try:
        response = _client().get(url, auth=auth)
    except httpx.HTTPError as error:
        raise ProbeFailure(f"{url}: {error or type(error).__name__}") from error
    if response.status_code != httpx.codes.OK:
        raise ProbeFailure(f"{url} answered {response.status_code}: {response.text[:200]}")
    return response


def listens(port: int) -> Probe:
    """Well when somebody takes connections at a port of this machine."""

    def probe(_started: float) -> None:
        import socket

        try:
            socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT).close()
        except OSError as error:
            raise ProbeFailure(f"127.0.0.1:{port}: {error}") from error

    return probe


def http_ok(url: str) -> Probe:
    """Healthy when the address answers 200."""

    def probe(_started: float) -> None:
        _get(url)

    return probe


def postgres(port: int, password: str) -> Probe:
    """Healthy when the server lets its superuser in and answers a query."""

    def probe(_started: float) -> None:
        import psycopg2

        try:
            connection = psycopg2.connect(
                host="127.0.0.1", port=port, user="postgres", password=password,
                dbname="postgres", connect_timeout=int(TIMEOUT),
            )  # fmt: skip
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
            finally:
                connection.close()
        except psycopg2.Error as error:
            raise ProbeFailure(str(error).strip()) from error

    return probe


def redis(port: int, password: str) -> Probe:
    """Healthy when the server takes a write, and can still write its file.

    One that is full answers a ping, and takes no task.
    """

    def probe(_started: float) -> None:
        from redis import Redis
        from redis.exceptions import OutOfMemoryError, RedisError

        try:
            with Redis(
                host="127.0.0.1", port=port, username="admin", password=password,
                socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT,
            ) as client:  # fmt: skip
                with client.pipeline() as write:  # at once, so that nobody finds the key
                    write.set("probe", "well").delete("probe").execute()
                persistence: Any = client.info("persistence")
        except OutOfMemoryError as error:
            raise ProbeFailure(
                "Redis is at its maxmemory and takes no task until there is room: tradewind doctor"
            ) from error
        except RedisError as error:
            raise ProbeFailure(str(error)) from error
        if persistence.get("aof_last_write_status") != "ok":
            raise ProbeFailure("the last write of the append-only file failed: is the disk full?")

    return probe


def mlflow_api(url: str, password: str) -> Probe:
    """Healthy when a run could be logged: database and artifact store take a write.

    ``/health`` says OK with both of them gone, and questions are answered where nothing can be
    written. The address is our own: `tradewind.registry.server.writable`.
    """

    def probe(_started: float) -> None:
        _get(f"{url}/api/2.0/tradewind/writable", ("admin", password))

    return probe


def airflow_api(url: str) -> Probe:
    """Healthy when the API server answers, users and tasks, and reaches its database."""

    def probe(_started: float) -> None:
        health = _get(f"{url}/api/v2/monitor/health").json()
        if health["metadatabase"]["status"] != "healthy":
            raise ProbeFailure("the API server does not reach its database")
        # What tasks report to is made at its first use, which takes seconds: that is not to be a
        # task's.
        _get(f"{url}/execution/health")

    return probe


class _Pulse:
    """A heartbeat's dates, as one probe sees them one after the other."""

    def __init__(self, max_age: float) -> None:
        self._max_age = max_age
        self._started: float | None = None  # of the process that the dates below are of
        self._beat: float | None = None
        self._seen = 0.0  # of the monotonic clock, when that beat was new
        self._alive = False  # whether the process itself has sent a beat

    def feel(self, beat: float | None, started: float) -> None:
        """Take the date of the last beat (epoch seconds; None: there was none).

        Raises
        ------
        ProbeFailure
            If the process that was started then has sent none, or none for too long.
        """
        if beat is None:
            raise ProbeFailure("no heartbeat yet")
        now = time.monotonic()
        if self._started != started:
            self._started, self._alive = started, beat >= started
            self._beat, self._seen = beat, now
        elif self._beat != beat:
            self._alive = True
            self._beat, self._seen = beat, now
        if not self._alive:
            raise ProbeFailure("no heartbeat since it was started")
        if now - self._seen > self._max_age:
            raise ProbeFailure(f"the last heartbeat is {now - self._seen:.0f} s old")


def airflow_scheduler(page: str, url: str, *, max_age: float = 30.0) -> Probe:
    """Healthy when the scheduler's own health page says so, or else its heartbeat on Airflow's.

    Its own takes a scheduler that has ended for the newest one, where the last heartbeat of that
    lies in the future: the clock was set back since. Airflow's answers 200 even when a component is
    down, and for a while after a restart it shows the heartbeat of the process before.
    """
    own, pulse = http_ok(page), _Pulse(max_age)

    def probe(started: float) -> None:
        try:
            own(started)
        except ProbeFailure as failure:
            try:
                health = _get(f"{url}/api/v2/monitor/health").json()["scheduler"]
                beat = health.get("latest_scheduler_heartbeat")
                pulse.feel(datetime.fromisoformat(beat).timestamp() if beat else None, started)
            except ProbeFailure:
                raise failure from None

    return probe


def heartbeat_file(path: Path, *, max_age: float = 30.0) -> Probe:
    """Healthy when the file was touched since the start and within `max_age` seconds."""
    pulse = _Pulse(max_age)

    def probe(started: float) -> None:
        try:
            beat = path.stat().st_mtime
        except FileNotFoundError:
            beat = None
        pulse.feel(beat, started)

    return probe
