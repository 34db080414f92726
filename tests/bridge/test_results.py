"""Waiting for results: one connection, nothing missed, whatever is killed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest

from tests.bridge.conftest import Server, StartWorker
from tests.support import wait_until
from tradewind.bridge._address import AppAddress
from tradewind.bridge._celery import RemoteApp
from tradewind.bridge._outcome import Outcome
from tradewind.bridge._watch import watcher
from tradewind.bridge.errors import BridgeError, RemoteTaskFailedError, RemoteTaskRevokedError

T = TypeVar("T")


def awaited(work: Callable[[], Awaitable[T]], seconds: float = 60) -> T:
    async def limited() -> T:
        return await asyncio.wait_for(work(), seconds)

    return asyncio.run(limited())


def ids(count: int) -> list[str]:
    return [str(uuid4()) for _ in range(count)]


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, condition, 60)


def subscribed(server: Server) -> set[str]:
    channels = server.admin.pubsub_channels("trading:celery-task-meta-*")
    return {channel.removeprefix("trading:celery-task-meta-") for channel in channels} - {"none"}


def store(server: Server, task_id: str, result: str = "1", state: str = "SUCCESS") -> None:
    """Do what Celery's backend does when a task ends."""
    text = f'{{"status": "{state}", "result": {result}, "traceback": null}}'
    key = f"trading:celery-task-meta-{task_id}"
    with server.admin.pipeline() as pipe:
        pipe.set(key, text)
        pipe.publish(key, text)
        pipe.execute()


def listeners(server: Server) -> int:
    """Connections that are subscribed to results."""
    return sum(
        client["user"] == "trading" and client["sub"] != "0"
        for client in server.admin.client_list()
    )


def test_a_thousand_waiters_share_one_subscribed_connection(server: Server) -> None:
    waiting = ids(1000)
    seen: list[int] = []

    async def work() -> list[bytes]:
        tasks = [asyncio.create_task(watcher(server.address).wait(i)) for i in waiting]
        await until(lambda: len(subscribed(server)) == len(waiting))
        seen.append(listeners(server))
        seen.append(sum(client["user"] == "trading" for client in server.admin.client_list()))
        for number, task_id in enumerate(waiting):
            store(server, task_id, str(number))
        return await asyncio.gather(*tasks)

    found = awaited(work)
    assert [Outcome.from_stored(raw).result for raw in found] == list(range(1000))
    assert seen[0] == 1
    assert seen[1] <= 2  # one that listens, one that reads


def test_a_result_from_before_is_found(server: Server) -> None:
    [task_id] = ids(1)
    store(server, task_id)
    assert awaited(lambda: watcher(server.address).wait(task_id))


def test_what_is_not_the_end_is_waited_through(server: Server) -> None:
    [task_id] = ids(1)
    store(server, task_id, state="STARTED")

    async def work() -> bytes:
        task = asyncio.create_task(watcher(server.address).wait(task_id))
        await until(lambda: task_id in subscribed(server))
        store(server, task_id, state="RETRY")
        await asyncio.sleep(0.2)
        assert not task.done()
        store(server, task_id, "5")
        return await task

    assert Outcome.from_stored(awaited(work)).result == 5


def test_results_that_come_while_redis_is_away_are_found(server: Server) -> None:
    before, away, after = ids(3)

    async def work() -> list[bytes]:
        tasks = [asyncio.create_task(watcher(server.address).wait(i)) for i in (away, after)]
        await until(lambda: len(subscribed(server)) == 2)
        await asyncio.to_thread(server.kill)
        late = asyncio.create_task(watcher(server.address).wait(before))
        await asyncio.to_thread(server.start)
        store(server, away, "1")  # perhaps before anybody listens again
        store(server, before, "2")
        await until(lambda: after in subscribed(server))
        store(server, after, "3")
        return await asyncio.gather(*tasks, late)

    results = [Outcome.from_stored(raw).result for raw in awaited(work)]
    assert results == [1, 3, 2]


def test_a_message_that_nobody_published_is_found_by_the_poll(server: Server) -> None:
    address = replace(server.address, poll_seconds=0.2)
    [task_id] = ids(1)

    async def work() -> bytes:
        task = asyncio.create_task(watcher(address).wait(task_id))
        await until(lambda: task_id in subscribed(server))
        server.admin.set(f"trading:celery-task-meta-{task_id}", '{"status": "SUCCESS"}')
        return await task

    assert awaited(work)


def test_a_user_who_may_not_listen_polls(server: Server) -> None:
    server.admin.acl_setuser(
        "mute", enabled=True, passwords=["+secret"], keys=["trading:*"],
        categories=["+@all"], channels=[],
        reset_channels=True,
    )  # fmt: skip
    url = f"redis://mute:secret@127.0.0.1:{server.port}/1"
    [task_id] = ids(1)

    async def work() -> bytes:
        address = AppAddress(url, url, "trading:", "trading:")
        task = asyncio.create_task(watcher(address).wait(task_id))
        await asyncio.sleep(0.5)
        assert not listeners(server)
        store(server, task_id)
        return await task

    try:
        assert awaited(work)
    finally:
        server.admin.acl_deluser("mute")


def test_who_gives_up_leaves_nothing_behind(server: Server) -> None:
    first, second = ids(2)

    async def work() -> None:
        tasks = [asyncio.create_task(watcher(server.address).wait(i)) for i in (first, second)]
        await until(lambda: len(subscribed(server)) == 2)
        tasks[0].cancel()
        await until(lambda: subscribed(server) == {second})
        store(server, second)
        await tasks[1]
        await until(lambda: not subscribed(server))

    awaited(work)


def test_a_task_of_a_killed_worker_is_waited_for_until_another_ends_it(
    server: Server, start_worker: StartWorker, go: Callable[[str], None]
) -> None:
    [task_id] = ids(1)
    worker = start_worker()
    with RemoteApp(server.address) as app:
        app.send(task_id, "foreign.wait", ["m"])
    wait_until(server.began, 30)

    async def work() -> bytes:
        task = asyncio.create_task(watcher(server.address).wait(task_id))
        await until(lambda: task_id in subscribed(server))
        worker.kill()
        go("m")
        await asyncio.to_thread(start_worker)
        return await task

    assert Outcome.from_stored(awaited(work)).result == task_id
    assert server.began() == ["wait m", "wait m"]


def test_a_message_that_a_killed_worker_took_and_had_not_noted_is_sent_again(
    server: Server, start_worker: StartWorker
) -> None:
    [task_id] = ids(1)
    address = replace(server.address, acks_late=True, poll_seconds=0.2)
    with RemoteApp(address) as app:
        app.send(task_id, "foreign.add", [1, 2])
    assert server.admin.rpop("trading:celery")  # as a worker does, and then nothing

    async def work() -> bytes:
        task = asyncio.create_task(watcher(address).wait(task_id))
        await until(lambda: server.admin.llen("trading:celery"))
        await asyncio.to_thread(start_worker)
        return await task

    assert Outcome.from_stored(awaited(work)).result == 3
    assert server.began() == ["add 1 2"]


def test_what_waits_and_what_is_given_out_and_what_is_tried_again_is_not_missing(
    server: Server, start_worker: StartWorker, go: Callable[[str], None]
) -> None:
    waits, runs, retried, lost = ids(4)
    with RemoteApp(replace(server.address, acks_late=True)) as app:
        start_worker()
        app.send(runs, "foreign.wait", ["m"])
        wait_until(server.began, 30)
        for task_id in (waits, retried, lost):
            app.send(task_id, "foreign.add", [1, 2], queue="nobody")
        for task_id in (retried, lost):
            [text] = [
                each for each in server.admin.lrange("trading:nobody", 0, -1) if task_id in each
            ]
            assert server.admin.lrem("trading:nobody", 1, text) == 1
        store(server, retried, state="RETRY")
        assert app.missing([waits, runs, retried, lost]) == {lost}
        for task_id in (waits, runs):
            assert not app.send_again(task_id)
        assert app.send_again(lost)
        assert not app.send_again(lost)
        assert app.missing([lost]) == set()
        app.revoke(lost)
        assert app.missing([lost]) == set()
        assert not app.send_again(lost)
        go("m")


def test_where_tasks_are_acknowledged_early_nobody_knows_what_is_lost(server: Server) -> None:
    assert not server.address.tells_what_is_lost
    assert replace(server.address, acks_late=True).tells_what_is_lost


def test_a_failure_brings_type_message_and_traceback(
    server: Server, start_worker: StartWorker
) -> None:
    [task_id] = ids(1)
    start_worker()
    with RemoteApp(server.address) as app:
        app.send(task_id, "foreign.fail", ["momentum"])
        raw = awaited(lambda: watcher(server.address).wait(task_id))
        with pytest.raises(RemoteTaskFailedError) as caught:
            Outcome.from_stored(raw).value("foreign.fail", task_id)
        text = str(caught.value)
        assert "tests.bridge.foreign_app.NoSuchAccountError" in text
        assert "no account 'momentum'" in text
        assert "raise NoSuchAccountError" in caught.value.traceback
        assert caught.value.exc_type == "NoSuchAccountError"


def test_other_results_are_asked_for_through_celery(
    server: Server, start_worker: StartWorker, tmp_path: Path
) -> None:
    results = f"db+sqlite:///{tmp_path / 'results.db'}"
    start_worker(FOREIGN_RESULTS=results)
    address = replace(server.address, result_url=results)
    good, bad = ids(2)
    with RemoteApp(address) as app:
        app.send(good, "foreign.big", [3])
        app.send(bad, "foreign.big", ["three"])
        wait_until(lambda: app.outcome(good) and app.outcome(bad), 30)
        done, failed = app.outcome(good), app.outcome(bad)
        assert done is not None
        assert failed is not None
        assert done.value("foreign.big", good) == "xxx"
        with pytest.raises(RemoteTaskFailedError, match="TypeError") as caught:
            failed.value("foreign.big", bad)
    assert 'return "x" * size' in caught.value.traceback


def test_dates_come_back_as_dates(server: Server, start_worker: StartWorker) -> None:
    [task_id] = ids(1)
    start_worker()
    with RemoteApp(server.address) as app:
        app.send(task_id, "foreign.now")
        raw = awaited(lambda: watcher(server.address).wait(task_id))
    assert Outcome.from_stored(raw).result.tzinfo is not None
    assert Outcome.plain_result(raw) == (False, None)


def test_a_revoked_task_and_a_result_in_another_format_are_told() -> None:
    with pytest.raises(RemoteTaskRevokedError, match=r"desk.sell \(7\) was revoked"):
        Outcome("REVOKED").value("desk.sell", "7")
    with pytest.raises(BridgeError, match="result_serializer"):
        Outcome.from_stored(b"\x80\x04\x95\x01")
