from pathlib import Path
from typing import Any

import polars as pl

from tradewind.research.tearsheet.plots import equity_and_drawdown
from tradewind.research.training import TrainingResult


def drawn(line: Any) -> list[float]:
    """Return the heights that a line goes through."""
    return list(line.get_ydata())


def test_the_picture_shows_what_the_backtest_found(trained: TrainingResult, tmp_path: Path) -> None:
    starts = [fold.test_start for fold in trained.folds]
    figure = equity_and_drawdown(trained.equity, "momentum", fold_starts=starts)
    above, below = figure.axes
    _, benchmark, strategy, *folds = above.lines
    assert drawn(strategy) == trained.equity.get_column("equity").to_list()
    assert drawn(benchmark) == trained.equity.get_column("benchmark").to_list()
    assert len(folds) == len(starts) == 17
    assert drawn(below.lines[0]) == trained.equity.get_column("drawdown").to_list()
    assert above.get_yscale() == "log"
    figure.savefig(tmp_path / "equity.png")
    assert (tmp_path / "equity.png").stat().st_size > 20_000


def test_a_backtest_without_a_benchmark_is_drawn_alone(trained: TrainingResult) -> None:
    alone = trained.equity.head(60).with_columns(pl.lit(None, pl.Float64).alias("benchmark"))
    above = equity_and_drawdown(alone, "alone").axes[0]
    assert [line.get_label() for line in above.lines[1:]] == ["strategy, after costs"]
    assert above.get_yscale() == "linear"
