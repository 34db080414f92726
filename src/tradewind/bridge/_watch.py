"""Waiting for results: one connection for all waiting tasks of a process and an app.

Celery's Redis backend publishes each result on a channel named like its key. All waiters share one
connection that is subscribed to the channels of all of them. No result is missed: after a
subscription is confirmed, and after every reconnect, the keys themselves are read once;
and a slow poll reads them all from time to time, whatever happened to the messages.

A worker takes a message out of its queue with one command, and notes with the next that it has it.
If it is killed between the two, nobody has the task. Where the app acknowledges late this can be
detected, and the message is sent again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from tradewind.bridge._address import AppAddress
from tradewind.bridge._cancelling import heed_cancellation
from tradewind.bridge._celery import RemoteApp
from tradewind.bridge._outcome import READY, state_of
from tradewind.bridge.errors import BridgeError

__all__ = ["ResultWatcher", "watcher"]

log = logging.getLogger(__name__)

_BATCH = 500
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0
# The connection is kept for a while after its last waiter: tasks that come one by one share it.
_LINGER_SECONDS = 10.0
# Without a channel to listen to, results are polled this often at least.
_BLIND_POLL_SECONDS = 1.0
_READ_SECONDS = 5.0


class ResultWatcher:
    """Waits for results of one app whose results are in Redis.

    Parameters
    ----------
    address : AppAddress
    """

    def __init__(self, address: AppAddress) -> None:
        self._address = address
        self._waiting: dict[str, list[asyncio.Future[bytes]]] = {}
        self._to_subscribe: set[str] = set()
        self._to_unsubscribe: set[str] = set()
        self._to_read: set[str] = set()
        self._changed = asyncio.Event()
        self._runs: asyncio.Task[None] | None = None
        self._closing: asyncio.TimerHandle | None = None

    async def wait(self, task_id: str) -> bytes:
        """Return the stored result of a task, once it has ended."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        key = self._address.result_key(task_id)
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        self._waiting.setdefault(key, []).append(future)
        self._to_unsubscribe.discard(key)
        self._to_subscribe.add(key)
        self._changed.set()
        if self._runs is None or self._runs.done():
            self._runs = loop.create_task(self._run(), name="celery-bridge-results")
            self._runs.add_done_callback(self._pass_on)
        try:
            return await future
        finally:
            self._leave(key, future)

    def _leave(self, key: str, future: "asyncio.Future[bytes]") -> None:
        waiters = self._waiting.get(key, [])
        if future in waiters:
            waiters.remove(future)
        if waiters:
            return
        self._waiting.pop(key, None)
        self._to_subscribe.discard(key)
        self._to_unsubscribe.add(key)
        self._changed.set()
        if not self._waiting and self._closing is None:
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(_LINGER_SECONDS, self._close)

    def _close(self) -> None:
        self._closing = None
        if not self._waiting and self._runs is not None:
            self._runs.cancel()

    def _pass_on(self, runs: "asyncio.Task[None]") -> None:
        """Pass an error that ended the watcher on to all waiters."""
        error = None if runs.cancelled() else runs.exception()
        if error is None:
            return
        for future in [future for futures in self._waiting.values() for future in futures]:
            if not future.done():
                future.set_exception(error)

    async def _run(self) -> None:
        """Keep a session with Redis, and begin another when it is lost.

        The back-off is written here: it begins anew after a session that lasted, while tenacity's
        only grows.
        """
        from redis.exceptions import RedisError

        delay = _FIRST_DELAY
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._session()
            except* (RedisError, OSError) as group:
                lasted = asyncio.get_running_loop().time() - began
                delay = _FIRST_DELAY if lasted > _LONGEST_DELAY else delay
                first = group.exceptions[0]
                log.warning("results are out of reach, trying again in %.1f s: %r", delay, first)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def _session(self) -> None:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        client = Redis.from_url(
            self._address.result_url,
            # An error must end the session: only a new one reads what was missed meanwhile.
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=10,
            socket_timeout=30,
            health_check_interval=15,
        )
        pubsub = client.pubsub()
        self._to_subscribe = set(self._waiting)
        self._to_unsubscribe.clear()
        self._changed.set()
        try:
            listens = await self._may_listen(pubsub)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poll(client, listens=listens))
                if self._address.tells_what_is_lost:
                    group.create_task(self._look_for_lost())
                if listens:
                    group.create_task(self._listen(pubsub))
                    group.create_task(self._follow(client, pubsub))
        finally:
            with suppress(Exception):
                await pubsub.aclose()
            with suppress(Exception):
                await client.aclose()

    async def _may_listen(self, pubsub: Any) -> bool:
        """Subscribe to a channel that keeps the connection open; tell whether that is allowed."""
        from redis.exceptions import NoPermissionError

        await pubsub.subscribe(self._address.result_key("none"))
        try:
            await pubsub.get_message(timeout=_READ_SECONDS)
        except NoPermissionError as error:
            log.warning("results are polled, for Redis lets nobody listen to them: %s", error)
            return False
        return True

    async def _listen(self, pubsub: Any) -> None:
        """Pass on what is published; read each key once its subscription is confirmed."""
        while True:
            heed_cancellation()
            message = await pubsub.get_message(timeout=_READ_SECONDS)
            if message is None:
                continue
            key = message["channel"].decode()
            if message["type"] == "message":
                self._tell(key, message["data"])
            elif message["type"] == "subscribe" and key in self._waiting:
                self._to_read.add(key)
                self._changed.set()

    async def _follow(self, client: Any, pubsub: Any) -> None:
        """Subscribe to the results that are waited for, in batches, and read those that are due."""
        while True:
            heed_cancellation()
            await self._changed.wait()
            self._changed.clear()
            while batch := _take(self._to_subscribe):
                await _command(pubsub.subscribe, batch)
            while batch := _take(self._to_unsubscribe):
                await _command(pubsub.unsubscribe, batch)
            while batch := _take(self._to_read):
                await self._read(client, batch)

    async def _poll(self, client: Any, *, listens: bool) -> None:
        seconds = self._address.poll_seconds
        while True:
            heed_cancellation()
            if not listens:
                seconds = min(seconds, _BLIND_POLL_SECONDS)
            await asyncio.sleep(seconds)
            keys = set(self._waiting)
            while batch := _take(keys):
                await self._read(client, batch)

    async def _look_for_lost(self) -> None:
        """Send tasks again that are waited for, and were missing at two looks."""
        missing: set[str] = set()
        start = len(self._address.result_key(""))
        while True:
            heed_cancellation()
            await asyncio.sleep(self._address.poll_seconds)
            waiting = [key[start:] for key in self._waiting]
            try:
                missing = await asyncio.to_thread(_send_lost, self._address, waiting, missing)
            except BridgeError as error:
                log.warning("%s", error)

    async def _read(self, client: Any, keys: Sequence[str]) -> None:
        for key, raw in zip(keys, await client.mget(keys), strict=True):
            if raw is not None:
                self._tell(key, raw)

    def _tell(self, key: str, raw: bytes) -> None:
        # A result that is not JSON is an end, too: its waiter reports it.
        if state_of(raw) not in READY | {None}:
            return
        for future in self._waiting.get(key, []):
            if not future.done():
                future.set_result(raw)


def _send_lost(address: AppAddress, task_ids: Sequence[str], before: set[str]) -> set[str]:
    """Send tasks again that are missing for the second time; return those missing for the first."""
    with RemoteApp(address, patient=False) as app:
        missing = app.missing(task_ids)
        for task_id in missing & before:
            if app.send_again(task_id):
                log.warning("%s was lost between its queue and a worker: sent again", task_id)
    return missing - before


async def _command(command: Callable[..., Awaitable[Any]], keys: Sequence[str]) -> None:
    from redis.exceptions import ConnectionError as LostError

    try:
        await command(*keys)
    except AttributeError as error:
        # redis-py's error when the listening task has just found the connection dead.
        raise LostError("the connection is closed") from error


def _take(keys: set[str]) -> list[str]:
    """Remove some keys from a set and return them."""
    return [keys.pop() for _ in range(min(len(keys), _BATCH))]


_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[AppAddress, ResultWatcher]] = (
    WeakKeyDictionary()
)


def watcher(address: AppAddress) -> ResultWatcher:
    """Return the watcher that all waiters of an app in this event loop share."""
    shared = _watchers.setdefault(asyncio.get_running_loop(), {})
    if address not in shared:
        shared[address] = ResultWatcher(address)
    return shared[address]
