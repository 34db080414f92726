"""One answer for all who ask at about the same time, as all open pages do after one event."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["SharedAnswer"]

T = TypeVar("T")


class SharedAnswer(Generic[T]):
    """What a function answered last, for a while, or until it is forgotten.

    Parameters
    ----------
    ask : callable
        Is called by one thread at a time; the others wait for its answer.
    seconds : float
        How old an answer may be.
    """

    def __init__(self, ask: Callable[[], T], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._lock = threading.Lock()
        self._news = 0
        self._found: tuple[int, float, T] | None = None

    def get(self) -> T:
        """Return an answer that was asked for after the last `forget`; raises what `ask` raises."""
        with self._lock:
            if self._found is not None:
                news, asked, answer = self._found
                if news == self._news and time.monotonic() - asked < self._seconds:
                    return answer
            news, asked = self._news, time.monotonic()  # before: news may come while it is asked
            answer = self._ask()
            self._found = (news, asked, answer)
            return answer

    def forget(self) -> None:
        """Have the next who asks get a new answer."""
        self._news += 1
