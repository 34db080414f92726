"""Asks a vendor of bars through its own library: tries, and when no more is asked.

What `tradewind.market.sources.vendor_connection` does for HTTP, but for what goes over the wire,
which is the library's. Each kind turns the library's errors into `VendorError`: a library's empty
answer is never taken for "no data" where it stands for an error.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from tradewind.errors import VendorError
from tradewind.market.sources.vendor_state import Answering
from tradewind.market.sources.vendor_tries import TRIES, Fetched, collected, patiently

__all__ = ["Library"]

Answer = TypeVar("Answer")
Wanted = TypeVar("Wanted")


class Library(Answering):
    """A vendor that is asked through its library, one question at a time: libraries pace it."""

    def ask(self, question: Callable[[], Answer], *, tries: int = TRIES) -> Answer:
        """Ask one question.

        Parameters
        ----------
        question : callable
            Asks it; raises `VendorError` where there is no usable answer.
        tries : int
            How often at most.

        Raises
        ------
        VendorError
            If there is no usable answer after some tries.
        """
        self.refuse_if_stopped()
        try:
            answer: Answer = patiently(tries)(question)
        except VendorError as error:
            self.note(error)
            raise
        self.note(None)
        return answer

    def each(self, symbols: Sequence[str], ask: Callable[[str], Wanted]) -> Fetched[Wanted]:
        """Ask for each of some symbols; an error about one stops no other.

        Raises
        ------
        VendorError
            If the vendor answers nobody, and not for want of a quota.
        SourceError
            What `ask` raises, if it is no `VendorError`.
        """
        return collected(self, {symbol: partial(ask, symbol) for symbol in symbols})
