from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from itertools import combinations
from typing import Any

import polars as pl
import pytest

from tradewind.research.tearsheet.page import still, tear_sheet_png
from tradewind.research.tearsheet.report import Report, Trials, report_of
from tradewind.research.training import TrainingResult


@pytest.fixture(scope="module")
def report(trained: TrainingResult) -> Report:
    return report_of(trained)


def texts(figure: Any) -> Iterator[tuple[str, Any]]:
    """Every text that is drawn, and the box it is drawn in."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    FigureCanvasAgg(figure).draw()
    found = list(figure.texts)
    for axes in figure.axes:
        found += [child for child in axes.get_children() if isinstance(child, Text)]
        legend = axes.get_legend()
        found += legend.get_texts() if legend else []
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            found += [axis.label, axis.get_offset_text()]
            # Ticks beyond the ends are kept, but not drawn.
            found += [
                label
                for tick in axis.get_major_ticks()
                if low <= tick.get_loc() <= high
                for label in (tick.label1, tick.label2)
            ]
    for text in found:
        assert isinstance(text, Text)
        if text.get_text() and text.get_visible():
            yield text.get_text(), text.get_window_extent()


def refuse_overlaps(figure: Any) -> list[str]:
    found = list(texts(figure))
    whole = figure.bbox
    for name, box in found:
        assert whole.x0 <= box.x0, name
        assert box.x1 <= whole.x1, name
        assert whole.y0 <= box.y0, name
        assert box.y1 <= whole.y1, name
    for (one, box), (other, beside) in combinations(found, 2):
        assert not box.overlaps(beside), (one, other)
    return [name for name, _ in found]


def drawn(line: Any) -> list[float]:
    """Return the heights that a line goes through."""
    return list(line.get_ydata())


def test_the_picture_tells_the_story_without_texts_on_texts(trained: TrainingResult) -> None:
    figure = tear_sheet_png(trained)
    found = refuse_overlaps(figure)
    assert found.count("momentum") == 1
    assert f"{trained.metrics['sharpe']:.2f}" in found
    equity, drawdown, heat, rolling = figure.axes
    assert drawn(equity.lines[3]) == trained.equity.get_column("equity").to_list()
    assert drawn(drawdown.lines[0]) == trained.equity.get_column("drawdown").to_list()
    assert len(heat.patches) == 8 * 12 + 7
    assert len(heat.texts) == 8 * 12 + 7 + 9
    assert rolling.get_title("left") == "Sharpe ratio of the latest 126 sessions"


def test_it_is_as_large_as_it_says(trained: TrainingResult) -> None:
    content = BytesIO()
    tear_sheet_png(trained).savefig(content, format="png")
    assert content.getvalue().startswith(b"\x89PNG")
    width, height = (
        int.from_bytes(content.getvalue()[start : start + 4], "big") for start in (16, 20)
    )
    assert (width, height) == (1320, 1075)
    assert 50_000 < len(content.getvalue()) < 400_000


def test_a_report_of_extremes_fits(report: Report) -> None:
    strategy = report.strategy.model_copy(
        update={
            "name": "m" * 50,
            "walk_forward": report.strategy.walk_forward.model_copy(update={"purge": 0}),
        }
    )
    extreme = {
        "annual_return": -0.99999, "benchmark_annual_return": 123.456, "sharpe": -12.34,
        "sharpe_low_95": -12.34, "sharpe_high_95": -11.99, "max_drawdown": -0.99999,
        "benchmark_max_drawdown": -0.99999, "annual_turnover": 12_345.6,
        "information_coefficient": -0.123, "hit_rate": 0.4321, "deflated_sharpe_probability": 0.0,
    }  # fmt: skip
    trials = Trials(10_000, 0.61, pl.DataFrame(), pl.DataFrame())
    found = refuse_overlaps(
        still(replace(report, strategy=strategy, metrics=extreme, trials=trials))
    )
    assert "10,000 trials" in found
    assert [text for text in found if "NOT EVIDENCE" in text]


def test_more_years_make_it_higher(report: Report) -> None:
    later = report.days.with_columns(pl.col("session").dt.offset_by("10y"))
    long = pl.concat([report.days, later]).sort("session")
    figure = still(replace(report, days=long))
    assert figure.get_figheight() > still(report).get_figheight()
    refuse_overlaps(figure)


@pytest.mark.parametrize("sessions", [2, 60])
def test_a_short_history_without_a_benchmark_is_drawn(report: Report, sessions: int) -> None:
    alone = report.days.head(sessions).with_columns(benchmark=pl.lit(None, pl.Float64))
    refuse_overlaps(still(replace(report, days=alone, metrics={})))
