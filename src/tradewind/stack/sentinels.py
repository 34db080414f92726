"""What Redis Sentinel says: which Redis is the master now."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from tradewind.endpoints import Sentinels

__all__ = ["Master", "NoMasterError", "look_for_master"]

_TIMEOUT: Final = 2.0  # seconds for one sentinel's answer


class NoMasterError(Exception):
    """None of the sentinels names a master; says what each said."""


@dataclass(frozen=True)
class Master:
    """A master, and who says so.

    Attributes
    ----------
    host, port
    epoch : int
        Counts the failovers: of two that are named, the one with the greater is the master.
    replicas : int
    told_by : int
        How many sentinels know it.
    silent : tuple of str
        What those said that did not.
    """

    host: str
    port: int
    epoch: int
    replicas: int
    told_by: int
    silent: tuple[str, ...] = ()


def look_for_master(sentinels: Sentinels) -> Master:
    """Ask all sentinels: one that was cut off from the others may name a master of before.

    Raises
    ------
    NoMasterError
        If none of them names one.
    """
    with ThreadPoolExecutor(len(sentinels.addresses)) as pool:
        said = list(pool.map(lambda each: _ask(sentinels, *each), sentinels.addresses))
    named = [each for each in said if isinstance(each, dict)]
    silent = tuple(each for each in said if isinstance(each, str))
    if not named:
        raise NoMasterError("; ".join(silent))
    last = max(named, key=lambda each: int(each["config-epoch"]))
    where = str(last["ip"]), int(last["port"])
    agreed = [each for each in named if (str(each["ip"]), int(each["port"])) == where]
    return Master(*where, int(last["config-epoch"]), int(last["num-slaves"]), len(agreed), silent)


def _ask(sentinels: Sentinels, host: str, port: int) -> "dict[str, Any] | str":
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry

    user, _, password = sentinels.login.partition(":")
    tls: dict[str, Any] = {"ssl": True, "ssl_cert_reqs": "required"} if sentinels.tls else {}
    if sentinels.ca_certs:
        tls["ssl_ca_certs"] = sentinels.ca_certs
    try:
        with Redis(
            host=host, port=port, username=user or None, password=password or None,
            socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, decode_responses=True,
            retry=Retry(NoBackoff(), 0), **tls,
        ) as client:  # fmt: skip
            found: dict[str, Any] = client.sentinel_master(sentinels.master)
    except (RedisError, OSError) as error:
        return f"{host}:{port}: {error}"
    return found
