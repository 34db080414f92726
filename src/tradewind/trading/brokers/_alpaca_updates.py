"""A bell that rings when something happens to an account's orders: Alpaca's stream of updates.

What has happened is asked of Alpaca's records. So an update that is lost with its connection, comes
twice, or is of a kind that the library does not know, costs time and nothing else.
"""

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tradewind.foreign import ForeignNames
from tradewind.trading.brokers.alpaca_address import Address, Key

if TYPE_CHECKING:
    from alpaca.trading.stream import TradingStream

__all__ = ["FOREIGN", "Updates"]

FOREIGN: Final = (
    ForeignNames(
        "alpaca-py",
        ("alpaca.trading.stream:TradingStream._run_forever",),
        "listen in the loop of whoever waits, and not in one of its own",
        "no account at Alpaca is reached",
    ),
)

# At the level DEBUG the library's own logger writes down what is sent, and that has the key in it.
_QUIET: Final = logging.getLogger("tradewind.trading.brokers.alpaca.stream")
_QUIET.setLevel(logging.INFO)


class Updates:
    """Listens from the first wait on; the library connects again by itself.

    Parameters
    ----------
    key : Key
    address : Address
    """

    def __init__(self, key: Key, address: Address) -> None:
        self._key = key
        self._address = address
        self._rung = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._stream: TradingStream | None = None

    async def wait(self, seconds: float) -> None:
        """Wait for an update, but no longer than so long."""
        if self._listening is None:
            self._listen()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), seconds)
        self._rung.clear()

    async def close(self) -> None:
        """Hang up."""
        if self._listening is not None and self._stream is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
            await self._stream.close()

    def _listen(self) -> None:
        from alpaca.trading.stream import TradingStream

        self._stream = TradingStream(
            self._key.id, self._key.secret, paper=self._address.place == "paper",
            raw_data=True,  # its models refuse events that they do not know
            url_override=self._address.stream_url,
            websocket_params={"ping_interval": 10, "ping_timeout": 60, "logger": _QUIET},
        )  # fmt: skip
        self._stream.subscribe_trade_updates(self._ring)
        self._listening = asyncio.create_task(self._stream._run_forever())  # noqa: SLF001

    async def _ring(self, _: object) -> None:
        self._rung.set()
