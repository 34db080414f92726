"""A team's Redis that sentinels name: what `adopt` says of it, and a failover under our clients."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.stack.sentinels import MASTER, PASSWORD, SENTINEL_PASSWORD, Watched, running_sentinels
from tests.support import free_ports, wait_until
from tradewind.endpoints import Sentinels
from tradewind.settings import Settings
from tradewind.stack.adoption import adopt
from tradewind.stack.layout import Layout
from tradewind.stack.redis_follower import LOGIN
from tradewind.stack.secrets import Secrets, load_secrets
from tradewind.stack.sentinels import look_for_master
from tradewind.stack.servers import redis_server
from tradewind.stack.theirs import probe_redis

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with running_sentinels(tmp_path_factory.mktemp("team")) as made:
        yield made


@pytest.fixture
def settings(watched: Watched, tmp_path: Path) -> Settings:
    (tmp_path / "config").symlink_to(CHECKOUT / "config")
    [port] = free_ports(1)
    return Settings(home=tmp_path, redis_url=watched.url, redis_port=port)


@contextmanager
def followed(settings: Settings) -> Iterator[None]:
    """Run what the stack runs before our clients."""
    environment = {
        **os.environ, **settings.as_environment(), LOGIN: f":{SENTINEL_PASSWORD}",
    }  # fmt: skip
    command = [sys.executable, "-m", "tradewind.stack.redis_follower", str(settings.redis_port)]
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield
        finally:
            process.terminate()


def told(settings: Settings, logins: dict[str, str], *, apply: bool = False) -> dict[str, Any]:
    [part] = adopt(settings, logins, apply=apply).parts
    return {each.what: (each.state, each.said) for each in part.findings}


def test_adopt_finds_the_master_and_keeps_both_logins(settings: Settings, watched: Watched) -> None:
    state, said = told(settings, {})["sentinels"]
    assert (state, "ADOPT_SENTINEL_LOGIN" in said) == ("in the way", True)
    found = told(settings, watched.logins, apply=True)
    assert found["sentinels"][0] == "ready"
    assert "as all 3 say" in found["sentinels"][1]
    assert found["users"][0] == "note"
    secrets = load_secrets(Layout(settings.state))
    assert (secrets.redis_login, secrets.redis_sentinel_login) == (
        f":{PASSWORD}", f":{SENTINEL_PASSWORD}",
    )  # fmt: skip
    assert adopt(settings, {}).ready
    unknown = replace(settings, redis_url=watched.url.replace(MASTER, "another"))
    assert "No such master" in told(unknown, watched.logins)["sentinels"][1]


def test_a_failover_is_a_restart_to_our_clients(settings: Settings, watched: Watched) -> None:
    secrets = Secrets(redis_login=f":{PASSWORD}", redis_sentinel_login=f":{SENTINEL_PASSWORD}")
    server = redis_server(settings, secrets)
    url = server.url("trading", secrets.redis_trading)
    assert url.startswith(f"redis://:of%20the%20redis@127.0.0.1:{settings.redis_port}/3")
    with followed(settings), Redis.from_url(url) as client:
        wait_until(lambda: answers(client), 60)
        probe_redis(server, secrets)(0.0)
        written = client.incr("trading:count")
        before = watched.master()
        held = watched.client(before, 3)
        assert held.get("trading:count") == str(written).encode()
        wait_until(lambda: watched.client(other(watched, before), 3).exists("trading:count"), 60)
        watched.fail_over()
        wait_until(lambda: answers(client), 60)
        assert client.incr("trading:count") == written + 1
        assert watched.master() == other(watched, before)
        probe_redis(server, secrets)(0.0)


def other(watched: Watched, port: int) -> int:
    return next(each for each in watched.redis if each != port)


def answers(client: Any) -> bool:
    try:
        client.set("trading:any", 1)
    except RedisError:
        return False
    return True


def test_of_two_masters_that_are_named_the_later_is_one(watched: Watched, tmp_path: Path) -> None:
    """A sentinel that was cut off from the others still names the one of before."""
    sentinels = tuple(("127.0.0.1", port) for port in watched.sentinels)
    asked = Sentinels(sentinels, MASTER, login=f":{SENTINEL_PASSWORD}")
    if not look_for_master(asked).epoch:
        watched.fail_over()
    with running_sentinels(tmp_path / "before") as before:
        cut_off = tuple(("127.0.0.1", port) for port in before.sentinels)
        found = look_for_master(replace(asked, addresses=(*cut_off, *sentinels)))
    assert (found.port, found.told_by) == (watched.master(), 3)
