"""Entries become events at least once; none is acknowledged before Airflow has stored its event."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from airflow.triggers.base import BaseEventTrigger
from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome, SharedStreamManager

from tests.bridge.conftest import Server
from tests.support import wait_until
from tradewind.bridge import RedisStreamTrigger
from tradewind.bridge.streams import StreamProducer

CHECKOUT = Path(__file__).parents[2]
STREAM = "trading:events"
STORED = AdvanceOutcome(acked=1, failed=0)
FAILED = AdvanceOutcome(acked=0, failed=1)


def write(server: Server, *kinds: str) -> list[str]:
    return [server.admin.xadd(STREAM, {"kind": kind}) for kind in kinds]


def pending(server: Server, group: str = "desk") -> int:
    return server.admin.xpending(STREAM, group)["pending"]


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), 60))


@asynccontextmanager
async def polling() -> AsyncIterator[tuple[StreamProducer, AsyncIterator[Any]]]:
    async with aclosing(producer()) as reader, aclosing(reader.open_stream()) as events:
        yield reader, events


def producer() -> StreamProducer:
    return StreamProducer("foreign", STREAM, "desk")


def polled(work: Callable[[StreamProducer, AsyncIterator[Any]], Coroutine[Any, Any, Any]]) -> Any:
    async def opened() -> Any:
        async with polling() as (reader, events):
            return await work(reader, events)

    return run(opened)


def test_entries_from_before_the_group_are_read(server: Server) -> None:
    written = write(server, "fill", "halt")

    async def work() -> list[str]:
        async with polling() as (_, events):
            return [(await anext(events))[1] for _ in written]

    assert run(work) == written
    assert pending(server) == 2


def test_what_was_not_stored_is_read_again_and_before_the_rest(server: Server) -> None:
    first, second = write(server, "fill", "fill")

    async def work() -> None:
        async with polling() as (reader, events):
            assert [(await anext(events))[1] for _ in range(2)] == [first, second]
            await reader.advance([AdvanceItem(first, STORED)])
        [third] = write(server, "halt")
        async with polling() as (_, events):
            assert [(await anext(events))[1] for _ in range(2)] == [second, third]

    run(work)
    assert pending(server) == 2


def test_what_could_not_be_stored_is_told_again(server: Server) -> None:
    [entry] = write(server, "fill")

    async def work() -> None:
        async with polling() as (reader, events):
            _, payload = await anext(events)
            await reader.advance([AdvanceItem(payload, FAILED)])
            assert pending(server) == 1
            (again, _), payload = await anext(events)
            assert again == entry
            await reader.advance([AdvanceItem(payload, STORED)])
            assert pending(server) == 0

    run(work)


def test_a_restart_of_redis_loses_and_repeats_nothing(server: Server) -> None:
    async def work(reader: StreamProducer, events: AsyncIterator[Any]) -> None:
        [one] = write(server, "fill")
        (found, _), payload = await anext(events)
        assert found == one
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.to_thread(server.kill)
        acknowledging = asyncio.ensure_future(reader.advance([AdvanceItem(payload, STORED)]))
        await asyncio.to_thread(server.start)
        [two] = write(server, "fill")
        (found, _), payload = await waiting
        await acknowledging
        assert found == two
        await reader.advance([AdvanceItem(payload, STORED)])
        assert pending(server) == 0

    polled(work)


def test_a_stream_that_was_deleted_is_begun_again(server: Server) -> None:
    async def work(_: StreamProducer, events: AsyncIterator[Any]) -> None:
        write(server, "fill")
        await anext(events)
        server.admin.delete(STREAM)
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.1)
        [entry] = write(server, "fill")
        assert (await waiting)[1] == entry

    polled(work)


def test_a_backlog_is_read_no_faster_than_it_is_stored(server: Server) -> None:
    written = write(server, *["fill"] * 1200)

    async def work(reader: StreamProducer, events: AsyncIterator[Any]) -> list[str]:
        found: list[str] = []
        unstored: list[AdvanceItem] = []
        while len(found) < len(written):
            waiting = asyncio.ensure_future(anext(events))
            while not (await asyncio.wait({waiting}, timeout=0.3))[0]:
                assert 500 <= len(unstored) <= 600
                await reader.advance(unstored)
                unstored = []
            (entry, _), payload = waiting.result()
            found.append(entry)
            unstored.append(AdvanceItem(payload, STORED))
        await reader.advance(unstored)
        return found

    assert polled(work) == written
    assert pending(server) == 0


async def stored_events(
    trigger: RedisStreamTrigger, count: int, confirm: Callable[[Any], bool] = lambda _: True
) -> list[dict[str, Any]]:
    """Do what the triggerer does with a watcher: run it, store its events, say so."""
    manager = SharedStreamManager(log=structlog.get_logger(), ack_timeout=30)
    key = trigger.shared_stream_key()
    stream = manager.subscribe(trigger_id=1, trigger=trigger, key=key)
    found: list[dict[str, Any]] = []
    events = aiter(trigger.filter_shared_stream(stream))
    while len(found) < count:
        event = await anext(events)
        seq = manager.bind_pending_event(trigger_id=1, key=key)
        assert seq is not None
        found.append(event.payload)
        if confirm(event.payload):
            manager.confirm_persisted([seq])
    # The triggerer asks for the next event; only then is the last one's handling over.
    last = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.5)
    last.cancel()
    await asyncio.gather(last, return_exceptions=True)
    await manager.unsubscribe(1, key)
    return found


def trigger(**rest: Any) -> RedisStreamTrigger:
    return RedisStreamTrigger("foreign", STREAM, "desk", **rest)


def test_airflow_acknowledges_an_entry_once_its_event_is_stored(server: Server) -> None:
    ids = write(server, "fill", "end_of_day", "halt")
    found = run(lambda: stored_events(trigger(), 3))
    assert found == [
        {"stream": STREAM, "id": entry, "fields": {"kind": kind}}
        for entry, kind in zip(ids, ("fill", "end_of_day", "halt"), strict=True)
    ]
    assert pending(server) == 0


def test_an_event_that_airflow_did_not_store_stays_pending(server: Server) -> None:
    _, second, _ = write(server, "fill", "fill", "fill")
    run(lambda: stored_events(trigger(), 3, confirm=lambda event: event["id"] != second))
    # Those after it wait for it: what is acknowledged is a prefix.
    assert pending(server) == 2
    again = run(lambda: stored_events(trigger(), 2))
    assert again[0]["id"] == second
    assert pending(server) == 0


def test_entries_that_nobody_asked_for_are_acknowledged_without_an_event(server: Server) -> None:
    write(server, "fill", "end_of_day", "fill", "halt")
    found = run(lambda: stored_events(trigger(match={"kind": ["halt", "end_of_day"]}), 2))
    assert [event["fields"]["kind"] for event in found] == ["end_of_day", "halt"]
    assert pending(server) == 0


def test_a_watcher_survives_its_serialisation_and_shares_its_group() -> None:
    made = trigger(match={"kind": "halt"})
    path, kwargs = made.serialize()
    assert path == "tradewind.bridge.streams.RedisStreamTrigger"
    assert RedisStreamTrigger(**kwargs).serialize() == (path, kwargs)
    assert made.shared_stream_key() == trigger().shared_stream_key()
    assert BaseEventTrigger.hash(path, kwargs) != BaseEventTrigger.hash(*trigger().serialize())
    other = RedisStreamTrigger("foreign", STREAM, "other")
    assert other.shared_stream_key() != made.shared_stream_key()


def test_a_killed_reader_loses_nothing(server: Server, tmp_path: Path) -> None:
    """Readers are killed at different entries; what they stored, together, is all of it."""
    log = tmp_path / "stored"
    log.touch()
    script = f"""
import asyncio
from pathlib import Path
from tests.bridge.test_streams import stored_events, trigger

def confirm(event):
    with Path({str(log)!r}).open("a") as file:
        print(event["fields"]["kind"], file=file, flush=True)
    return True

asyncio.run(stored_events(trigger(), 10_000, confirm))
"""
    expected: set[str] = set()

    def stored_more_than(count: int) -> bool:
        return log.read_text().count("\n") > count

    for number in range(5):
        kinds = [f"{number}-{index}" for index in range(100)]
        write(server, *kinds)
        expected |= set(kinds)
        stored = log.read_text().count("\n")
        reader = subprocess.Popen([sys.executable, "-c", script], cwd=CHECKOUT)
        try:
            wait_until(partial(stored_more_than, stored + 7 * number), 60)
            if number == 4:
                wait_until(lambda: pending(server) == 0, 60)
        finally:
            reader.kill()
            reader.wait()
    assert set(log.read_text().split()) == expected


def test_it_refuses_an_airflow_that_would_acknowledge_too_early() -> None:
    with pytest.raises(NotImplementedError, match=r"Airflow 3\.3"):
        run(lambda: anext(aiter(trigger().run())))
