"""The machine's clock, as far as it matters that somebody sets it back."""

import time

from tradewind.errors import ServiceFailedError

__all__ = ["Clock", "SetBackError", "booted"]

STEP = 5.0  # seconds; a clock that is set back by less is soon where it was


class SetBackError(ServiceFailedError):
    """The machine's clock was set back under a service that follows it."""


class Clock:
    """Notices when the machine's clock is set back, on behalf of one service.

    Parameters
    ----------
    followed : bool
        Whether the service cares.
    """

    def __init__(self, *, followed: bool) -> None:
        self._followed = followed
        self._booted = booted()

    def look(self) -> None:
        """See whether the clock was set back since the last look.

        Raises
        ------
        SetBackError
            If it was, by more than a few seconds, and the service cares.
        """
        before, self._booted = self._booted, booted()
        if self._followed and (by := before - self._booted) > STEP:
            raise SetBackError(f"the machine's clock was set back by {by:.0f} s")


def booted() -> float:
    """Return when the machine was booted, by its clock: it moves when the clock is set."""
    return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)
