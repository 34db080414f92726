"""Asks a vendor of bars by HTTP: one place for quotas, tries, and answers that are none.

An answer is used only if it is whole and of the shape that the vendor's documents promise. All else
is a `VendorError` with vendor, question, what came, and how to mend it. A quota that is used up is
never taken for "no data". The key goes into a header and nowhere else: not into an address, a log
or an error, even if the vendor repeats it.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Final, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from tradewind.errors import VendorError
from tradewind.market.sources.vendor_state import Answering
from tradewind.vendor_keys import key_variable

__all__ = [
    "CONNECTIONS", "TRIES", "Connection", "Fetched", "collected", "patiently", "quota_used_up",
    "retry_after", "said_in_a_line",
]  # fmt: skip

Answer = TypeVar("Answer")
Wanted = TypeVar("Wanted")

log = logging.getLogger(__name__)

CONNECTIONS: Final = 4
"""Questions that are asked at once."""

TRIES: Final = 4
"""How often one question is asked at most."""

_PATIENCE: Final = timedelta(seconds=60)  # for a quota that opens later, the next try asks
_FIRST_WAIT: Final = 0.5  # seconds; doubled with each try
_USUAL_QUOTA: Final = timedelta(minutes=1)  # where the vendor does not say when it opens
_LONGEST_QUOTA: Final = timedelta(days=1)
_MOST_BYTES: Final = 64 * 2**20  # 20 years of daily bars are 1.3 MB
_HEAD: Final = 4096  # bytes in which a vendor says what is wrong
_SHOWN: Final = 120
_SHORTEST: Final = 6  # characters of a part of a key; a shorter one is in many words
_OK: Final = 200
_REFUSED: Final = 401
_FORBIDDEN: Final = 403
_ABSENT: Final = 404
_TOO_MANY: Final = 429
_SERVER: Final = 500


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


class Connection:
    """Connections to a vendor that are open; any number of threads may ask."""

    def __init__(self, vendor: Answering, client: httpx.Client, key: str) -> None:
        self._vendor = vendor
        self._client = client
        self._key = key

    def get(
        self,
        path: str,
        params: Mapping[str, str],
        shape: TypeAdapter[Answer],
        *,
        about: str,
        tries: int = TRIES,
    ) -> Answer:
        """Ask one question.

        Parameters
        ----------
        path, params
            Without the key.
        shape : TypeAdapter
            What the answer must be.
        about : str
            What is asked for, such as a symbol.
        tries : int
            How often at most.

        Raises
        ------
        VendorError
            If there is no usable answer after some tries.
        """
        self._vendor.refuse_if_stopped()
        try:
            answer: Answer = patiently(tries)(self._once, path, params, shape, about)
        except VendorError as error:
            self._vendor.note(error)
            raise
        self._vendor.note(None)
        return answer

    def pages(
        self,
        path: str,
        params: Mapping[str, str],
        shape: TypeAdapter[Answer],
        following: Callable[[Answer], str | None],
        *,
        about: str,
    ) -> Iterator[Answer]:
        """Ask one question whose answer comes in pages.

        Parameters
        ----------
        path, params, shape, about
            As of `get`.
        following : callable
            Returns the token of the next page, which is asked for by ``page_token``; None after the
            last.

        Raises
        ------
        VendorError
            If a page cannot be had, or one comes again. The pages before it are whole.
        """
        asked = dict(params)
        seen: set[str] = set()
        while True:
            page = self.get(path, asked, shape, about=about)
            yield page
            token = following(page)
            if token is None:
                return
            if token in seen:
                raise VendorError(
                    f"{self._vendor.who}: {about}: page {self._said(token)} comes a second time; "
                    "the answer would never end, ask again later"
                )
            seen.add(token)
            asked["page_token"] = token

    def each(self, symbols: Sequence[str], ask: Callable[[str], Wanted]) -> Fetched[Wanted]:
        """Ask for each of some symbols, several at a time; an error about one stops no other.

        Parameters
        ----------
        symbols : sequence of str
        ask : callable
            Called with a symbol, in any thread.

        Raises
        ------
        VendorError
            If the vendor answers nobody, and not for want of a quota.
        SourceError
            What `ask` raises, if it is no `VendorError`.
        """
        pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix=self._vendor.kind)
        try:
            asked = {symbol: pool.submit(ask, symbol) for symbol in symbols}
            return collected(self._vendor, {symbol: one.result for symbol, one in asked.items()})
        finally:
            pool.shutdown(cancel_futures=True)

    def _once(
        self, path: str, params: Mapping[str, str], shape: TypeAdapter[Answer], about: str
    ) -> Answer:
        where = f"{self._vendor.who}: {about}"
        response, content = self._fetched(path, params, where)
        self._vendor.left = response.headers.get("X-RateLimit-Remaining", self._vendor.left)
        text = content[:_HEAD].decode("utf-8", "replace")
        self._refuse_quota(response, text)
        self._refuse_status(response, text, where)
        kind = response.headers.get("Content-Type", "nothing")
        if "json" not in kind.lower():
            raise VendorError(
                f"{where}: the answer is {kind.partition(';')[0]}, no JSON: {self._said(text)}; a "
                "proxy or a maintenance page answers in the vendor's place? Try again later",
                passing=True,
            )
        try:
            return shape.validate_json(content)
        except ValidationError as error:
            raise self._malformed(error, where) from None

    def _fetched(
        self, path: str, params: Mapping[str, str], where: str
    ) -> tuple[httpx.Response, bytes]:
        try:
            with self._client.stream("GET", path, params=params) as response:
                content = bytearray()
                for part in response.iter_bytes():
                    content += part
                    if len(content) > _MOST_BYTES:
                        raise VendorError(
                            f"{where}: the answer is larger than {_MOST_BYTES >> 20} MB, which no "
                            "answer is; see base_url in the source's file"
                        )
                return response, bytes(content)
        except (httpx.TransportError, httpx.DecodingError) as error:
            no_one = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            what = self._vendor.who if no_one else where
            raise VendorError(
                f"{what}: {self._client.base_url.host} does not answer, or broke off ("
                f"{type(error).__name__}: {self._said(str(error))}); see whether this machine "
                "reaches it, then try again",
                passing=True,
                for_all=no_one,
            ) from error

    def _refuse_quota(self, response: httpx.Response, text: str) -> None:
        # Some vendors say it in a sentence, with a status of success and any type of content.
        said = self._vendor.quota_said(text)
        if response.status_code != _TOO_MANY and said is None:
            return
        asked = retry_after(response.headers.get("Retry-After"))
        raise quota_used_up(self._vendor.who, self._said(text), said if asked is None else asked)

    def _refuse_status(self, response: httpx.Response, text: str, where: str) -> None:
        status, kind = response.status_code, self._vendor.kind
        if status == _OK:
            return
        answer = f"{status} {response.reason_phrase}: {self._said(text)}"
        said = f"{where}: {answer}"
        if status == _REFUSED:
            raise VendorError(
                f"{self._vendor.who}: {answer}; the key is refused: put a valid one into "
                f"{key_variable(kind)}, or see what the account is allowed",
                for_all=True,
            )
        if status == _FORBIDDEN:
            raise VendorError(
                f"{said}; the account's plan may not include it, or the key in "
                f"{key_variable(kind)} is refused",
                doubtful=True,
            )
        if status == _ABSENT:
            raise VendorError(f"{said}; correct the symbol, or take it out of options.symbols")
        if status >= _SERVER:
            raise VendorError(f"{said}; the vendor has a fault, try again later", passing=True)
        raise VendorError(f"{said}; see base_url in the source's file, and the vendor's documents")

    def _malformed(self, error: ValidationError, where: str) -> VendorError:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the answer"
        cut_short = first["type"] == "json_invalid"
        mend = (
            "it was cut short; try again"
            if cut_short
            else "it is not what the vendor's documents promise; ask the vendor, or see whether "
            "tradewind has a newer version"
        )
        value = "" if cut_short else f" ({self._said(repr(first['input']))})"
        return VendorError(f"{where}: {place}: {first['msg']}{value}; {mend}", passing=cut_short)

    def _said(self, text: str) -> str:
        """Return what a vendor said, in one line and without the key."""
        for part in (self._key, *self._key.split(":")):  # some keys have two parts
            text = text.replace(part, "***") if len(part) >= _SHORTEST else text
        return said_in_a_line(text)


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
    if header.strip().isdecimal():
        return timedelta(seconds=min(int(header), _LONGEST_QUOTA.total_seconds()))
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(moment - datetime.now(UTC), timedelta(seconds=1))
