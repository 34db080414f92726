"""What an order must keep to before it leaves: pure reckoning, from what is known at the close.

A session's orders are judged together, each with the position it starts from, so that the same
question has the same answer however often it is asked while they are being sent. The kill switch is
not among these checks: it is asked once more before every single order
(`tradewind.trading.book.halts`).

Each order by itself: whether its open is still to come, how many opens have gone by since the
signal's session, whether the symbol was quoted at the last close, how far
that close is from the one before, the order's size against the usual volume, and the weight of the
position that it leads to. An order that closes the position in a symbol that was not quoted has
neither price nor volume to be held against, and may go: it is how a delisted symbol is left.

Then all that are left, as if they were filled: if the account is then within its gross and net
limit, or no further beyond it than it is now, they may go. If not, they are taken one by one, those
first that bring exposure down, and one that leads further beyond a limit is refused.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from tradewind.trading.book.accounts import Account
    from tradewind.trading.book.present import Present

__all__ = ["VOLUME_SESSIONS", "Known", "Wanted", "assess"]

VOLUME_SESSIONS: Final = 20
"""Over how many of the last sessions the usual volume of a symbol is taken."""


class Wanted(Protocol):
    """What is wanted of a symbol; an intent is one."""

    @property
    def symbol(self) -> str:
        """Its name in the quotes."""

    @property
    def session(self) -> date:
        """The one after whose close it was decided."""

    @property
    def trade_session(self) -> date:
        """The one at whose open it is to be traded."""

    @property
    def reference_price(self) -> Decimal:
        """What the order is reckoned with."""

    @property
    def held(self) -> int:
        """Shares that the account has."""

    @property
    def shares(self) -> int:
        """Shares of the order; zero where the position is to stay."""


class Known(Protocol):
    """What is known of a symbol's session; a quote is one."""

    @property
    def session(self) -> date:
        """When it was."""

    @property
    def close(self) -> Decimal:
        """The raw price."""

    @property
    def volume(self) -> int:
        """Shares traded."""

    @property
    def split(self) -> Fraction:
        """What one share held at the close before has become."""


def assess(
    wanted: Sequence[Wanted],
    history: Mapping[date, Mapping[str, Known]],
    equity: Decimal,
    terms: "Account",
    present: "Present",
) -> dict[str, tuple[str, ...]]:
    """Return the orders that may not leave, each with its reasons.

    Parameters
    ----------
    wanted : sequence of Wanted
        One a symbol, of all symbols that are held or to be traded; also those whose order has
        left already, with what was held before.
    history : mapping of date to mapping of str to Known
        What is known of the market by session and symbol. The last session is the present; the
        last `VOLUME_SESSIONS` of each symbol count, and one more for its price.
    equity : Decimal
        Cash and positions at the last close.
    terms : Account
        The limits.
    present : Present
        Says which opens are over.

    Returns
    -------
    dict of str to tuple of str
        By symbol; a symbol that is not there may be traded.
    """
    last = max(history, default=None)
    traded = [_Order.of(one) for one in wanted]
    money = Fraction(equity)
    found: dict[str, tuple[str, ...]] = {}
    for one, order in zip(wanted, traded, strict=True):
        if order.shares:
            known = [history[day][order.symbol] for day in sorted(history)
                     if order.symbol in history[day]]  # fmt: skip
            missed = max(
                sum(session > one.session for session in history),
                present.missed(one.session, one.trade_session),
            )
            reasons = [*_too_late(one, present), *_stale(one, missed, terms)]
            if order.target or (known and known[-1].session == last):
                reasons += [
                    *_quoted(order, known, last),
                    *_price(order, known, terms),
                    *_volume(order, known, terms),
                    *_weight(order, money, terms),
                ]
            if reasons:
                found[order.symbol] = tuple(reasons)
    return found | _exposure(traded, set(found), money, terms)


@dataclass(frozen=True)
class _Order:
    """An order and where it leads, in exact fractions of money."""

    symbol: str
    shares: int
    held: int
    price: Fraction

    @classmethod
    def of(cls, one: Wanted) -> "_Order":
        return cls(one.symbol, one.shares, one.held, Fraction(one.reference_price))

    @property
    def target(self) -> int:
        return self.held + self.shares

    @property
    def before(self) -> Fraction:
        return self.held * self.price

    @property
    def after(self) -> Fraction:
        return self.target * self.price

    @property
    def brings_nearer_to_nothing(self) -> bool:
        return self.target * self.held >= 0 and abs(self.target) <= abs(self.held)


def _too_late(one: Wanted, present: "Present") -> Iterable[str]:
    if over := present.over(one.trade_session):
        yield f"too late: {over}"


def _stale(one: Wanted, missed: int, terms: "Account") -> Iterable[str]:
    if missed > terms.max_signal_age:
        opens = "1 open has" if missed == 1 else f"{missed} opens have"
        yield (
            f"stale signal: {opens} gone by since {one.session}, after which it was made, and "
            f"risk.max_signal_age is {terms.max_signal_age}. Newer bars make newer signals; "
            "`execution: replay` plays the past on paper"
        )


def _quoted(order: _Order, known: Sequence[Known], last: date | None) -> Iterable[str]:
    if not known:
        yield f"price: there is no quote of {order.symbol}"
    elif known[-1].session != last:
        yield f"price: {order.symbol} was not quoted on {last}, and last on {known[-1].session}"


def _price(order: _Order, known: Sequence[Known], terms: "Account") -> Iterable[str]:
    if len(known) < 2:  # noqa: PLR2004
        yield f"price: there is no close of {order.symbol} to hold its price against"
        return
    previous = Fraction(known[-2].close) / known[-1].split
    move = order.price / previous - 1
    if abs(move) > Fraction(terms.max_price_move):
        yield (
            f"price: {float(order.price):.8g} is {float(move):+.1%} from the close before, "
            f"{float(previous):.8g}, and max_price_move is {terms.max_price_move:f}"
        )


def _volume(order: _Order, known: Sequence[Known], terms: "Account") -> Iterable[str]:
    # In shares of today: what was one share before a split is several now.
    became, volumes = Fraction(1), []
    for quote in reversed(known[-VOLUME_SESSIONS:]):
        volumes.append(quote.volume * became)
        became *= quote.split
    if not volumes:
        yield f"size: no volume of {order.symbol} is known"
        return
    usual = statistics.median(volumes)
    if abs(order.shares) > Fraction(terms.max_order_volume) * usual:
        yield (
            f"size: {abs(order.shares)} shares, and max_order_volume is "
            f"{terms.max_order_volume:f} of a usual volume of {int(usual)}"
        )


def _weight(order: _Order, equity: Fraction, terms: "Account") -> Iterable[str]:
    if order.brings_nearer_to_nothing:
        return
    if abs(order.after) > Fraction(terms.max_weight) * equity:
        yield (
            f"weight: {order.target} shares are {_share(order.after, equity)} of equity, and "
            f"max_weight is {terms.max_weight:f}"
        )


def _exposure(
    orders: Sequence[_Order], refused: set[str], equity: Fraction, terms: "Account"
) -> dict[str, tuple[str, ...]]:
    """Return which of the orders that are left lead too far, taken together."""
    limits = _Limits(Fraction(terms.max_gross) * equity, Fraction(terms.max_net) * equity)
    now = _Exposure.of(order.before for order in orders)
    left = [order for order in orders if order.shares and order.symbol not in refused]
    going = {order.symbol for order in left}
    then = _Exposure.of(order.after if order.symbol in going else order.before for order in orders)
    if not limits.broken(now, then):
        return {}
    found = {}
    for order in sorted(left, key=lambda one: (abs(one.after) - abs(one.before), one.symbol)):
        then = now.moved(order)
        broken = limits.broken(now, then)
        if not broken:
            now = then
            continue
        figures = {"gross": (then.gross, terms.max_gross), "net": (then.net, terms.max_net)}
        found[order.symbol] = tuple(
            f"{name} exposure: it would be {_share(figures[name][0], equity)} of equity, and "
            f"max_{name} is {figures[name][1]:f}"
            for name in broken
        )
    return found


@dataclass(frozen=True)
class _Exposure:
    """Money in positions: the sum of all, and of their sizes."""

    gross: Fraction
    net: Fraction

    @classmethod
    def of(cls, values: Iterable[Fraction]) -> "_Exposure":
        held = list(values)
        return cls(sum(map(abs, held), Fraction(0)), sum(held, Fraction(0)))

    def moved(self, order: _Order) -> "_Exposure":
        return _Exposure(
            self.gross + abs(order.after) - abs(order.before),
            self.net + order.after - order.before,
        )


@dataclass(frozen=True)
class _Limits:
    gross: Fraction
    net: Fraction

    def broken(self, now: _Exposure, then: _Exposure) -> tuple[str, ...]:
        """Return the limits that are passed, and further than now."""
        sides = (
            ("gross", self.gross, now.gross, then.gross),
            ("net", self.net, abs(now.net), abs(then.net)),
        )
        return tuple(name for name, limit, was, is_ in sides if is_ > limit and is_ > was)


def _share(value: Fraction, equity: Fraction) -> str:
    return f"{float(value / equity):.4g}" if equity > 0 else "more than nothing"
