"""How often a vendor is asked, how long is waited between, and what was had in the end.

The same for vendors that are asked by HTTP and for those that are asked through their own library.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from tradewind.errors import VendorError
from tradewind.market.sources.vendor_state import Answering

__all__ = [
    "TRIES", "Fetched", "collected", "patiently", "quota_used_up", "retry_after", "said_in_a_line",
]  # fmt: skip

Wanted = TypeVar("Wanted")

log = logging.getLogger(__name__)

TRIES: Final = 4
"""How often one question is asked at most."""

_FIRST_WAIT: Final = 0.5  # seconds; doubled with each try
_PATIENCE: Final = timedelta(seconds=60)  # for a quota that opens later, the next try asks
_USUAL_QUOTA: Final = timedelta(minutes=1)  # where the vendor does not say when it opens
_LONGEST_QUOTA: Final = timedelta(days=1)
_SHOWN: Final = 120


class Fetched(dict[str, Wanted]):
    """What was had, by symbol; and why the rest was not.

    Attributes
    ----------
    failed : dict of str to str
    again_at : datetime or None
        Before it nothing is answered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failed: dict[str, str] = {}
        self.again_at: datetime | None = None


def collected(vendor: Answering, answers: Mapping[str, Callable[[], Wanted]]) -> Fetched[Wanted]:
    """Return what is had of some symbols; an error about one stops no other.

    Parameters
    ----------
    vendor : Answering
    answers : mapping of str to callable
        By symbol, what gives it, or raises.

    Raises
    ------
    VendorError
        If the vendor answers nobody, and not for want of a quota.
    SourceError
        What a callable raises, if it is no `VendorError`.
    """
    fetched: Fetched[Wanted] = Fetched()
    began = monotonic()
    refused: VendorError | None = None
    for symbol, answer in answers.items():
        try:
            fetched[symbol] = answer()
        except VendorError as error:
            fetched.failed[symbol] = str(error)
            fetched.again_at = fetched.again_at or error.again_at
            refused = refused or (error if error.for_all else None)
    log.info(
        "%s: %d of %d symbols in %.1f s; %s", vendor.who, len(fetched), len(answers),
        monotonic() - began, vendor.quota,
    )  # fmt: skip
    if refused is not None and not fetched and fetched.again_at is None:
        raise refused  # once, and not for each symbol
    return fetched


def patiently(tries: int) -> Retrying:
    """Return who calls a function again while it raises a `VendorError` that may pass."""
    return Retrying(
        retry=retry_if_exception(_is_passing),
        wait=_wait,
        stop=stop_after_attempt(tries),
        reraise=True,
    )


def quota_used_up(who: str, said: str, wait: timedelta | None) -> VendorError:
    """Return the error of a quota that is used up.

    Parameters
    ----------
    who : str
        The vendor.
    said : str
        What it said, without the key.
    wait : timedelta, optional
        For how long; a minute if not given.
    """
    wait = _USUAL_QUOTA if wait is None else min(wait, _LONGEST_QUOTA)
    again_at = datetime.now(UTC) + wait
    return VendorError(
        f"{who}: the quota of requests is used up until {again_at:%Y-%m-%d %H:%M:%S} UTC ({said}); "
        "the next try asks for what is left, or see what the account's plan allows",
        for_all=True,
        passing=wait <= _PATIENCE,
        again_at=again_at,
    )


def said_in_a_line(text: str) -> str:
    """Return what a vendor said, in one line that is not too long."""
    line = " ".join(text.split())
    return (line if len(line) <= _SHOWN else f"{line[:_SHOWN]}...") or "nothing"


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, VendorError) and error.passing


def _wait(state: RetryCallState) -> float:
    """Return the seconds until the next try: until the quota opens, or a growing while."""
    error = state.outcome.exception() if state.outcome else None
    until = error.again_at if isinstance(error, VendorError) else None
    if until is not None:
        return max((until - datetime.now(UTC)).total_seconds(), 0.0)
    return float(_FIRST_WAIT * 2 ** (state.attempt_number - 1))


def retry_after(header: str | None) -> timedelta | None:
    """Return what a header ``Retry-After`` says: seconds or a date; None if it says nothing."""
    if header is None:
        return None
    try:
        if header.strip().isdecimal():
            return timedelta(seconds=min(int(header), _LONGEST_QUOTA.total_seconds()))
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(moment - datetime.now(UTC), timedelta(seconds=1))
