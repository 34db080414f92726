"""Entries of a Redis stream as events of assets, at least once.

Airflow stores the events of a watcher in its database some time after the trigger has yielded them.
So a shared stream's producer acknowledges an entry: it is the part of Airflow that knows when its
event was stored. After a kill an entry is delivered again:

- if it was not read, it is still in the stream;
- if it was read, it is pending for the group, and pending entries are read first;
- if its event was stored, but it was not acknowledged, it is read again, and makes a second event.

The events carry the entry's id, by which a reader can tell a second event.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from tradewind.bridge._address import AppAddress
from tradewind.bridge._cancelling import heed_cancellation
from tradewind.bridge.hook import CeleryHook

__all__ = ["RedisStreamTrigger", "StreamProducer"]

log = logging.getLogger(__name__)

# All triggerers read as one consumer, so that each finds the entries another one left pending.
# Airflow gives a watcher to one of them at a time.
_CONSUMER = "triggerer"
_BATCH = 100
# Fewer than a subscriber's queue holds, which a backlog would overflow.
_MOST_IN_FLIGHT = 500
_BLOCK_SECONDS = 5.0
_SWEEP_SECONDS = 60.0
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0
_ACKNOWLEDGE_SECONDS = 20.0

Entry = tuple[str, dict[str, str]]


class RedisStreamTrigger(BaseEventTrigger):
    """Makes an asset event of each entry of a stream; for an `AssetWatcher`.

    The event's extra holds under ``payload``: ``stream``, ``id`` and ``fields`` of the entry.

    Parameters
    ----------
    app : str
        Id of a connection of type `celery`, whose broker is the Redis that holds the stream.
    stream : str
        The stream's key, with the prefix that it has in Redis.
    group : str
        The consumer group; made if there is none, from the stream's first entry on. Give each asset
        its own: watchers that share one also share what is pending after a restart.
    match : mapping, optional
        Values that a field must have, or a list of those that it may have; entries without them
        are acknowledged without an event.
    """

    def __init__(
        self,
        app: str,
        stream: str,
        group: str,
        match: Mapping[str, str | Sequence[str]] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.app = app
        self.stream = stream
        self.group = group
        self.match = {
            field: [values] if isinstance(values, str) else sorted(values)
            for field, values in (match or {}).items()
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments of this trigger."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"app": self.app, "stream": self.stream, "group": self.group, "match": self.match},
        )

    def shared_stream_key(self) -> tuple[str, ...]:
        """Return the key of the stream that all watchers of this group share."""
        return ("tradewind-bridge", self.app, self.stream, self.group)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> "StreamProducer":
        """Return the producer: it reads the stream, and acknowledges entries with stored events."""
        return StreamProducer(kwargs["app"], kwargs["stream"], kwargs["group"])

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Entry]
    ) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each entry that matches."""
        async for entry_id, fields in shared_stream:
            if all(fields.get(field) in values for field, values in self.match.items()):
                yield TriggerEvent({"stream": self.stream, "id": entry_id, "fields": fields})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Refuse to be run by an Airflow that cannot tell when an event is stored."""
        raise NotImplementedError(
            "RedisStreamTrigger needs shared streams that acknowledge: Airflow 3.3 or later"
        )
        yield TriggerEvent(None)


class StreamProducer(SharedStreamProducer):
    """Reads a consumer group's entries, those pending first, and acknowledges them.

    Parameters
    ----------
    app, stream, group : str
        As of `RedisStreamTrigger`.
    """

    def __init__(self, app: str, stream: str, group: str) -> None:
        self._app = app
        self._stream = stream
        self._group = group
        self._client: Any = None
        self._in_flight: set[str] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._swept = 0.0

    async def open_stream(self) -> AsyncGenerator[tuple[Entry, str], None]:
        """Yield entries for ever, whatever becomes of Redis meanwhile.

        The back-off is written here: tenacity repeats a call, and cannot repeat a generator that
        has already yielded.
        """
        from redis.exceptions import RedisError, ResponseError

        self._client = _client(await CeleryHook(self._app).aaddress())
        delay = _FIRST_DELAY
        while True:
            try:
                await self._make_group()
                # Entries that a lost connection was sent are pending, and nobody handles them.
                self._swept = 0.0
                while True:
                    heed_cancellation()
                    for entry_id, fields in await self._next_entries():
                        self._in_flight.add(entry_id)
                        yield (entry_id, fields), entry_id
                    delay = _FIRST_DELAY
            except ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise
                log.warning("the group %s of %s is gone, making it", self._group, self._stream)
            except (RedisError, OSError) as error:
                log.warning("stream %s: trying again in %.1f s: %r", self._stream, delay, error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Acknowledge entries whose events are stored; leave the others pending."""
        done = [item.broker_payload for item in batch if item.outcome.failed == 0]
        if done:
            await self._acknowledge(done)
        self._in_flight.difference_update(item.broker_payload for item in batch)
        if len(done) < len(batch):
            self._swept = 0.0  # read them again
        if len(self._in_flight) < _MOST_IN_FLIGHT:
            self._room.set()

    async def aclose(self) -> None:
        """Close the connection."""
        if self._client is not None:
            with suppress(Exception):
                await self._client.aclose()

    async def _make_group(self) -> None:
        from redis.exceptions import ResponseError

        try:
            await self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _next_entries(self) -> list[Entry]:
        """Return entries that nobody handles, pending ones first; none if none came for a while."""
        if len(self._in_flight) >= _MOST_IN_FLIGHT:
            self._room.clear()
            await self._room.wait()
        now = asyncio.get_running_loop().time()
        if now - self._swept > _SWEEP_SECONDS or self._swept == 0.0:
            self._swept = now
            if pending := await self._pending():
                return pending
        return await self._read(">", block=_BLOCK_SECONDS)

    async def _pending(self) -> list[Entry]:
        """Return the group's entries that were read and neither acknowledged nor in flight."""
        found: list[Entry] = []
        last = "0"
        while len(found) < _MOST_IN_FLIGHT:
            # Those in flight before and after: one may be acknowledged while Redis answers.
            in_flight = set(self._in_flight)
            page = await self._read(last)
            if not page:
                break
            last = page[-1][0]
            in_flight |= self._in_flight
            found += [entry for entry in page if entry[0] not in in_flight]
        gone = [entry_id for entry_id, fields in found if not fields]
        if gone:  # deleted from the stream by its owner
            await self._client.xack(self._stream, self._group, *gone)
        if len(found) >= _MOST_IN_FLIGHT:
            self._swept = 0.0  # there may be more
        return [entry for entry in found if entry[1]]

    async def _read(self, start: str, block: float | None = None) -> list[Entry]:
        answer = await self._client.xreadgroup(
            self._group,
            _CONSUMER,
            {self._stream: start},
            count=_BATCH,
            block=None if block is None else int(block * 1000),
        )
        streams = answer.items() if isinstance(answer, dict) else answer or []
        return [
            (_text(entry_id), {_text(k): _text(v) for k, v in (fields or {}).items()})
            for _, entries in streams
            for entry_id, fields in entries
        ]

    async def _acknowledge(self, entry_ids: list[str]) -> None:
        """Acknowledge entries, through a restart of Redis; else each would make a second event."""
        from redis.exceptions import RedisError
        from tenacity import (
            AsyncRetrying,
            retry_if_exception_type,
            stop_after_delay,
            wait_exponential,
        )

        tries = AsyncRetrying(
            retry=retry_if_exception_type((RedisError, OSError)),
            wait=wait_exponential(multiplier=_FIRST_DELAY, max=_LONGEST_DELAY),
            stop=stop_after_delay(_ACKNOWLEDGE_SECONDS),
            reraise=True,
        )
        async for each in tries:
            with each:
                await self._client.xack(self._stream, self._group, *entry_ids)


def _client(address: AppAddress) -> Any:
    from redis.asyncio import Redis

    return Redis.from_url(
        address.broker_url, socket_connect_timeout=10, socket_timeout=_BLOCK_SECONDS + 10
    )


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")
