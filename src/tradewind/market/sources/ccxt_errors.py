"""What ccxt's errors mean: which of them pass, and which one is a quota that is used up."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tradewind.errors import VendorError
from tradewind.market.sources.vendor_tries import (
    quota_used_up,
    retry_after,
    said_in_a_line,
)

if TYPE_CHECKING:
    from ccxt import BaseError, Exchange

__all__ = ["told"]

_FORBIDDEN_HERE: Final = ("restricted location", " 451 ")


@contextmanager
def told(who: str, about: str, exchange: "Exchange") -> Iterator[None]:
    """Turn what ccxt raises into errors with vendor, question, and how to mend it.

    Parameters
    ----------
    who : str
        The source.
    about : str
        What is asked for.
    exchange : Exchange
        Which is asked.

    Raises
    ------
    VendorError
        In the place of ccxt's errors, and of those that come of an answer that it cannot read.
    """
    from ccxt import BaseError

    exchange.last_json_response = {}
    try:
        yield
    except BaseError as error:
        raise _meaning(error, who, about, exchange) from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise _unreadable(f"{who}: {about}", exchange, what) from error
    # ccxt makes no candles of a page of HTML, of half an answer and of none.
    if exchange.last_json_response is None:
        raise _unreadable(f"{who}: {about}", exchange, "")


def _unreadable(where: str, exchange: "Exchange", what: str) -> VendorError:
    if exchange.last_json_response is None:
        what = f"the answer is no JSON: {said_in_a_line(exchange.last_http_response or '')}"
    else:
        what = f"ccxt cannot read the answer ({said_in_a_line(what)})"
    return VendorError(
        f"{where}: {what}; a proxy or a maintenance page answers in the exchange's place? Try "
        "again later, or see whether ccxt has a newer version",
        passing=True,
    )


def _meaning(error: "BaseError", who: str, about: str, exchange: "Exchange") -> VendorError:
    import ccxt

    said = said_in_a_line(f"{type(error).__name__}: {error}")
    where = f"{who}: {about}"
    if isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection):
        headers = {
            name.lower(): text for name, text in (exchange.last_response_headers or {}).items()
        }
        return quota_used_up(who, said, retry_after(headers.get("retry-after")))
    restricted = any(text in str(error).lower() for text in _FORBIDDEN_HERE)
    # The first that fits: the others are of broader classes.
    meanings: tuple[tuple[bool, str, str, str], ...] = (
        (
            restricted or isinstance(error, ccxt.RestrictedLocation),
            who,
            "for_all",
            "the exchange answers nobody where this machine is: choose another exchange",
        ),
        (
            isinstance(error, ccxt.BadSymbol),
            where,
            "",
            "was it delisted? Correct the symbol, or take it out of options.symbols",
        ),
        (
            isinstance(error, ccxt.AuthenticationError),
            where,
            "doubtful",
            "the exchange gives it to members alone: choose another exchange",
        ),
        (
            isinstance(error, ccxt.OnMaintenance),
            who,
            "for_all",
            "try again once its maintenance ends",
        ),
        (
            isinstance(error, ccxt.OperationFailed),  # of the network, or an answer that is none
            where,
            "passing",
            "see whether this machine reaches the exchange, then try again",
        ),
        (
            True,
            where,
            "",
            "see what the exchange's documents say of it, and whether ccxt has a newer version",
        ),
    )
    place, flag, mend = next(each[1:] for each in meanings if each[0])
    return VendorError(
        f"{place}: {said}; {mend}",
        for_all=flag == "for_all",
        passing=flag == "passing",
        doubtful=flag == "doubtful",
    )
