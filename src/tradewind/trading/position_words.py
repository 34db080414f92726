"""Why a position differs between the book and a broker: the action that one of them lacks, by name.

Paper accounts of real brokers often skip splits (alpacahq/Alpaca-API#181), and bars may lack one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Final

import sqlalchemy as sa

from tradewind.trading.book.schema import bookings, quotes

__all__ = ["BookedSplit", "booked_splits", "position_differences"]

_LARGEST: Final = 50  # in a ratio that a split is guessed by; 50 for 1 is the largest of the usual


@dataclass(frozen=True)
class BookedSplit:
    """A split that the book has booked on a position.

    Attributes
    ----------
    session : date
        Its ex-date.
    ratio : Fraction
        What one share became.
    shares : int
        By how many the position changed, signed.
    """

    session: date
    ratio: Fraction
    shares: int


def booked_splits(connection: sa.Connection, account: str) -> dict[str, list[BookedSplit]]:
    """Return an account's booked splits by symbol, newest first."""
    same = (
        quotes.c.account == bookings.c.account,
        quotes.c.session == bookings.c.session,
        quotes.c.symbol == bookings.c.symbol,
    )
    query = (
        sa.select(
            bookings.c.symbol,
            bookings.c.session,
            bookings.c.shares,
            quotes.c.split_numerator,
            quotes.c.split_denominator,
        )
        .join(quotes, sa.and_(*same))
        .where(bookings.c.account == account, bookings.c.kind == "split")
        .order_by(bookings.c.session.desc())
    )
    found: dict[str, list[BookedSplit]] = {}
    for symbol, session, shares, numerator, denominator in connection.execute(query):
        found.setdefault(symbol, []).append(
            BookedSplit(session, Fraction(numerator, denominator), int(shares))
        )
    return found


def position_differences(
    ours: Mapping[str, int], theirs: Mapping[str, int], splits: Mapping[str, list[BookedSplit]]
) -> Iterator[str]:
    """Yield a sentence for each symbol whose position differs, with the reason if one fits."""
    differing = [
        symbol
        for symbol in sorted(ours.keys() | theirs.keys())
        if ours.get(symbol, 0) != theirs.get(symbol, 0)
    ]
    for symbol in differing:
        mine, its = ours.get(symbol, 0), theirs.get(symbol, 0)
        why = (
            _skipped(mine, its, splits.get(symbol, []))
            or _renamed(symbol, ours, theirs)
            or _untold(mine, its)
        )
        yield f"position in {symbol} is {mine} here and {its} at the broker{why}"


def _skipped(mine: int, its: int, splits: list[BookedSplit]) -> str:
    """Name the last splits, if the broker has exactly what there is without them."""
    changed = 0
    for count, split in enumerate(splits, start=1):
        changed += split.shares
        if changed == mine - its:
            named = " and ".join(
                f"the split of {one.session}, {_words(one.ratio)}" for one in splits[:count]
            )
            return (
                f": {named}, is booked here and was not done there. A paper account may skip it: "
                f"trade {mine - its:+d} there by hand to follow it, or begin with another account"
            )
    return ""


def _renamed(symbol: str, ours: Mapping[str, int], theirs: Mapping[str, int]) -> str:
    """Name the one other symbol in which the broker has what it lacks in this one."""
    if theirs.get(symbol) or not ours.get(symbol):
        return ""
    others = [one for one in theirs if one not in ours and theirs[one] == ours[symbol]]
    if len(others) != 1:
        return ""
    return f": it has as many of {others[0]}, as if {symbol} were called so now"


def _untold(mine: int, its: int) -> str:
    """Say that the broker's position is as after a split that the book was not told of."""
    if mine * its <= 0:
        return ""
    ratio = Fraction(its, mine)
    if max(ratio.numerator, ratio.denominator) > _LARGEST or min(abs(mine), abs(its)) < 2:  # noqa: PLR2004
        return ""
    if ratio.denominator != 1 and ratio.numerator != 1:
        return ""
    return (
        f": as after a split, {_words(ratio)}, of which the bars say nothing (or trades by hand). "
        "See what the source tells by `tradewind data actions`"
    )


def _words(ratio: Fraction) -> str:
    return f"{ratio.numerator} for {ratio.denominator}"
