"""What Redis keeps when it is killed, with the settings and the users of the stack."""

from collections.abc import Iterator

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from tests.redis_server import AT_ONCE, RedisServer, running_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis"), *AT_ONCE) as running:
        yield running


def test_a_transaction_survives_a_kill(server) -> None:
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
def test_nobody_is_the_default_user(server, password: str | None) -> None:
    user = "default" if password else None
    client = Redis(port=server.port, username=user, password=password, retry=Retry(NoBackoff(), 0))
    with pytest.raises(AuthenticationError):
        client.ping()
    client.close()
