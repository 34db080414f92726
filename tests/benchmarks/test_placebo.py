"""The short form of the placebo: what has nothing in it is not believed more often than it may."""

import numpy as np
import polars as pl
import pytest

from benchmarks.placebo import SYMBOLS, Swept, accepted, allowed, sweep_table, swept, uniform
from benchmarks.surrogates import placebo, randomised
from tradewind.market.bars import adjusted
from tradewind.market.sources import sample
from tradewind.market.validation.validate import check

SEEDS = 4


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return sample.load(SYMBOLS)


def returns(bars: pl.DataFrame, symbol: str, first: int = 1200) -> np.ndarray:
    closes = adjusted(bars).filter(pl.col("symbol") == symbol)["close"].to_numpy()[first:]
    return closes[1:] / closes[:-1] - 1.0


def test_noise_is_accepted_no_more_often_than_chance_allows() -> None:
    cells = accepted(SEEDS)
    assert len(cells) == 3 * 2 * 4
    assert all(cell.accepted <= cell.allowed for cell in cells), cells
    total = sum(cell.accepted for cell in cells)
    assert total <= allowed(SEEDS * len(cells), 0.05), cells
    # Without the rule it is believed again and again, where it may live on a market that rose.
    long = [cell for cell in cells if cell.positions == "long_flat"]
    assert sum(cell.sharpe for cell in long) > SEEDS * len(long) / 2


@pytest.mark.parametrize(("seeds", "most"), [(20, 4), (480, 36), (4, 2)])
def test_what_chance_allows_is_a_quantile(seeds: int, most: int) -> None:
    from scipy.stats import binom

    assert allowed(seeds, 0.05) == most
    assert binom.sf(most, seeds, 0.05) <= 0.01 < binom.sf(most - 1, seeds, 0.05)


def test_a_copy_is_sound_and_has_the_same_days_and_symbols(bars: pl.DataFrame) -> None:
    copy = placebo(bars, 3)
    assert check(copy, "XNYS") == []  # no error, and nothing odd
    assert copy.select("symbol", "session").equals(bars.select("symbol", "session"))
    assert copy.equals(placebo(bars, 3))
    assert not copy["close"].equals(placebo(bars, 4)["close"])
    real, made = (
        adjusted(frame).select(
            above=pl.col("high") / pl.max_horizontal("open", "close"),
            below=pl.col("low") / pl.min_horizontal("open", "close"),
        )
        for frame in (bars, copy)
    )
    for shadow in ("above", "below"):
        assert made[shadow].to_numpy() == pytest.approx(real[shadow].to_numpy())


def test_phases_are_turned_and_all_that_is_linear_stays() -> None:
    draw = np.random.default_rng(0)
    for length in (400, 401):
        series = draw.standard_t(4, (length, 3)).cumsum(axis=0) / 20
        phases = draw.uniform(0.0, 2 * np.pi, length // 2 + 1)
        made = randomised(series, phases)
        before, after = (np.fft.rfft(each, axis=0) for each in (series, made))
        assert np.abs(after) == pytest.approx(np.abs(before))
        for one, other in ((0, 1), (1, 2)):
            cross = before[:, one] * before[:, other].conj()
            assert after[:, one] * after[:, other].conj() == pytest.approx(cross)
        assert made.mean(axis=0) == pytest.approx(series.mean(axis=0))
        assert np.abs(made - series).max() > 0.1


def test_what_moves_symbols_together_stays_and_no_symbol_is_better(bars: pl.DataFrame) -> None:
    copy = placebo(bars, 5)
    pairs = {
        name: (returns(frame, "AAPL"), returns(frame, "IBM"))
        for name, frame in (("real", bars), ("copy", copy))
    }
    real, made = (np.corrcoef(*pairs[name])[0, 1] for name in ("real", "copy"))
    assert made == pytest.approx(real, abs=0.05)
    for before, after in zip(pairs["real"], pairs["copy"], strict=True):
        assert after.std() == pytest.approx(before.std(), rel=0.05)
    gap = [np.subtract(*(each.mean() for each in pairs[name])) for name in ("real", "copy")]
    assert abs(gap[1]) < abs(gap[0]) / 4


def test_a_sweep_on_a_copy_gives_p_values_and_the_deflated_one_is_the_larger() -> None:
    found = swept((1, 3))
    values = [getattr(found, name) for name in
              ("first_gross", "first_net", "best", "best_deflated", "best_alpha")]  # fmt: skip
    assert all(0.0 < value < 1.0 for value in values)
    assert found.first_gross < found.first_net  # costs
    assert found.best <= found.first_net
    assert found.best_deflated >= found.best
    assert found.best_alpha == pytest.approx(found.best_deflated)  # its benchmark is cash


def test_a_table_tells_where_the_real_one_stands() -> None:
    draw = np.random.default_rng(1)
    copies = [Swept(*[*draw.random(5), value]) for value in np.linspace(-1, 1, 99)]
    real = Swept(0.01, 0.02, 0.001, 0.03, 0.03, sharpe=0.99)
    text = sweep_table(real, copies)
    assert "1 of 99 copies show as much or more: p = 0.020" in text
    assert uniform([each.first_net for each in copies])[1] > 0.01
    assert uniform([each.first_net**4 for each in copies])[1] < 1e-6
