"""Copies of real bars in which nothing is left to find but what is linear.

Theiler, Eubank, Longtin, Galdrikian and Farmer (1992), Testing for Nonlinearity in Time Series: The
Method of Surrogate Data: a series is taken apart into waves, each wave is given another phase at
random, and the waves are put together again. All series are given the same phases (Prichard and
Theiler, 1994), so that what moves symbols together, and a night with the day after it, stays as
it was: every mean, variance, autocorrelation and cross-correlation is that of the real series.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.market.bars import KEY, SCHEMA, adjusted

__all__ = ["placebo", "randomised"]

Matrix = NDArray[np.float64]
_LEAST_RETURN = -0.9  # a sum of waves has no floor; a price has


def randomised(series: Matrix, phases: NDArray[np.float64]) -> Matrix:
    """Return series with the same spectra and cross-spectra, and phases that are turned.

    Parameters
    ----------
    series : ndarray of shape (n_rows, n_series)
    phases : ndarray of shape (n_rows // 2 + 1,)
        In radians, one a frequency; the mean and the fastest wave keep theirs.
    """
    waves = np.fft.rfft(series, axis=0)
    turn = np.exp(1j * phases)
    turn[0] = 1.0
    if len(series) % 2 == 0:
        turn[-1] = 1.0
    made: Matrix = np.fft.irfft(waves * turn[:, None], n=len(series), axis=0)
    return made


def placebo(bars: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return bars like the real ones, of which nobody can know tomorrow better than by a line.

    Nights and days of all symbols are randomised together, from each session in which a symbol
    joins to the session before the next one does, so that nobody joins before it did. What the
    symbols earned on average is made the same for all of them: else the past would tell for ever
    which one was the best of these years, and that is an edge. Upper and lower shadows, as
    fractions of the price, and volumes are those of the real session.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated; each symbol quoted from its first session to the last of all.
    seed : int

    Returns
    -------
    DataFrame of shape (n_bars, 9)
        Sound bars of the same symbols and sessions, with factors of 1.0.
    """
    draw = np.random.default_rng(seed)
    symbols = bars.get_column("symbol").unique().sort().to_list()
    sessions = bars.get_column("session").unique().sort()
    real = {price: _laid_out(bars, price, symbols) for price in ("open", "high", "low", "close")}
    night = real["open"][1:] / real["close"][:-1] - 1.0
    day = real["close"] / real["open"] - 1.0
    made_night, made_day = np.full_like(night, np.nan), np.full_like(day, np.nan)
    for start, stop in _stretches(real["close"]):
        here = ~np.isnan(real["close"][start])
        known = np.column_stack([night[start : stop - 1, here], day[start + 1 : stop, here]])
        phases = draw.uniform(0.0, 2.0 * np.pi, len(known) // 2 + 1)
        made = np.maximum(_alike(randomised(known, phases), int(here.sum())), _LEAST_RETURN)
        made_night[start : stop - 1, here] = made[:, : here.sum()]
        made_day[start + 1 : stop, here] = made[:, here.sum() :]
        # The session that begins a stretch has no night before it in it: the real one stands.
        made_day[start, here] = day[start, here]
        if start:
            made_night[start - 1, here] = night[start - 1, here]
    opens, closes = _prices(real, made_night, made_day)
    top, bottom = np.maximum(real["open"], real["close"]), np.minimum(real["open"], real["close"])
    highs = np.maximum(opens, closes) * (real["high"] / top)
    lows = np.minimum(opens, closes) * (real["low"] / bottom)
    frame = pl.concat(
        pl.DataFrame(
            {
                "symbol": symbol,
                "session": sessions,
                **{
                    name: values[:, column]
                    for name, values in (
                        ("open", opens), ("high", highs), ("low", lows), ("close", closes)
                    )
                },
            }
        )
        for column, symbol in enumerate(symbols)
    )  # fmt: skip
    # In shares of one size: a copy has no splits.
    volumes = adjusted(bars).select(*KEY, pl.col("volume").round().cast(pl.Int64))
    return (
        volumes.join(frame, on=KEY, how="left", maintain_order="left")
        .with_columns(split_factor=1.0, adjustment_factor=1.0)
        .select(SCHEMA.names())
    )


def _laid_out(bars: pl.DataFrame, price: str, symbols: list[str]) -> Matrix:
    wide = adjusted(bars).pivot("symbol", index="session", values=price).sort("session")
    return wide.select(symbols).to_numpy().astype(np.float64)


def _stretches(closes: Matrix) -> Iterator[tuple[int, int]]:
    """Yield from which row to which the same symbols are quoted."""
    quoted = ~np.isnan(closes)
    joined = np.flatnonzero((quoted[1:] != quoted[:-1]).any(axis=1)) + 1
    bounds = [0, *joined.tolist(), len(closes)]
    yield from pairwise(bounds)


def _alike(made: Matrix, n_symbols: int) -> Matrix:
    """Give all nights one mean, and all days one."""
    means = made.mean(axis=0)
    common = np.repeat([means[:n_symbols].mean(), means[n_symbols:].mean()], n_symbols)
    return made - means + common


def _prices(real: dict[str, Matrix], night: Matrix, day: Matrix) -> tuple[Matrix, Matrix]:
    opens, closes = np.full_like(day, np.nan), np.full_like(day, np.nan)
    for column in range(day.shape[1]):
        first = int(np.flatnonzero(~np.isnan(real["close"][:, column]))[0])
        opens[first, column] = real["open"][first, column]
        closes[first, column] = real["close"][first, column]
        grown = np.cumprod((1.0 + night[first:, column]) * (1.0 + day[first + 1 :, column]))
        closes[first + 1 :, column] = closes[first, column] * grown
        opens[first + 1 :, column] = closes[first:-1, column] * (1.0 + night[first:, column])
    return opens, closes
