"""What is told of what was traded: all of it, in order, at least once, whatever is killed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.redis_server import RedisClient, RedisServer, running_redis
from tests.support import wait_until
from tests.trading.books import DAYS, Desk, weights_of
from tradewind.errors import TradingError
from tradewind.trading.book.halts import halt
from tradewind.trading.book.outbox import STREAM, publish
from tradewind.trading.publisher import Publisher


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator[RedisClient]:
    with Redis.from_url(server.url, decode_responses=True) as made:
        yield made


def entries(client: RedisClient) -> list[dict[str, str]]:
    return [fields for _, fields in client.xrange(STREAM)]


def test_fills_and_ends_of_days_are_published_once_in_their_order(
    desk: Desk, client: RedisClient
) -> None:
    for day in range(3):
        desk.run(DAYS[day], weights_of(day))
    assert publish(desk.engine, client) == 8
    assert publish(desk.engine, client) == 0
    found = entries(client)
    assert [fields["kind"] for fields in found] == ["fill"] * 3 + ["end_of_day"] + ["fill"] * 3 + [
        "end_of_day"
    ]
    assert {fields["account"] for fields in found} == {"momentum"}
    assert [int(fields["id"]) for fields in found] == sorted(int(f["id"]) for f in found)
    last = json.loads(found[-1]["payload"])
    [(equity,)] = desk.rows(f"SELECT equity FROM trading.equity WHERE session = '{DAYS[2]}'")
    assert (last["session"], last["equity"], last["fills"]) == (str(DAYS[2]), str(equity), 3)


class DiesAfterAdding:
    """A Redis whose client is killed when it has put an entry there, before it knows."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def xadd(self, *arguments: object, **options: object) -> object:
        self._client.xadd(*arguments, **options)
        raise KeyboardInterrupt


def test_an_event_whose_publication_was_not_marked_is_published_again(
    desk: Desk, client: RedisClient
) -> None:
    desk.open(DAYS[0])
    halt(desk.engine, None, "one", by="a test")
    halt(desk.engine, "momentum", "two", by="a test")
    with pytest.raises(KeyboardInterrupt):
        publish(desk.engine, DiesAfterAdding(client))  # type: ignore[arg-type]
    assert publish(desk.engine, client) == 2
    found = entries(client)
    assert [fields["id"] for fields in found] == [found[0]["id"]] * 2 + [found[2]["id"]]


def test_while_redis_is_away_events_are_kept(
    desk: Desk, server: RedisServer, client: RedisClient
) -> None:
    halt(desk.engine, None, "Redis is next", by="a test")
    server.kill()
    with pytest.raises(TradingError, match="published when Redis is back"):
        publish(desk.engine, client)
    server.start()
    assert publish(desk.engine, client) == 1


def test_the_publisher_tells_at_once_and_goes_on_after_redis_was_killed(
    desk: Desk, server: RedisServer, client: RedisClient
) -> None:
    halt(desk.engine, None, "before it started", by="a test")
    publisher = Publisher(desk.url, server.url)
    publisher.start()
    try:
        wait_until(lambda: len(entries(client)) == 1, 30)
        halt(desk.engine, None, "while it runs", by="a test")
        wait_until(lambda: len(entries(client)) == 2, 30)
        server.kill()
        halt(desk.engine, None, "while Redis is away", by="a test")
        server.start()
        wait_until(lambda: len(entries(client)) == 3, 30)
        desk.change(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND usename = current_user AND datname = current_database()"
        )
        halt(desk.engine, None, "after its connection was ended", by="a test")
        wait_until(lambda: len(entries(client)) == 4, 30)
    finally:
        publisher.stop()
    reasons = [json.loads(fields["payload"])["reason"] for fields in entries(client)]
    assert reasons[0] == "before it started"
    assert reasons[-1] == "after its connection was ended"
