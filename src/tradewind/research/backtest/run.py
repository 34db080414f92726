"""Backtests target weights: traded at the next open, with costs.

Weights decided after the close of session t are traded at the open of t + 1, then held. So session
t + 1 has an overnight part, earned by what was held before, and an intraday part, earned by the new
weights. Between the two, the fee for borrowing shares overnight is paid, then the cost of trading.

When the bars of a symbol end
-----------------------------
A symbol that has no bar from some session to the last one was delisted. Its position is valued at
its last close, and sold (a short position bought back) in the session after, as if at its open: at
the last close times one plus `delisting_return`, with the cost of any other trade, and with the
borrowing fee up to that day. So no session's figures depend on what became known after it. From
then on its weights count as zero: their share of equity is cash, and is not given to other symbols.
A symbol without bars for a while is another case. Nobody knows at which price it could have been
sold, so to hold it is an error.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.bookings import DAYS_PER_YEAR
from tradewind.errors import BacktestError
from tradewind.research.backtest.panel import Matrix, Panel, arrange
from tradewind.research.strategy.judging import Backtest

__all__ = ["DAYS_PER_YEAR", "run_backtest"]

_BPS: Final = 1e-4
_CELLS: Final = 2**15  # sessions times symbols of a block: 256 KiB a matrix
_FIGURES: Final = ("overnight", "intraday", "borrow_cost", "turnover", "short", "opened")
_NOTHING: Final = 1e-12  # of equity; what rounding leaves of it when all is lost


def run_backtest(weights: pl.DataFrame, bars: pl.DataFrame, rules: Backtest) -> pl.DataFrame:
    """Trade target weights and account for every session.

    Parameters
    ----------
    weights : DataFrame of shape (n_sessions * n_symbols, 3)
        symbol, session, weight: fraction of equity wanted after the close of the session. The rest
        is cash and earns nothing.
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold these symbols and sessions.
    rules : Backtest
        Costs: `commission_bps` and `slippage_bps` of the traded notional, `borrow_bps` a year of
        the notional that is short overnight.

    Returns
    -------
    DataFrame of shape (n_sessions, 11)
        session; gross_return (close to close, before costs); borrow_cost (fraction of the equity at
        the open, paid for what was short since the last close); cost (fraction of equity paid for
        trading at the open, after the borrowing); net_return; equity (1.0 before the first
        session); drawdown (zero or negative fraction of the highest equity so far); turnover
        (traded notional, buys plus sells, as a fraction of equity before the trade); short
        (notional that is short after the trade, as a positive fraction of equity); opened (Int64,
        positions whose weight went from zero or the other sign to what it is); benchmark (equity of
        equal shares of the symbols, bought at the first traded open without cost and held; delisted
        symbols become cash; null if no symbol is quoted throughout).

        ``1 + net_return == (1 + gross_return) * (1 - borrow_cost) * (1 - cost)`` and ``equity``
        is the running product of ``1 + net_return``.

        The first session earns nothing, for its decision is traded at the next open. The decision
        after the last close is not traded, and positions are not closed at the end.

    Raises
    ------
    BacktestError
        If sessions are skipped, a weight is no number, a held symbol has no price but has one
        later, or equity is lost altogether.

    Notes
    -----
    The fee for a position that is short at a close is its value at that close, times
    ``borrow_bps`` / 10,000, times calendar days to the next session / 365: three days over a
    weekend. A short that is opened and closed within a session pays none.

    Trading is charged on the difference between the weights held before and after, both as
    fractions of the equity before the trade; the new weights are fractions of what is left.

    Warnings
    --------
    Trades are filled in full at the open's price, whatever their size, and shares to sell short can
    always be borrowed. `slippage_bps` and `borrow_bps` must account for both. Dividends are
    reinvested on their ex-date in the stock that paid them.

    With a `delisting_return` of zero a bankruptcy costs nothing beyond the last close.
    """
    factor = pl.col("adjustment_factor")
    panel = arrange(
        weights,
        bars,
        [pl.col("open") * factor, pl.col("close") * factor],
        delisting_return=rules.delisting_return,
    )
    sessions = panel.sessions
    nights = _nights(sessions)
    # After the first session without equity, which is refused below, divisions have no meaning.
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [_trade(panel, start, stop, nights, rules) for start, stop in _blocks(panel)]
    quoted = np.logical_and.reduce([part.quoted for part in parts])
    overnight, intraday, borrow_cost, turnover, short, opened = (
        np.concatenate([getattr(part, name) for part in parts]) for name in _FIGURES
    )
    cost = turnover * (rules.commission_bps + rules.slippage_bps) * _BPS
    kept = (1.0 - borrow_cost) * (1.0 - cost)
    gross = (1.0 + overnight) * (1.0 + intraday) - 1.0
    net = (1.0 + gross) * kept - 1.0
    # Without equity a cost is NaN as a fraction; fmin ignores it.
    left = np.fmin.reduce([1.0 + overnight, 1.0 + intraday, 1.0 - borrow_cost, 1.0 - cost])
    lost = left <= _NOTHING
    if lost.any():
        raise BacktestError(f"all equity is lost on {sessions[int(lost.argmax())]}")
    equity = np.cumprod(1.0 + net)
    peak = np.maximum(np.maximum.accumulate(equity), 1.0)
    return pl.DataFrame(
        {
            "session": sessions,
            "gross_return": gross,
            "borrow_cost": borrow_cost,
            "cost": cost,
            "net_return": net,
            "equity": equity,
            "drawdown": equity / peak - 1.0,
            "turnover": turnover,
            "short": short,
            "opened": opened,
            "benchmark": _buy_and_hold(panel, quoted),
        }
    )


@dataclass(frozen=True)
class _Block:
    """Returns and costs of some sessions: one number a session, except `quoted`.

    Attributes
    ----------
    overnight, intraday : ndarray of float
        Returns before costs.
    borrow_cost, turnover, short : ndarray of float
    opened : ndarray of int
    quoted : ndarray of bool, shape (n_symbols,)
        Whether a symbol has an open and a close in all of them, except the first session of all.
    """

    overnight: Matrix
    intraday: Matrix
    borrow_cost: Matrix
    turnover: Matrix
    short: Matrix
    opened: NDArray[np.int64]
    quoted: NDArray[np.bool_]


def _blocks(panel: Panel) -> list[tuple[int, int]]:
    """Cut sessions into blocks, start and stop, whose matrices stay in the processor's cache.

    A sum over symbols does not depend on the other sessions of its block, unless there are none:
    NumPy adds up a single row in another order. So a block has two sessions or more.
    """
    n_sessions = panel.sessions.len()
    length = max(_CELLS // len(panel.symbols), 3)
    starts = list(range(0, n_sessions, length))
    if len(starts) > 1 and n_sessions - starts[-1] < 2:  # noqa: PLR2004
        starts.pop()
    return list(zip(starts, [*starts[1:], n_sessions], strict=True))


def _trade(
    panel: Panel, start: int, stop: int, nights: NDArray[np.int64], rules: Backtest
) -> _Block:
    """Trade the sessions of a block, beginning at the close of the session before."""
    before = max(start - 1, 0)
    held = panel.held(before, stop)
    opens, closes = panel.price(0, before, stop), panel.price(1, before, stop)
    unpriced = np.isnan(opens) | np.isnan(closes)
    panel.refuse_unpriced(held, unpriced, before)

    intraday_moves = _moves(opens, closes)
    intraday = np.einsum("ij,ij->i", held, intraday_moves)
    at_close = held * (1.0 + intraday_moves)
    at_close /= (1.0 + intraday)[:, None]
    overnight_moves = _moves(closes[:-1], opens[1:])
    overnight = np.append(0.0, np.einsum("ij,ij->i", at_close[:-1], overnight_moves))
    borrow_cost = _borrow_cost(at_close, overnight, nights[before:stop], rules)
    before_trade = at_close[:-1] * (1.0 + overnight_moves)
    before_trade /= ((1.0 + overnight) * (1.0 - borrow_cost))[1:, None]
    turnover = np.append(0.0, np.abs(held[1:] - before_trade).sum(axis=1))
    short = -np.minimum(held, 0.0).sum(axis=1) + 0.0  # no negative zero

    new = slice(start - before, None)
    return _Block(
        overnight[new],
        intraday[new],
        borrow_cost[new],
        turnover[new],
        short[new],
        _opened(held)[new],
        np.logical_not(unpriced[1:].any(axis=0)),
    )


def _moves(before: Matrix, after: Matrix) -> Matrix:
    """Return simple returns; zero for a symbol without a price, which is not held."""
    moves = after / before
    moves -= 1.0
    return moves if np.isfinite(moves).all() else np.nan_to_num(moves, copy=False)


def _borrow_cost(
    at_close: Matrix, overnight: Matrix, nights: NDArray[np.int64], rules: Backtest
) -> Matrix:
    """Return the fee for each night as a fraction of the equity at the open after it."""
    short = -np.minimum(at_close[:-1], 0.0).sum(axis=1)
    fee = short * rules.borrow_bps * _BPS * nights[1:] / DAYS_PER_YEAR
    return np.append(0.0, fee / (1.0 + overnight[1:])) + 0.0


def _nights(sessions: pl.Series) -> NDArray[np.int64]:
    """Return calendar days since the session before; none before the first."""
    days = sessions.to_numpy().astype("datetime64[D]").astype(np.int64)
    return np.diff(days, prepend=days[:1])


def _opened(held: Matrix) -> NDArray[np.int64]:
    long, short = held > 0.0, held < 0.0
    opened = (long[1:] & ~long[:-1]) | (short[1:] & ~short[:-1])
    return np.append(0, np.count_nonzero(opened, axis=1)).astype(np.int64)


def _buy_and_hold(panel: Panel, quoted: NDArray[np.bool_]) -> pl.Series:
    held = np.flatnonzero(quoted).tolist()
    if panel.sessions.len() == 1 or not held:
        return pl.Series([None] * panel.sessions.len(), dtype=pl.Float64)
    grown = np.zeros(panel.sessions.len() - 1)
    for symbol in held:  # one symbol at a time, as they mostly are in memory
        grown += panel.prices_of(1, symbol)[1:] / panel.prices_of(0, symbol)[1]
    return pl.Series(np.append(1.0, grown / len(held)))
