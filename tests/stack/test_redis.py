"""What Redis keeps when it is killed, with the settings and the users of the stack."""

from collections.abc import Iterator

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from tests.redis_server import AT_ONCE, CONFIG, RedisServer, running_redis
from tradewind.stack import probes
from tradewind.stack.redis import prepare


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis"), *AT_ONCE) as running:
        yield running


def test_a_transaction_survives_a_kill(server: RedisServer) -> None:
    """Redis reads its file as the user `default`, who must have the right to what is in there."""
    trading = Redis.from_url(server.url, decode_responses=True)
    with trading.pipeline(transaction=True) as pipe:  # as Celery notes what a worker has taken
        pipe.zadd("trading:unacked_index", {"tag": 1.0})
        pipe.hset("trading:unacked", "tag", "message")
        pipe.execute()
    script = "redis.call('SET', KEYS[1], 'a') redis.call('LPUSH', KEYS[2], 'b')"
    trading.eval(script, 2, "trading:receipt", "trading:queue")
    server.kill()
    server.start()
    assert trading.hgetall("trading:unacked") == {"tag": "message"}
    assert trading.zrange("trading:unacked_index", 0, -1) == ["tag"]
    assert trading.get("trading:receipt") == "a"
    assert trading.lrange("trading:queue", 0, -1) == ["b"]
    assert "CRITICAL" not in server.layout.service_log("redis").read_text()
    trading.close()


@pytest.mark.parametrize("password", [None, "", "x"])
def test_nobody_is_the_default_user(server: RedisServer, password: str | None) -> None:
    user = "default" if password else None
    client = Redis(port=server.port, username=user, password=password, retry=Retry(NoBackoff(), 0))
    with pytest.raises(AuthenticationError):
        client.ping()
    client.close()


def test_a_server_that_takes_no_task_is_not_healthy(server: RedisServer) -> None:
    probe = probes.redis(server.port, server.secrets.redis_admin)
    probe(0.0)
    before = server.admin.config_get("maxmemory")["maxmemory"]
    server.admin.config_set("maxmemory", 1)
    try:
        assert server.admin.ping()
        with pytest.raises(probes.ProbeFailure, match="maxmemory"):
            probe(0.0)
    finally:
        server.admin.config_set("maxmemory", before)
    probe(0.0)


HALF = b"*3\r\n$3\r\nSET\r\n$12\r\ntrading:ha"


@pytest.mark.parametrize(
    "tail",
    [b"\0", b"\0" * 4096, b"\0" * (3 << 20), HALF + b"\0" * 100, HALF + b"\0\0x" + b"\0" * 9],
    ids=["a byte", "a page", "megabytes", "half a command", "half a command with zeros"],
)
def test_a_file_that_ends_in_zeros_is_read_again(server: RedisServer, tail: bytes) -> None:
    """As a file system leaves it when the machine loses its power."""
    server.admin.set("trading:kept", "value")
    server.kill()
    file = max((server.layout.redis_dir / "appendonlydir").glob("*.incr.aof"))
    with file.open("ab") as journal:
        journal.write(tail)
    damaged = file.read_bytes()
    before = set(server.layout.redis_dir.iterdir())
    template = (CONFIG / "users.acl.template").read_text()
    prepare(template, server.layout, server.secrets)
    [copy] = set(server.layout.redis_dir.iterdir()) - before
    assert copy.read_bytes() == damaged
    server.start()
    assert server.admin.get("trading:kept") == "value"
    # What is well is left alone.
    server.kill()
    prepare(template, server.layout, server.secrets)
    assert set(server.layout.redis_dir.iterdir()) == before | {copy}
    server.start()
