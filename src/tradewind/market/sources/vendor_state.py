"""Whether a vendor still answers: what is left of its quota, and when no more is asked."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Final

from tradewind.errors import VendorError

__all__ = ["Answering"]

_IN_A_ROW: Final = 5  # questions without a usable answer, after which no more are asked


class Answering:
    """A vendor as one source asks it; any number of threads may.

    Attributes
    ----------
    who, kind : str
        In messages; and which kind of source it is.
    has_key : bool
        Whether it asks for one.
    left : str or None
        What it last said is left of the quota.
    """

    def __init__(self, source: str, kind: str, *, has_key: bool = False) -> None:
        self.who = f"source {source!r} ({kind})"
        self.kind = kind
        self.has_key = has_key
        self.left: str | None = None
        self._stopped: VendorError | None = None
        self._in_a_row = 0
        self._state = threading.Lock()

    @property
    def quota(self) -> str:
        """What the vendor last said is left of the quota, in words."""
        return (
            "what is left of the quota is unknown"
            if self.left is None
            else (f"{self.left} requests are left in the quota")
        )

    def quota_said(self, text: str) -> timedelta | None:  # noqa: ARG002
        """Return for how long a text says that the quota is used up; None if it does not."""
        return None

    def refuse_if_stopped(self) -> None:
        """Ask no more where no answer is to be expected.

        Raises
        ------
        VendorError
            As it ended the last question, until the quota opens again.
        """
        stopped = self._stopped
        if stopped is None:
            return
        if stopped.again_at is not None and stopped.again_at <= datetime.now(UTC):
            self._stopped = None
            return
        raise VendorError(
            str(stopped), for_all=True, passing=stopped.passing, again_at=stopped.again_at
        )

    def note(self, error: VendorError | None) -> None:
        """Remember how a question ended: after some without an answer no more are asked."""
        with self._state:
            if error is None:
                self._in_a_row = 0
                return
            self._in_a_row += error.doubtful
            if self._stopped is not None:
                return
            if error.for_all:
                self._stopped = error
            elif self._in_a_row >= _IN_A_ROW:
                self._stopped = VendorError(
                    f"{self.who}: {_IN_A_ROW} questions in a row had no usable answer, the last of "
                    f"them: {error}",
                    for_all=True,
                    passing=error.passing,
                )
