"""Leads to whichever Redis is the master: ``python -m tradewind.stack.redis_follower PORT``.

Celery's transport, its backends, redis-py and the streams each have an address of another form for
Redis Sentinel, and options beside it. So all of ours connect here, as to one Redis, and this
process asks the sentinels, which alone it has the login of. What is sent is handed on as it is, the
login among it. When there is another master every connection to the one before is closed: its
client connects anew, as after a restart of Redis.
"""

import asyncio
import logging
import os
import ssl
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Final

from tradewind.endpoints import Sentinels, read_redis_url
from tradewind.stack.sentinels import Master, NoMasterError, look_for_master

__all__ = ["LOGIN", "Follower", "main"]

log = logging.getLogger(__name__)

LOGIN: Final = "REDIS_SENTINEL_LOGIN"
"""Variable with the login of the sentinels, as ``user:password``."""

_LOOKS: Final = 0.5  # seconds between two questions
_CHUNK: Final = 65536
_TIMEOUT: Final = 5.0  # seconds to connect

_Writer = asyncio.StreamWriter


class Follower:
    """Serves connections to the master of the moment.

    Parameters
    ----------
    sentinels : Sentinels
    """

    def __init__(self, sentinels: Sentinels) -> None:
        self._sentinels = sentinels
        self._master: Master | None = None
        self._open: set[_Writer] = set()
        self._tls: ssl.SSLContext | None = None
        if sentinels.tls:
            self._tls = ssl.create_default_context(cafile=sentinels.ca_certs or None)

    async def follow(self) -> None:
        """Ask the sentinels again and again, and leave a master that is none any more."""
        while True:
            try:
                found = await asyncio.to_thread(look_for_master, self._sentinels)
            except NoMasterError as error:  # what is connected may go on
                log.warning("no sentinel names a master: %s", error)
            else:
                self._take(found)
            await asyncio.sleep(_LOOKS)

    def _take(self, found: Master) -> None:
        before, self._master = self._master, found
        if before is not None and (before.host, before.port) != (found.host, found.port):
            left = len(self._open)
            log.warning(
                "the master is %s:%d, not %s:%d any more: %d connections are closed",
                found.host, found.port, before.host, before.port, left,
            )  # fmt: skip
            for writer in tuple(self._open):
                writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: _Writer) -> None:
        """Hand on what a client and the master say to each other, until one of them ends."""
        master, upstream = self._master, None
        try:
            if master is None:
                return
            async with asyncio.timeout(_TIMEOUT):
                theirs, upstream = await asyncio.open_connection(
                    master.host, master.port, ssl=self._tls
                )
            if self._moved(master):
                return
            self._open |= {writer, upstream}
            ways = [
                asyncio.create_task(_copy(reader, upstream)),
                asyncio.create_task(_copy(theirs, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            log.warning("the master cannot be reached: %s", error or type(error).__name__)
        finally:
            for each in (writer, upstream):
                if each is not None:
                    self._open.discard(each)
                    each.close()

    def _moved(self, master: Master) -> bool:
        now = self._master
        return now is None or (now.host, now.port) != (master.host, master.port)


async def _copy(reader: asyncio.StreamReader, writer: _Writer) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def _run(sentinels: Sentinels, host: str, port: int) -> None:
    follower = Follower(sentinels)
    server = await asyncio.start_server(follower.serve, host, port)
    async with server:
        await follower.follow()


def main(arguments: list[str]) -> int:
    """Serve at a port of this machine until the process is ended."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    sentinels = read_redis_url(os.environ["TRADEWIND_REDIS_URL"]).sentinels
    if sentinels is None:
        sys.stderr.write("error: TRADEWIND_REDIS_URL names no sentinels\n")
        return 2
    told = replace(sentinels, login=os.environ.get(LOGIN, ""))
    asyncio.run(_run(told, "127.0.0.1", int(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
