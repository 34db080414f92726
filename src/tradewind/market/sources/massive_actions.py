"""What Massive tells of splits, dividends, names and delistings."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final
from urllib.parse import quote

from tradewind.errors import VendorError
from tradewind.market.sources.massive_answers import (
    DIVIDENDS,
    EVENTS,
    SPLITS,
    TICKERS,
    Dividend,
    Split,
    address_of,
)  # fmt: skip
from tradewind.market.sources.vendor_bars import Unread
from tradewind.market.sources.vendor_connection import Connection

__all__ = ["Told", "delisted_on", "names_of", "told_of", "valued"]

_AT_ONCE: Final = 100  # symbols that one question is about
_MOST_ACTIONS: Final = "5000"  # of a page
_MOST_TICKERS: Final = "1000"
_NEAR: Final = timedelta(days=7)  # a split that is told again, on another day
_CURRENCY: Final = "USD"


@dataclass(frozen=True)
class Told:
    """What is told of the actions of some symbols.

    Attributes
    ----------
    splits, dividends : dict
        Each once.
    unread : dict of str to str
        By symbol, why a record cannot be read.
    """

    splits: dict[Split, None]
    dividends: dict[Dividend, None]
    unread: dict[str, str]


def told_of(connection: Connection, who: str, symbols: Sequence[str], begin: date) -> Told:
    """Ask for the splits and dividends of some symbols from a day on.

    Raises
    ------
    VendorError
        If the vendor does not answer.
    """
    told = Told({}, {}, {})
    for start in range(0, len(symbols), _AT_ONCE):
        chunk = symbols[start : start + _AT_ONCE]
        about = f"actions of {chunk[0]} and {len(chunk) - 1} more"
        names = {"ticker.any_of": ",".join(chunk), "limit": _MOST_ACTIONS}
        splits = connection.pages(
            "/stocks/v1/splits",
            {**names, "execution_date.gte": begin.isoformat(), "sort": "execution_date.asc"},
            SPLITS, lambda page: page.next_url, about=about, address=address_of,
        )  # fmt: skip
        for split in (each for page in splits for each in page.results):
            if isinstance(split, Unread):
                told.unread[split.symbol] = split.said(who, "a split")
            elif split.ticker in chunk:
                told.splits[split] = None
        paid = connection.pages(
            "/stocks/v1/dividends",
            {**names, "ex_dividend_date.gte": begin.isoformat(), "sort": "ex_dividend_date.asc"},
            DIVIDENDS, lambda page: page.next_url, about=about, address=address_of,
        )  # fmt: skip
        for dividend in (each for page in paid for each in page.results):
            if isinstance(dividend, Unread):
                told.unread[dividend.symbol] = dividend.said(who, "a dividend")
            elif dividend.ticker in chunk:
                told.dividends[dividend] = None
    return told


def names_of(connection: Connection, symbol: str) -> list[tuple[date, str]]:
    """Return the names that the company of a symbol has had, oldest first; none if nobody knows."""
    path = f"/vX/reference/tickers/{quote(symbol, safe='')}/events"
    try:
        answer = connection.get(
            path, {"types": "ticker_change"}, EVENTS, about=f"names of {symbol}"
        )
    except VendorError as error:
        if error.absent:  # such as of funds
            return []
        raise
    return answer.names()


def delisted_on(connection: Connection, symbol: str) -> list[date]:
    """Return the days on which companies of a symbol were delisted."""
    params = {"ticker": symbol, "market": "stocks", "active": "false", "limit": _MOST_TICKERS}
    pages = connection.pages(
        "/v3/reference/tickers", params, TICKERS, lambda page: page.next_url,
        about=f"delistings of {symbol}", address=address_of,
    )  # fmt: skip
    moments = [one.delisted_utc for page in pages for one in page.results if one.ticker == symbol]
    return sorted({moment.date() for moment in moments if moment is not None})


def valued(told: Told, symbol: str, first: date, where: str) -> list[tuple[str, date, float]]:
    """Return the splits and dividends of a symbol after a session.

    Raises
    ------
    VendorError
        If they cannot all be read, or contradict each other.
    """
    if symbol in told.unread:
        raise VendorError(told.unread[symbol])
    splits = {
        (each.execution_date, each.ratio)
        for each in told.splits
        if each.ticker == symbol and each.execution_date > first
    }
    for (day, ratio), (after, again) in pairwise(sorted(splits)):
        if day == after or (ratio == again and after - day <= _NEAR):
            raise VendorError(
                f"{where}: splits of {ratio:g} on {day} and of {again:g} on {after} are told, "
                "which look like one that is told twice; ask the vendor, or begin after them "
                "(options.start)"
            )
    paid = [each for each in told.dividends if each.ticker == symbol]
    for each in paid:
        if each.currency != _CURRENCY and each.ex_dividend_date > first:
            raise VendorError(
                f"{where}: the dividend of {each.ex_dividend_date} is told in {each.currency}, and "
                f"prices are in {_CURRENCY}; ask the vendor, or begin after it (options.start)"
            )
    # Two of another type, such as a special one, may well be two.
    times = Counter(
        (each.ex_dividend_date, each.cash_amount, each.distribution_type or "") for each in paid
    )
    for (day, amount, _), count in sorted(times.items()):
        if count > 1 and day > first:
            raise VendorError(
                f"{where}: the dividend of {amount:g} on {day} is told {count} times, and not in "
                "the same words; ask the vendor which holds, or begin after it (options.start)"
            )
    return [
        *(("split", day, ratio) for day, ratio in sorted(splits)),
        *(("dividend", each.ex_dividend_date, each.cash_amount) for each in paid),
    ]
