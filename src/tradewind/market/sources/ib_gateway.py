"""Asks the gateway of Interactive Brokers for contracts and their history, with ``ib_async``.

The gateway's answers and errors come in any order over one connection, so a loop of its own runs in
a thread of its own while a question is open. ``ib_async`` returns an empty list for a request that
failed, unless it is told to raise; here it is, and an empty list is never taken for "no data".
"""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from tradewind.errors import SourceError, VendorError
from tradewind.market.sources.vendor_tries import quota_used_up, said_in_a_line

if TYPE_CHECKING:
    from ib_async import IB, BarData, Contract

__all__ = ["Gateway", "Place"]

Answer = TypeVar("Answer")

_PACING: Final = timedelta(minutes=10)  # in which sixty requests are allowed
_LOGIN: Final = 10.0  # seconds; a gateway that is logged in answers at once
_QUOTAS: Final = frozenset({100, 420})
_UNKNOWN: Final = 200
_HISTORY: Final = 162
_NOT_ALLOWED: Final = frozenset({354, 10089, 10090, 10091, 10168, 10186, 10187, 10189})
_ELSEWHERE: Final = frozenset({10197})
_OFFLINE: Final = frozenset({502, 504, 1100, 1300, 2110})
_CLIENT_ID: Final = 326


@dataclass(frozen=True)
class Place:
    """Where the gateway is.

    Attributes
    ----------
    host, port, client_id
        Of TWS or IB Gateway; no two connections have one client id.
    timeout : float
        Seconds that an answer may take.
    """

    host: str
    port: int
    client_id: int
    timeout: float


class Gateway:
    """A connection, made by the first question, and again by the next once it is broken.

    Parameters
    ----------
    who : str
        The source, in messages.
    place : Place
    """

    def __init__(self, who: str, place: Place) -> None:
        self._who = who
        self._place = place
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ib-history")
        self._runner = asyncio.Runner()
        self._client: IB | None = None
        self._notice = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def contract(self, symbol: str, *, exchange: str, currency: str, primary: str) -> "Contract":
        """Return the one stock that a symbol means.

        Raises
        ------
        VendorError
            If there is none, or more than one, and if the gateway does not answer.
        """
        from ib_async import Stock

        name = symbol.replace(".", " ")  # BRK.B is BRK B there
        asked = Stock(name, exchange, currency, primaryExchange=primary)
        found = self._ask(symbol, lambda client: client.reqContractDetailsAsync(asked))
        contracts = {
            each.contract.conId: each.contract for each in found if each.contract is not None
        }
        if len(contracts) != 1:
            places = sorted({each.primaryExchange for each in contracts.values()})
            what = (
                f"means {len(contracts)} stocks, of {', '.join(places)}; write which one under "
                "options.primary_exchanges"
                if contracts
                else "is no stock there; correct the symbol, or take it out of options.symbols"
            )
            raise VendorError(f"{self._who}: {symbol}: {name!r} {what}")
        found_one: Contract = next(iter(contracts.values()))
        return found_one

    def daily_bars(
        self, contract: "Contract", symbol: str, *, what: str, years: int
    ) -> "Sequence[BarData]":
        """Return the daily bars of the years before now.

        Parameters
        ----------
        contract : Contract
        symbol : str
            For messages.
        what : {"TRADES", "ADJUSTED_LAST"}
            Prices adjusted for splits, or for splits and dividends.
        years : int

        Raises
        ------
        VendorError
            If none come: an error is told as what it means.
        """
        bars = self._ask(
            symbol,
            lambda client: client.reqHistoricalDataAsync(
                contract,
                endDateTime="",
                durationStr=f"{years} Y",
                barSizeSetting="1 day",
                whatToShow=what,
                useRTH=True,
                timeout=self._place.timeout,
            ),
        )
        if not bars:  # which is also what ib_async makes of an answer that takes too long
            raise VendorError(
                f"{self._who}: {symbol}: no bars of {what} came within {self._place.timeout:g} s, "
                f"and no error{self._heard()}; see whether TWS shows a chart of it, then try again",
                passing=True,
            )
        return list(bars)

    def time(self) -> str:
        """Return the gateway's time, as a sign that it answers.

        Raises
        ------
        VendorError
            If it does not.
        """
        now = self._ask("its time", lambda client: client.reqCurrentTimeAsync())
        return f"{now:%Y-%m-%d %H:%M:%S} UTC"

    def _ask(self, about: str, question: Any) -> Any:  # noqa: ANN401
        with self._errors(about):
            return self._run(self._asked(question))

    def _run(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        return self._thread.submit(self._runner.run, coroutine).result()

    async def _asked(self, question: Any) -> Any:  # noqa: ANN401
        client = await self._connected()
        # History has a time limit of its own; the other questions are answered at once or never.
        return await asyncio.wait_for(question(client), self._place.timeout + 5.0)

    async def _connected(self) -> "IB":
        if self._client is not None and self._client.isConnected():
            return self._client
        from ib_async import IB, StartupFetchNONE

        self._client, self._notice = None, ""
        client = IB()
        client.RaiseRequestErrors = True
        client.errorEvent += self._remember
        await client.connectAsync(
            self._place.host,
            self._place.port,
            clientId=self._place.client_id,
            timeout=min(self._place.timeout, _LOGIN),
            readonly=True,
            fetchFields=StartupFetchNONE,
        )
        self._client = client
        return client

    def _close(self) -> None:
        if self._client is not None:
            self._client.disconnect()
        self._runner.close()

    def _remember(self, _request: int, code: int, text: str, _contract: object) -> None:
        self._notice = f"{code}: {text}"

    def _heard(self) -> str:
        return f" (it said last: {said_in_a_line(self._notice)})" if self._notice else ""

    @contextmanager
    def _errors(self, about: str) -> Iterator[None]:
        """Turn the gateway's errors into ours."""
        try:
            from ib_async import RequestError
        except ImportError as error:
            raise SourceError(
                f"{self._who} needs ib_async: install tradewind with its extra "
                "`interactive_brokers`"
            ) from error
        where = f"{self._who}: the gateway at {self._place.host}:{self._place.port}"
        try:
            yield
        except RequestError as error:
            raise self._meaning(error.code, error.message, about) from error
        except OSError as error:  # a refused connection, one that broke, or a time that ran out
            made = self._client is not None
            if not made and self._notice.startswith(f"{_CLIENT_ID}:"):
                raise VendorError(
                    f"{where}: {said_in_a_line(self._notice)}; give this source a client id of its "
                    "own: options.client_id",
                    for_all=True,
                ) from error
            what = (
                f"did not answer about {about} in time"
                if isinstance(error, TimeoutError)
                else f"is out of reach: {said_in_a_line(str(error))}"
            )
            raise VendorError(
                f"{where} {what}{self._heard()}. See that it runs, is logged in and lets this "
                "machine in (its settings, API); it restarts each night",
                passing=True,
                for_all=not made,
            ) from error

    def _meaning(self, code: int, text: str, about: str) -> VendorError:
        said = f"{code} {said_in_a_line(text)}"
        where, low = f"{self._who}: {about}: {said}", text.lower()
        if code in _QUOTAS or (code == _HISTORY and "pacing" in low):
            return quota_used_up(self._who, said, _PACING)
        if code in _NOT_ALLOWED or "permission" in low or "subscri" in low:
            return VendorError(
                f"{where}; the account has no subscription to these market data: see its market "
                "data settings",
                doubtful=True,
            )
        if code in _ELSEWHERE or "different ip" in low:
            return VendorError(
                f"{self._who}: {said}; the user is logged in elsewhere, and history goes to one "
                "login: give the gateway a user of its own",
                for_all=True,
            )
        if code in _OFFLINE:
            return VendorError(
                f"{self._who}: {said}; the gateway has lost its servers, as it does each night: "
                "try again",
                for_all=True,
                passing=True,
            )
        if code == _UNKNOWN or "no data" in low:
            return VendorError(
                f"{where}; was it renamed or delisted? Correct the symbol, say which of several "
                "stocks it is under options.primary_exchanges, or take it out of options.symbols"
            )
        return VendorError(
            f"{where}; see what Interactive Brokers' documents say of {code}", passing=True
        )
