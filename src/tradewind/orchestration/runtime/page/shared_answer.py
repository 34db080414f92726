"""One answer for all who ask at about the same time, as all open pages do after one event."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["SharedAnswer"]

T = TypeVar("T")


@dataclass(frozen=True)
class _Found(Generic[T]):
    news: object
    asked: float
    ended: float
    answer: T | None
    error: Exception | None


class SharedAnswer(Generic[T]):
    """What a function answered last, for a while, or until it is forgotten.

    Who waits holds no thread: the web server has few, and tasks need them too while a database
    does not answer.

    Parameters
    ----------
    ask : callable
        Is called in one thread at a time; the others wait for its answer.
    seconds : float
        How old an answer may be.
    """

    def __init__(self, ask: Callable[[], T], seconds: float) -> None:
        self._ask: Final = ask
        self._seconds: Final = seconds
        self._lock: Final = asyncio.Lock()
        self._news = object()
        self._found: _Found[T] | None = None

    async def get(self) -> T:
        """Return an answer that was asked for after the last `forget`; raises what `ask` raises.

        An error is told to all who waited for it, and asked for again by who comes later.
        """
        came = time.monotonic()
        async with self._lock:
            found = self._found
            if found is None or not self._serves(found, came):
                found = self._found = await self._asked()
        if found.error is not None:
            raise found.error
        return found.answer  # type: ignore[return-value] # there is one without an error

    def forget(self) -> None:
        """Have the next who asks get a new answer."""
        self._news = object()

    def _serves(self, found: _Found[T], came: float) -> bool:
        kept = found.ended if found.error else max(found.ended, found.asked + self._seconds)
        return found.news is self._news and came < kept

    async def _asked(self) -> _Found[T]:
        news, asked = self._news, time.monotonic()  # before: news may come while it is asked
        answer, failed = None, None
        try:
            answer = await asyncio.to_thread(self._ask)
        except Exception as error:  # noqa: BLE001 - it is raised by all who waited
            failed = error
        return _Found(news, asked, time.monotonic(), answer, failed)
