"""The arithmetic of an account's books, to the cent: shared by the backtest and the trading book.

`tradewind.research.backtest.books` says what is booked, how many shares are traded and how amounts
are rounded. This module needs only the standard library, so that the trading workers can use it
without numpy or polars. Its functions are exact in any decimal context.
"""

from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from typing import Final, TypeVar

__all__ = [
    "DAYS_PER_YEAR",
    "EXACT",
    "borrow_fee",
    "cents",
    "decimal_of",
    "dividend_between",
    "equity_of",
    "price_of",
    "split_between",
    "split_shares",
    "target_shares",
    "trading_cost",
]

DAYS_PER_YEAR: Final = 365
"""Calendar days over which a year's borrowing fee is spread, in leap years too."""

EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""Enough digits that a product of shares and a price is exact before it is rounded."""

_CENT: Final = Decimal("0.01")
_PRICE_PLACES: Final = Decimal("1e-8")
_BPS: Final = Decimal(10_000)
_LARGEST_DENOMINATOR: Final = 1_000_000  # of a split's ratio; far beyond any real one

K = TypeVar("K")


def decimal_of(value: float) -> Decimal:
    """Return the decimal number that a float prints as, which is the intended one."""
    return Decimal(repr(value))


def cents(amount: Decimal) -> Decimal:
    """Round to whole cents, halves to the even cent."""
    with localcontext(EXACT):
        return amount.quantize(_CENT)


def price_of(value: float) -> Decimal:
    """Return a price, or a dividend a share, to eight places."""
    with localcontext(EXACT):
        return decimal_of(value).quantize(_PRICE_PLACES)


def split_between(before: float, after: float) -> Fraction:
    """Return how many shares one became, by the split factors of two sessions in a row."""
    return Fraction(after / before).limit_denominator(_LARGEST_DENOMINATOR)


def dividend_between(
    splits: tuple[float, float], adjustments: tuple[float, float], close: float
) -> Decimal:
    """Return the cash a share was paid, after a split of the same day.

    Parameters
    ----------
    splits, adjustments : tuple of float
        The factors of the session before and of the session.
    close : float
        Of the session.
    """
    split = splits[1] / splits[0]
    both = adjustments[1] / adjustments[0]
    return price_of((both / split - 1.0) * close)


def split_shares(shares: int, ratio: Fraction, price: Decimal) -> tuple[int, Decimal]:
    """Return what shares become in a split, and the cash for what is less than a share.

    Parameters
    ----------
    shares : int
        Negative for a short position, which pays for its fraction.
    ratio : Fraction
        Of `split_between`.
    price : Decimal
        Price at which the fraction is settled.

    Returns
    -------
    int, Decimal
        The whole part, towards zero; the cash is not rounded.
    """
    exact = shares * ratio
    whole = int(exact)
    rest = exact - whole
    with localcontext(EXACT):
        return whole, price * rest.numerator / rest.denominator


def borrow_fee(shares: int, close: Decimal, borrow_bps: Decimal, nights: int) -> Decimal:
    """Return the fee for borrowing since the last close: negative, not rounded."""
    if shares >= 0:
        return Decimal(0)
    with localcontext(EXACT):
        return shares * close * borrow_bps * nights / (_BPS * DAYS_PER_YEAR)


def trading_cost(shares: int, price: Decimal, cost_bps: Decimal) -> Decimal:
    """Return the cost of a trade, as basis points of its notional: positive, not rounded."""
    with localcontext(EXACT):
        return abs(shares) * price * (cost_bps / _BPS)


def equity_of(cash: Decimal, shares: Mapping[K, int], prices: Mapping[K, Decimal]) -> Decimal:
    """Return cash plus the value of the shares, not rounded; each symbol needs a price."""
    with localcontext(EXACT):
        return cash + sum(count * prices[key] for key, count in shares.items() if count)


def target_shares(
    cash: Decimal,
    shares: Mapping[K, int],
    prices: Mapping[K, Decimal],
    weights: Mapping[K, Decimal],
    cost_bps: Decimal,
) -> dict[K, int]:
    """Return the whole shares that weights ask for, after the cost of trading is set aside.

    Parameters
    ----------
    cash : Decimal
    shares, weights : mapping
        By symbol; a missing entry means zero.
    prices : mapping
        Of every symbol in either.
    cost_bps : Decimal
        Basis points of the traded notional, of commission and slippage together.

    Returns
    -------
    dict
        In the order of `prices`, with an entry for each of its symbols.
    """
    with localcontext(EXACT):
        worth = {key: shares.get(key, 0) * price for key, price in prices.items()}
        weight = {key: weights.get(key, Decimal(0)) for key in prices}
        equity = cash + sum(worth.values())
        distance = sum(abs(weight[key] * equity - worth[key]) for key in prices)
        left = equity - distance * (cost_bps / _BPS)
        return {
            # A symbol that is not wanted may be worthless, with no price to divide by.
            key: int((weight[key] * left / price).to_integral_value(ROUND_DOWN))
            if weight[key]
            else 0
            for key, price in prices.items()
        }
