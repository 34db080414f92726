"""Asks a vendor of bars by HTTP: one place for answers that are none.

An answer is used only if it is whole and of the shape that the vendor's documents promise. All else
is a `VendorError` with vendor, question, what came, and how to mend it. A quota that is used up is
never taken for "no data". The key goes into a header and nowhere else: not into an address, a log
or an error, even if the vendor repeats it.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar
from urllib.parse import quote, quote_plus

import httpx
from pydantic import TypeAdapter, ValidationError

from tradewind.errors import VendorError
from tradewind.market.sources.vendor_question import Question
from tradewind.market.sources.vendor_state import Answering
from tradewind.market.sources.vendor_tries import (
    TRIES,
    Fetched,
    collected,
    patiently,
    quota_used_up,
    retry_after,
    said_in_a_line,
)
from tradewind.vendor_keys import key_variable

__all__ = ["CONNECTIONS", "Connection"]

Answer = TypeVar("Answer")
Wanted = TypeVar("Wanted")

log = logging.getLogger(__name__)

CONNECTIONS: Final = 4
"""Questions that are asked at once."""

_MOST_BYTES: Final = 64 * 2**20  # 20 years of daily bars are 1.3 MB
_HEAD: Final = 4096  # bytes in which a vendor says what is wrong
_SHORTEST: Final = 6  # characters of a part of a key; a shorter one is in many words
_OK: Final = 200
_PARTIAL: Final = 206
_REFUSED: Final = 401
_FORBIDDEN: Final = 403
_ABSENT: Final = frozenset({404, 422})  # no such address, or nothing under such a name
_TOO_MANY: Final = 429
_SERVER: Final = 500


class Connection:
    """Connections to a vendor that are open; any number of threads may ask."""

    def __init__(self, vendor: Answering, client: httpx.Client, secrets: Iterable[str]) -> None:
        self._vendor = vendor
        self._client = client
        found = {form for part in secrets for form in _written(part) if len(part) >= _SHORTEST}
        self._secrets = sorted(found, key=len, reverse=True)  # the whole before its parts

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
        return self._tried(tries, Question("GET", path, params), shape, about)

    def post(
        self,
        path: str,
        form: Mapping[str, str],
        shape: TypeAdapter[Answer],
        *,
        about: str,
        lines: bool = False,
        count: int | None = None,
    ) -> Answer:
        """Ask one question by a form.

        Parameters
        ----------
        path, shape, about
            As of `get`.
        form : mapping of str to str
            Without the key.
        lines : bool
            Whether the answer is one object of JSON a line; `shape` is then that of their list.
        count : int, optional
            How many lines there are, if it is known.

        Raises
        ------
        VendorError
            If there is no usable answer after some tries.
        """
        question = Question("POST", path, form, lines=lines, count=count)
        return self._tried(TRIES, question, shape, about)

    def _tried(
        self, tries: int, question: Question, shape: TypeAdapter[Answer], about: str
    ) -> Answer:
        self._vendor.refuse_if_stopped()
        try:
            answer: Answer = patiently(tries)(self._once, question, shape, about)
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
        address: Callable[[str], tuple[str, Mapping[str, str]]] | None = None,
    ) -> Iterator[Answer]:
        """Ask one question whose answer comes in pages.

        Parameters
        ----------
        path, params, shape, about
            As of `get`.
        following : callable
            Returns the token of the next page; None after the last.
        address : callable, optional
            Makes the path and the parameters of the page from its token. By default it is asked for
            by the parameter ``page_token``.

        Raises
        ------
        VendorError
            If a page cannot be had, or one comes again. The pages before it are whole.
        """
        asked: Mapping[str, str] = dict(params)
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
            if address is None:
                asked = {**params, "page_token": token}
            else:
                path, asked = self._address(token, address, about)

    def _address(
        self, token: str, address: Callable[[str], tuple[str, Mapping[str, str]]], about: str
    ) -> tuple[str, Mapping[str, str]]:
        try:
            path, asked = address(token)
            httpx.URL(path)
            if path.startswith("/"):  # else it may name another host, which would be told the key
                return path, asked
        except (ValueError, httpx.InvalidURL):
            pass
        raise VendorError(
            f"{self._vendor.who}: {about}: the next page has no address, but "
            f"{self._said(repr(token))}; the answer is cut short, ask again later"
        )

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

    def _once(self, question: Question, shape: TypeAdapter[Answer], about: str) -> Answer:
        where = f"{self._vendor.who}: {about}"
        response, content = self._fetched(question, where)
        for secret in self._secrets:  # which may be in any record, or in the address of a page
            content = content.replace(secret.encode(), b"***")
        if (left := response.headers.get("X-RateLimit-Remaining")) is not None:
            self._vendor.left = self._said(left)
        text = content[:_HEAD].decode("utf-8", "replace")
        self._refuse_quota(response, text)
        self._refuse_status(response, text, where)
        if (warning := response.headers.get("X-Warning")) is not None:
            log.warning("%s: %s", where, self._said(warning))
        kind = response.headers.get("Content-Type", "nothing")
        if "html" in kind.lower() or not (question.lines or "json" in kind.lower()):
            raise VendorError(
                f"{where}: the answer is {self._said(kind.partition(';')[0])}, no JSON: "
                f"{self._said(text)}; a proxy or a maintenance page answers in the vendor's place? "
                "Try again later",
                passing=True,
            )
        if question.lines:
            content = _list_of(content, question.count, where)
        try:
            return shape.validate_json(content)
        except ValidationError as error:
            raise self._malformed(error, where) from None

    def _fetched(self, question: Question, where: str) -> tuple[httpx.Response, bytes]:
        try:
            with self._client.stream(question.method, question.path, **question.sent) as response:
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
            ) from None  # a header that is none is in the library's error, with what is in it

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
        answer = f"{status} {self._said(response.reason_phrase)}: {self._said(text)}"
        said = f"{where}: {answer}"
        if status == _PARTIAL:
            raise VendorError(f"{said}; it is a part of the answer, try again later", passing=True)
        if status in {_REFUSED, _FORBIDDEN} and not self._vendor.has_key:
            raise VendorError(
                f"{said}; the vendor refuses whoever asks from here; try again later, or take a "
                "vendor who gives a key",
                doubtful=True,
            )
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
        if status in _ABSENT:
            raise VendorError(
                f"{said}; correct the symbol, or take it out of options.symbols", absent=True
            )
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
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return said_in_a_line(text)


def _written(secret: str) -> set[str]:
    """Return a secret as a vendor may repeat it: in JSON, in an address, or in another case."""
    forms = {
        secret, secret.rstrip("="), json.dumps(secret)[1:-1], secret.replace("/", r"\/"),
        repr(secret)[1:-1], quote(secret), quote(secret, safe=""), quote_plus(secret),
    }  # fmt: skip
    return {cased for form in forms for cased in (form, form.lower(), form.upper())}


def _list_of(content: bytes, count: int | None, where: str) -> bytes:
    """Return what is one object of JSON a line as one list of them."""
    lines = content.splitlines()
    if (content and not content.endswith(b"\n")) or count not in {None, len(lines)}:
        there = "" if count is None else f" of {count}"
        raise VendorError(
            f"{where}: the answer ends after {len(lines)} lines{there}; it was cut short, so ask "
            "again",
            passing=True,
        )
    return b"[" + b",".join(lines) + b"]"
