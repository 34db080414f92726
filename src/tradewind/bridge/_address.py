"""Where a Celery app's broker and results are, as a connection of Airflow says it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from tradewind.bridge.errors import ConnectionSettingsError

__all__ = ["AppAddress", "ConnectionLike"]

_EXTRAS = frozenset(
    {"acks_late", "broker_scheme", "default_queue", "global_keyprefix", "poll_seconds",
     "result_backend", "result_keyprefix", "ssl_ca_certs"}
)  # fmt: skip
_REDIS = ("redis", "rediss")
_DEFAULT_PORTS = {"redis": 6379, "rediss": 6379}


class ConnectionLike(Protocol):
    """The fields that are read of a connection; Airflow has two classes of that name."""

    conn_id: Any
    host: Any
    port: Any
    login: Any
    password: Any
    schema: Any

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class AppAddress:
    """Broker, results and names of keys of one Celery app.

    Attributes
    ----------
    broker_url, result_url : str
        As Celery's settings `broker_url` and `result_backend` have them.
    key_prefix, result_prefix : str
        What the app puts before each of its keys in Redis; empty for most apps.
    default_queue : str
        Queue of tasks that name none.
    poll_seconds : float
        Seconds between two polls for results; with results in Redis only in case a message was
        lost.
    acks_late : bool
        Whether all of the app's tasks are acknowledged when they are done. Then a task was lost,
        and may be sent again, if it neither waits, nor is with a worker, nor is done.
    """

    broker_url: str = field(repr=False)
    result_url: str = field(repr=False)
    key_prefix: str = ""
    result_prefix: str = ""
    default_queue: str = "celery"
    poll_seconds: float = 30.0
    acks_late: bool = False

    @classmethod
    def from_connection(cls, connection: ConnectionLike) -> "AppAddress":
        """Read a connection of type `celery`.

        Raises
        ------
        ConnectionSettingsError
            If it names no host, or says something that is not understood.
        """
        where = f"connection {connection.conn_id!r}"
        extra: Mapping[str, Any] = connection.extra_dejson
        if unknown := extra.keys() - _EXTRAS:
            raise ConnectionSettingsError(
                f"{where}: unknown extra {', '.join(sorted(unknown))}; "
                f"known are {', '.join(sorted(_EXTRAS))}"
            )
        scheme = str(extra.get("broker_scheme") or "redis")
        if not connection.host:
            raise ConnectionSettingsError(f"{where}: no host, so nobody knows where its broker is")
        broker = _url(scheme, connection)
        results = str(extra.get("result_backend") or (broker if scheme in _REDIS else ""))
        if not results:
            raise ConnectionSettingsError(
                f"{where}: name its result_backend in the extra; a broker of scheme {scheme} "
                "keeps no results"
            )
        prefix = str(extra.get("global_keyprefix") or "")
        try:
            poll_seconds = float(extra.get("poll_seconds") or cls.poll_seconds)
        except ValueError as error:
            raise ConnectionSettingsError(f"{where}: poll_seconds: {error}") from None
        acks_late = extra.get("acks_late") or False  # an empty field of the form is null
        if not isinstance(acks_late, bool):
            raise ConnectionSettingsError(f"{where}: acks_late is true or false, not {acks_late!r}")
        return cls(
            broker_url=broker,
            result_url=results,
            key_prefix=prefix,
            result_prefix=_separated(str(extra.get("result_keyprefix", prefix))),
            default_queue=str(extra.get("default_queue") or cls.default_queue),
            poll_seconds=poll_seconds,
            acks_late=acks_late,
        )

    @property
    def has_redis_broker(self) -> bool:
        """Whether the broker is Redis, where one command can send a message and remember that."""
        return urlsplit(self.broker_url).scheme in _REDIS

    @property
    def tells_what_is_lost(self) -> bool:
        """Whether a task's message can be known to be lost."""
        return self.acks_late and self.has_redis_broker and self.has_redis_results

    @property
    def has_redis_results(self) -> bool:
        """Whether results are in Redis, which announces each as it is written."""
        return urlsplit(self.result_url).scheme in _REDIS

    def result_key(self, task_id: str) -> str:
        """Key of a result, and channel on which Celery's backend publishes it."""
        return f"{self.result_prefix}celery-task-meta-{task_id}"

    def receipt_key(self, task_id: str) -> str:
        """Key under which the bridge remembers that a task was sent."""
        return f"{self.key_prefix}celery-bridge-{task_id}"


def _url(scheme: str, connection: ConnectionLike) -> str:
    login = quote(connection.login or "", safe="")
    if connection.password:
        login += f":{quote(connection.password, safe='')}"
    port = connection.port or _DEFAULT_PORTS.get(scheme)
    address = connection.host + (f":{port}" if port else "")
    path = quote(connection.schema or ("0" if scheme in _REDIS else ""), safe="")
    return f"{scheme}://{login}{'@' if login else ''}{address}/{path}{_tls(scheme, connection)}"


def _tls(scheme: str, connection: ConnectionLike) -> str:
    """Return what kombu, Celery and redis-py all read of TLS; kombu uses none without it."""
    if scheme != "rediss":
        return ""
    told = {"ssl_cert_reqs": "required"}
    if ca := connection.extra_dejson.get("ssl_ca_certs"):
        told["ssl_ca_certs"] = str(ca)
    return f"?{urlencode(told)}"


def _separated(prefix: str) -> str:
    """Return a prefix of results as Celery's backend makes it: with a separator at its end."""
    return prefix if not prefix or prefix[-1] in ":_-." else f"{prefix}_"
