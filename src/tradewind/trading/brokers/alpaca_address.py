"""The address of Alpaca as ``TRADEWIND_BROKER`` has it, and the keys that open its accounts."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from tradewind.broker_login import LOGIN
from tradewind.errors import TradingError
from tradewind.trading.brokers.named_accounts import ACCOUNT, named_accounts, other_options

__all__ = ["NEW_YORK", "Address", "Key", "read_keys"]

NEW_YORK: Final = ZoneInfo("America/New_York")
_EXAMPLE: Final = "alpaca://paper?account.momentum=PA3XYZ"
_PLACES: Final = {"paper": "https://paper-api.alpaca.markets", "live": "https://api.alpaca.markets"}
# The first letters of a key's id, by which one for play money is told from one for real money.
_BEGINNINGS: Final = {"PK": "paper", "AK": "live"}
_WORD: Final = re.compile(r"[!-+\--9;-~]+")  # of a key: neither a space, nor a comma, nor a colon
_LONGEST: Final = 60.0  # seconds; a task of the trading worker may run for 100


@dataclass(frozen=True)
class Address:
    """Where Alpaca is, and which account there each of ours has.

    Attributes
    ----------
    place : {"paper", "live"}
        Play money or real money: nothing is assumed.
    accounts : dict of str to str
        Alpaca's account number for each of ours.
    time_in_force : {"opg", "day"}
        For the opening auction alone, or queued for the day from its open on.
    until : time
        Time in New York after which an order for the day's open is too late.
    begin : time
        Time in New York from which an order for the next opening auction is taken.
    timeout : float
        Seconds that an answer may take.
    patience : float
        Seconds for which an order that Alpaca has is waited for to be accepted or rejected.
    url : str
        Of the interface.
    """

    place: str
    accounts: dict[str, str]
    time_in_force: str = "opg"
    until: time = time(9, 28)
    begin: time = time(19, 0)
    timeout: float = 10.0
    patience: float = 5.0
    url: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address.

        Raises
        ------
        TradingError
            If it is invalid, has an unknown option, or does not say which kind of money is meant.
        """
        shown = re.sub(r"(?<=://)[^/@?]*@", "***@", text)
        try:
            place, query = _place_of(text)
            asked = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))
            return cls(
                place=place,
                accounts=named_accounts(asked),
                **{"url": _PLACES[place], **_options(asked)},
            )
        except ValueError as error:
            raise TradingError(
                f"TRADEWIND_BROKER={shown}: {error}. Write {_EXAMPLE}; options are "
                f"{', '.join(sorted(_OPTIONS))}, and {ACCOUNT}NAME for each account"
            ) from None

    @property
    def stream_url(self) -> str:
        """Where trade updates come from."""
        return f"ws{self.url.removeprefix('http')}/stream"

    def __str__(self) -> str:
        return f"Alpaca ({self.place})"


@dataclass(frozen=True, repr=False)
class Key:
    """What opens one account; its secret is shown nowhere."""

    id: str
    secret: str

    def hidden_in(self, text: str) -> str:
        """Return a text without what the key is made of, should a vendor repeat it."""
        for part in (self.secret, self.id):
            text = text.replace(part, "***")
        return text


def read_keys(login: str | None, address: Address) -> list[Key]:
    """Return the keys of a login, ``id:secret`` with commas between those of several accounts.

    Raises
    ------
    TradingError
        If there is none, one is no key, or one is for another kind of money than the address.
    """
    mend = (
        f"set {LOGIN}=id:secret in the environment of `tradewind up`, or broker_login in "
        "secrets.json (SECRET_BROKER_LOGIN in containers), with commas between the keys of several "
        "accounts; then tradewind down and up"
    )
    if not login:
        raise TradingError(f"{address} needs a key: {mend}")
    found = []
    for number, text in enumerate(login.split(","), start=1):
        name, _, secret = text.partition(":")
        if not _WORD.fullmatch(name) or not _WORD.fullmatch(secret):
            raise TradingError(
                f"key {number} in {LOGIN} has {len(text)} characters and is not of the form "
                f"id:secret: {mend}"
            )
        meant = _BEGINNINGS.get(name[:2], address.place)
        if meant != address.place:
            raise TradingError(
                f"key {number} in {LOGIN} begins with {name[:2]}, as those of Alpaca's {meant} "
                f"accounts do, and TRADEWIND_BROKER says {address.place}: make the two the same"
            )
        found.append(Key(name, secret))
    return found


def _place_of(text: str) -> tuple[str, str]:
    """Return which kind of money an address means, and its options."""
    parts = urlsplit(text)
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"a key does not belong there: it goes into {LOGIN}")
    place = parts.hostname or ""
    if place not in _PLACES or parts.port is not None or parts.path:
        raise ValueError("after alpaca:// must come paper or live")
    return place, parts.query


def _options(asked: Mapping[str, str]) -> dict[str, Any]:
    found = other_options(asked)
    if unknown := sorted(found.keys() - _OPTIONS.keys()):
        raise ValueError(f"there is no option {', '.join(unknown)}")
    return {name: _OPTIONS[name](value) for name, value in found.items()}


def _time_in_force(text: str) -> str:
    if text not in {"opg", "day"}:
        raise ValueError(f"time_in_force must be opg or day, not {text!r}")
    return text


def _seconds(text: str) -> float:
    found = float(text)
    if not 0 < found <= _LONGEST:
        raise ValueError(f"timeout and patience are seconds above 0 and up to {_LONGEST:g}")
    return found


def _url(text: str) -> str:
    """Return an address that a key may be sent to."""
    parts = urlsplit(text)
    host = parts.hostname or ""
    if not host or parts.port == 0 or parts.username or parts.query or parts.fragment:
        raise ValueError("url must be an address such as https://api.example.com, without a key")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(host)):
        raise ValueError(
            "url must begin with https://, or the key would be sent in the clear; http:// is for "
            "this machine alone"
        )
    return text.rstrip("/")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "patience": _seconds,
    "time_in_force": _time_in_force,
    "timeout": _seconds,
    "url": _url,
}
