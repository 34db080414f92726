"""Keeps requests to this machine from going through a proxy."""

import os
from collections.abc import MutableMapping

from tradewind.errors import SettingsError

__all__ = ["check_proxies", "spare_this_machine"]

_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
_EXCEPTIONS = ("no_proxy", "NO_PROXY")  # clients differ in which of them they read first, or at all


def spare_this_machine(environment: MutableMapping[str, str]) -> None:
    """Except this machine's own addresses from the proxies of an environment.

    The exceptions that a user has made stay, under both names.
    """
    given = ",".join(environment.get(name, "") for name in _EXCEPTIONS)
    hosts = [host for entry in given.split(",") if (host := entry.strip())]
    # A `*` alone excepts everything; among others most clients take it for a name.
    excepted = "*" if "*" in hosts else ",".join(dict.fromkeys([*hosts, *_THIS_MACHINE]))
    environment.update(dict.fromkeys(_EXCEPTIONS, excepted))


def check_proxies() -> None:
    """Refuse proxies in this process's environment that our clients cannot use.

    Airflow's tasks talk to its server by httpx, which prepares every proxy before it checks whether
    one is needed. With a proxy that it cannot use, no task would run, and none could say why.

    Raises
    ------
    SettingsError
        If a proxy is no address, or httpx does not support it.
    """
    from urllib.request import getproxies_environment  # slow to import, for every command

    if not getproxies_environment():
        return
    import httpx

    try:
        httpx.Client().close()
    except Exception as error:
        names = ", ".join(sorted(n for n in os.environ if n.lower().endswith("_proxy")))
        raise SettingsError(
            f"the proxies of the environment ({names}) cannot be used: {error}. Name a proxy as "
            "http://host:port, or unset them."
        ) from error
