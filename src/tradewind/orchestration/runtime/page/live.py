"""What tells open pages that there is news: PostgreSQL's notifications, passed on.

The book announces each of its events (`tradewind.trading.book.outbox`), and the web server rings
for the scheduler when runs may have changed (`tradewind.orchestration.runtime.bell`). However many
pages are open, one connection a channel listens, and none while no page is open. A page is told
that something changed, not what: it asks by the routes that check who may know.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

import psycopg2
from sqlalchemy import make_url

from tradewind.postgres import KEEPALIVE

__all__ = ["Channel", "Live", "end_with_server"]

_BEAT: Final = 15.0  # seconds; a proxy closes what is silent for longer
_LONGEST: Final = 600.0  # seconds; then a page comes again, and is asked again who it is
_AGAIN: Final = (1.0, 30.0)  # seconds between two tries to listen, at first and at most

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Channel:
    """A channel of a PostgreSQL database; `address` is as SQLAlchemy has it."""

    address: str
    name: str


class _Page:
    """What one page is still to be told, each kind of news once: none pushes another out."""

    def __init__(self, news: Iterable[str]) -> None:
        self._news = dict.fromkeys(news)
        self._some = asyncio.Event()
        self._some.set()

    def tell(self, name: str | None = None) -> None:
        """Add news, or, without a name, wake the page up."""
        if name is not None:
            self._news[name] = None
        self._some.set()

    async def told(self) -> list[str]:
        """Wait until there is something, and return it."""
        await self._some.wait()
        self._some.clear()
        news = list(self._news)
        self._news.clear()
        return news


class Live:
    """Pages that are open, and what they are told.

    Parameters
    ----------
    channels : mapping
        By the name under which pages are told of it.
    on_news : callable
        Called with that name before any page is told.
    """

    def __init__(self, channels: Mapping[str, Channel], on_news: Callable[[str], None]) -> None:
        self._channels = channels
        self._on_news = on_news
        self._pages: set[_Page] = set()
        self._listening: list[asyncio.Task[None]] = []
        self._ends = False

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    async def stream(self) -> AsyncGenerator[str]:
        """Yield server-sent events for one page, until it leaves or has been there for long."""
        page = _Page(self._channels)  # there may have been news since it asked, or left
        self._pages.add(page)
        loop = asyncio.get_running_loop()
        until = loop.time() + _LONGEST
        self._begin()
        try:
            yield "retry: 2000\n\n"
            while not self._ends and loop.time() < until:
                try:
                    told = await asyncio.wait_for(page.told(), _BEAT)
                except TimeoutError:
                    yield ": here\n\n"
                    continue
                if told and not self._ends:
                    yield "".join(f"event: {each}\ndata: \n\n" for each in told)
        finally:
            self._pages.discard(page)
            if not self._pages:
                self._stop_listening()

    def tell(self, name: str) -> None:
        """Tell all pages of news."""
        self._on_news(name)
        for page in self._pages:
            page.tell(name)

    def end(self) -> None:
        """Let all pages go, so that the server can stop; they come again."""
        self._ends = True
        for page in self._pages:
            page.tell()

    def _begin(self) -> None:
        if self._listening:
            return
        self._listening = [
            asyncio.create_task(self._listen(name, channel))
            for name, channel in self._channels.items()
        ]

    def _stop_listening(self) -> None:
        for task in self._listening:
            task.cancel()
        self._listening = []

    async def _listen(self, name: str, channel: Channel) -> None:
        least, most = _AGAIN
        pause = least
        while True:
            try:
                connection = await asyncio.to_thread(_connect, channel)
                pause = least
                await self._hear(name, connection)
            except (psycopg2.Error, OSError) as error:
                log.warning("news of %s cannot be heard: %s", name, " ".join(str(error).split()))
            await asyncio.sleep(pause)
            pause = min(2 * pause, most)

    async def _hear(self, name: str, connection: Any) -> None:  # noqa: ANN401 - psycopg2's
        """Pass on what is announced, until the connection breaks."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        number = connection.fileno()  # while it has one: a broken connection does not say it
        loop.add_reader(number, readable.set)
        try:
            self.tell(name)  # there may have been news while nobody listened
            while True:
                await readable.wait()
                readable.clear()
                connection.poll()
                if connection.notifies:
                    connection.notifies.clear()
                    self.tell(name)
        finally:
            loop.remove_reader(number)
            connection.close()


def _connect(channel: Channel) -> Any:  # noqa: ANN401 - psycopg2's
    url = make_url(channel.address).set(drivername="postgresql")
    connection = psycopg2.connect(
        url.render_as_string(hide_password=False), connect_timeout=10, **KEEPALIVE
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {channel.name}")
    return connection


def end_with_server(live: Live) -> None:
    """Let pages go when the server is told to stop, for it waits for open connections first.

    Called in the thread of the event loop, which is the main one.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def handle(number: int, frame: FrameType | None, before: object = before) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(live.end)
            if callable(before):
                before(number, frame)

        signal.signal(number, handle)
