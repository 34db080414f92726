"""What target weights would have earned, traded at the next open and paid for.

Weights decided after the close of session t are traded at the open of t + 1, then held.
So session t + 1 has an overnight part, earned by what was held before, and an intraday
part, earned by the new weights; the cost of trading falls between the two.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import BacktestError
from tradewind.market.bars import adjusted

__all__ = ["run_backtest"]

_BPS: Final = 1e-4

Matrix = NDArray[np.float64]


def run_backtest(weights: pl.DataFrame, bars: pl.DataFrame, *, cost_bps: float) -> pl.DataFrame:
    """Trade target weights and account for every session.

    Parameters
    ----------
    weights : DataFrame of shape (n_sessions * n_symbols, 3)
        symbol, session, weight: fraction of equity wanted after the close of the session.
        What is not invested is cash and earns nothing.
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold these symbols and sessions.
    cost_bps : float
        Commission and slippage together, in basis points of the traded notional.

    Returns
    -------
    DataFrame of shape (n_sessions, 8)
        session; gross_return (close to close, before costs); cost (fraction of equity paid at
        the open); net_return; equity (1.0 before the first session); drawdown (zero or
        negative fraction of the highest equity so far); turnover (traded notional, buys plus
        sells, as a fraction of equity before the trade); benchmark (equity of equal shares of
        the symbols, bought at the first traded open without cost and held; null if no symbol
        is quoted throughout). ``1 + net_return == (1 + gross_return) * (1 - cost)``.

        The first session earns nothing: its decision is traded at the next open. What is
        decided after the last close is not traded, and positions are not closed at the end.

    Raises
    ------
    BacktestError
        If sessions are skipped, a held symbol has no price, or equity is lost altogether.

    Warnings
    --------
    Trades are filled at the open's price in full; borrowing shares is free. `cost_bps` must
    make up for both.
    """
    if weights.is_empty():
        raise BacktestError("no weights to trade")
    if not 0.0 <= cost_bps < 1.0 / _BPS:
        raise BacktestError(f"cost_bps must lie between 0 and 10000, not {cost_bps}")
    wide = weights.pivot(on="symbol", index="session", values="weight").sort("session")
    symbols = sorted(set(wide.columns) - {"session"})
    sessions = wide.get_column("session")
    _refuse_skipped_sessions(sessions, bars)
    prices = adjusted(bars.filter(pl.col("symbol").is_in(symbols)))
    opens = _matrix(prices, "open", sessions, symbols)
    closes = _matrix(prices, "close", sessions, symbols)

    wanted = wide.select(pl.col(symbols).fill_null(0.0)).to_numpy()
    held = np.vstack([np.zeros_like(wanted[:1]), wanted[:-1]])  # decided one session before
    _refuse_unpriced(held, opens, closes, sessions, symbols)
    intraday_moves = _moves(opens, closes)
    intraday = (held * intraday_moves).sum(axis=1)
    at_close = held * (1.0 + intraday_moves) / (1.0 + intraday)[:, None]
    overnight_moves = _moves(closes[:-1], opens[1:])
    overnight = np.append(0.0, (at_close[:-1] * overnight_moves).sum(axis=1))
    before_trade = np.vstack(
        [
            np.zeros_like(wanted[:1]),
            at_close[:-1] * (1.0 + overnight_moves) / (1.0 + overnight[1:])[:, None],
        ]
    )
    turnover = np.abs(held - before_trade).sum(axis=1)
    cost = turnover * cost_bps * _BPS
    gross = (1.0 + overnight) * (1.0 + intraday) - 1.0
    net = (1.0 + gross) * (1.0 - cost) - 1.0
    ruined = np.minimum.reduce([1.0 + overnight, 1.0 + intraday, 1.0 + net]) <= 0.0
    if ruined.any():
        raise BacktestError(f"all equity is lost on {sessions[int(ruined.argmax())]}")
    equity = np.cumprod(1.0 + net)
    peak = np.maximum(np.maximum.accumulate(equity), 1.0)
    return pl.DataFrame(
        {
            "session": sessions,
            "gross_return": gross,
            "cost": cost,
            "net_return": net,
            "equity": equity,
            "drawdown": equity / peak - 1.0,
            "turnover": turnover,
            "benchmark": _buy_and_hold(opens, closes),
        },
        schema_overrides={"benchmark": pl.Float64},
    )


def _moves(before: Matrix, after: Matrix) -> Matrix:
    """Return relative moves, 0.0 where a price is missing (such symbols are not held)."""
    return np.nan_to_num(after / before - 1.0)


def _matrix(prices: pl.DataFrame, column: str, sessions: pl.Series, symbols: list[str]) -> Matrix:
    """Return prices of shape (n_sessions, n_symbols), NaN where a symbol has no bar."""
    wide = prices.pivot(on="symbol", index="session", values=column)
    absent = [symbol for symbol in symbols if symbol not in wide.columns]
    if absent:
        raise BacktestError(f"no bars of {', '.join(absent)}, which the weights name")
    rows = sessions.to_frame().join(wide, on="session", how="left", maintain_order="left")
    return rows.select(pl.col(symbols).fill_null(float("nan"))).to_numpy()


def _refuse_skipped_sessions(sessions: pl.Series, bars: pl.DataFrame) -> None:
    traded = bars.get_column("session").unique().sort()
    expected = traded.filter(traded.is_between(sessions.min(), sessions.max()))
    skipped = sorted(set(expected) ^ set(sessions))
    if skipped:
        raise BacktestError(
            f"weights and bars disagree on the session {skipped[0]} ({len(skipped)} in all): "
            "weights must cover every session from the first to the last"
        )


def _refuse_unpriced(
    held: Matrix, opens: Matrix, closes: Matrix, sessions: pl.Series, symbols: list[str]
) -> None:
    """Refuse a position that cannot be bought, or not be sold at the open after."""
    unpriced = np.isnan(opens) | np.isnan(closes)
    owned = held != 0.0
    owned[1:] |= held[:-1] != 0.0
    if (owned & unpriced).any():
        row, column = np.argwhere(owned & unpriced)[0]
        raise BacktestError(
            f"{symbols[column]} is held on {sessions[int(row)]} but has no price that day"
        )


def _buy_and_hold(opens: Matrix, closes: Matrix) -> list[float | None]:
    quoted = ~(np.isnan(opens[1:]) | np.isnan(closes[1:])).any(axis=0)
    if len(opens) == 1 or not quoted.any():
        return [None] * len(opens)
    grown = (closes[1:, quoted] / opens[1, quoted]).mean(axis=1)
    return [1.0, *grown.tolist()]
