"""The address of Interactive Brokers' gateway, as ``TRADEWIND_BROKER`` has it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from tradewind.errors import TradingError
from tradewind.trading.brokers.named_accounts import ACCOUNT, named_accounts, other_options

__all__ = ["Address"]

_NEW_YORK: Final = ZoneInfo("America/New_York")
_EXAMPLE: Final = "ib://gateway:4002?account.momentum=DU1234567"


@dataclass(frozen=True)
class Address:
    """Where the gateway is, and which account there each of ours has.

    Attributes
    ----------
    host, port
        Of TWS or IB Gateway.
    accounts : dict of str to str
        Interactive Brokers' account for each of ours. No two share one, for positions there do not
        say to which of ours they belong.
    client_id : int
        Of the first account; the others, in the order of their names, count on from it. Only the
        client that placed an order can cancel it.
    timezone : ZoneInfo
        The exchange's time zone.
    until : time
        Local time at the exchange after which an order for the day's open is too late.
    currency : str
    timeout : float
        Seconds that an answer may take.
    """

    host: str
    port: int
    accounts: dict[str, str]
    client_id: int = 17
    timezone: ZoneInfo = _NEW_YORK
    until: time = time(9, 28)
    currency: str = "USD"
    timeout: float = 20.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address.

        Raises
        ------
        TradingError
            If it is invalid, or has an unknown option.
        """
        try:
            parts = urlsplit(text)
            asked = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
            return cls(
                host=parts.hostname or "127.0.0.1",
                port=parts.port or 4002,  # IB Gateway's for paper trading; 4001 is for real money
                accounts=named_accounts(asked),
                **_options(asked),
            )
        except (ValueError, KeyError) as error:  # an unknown time zone is a KeyError
            raise TradingError(
                f"TRADEWIND_BROKER={text}: {error}. Write {_EXAMPLE}; options are "
                f"{', '.join(sorted(_OPTIONS))}, and {ACCOUNT}NAME for each account"
            ) from error


def _options(asked: Mapping[str, str]) -> dict[str, Any]:
    found = other_options(asked)
    if unknown := sorted(found.keys() - _OPTIONS.keys()):
        raise ValueError(f"there is no option {', '.join(unknown)}")
    return {name: _OPTIONS[name](value) for name, value in found.items()}


_OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "client_id": int,
    "currency": str,
    "timeout": float,
    "timezone": ZoneInfo,
    "until": time.fromisoformat,
}
