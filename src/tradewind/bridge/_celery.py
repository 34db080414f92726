"""Talking to a Celery app without its code: send once, look, revoke.

With a broker in Redis, one command writes a message and the receipt that it was sent. So it is sent
once, whatever is killed meanwhile. The receipt holds what is needed to take the message back while
no worker runs.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps, loads

from tradewind.bridge._address import AppAddress
from tradewind.bridge._outcome import READY, Outcome, state_of
from tradewind.bridge.errors import BridgeError
from tradewind.foreign import ForeignNames

__all__ = ["FOREIGN", "RemoteApp", "Transport"]

FOREIGN: Final = (
    ForeignNames(
        "kombu",
        tuple(
            f"kombu.transport.redis:Channel.{name}"
            for name in (
                "_get_message_priority", "_put", "_q_for_pri", "conn_or_acquire",
                "global_keyprefix",
            )
        ),
        "send a task and its receipt by one command",
        "a try that follows one that was killed while it sent a task sends it again",
    ),
)  # fmt: skip

# Longer than any task waits: without the receipt a retry would send a second time.
_RECEIPT_SECONDS = 30 * 86400
# How long it is kept once the outcome is known, for a retry of a try that was killed just then.
_SETTLED_SECONDS = 86400

# KEYS: receipt, queue. ARGV: message, seconds. HSETNX decides whether anything is sent.
_SEND_ONCE = """
if redis.call('HSETNX', KEYS[1], 'state', 'sent') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'queue', KEYS[2], 'message', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('LPUSH', KEYS[2], ARGV[1])
return 1
"""

# KEYS: receipt, queue, what is given out. ARGV: message, its tag.
_SEND_AGAIN = """
if redis.call('HGET', KEYS[1], 'state') ~= 'sent' then return 0 end
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[1])
return 1
"""

# A restarting Redis is waited for; sending again is harmless.
_RETRY_POLICY = {"max_retries": 40, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}
_RETRIES = 12  # after 0.1, 0.2, 0.4 ... 2 s
_SOCKET_OPTIONS = {"socket_connect_timeout": 10, "socket_timeout": 30}
_INSPECT_SECONDS = 2.0


class _OnceChannel(kombu_redis.Channel):
    """Puts a task's message into its queue together with its receipt."""

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        task_id = (message.get("headers") or {}).get("id")
        if task_id is None:  # no task: a reply, or a command to workers
            super()._put(queue, message, **kwargs)  # type: ignore[no-untyped-call]
            return
        channel: Any = self  # kombu's methods have no types
        priority = channel._get_message_priority(message, reverse=False)  # noqa: SLF001
        key = self.global_keyprefix + channel._q_for_pri(queue, priority)  # noqa: SLF001
        receipt = f"{self.global_keyprefix}celery-bridge-{task_id}"
        with self.conn_or_acquire() as client:
            client.eval(_SEND_ONCE, 2, receipt, key, dumps(message), _RECEIPT_SECONDS)


class Transport(kombu_redis.Transport):
    """kombu's transport for Redis that sends a task once."""

    Channel = _OnceChannel if FOREIGN[0].usable() else kombu_redis.Channel


def _as_it_may_lie(message: bytes) -> tuple[str, tuple[bytes | str, ...]]:
    """Return a message's tag, its text as it was sent, and its text as kombu puts it back."""
    content = loads(message)
    again = {**content, "headers": {**content["headers"], "redelivered": True}}
    delivery = {**content["properties"]["delivery_info"], "redelivered": True}
    again["properties"] = {**content["properties"], "delivery_info": delivery}
    return content["properties"]["delivery_tag"], (message, dumps(again))


class RemoteApp:
    """A Celery app that is known by its address alone; a context manager that closes it.

    Parameters
    ----------
    address : AppAddress
    patient : bool
        Whether to wait for a Redis that does not answer, as long as a restart takes.
    """

    def __init__(self, address: AppAddress, *, patient: bool = True) -> None:
        from celery import Celery

        self.address = address
        self._retries = _RETRIES if patient else 0
        options: dict[str, Any] = {}
        if address.has_redis_broker:
            options = {**_SOCKET_OPTIONS, "retry_on_timeout": True}
            if address.key_prefix:
                options["global_keyprefix"] = address.key_prefix
        # No backend: with one, each sending would subscribe to a result that others wait for.
        self._app = Celery("bridge", broker=address.broker_url, backend=None, set_as_current=False)
        self._app.conf.update(
            broker_transport=Transport if address.has_redis_broker else None,
            broker_transport_options=options,
            broker_pool_limit=0,  # kombu's pools belong to the process, and would outlive this
            broker_connection_timeout=_SOCKET_OPTIONS["socket_connect_timeout"],
            task_default_queue=address.default_queue,
            task_serializer="json",
            task_publish_retry_policy=_RETRY_POLICY,
        )
        self._clients: dict[str, Any] = {}
        self._results: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._app.close()
        if self._results is not None:
            self._results.close()
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def send(
        self,
        task_id: str,
        name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Send a task by its name; with a broker in Redis, once for each id.

        Raises
        ------
        BridgeError
            If the broker cannot be reached, or the arguments are not JSON.
        """
        with self._told(f"{name} cannot be sent"):
            self._app.send_task(
                name,
                args=list(args),
                kwargs=dict(kwargs or {}),
                task_id=task_id,
                queue=queue or self.address.default_queue,
                ignore_result=False,
                **dict(options or {}),
            )

    def receipt(self, task_id: str) -> str | None:
        """Return ``sent`` or ``revoked``; None if it never was, or the broker is not in Redis."""
        if not self.address.has_redis_broker:
            return None
        with self._told("the receipt cannot be read"):
            state = self._redis(self.address.broker_url).hget(
                self.address.receipt_key(task_id), "state"
            )
        return None if state is None else state.decode()

    def outcome(self, task_id: str) -> Outcome | None:
        """Return how a task ended; None while it has not, or if nobody knows it."""
        with self._told("the result cannot be read"):
            if self.address.has_redis_results:
                raw = self._redis(self.address.result_url).get(self.address.result_key(task_id))
                ready = raw is not None and state_of(raw) in READY | {None}
                return Outcome.from_stored(raw) if ready else None
            meta = self._other_results().backend.get_task_meta(task_id)
        if meta["status"] not in READY:
            return None
        return Outcome(meta["status"], meta.get("result"), meta.get("traceback") or "")

    def settle(self, task_id: str) -> None:
        """Forget the message of a task whose outcome is known; keep its receipt for another day."""
        if not self.address.has_redis_broker:
            return
        key = self.address.receipt_key(task_id)
        with self._told("the receipt cannot be written"):
            client = self._redis(self.address.broker_url)
            client.hdel(key, "message", "queue")
            client.expire(key, _SETTLED_SECONDS)

    def revoke(self, task_id: str) -> None:
        """Take a task back: out of its queue, or out of the worker that runs it.

        Only workers that run hear of it. So a message in Redis is removed, too, and cannot be sent
        under this id again.
        """
        with self._told("it cannot be revoked"):
            if self.address.has_redis_broker:
                self._withdraw(task_id)
            self._app.control.revoke(task_id, terminate=True)

    def _withdraw(self, task_id: str) -> None:
        client = self._redis(self.address.broker_url)
        key = self.address.receipt_key(task_id)
        client.hset(key, "state", "revoked")
        client.expire(key, _RECEIPT_SECONDS)
        queue, message = client.hmget(key, "queue", "message")
        if queue is None or message is None:
            return
        tag, texts = _as_it_may_lie(message)
        for text in texts:
            client.lrem(queue, 0, text)
        # A message that a lost worker never acknowledged would come back after the visibility
        # timeout.
        client.zrem(f"{self._given_out}_index", tag)
        client.hdel(self._given_out, tag)

    def missing(self, task_ids: Iterable[str]) -> set[str]:
        """Return the tasks that neither wait, nor are with a worker, nor have a stored state.

        A worker takes a message, and notes a moment later that it has it. So a task is lost only if
        it is missing twice, some time apart: its worker, or Redis, was killed in that moment.
        """
        with self._told("messages cannot be looked for"):
            return {task_id for task_id in task_ids if self._is_missing(task_id)}

    def send_again(self, task_id: str) -> bool:
        """Put the message of a lost task into its queue once more; tell whether that was done."""
        with self._told("a lost message cannot be sent again"):
            client = self._redis(self.address.broker_url)
            key = self.address.receipt_key(task_id)
            queue, message = client.hmget(key, "queue", "message")
            if queue is None or message is None:
                return False
            # A message with this id is not lost, whatever has become of its text.
            held = (*client.lrange(queue, 0, -1), *client.hvals(self._given_out))
            if any(task_id.encode() in text for text in held):
                return False
            tag, _ = _as_it_may_lie(message)
            return bool(client.eval(_SEND_AGAIN, 3, key, queue, self._given_out, message, tag))

    def _is_missing(self, task_id: str) -> bool:
        client = self._redis(self.address.broker_url)
        queue, message, state = client.hmget(
            self.address.receipt_key(task_id), "queue", "message", "state"
        )
        if message is None or state != b"sent":
            return False
        tag, texts = _as_it_may_lie(message)
        return not (
            client.hexists(self._given_out, tag)
            or any(client.lpos(queue, text) is not None for text in texts)
            # A task with any stored state, such as that it is retried, was not lost.
            or self._redis(self.address.result_url).exists(self.address.result_key(task_id))
        )

    @property
    def _given_out(self) -> str:
        return f"{self.address.key_prefix}unacked"

    def check(self) -> str:
        """Return in words which workers answer.

        Raises
        ------
        BridgeError
            If broker or results cannot be reached.
        """
        with self._told("the broker cannot be reached"):
            if self.address.has_redis_broker:
                self._redis(self.address.broker_url).ping()
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=5)
            workers = self._app.control.ping(timeout=_INSPECT_SECONDS)
        with self._told("the results cannot be read"):
            self.outcome("00000000-0000-0000-0000-000000000000")
        names = sorted(name for answer in workers for name in answer)
        if not names:
            return "Broker and results answer; no worker does."
        return f"Broker and results answer; so do {len(names)} workers: {', '.join(names)}"

    def _redis(self, url: str) -> Any:
        from redis import Redis
        from redis.backoff import ExponentialBackoff
        from redis.exceptions import ConnectionError as LostError
        from redis.exceptions import TimeoutError as SlowError
        from redis.retry import Retry

        if url not in self._clients:
            retry = Retry(ExponentialBackoff(cap=2, base=0.1), self._retries)
            self._clients[url] = Redis.from_url(
                url, retry=retry, retry_on_error=[LostError, SlowError], **_SOCKET_OPTIONS
            )
        return self._clients[url]

    def _other_results(self) -> Any:
        from celery import Celery

        if self._results is None:
            self._results = Celery(
                "bridge", broker=self.address.broker_url, backend=self.address.result_url,
                set_as_current=False,
            )  # fmt: skip
            # A result is asked for until it is there, while Celery would remember the first answer.
            self._results.conf.result_cache_max = -1
        return self._results

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        from kombu.exceptions import KombuError
        from redis.exceptions import RedisError

        began = time.monotonic()
        try:
            yield
        except (KombuError, RedisError, OSError) as error:
            raise BridgeError(
                f"{what} (after {time.monotonic() - began:.0f} s): {type(error).__name__}: "
                f"{error}. Check the connection and the broker's user"
            ) from error
