"""A vendor of bars that is asked by HTTP: where it is, its key, and whether it still answers.

`tradewind.market.sources.vendor_connection` asks it.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from tradewind.errors import SourceError
from tradewind.market.sources.vendor_connection import CONNECTIONS, Connection
from tradewind.market.sources.vendor_state import Answering
from tradewind.vendor_keys import find_key, key_variable

__all__ = ["Vendor", "checked_address"]

_KEY_IN_THE_CLEAR: Final = "the key would be sent in the clear"
_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)


class Vendor(Answering):
    """One vendor's interface, as one source asks it.

    Parameters
    ----------
    source : str
        Name of the source.
    kind : str
        Which is also the vendor's name; the key is found by it.
    base_url : str
        Where the interface is.
    home : Path
        The checkout.
    headers : callable or None
        Makes the headers that have the key in them; None of a vendor who asks for no key.
    quota_said : callable, optional
        Tells from a text that is no error by its status whether it says that the quota is used up:
        for how long, or None if it does not.

    Raises
    ------
    SourceError
        If the address is none, or would send the key in the clear.
    """

    def __init__(
        self,
        source: str,
        kind: str,
        base_url: str,
        home: Path,
        *,
        headers: Callable[[str], Mapping[str, str]] | None,
        quota_said: Callable[[str], timedelta | None] = lambda _: None,
    ) -> None:
        super().__init__(source, kind, has_key=headers is not None)
        self._home = home
        self._base_url = checked_address(base_url, self.who, danger=_KEY_IN_THE_CLEAR)
        self._headers = headers
        self._quota_said = quota_said

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Open connections to the vendor, closed in the end.

        Raises
        ------
        SourceError
            If there is no key.
        """
        key = self._key() if self._headers else ""
        secret = self._headers(key) if self._headers else {}
        # A vendor may repeat a header, in which the key is written in another way.
        secrets = (key, *key.split(":"), *(value.split()[-1] for value in secret.values()))
        with httpx.Client(
            base_url=self._base_url,
            headers={"Accept": "application/json", "User-Agent": "tradewind", **secret},
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=CONNECTIONS),
        ) as client:
            yield Connection(self, client, secrets)

    def _key(self) -> str:
        key = find_key(self.kind, self._home)
        if not key:
            name = key_variable(self.kind)
            raise SourceError(
                f"{self.who} needs a key: set {name} in the environment or in .env, or "
                f"{self.kind}_key in secrets.json (SECRET_{self.kind.upper()}_KEY in containers); "
                "then tradewind down and up, so that workers have it"
            )
        if not key.isascii() or not key.isprintable() or key != key.strip():
            raise SourceError(
                f"the key in {key_variable(self.kind)} has {len(key)} characters, some of which no "
                "key has: copy it once more"
            )
        return key

    def quota_said(self, text: str) -> timedelta | None:
        """Return for how long a text says that the quota is used up; None if it does not."""
        return self._quota_said(text)


def checked_address(base_url: str, who: str, *, danger: str) -> str:
    """Return an address that may be asked, without a slash at its end.

    Parameters
    ----------
    base_url : str
        As the source's file has it.
    who : str
        In messages.
    danger : str
        What ``http://`` would do, for the message.

    Raises
    ------
    SourceError
        If it is no address, or is read by others on its way.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", 0
    if not host or port == 0 or parts.username or parts.query or parts.fragment:
        raise SourceError(
            f"{who}: options.base_url must be an address such as https://api.example.com, without "
            "a key, not what it is"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(host)):
        raise SourceError(
            f"{who}: options.base_url must begin with https://, for {danger} to or from {host}; "
            "http:// is for this machine alone"
        )
    return base_url.rstrip("/")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
