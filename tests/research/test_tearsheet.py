"""The page, read as a browser would; what is drawn is read from the plots' own JSON."""

import base64
import datetime as dt
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.market.validation.findings import Finding
from tradewind.research.tearsheet.page import page, tear_sheet_html
from tradewind.research.tearsheet.report import Report, Trials, report_of
from tradewind.research.training import TrainingResult

HOSTILE = '</script><script>alert(1)</script><img src="https://evil.example/x.png">&"\''
PROVENANCE = {"git_commit": "c0ffee", "git_dirty": "false", "python": "3.11.7"}


class Page(HTMLParser):
    """Tables by id, as rows of texts; scripts by id; ids, tags and attributes of everything."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.scripts: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._table: str | None = None
        self._inside: list[str] = []
        self._script = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)
        if tag == "table":
            self._table = dict(attrs)["id"] or ""
            self.tables[self._table] = []
        elif tag == "tr" and self._table is not None:
            self.tables[self._table].append([])
        elif tag in {"td", "th"} and self._table is not None:
            self.tables[self._table][-1].append("")
        elif tag == "script":
            self._script = dict(attrs).get("id") or "own"

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._inside:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        elif "style" not in self._inside:
            self.text += data
            if self._table is not None and {"td", "th"} & set(self._inside):
                self.tables[self._table][-1][-1] += data

    @property
    def charts(self) -> dict[str, Any]:
        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is no JSON")

        return dict(json.loads(self.scripts["charts"], parse_constant=refuse))

    def trace(self, chart: str, name: str) -> dict[str, Any]:
        [found] = [trace for trace in self.charts[chart]["data"] if trace.get("name") == name]
        return dict(found)


@pytest.fixture(scope="module")
def html(trained: TrainingResult) -> str:
    return tear_sheet_html(trained, snapshot_id="5na9", provenance=PROVENANCE)


@pytest.fixture(scope="module")
def read(html: str) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def full(trained: TrainingResult) -> Report:
    """A report of everything a page can hold."""
    points = pl.DataFrame(
        {
            "trial": [1, 2, 3],
            "sharpe": [0.1, 0.4, 0.8],
            "chosen": [False, False, True],
            "parameters": ["rounds 10", "rounds 20", HOSTILE],
        }
    )
    short = pl.col("wanted_long") * -0.5
    report = report_of(trained)
    return replace(
        report,
        strategy=report.strategy.model_copy(update={"description": HOSTILE}),
        days=report.days.with_columns(wanted_short=short, borrow_cost=pl.lit(1e-5)),
        metrics={**report.metrics, "pbo": 0.31, "deflated_sharpe_probability": 0.84, "my_own": 1.5},
        importance={"rsi_14": 3.0, HOSTILE: 1.0},
        trials=Trials(50, 0.61, points, points),
        paths=(0.5, -0.1, 0.9),
        findings=(Finding("warning", HOSTILE, dt.date(2000, 9, 29), "outlier", -0.519, HOSTILE),),
        snapshot_id=HOSTILE,
        provenance={"git_commit": HOSTILE},
    )


def number(text: str) -> float:
    return float(re.sub(r"[^0-9.\-]", "", text.replace("\u2212", "-")))


def test_the_same_training_gives_the_same_bytes(trained: TrainingResult, html: str) -> None:
    assert tear_sheet_html(trained, snapshot_id="5na9", provenance=PROVENANCE) == html


def test_every_metric_is_in_the_table(read: Page, trained: TrainingResult) -> None:
    _, *rows = read.tables["statistics"]
    found = {name: (value, held) for name, value, held in rows}
    metrics = trained.metrics
    assert len(found) == len([name for name in metrics if not name.startswith("benchmark_")])
    value, held = found["Sharpe ratio, annualised"]
    assert (value, held) == (f"{metrics['sharpe']:.2f}", f"{metrics['benchmark_sharpe']:.2f}")
    value, held = found["Deepest drawdown"]
    assert number(value) == pytest.approx(100 * metrics["max_drawdown"], abs=0.05)
    assert number(held) == pytest.approx(100 * metrics["benchmark_max_drawdown"], abs=0.05)
    assert number(found["Rows predicted out of sample"][0]) == metrics["n_test_rows"]
    assert found["\u2026 lower end of its 95 % interval"][0] == f"{metrics['sharpe_low_95']:.2f}"


def test_figures_of_the_user_s_own_are_listed_too(full: Report) -> None:
    rows = Page(page(full)).tables["statistics"]
    assert ["my own", "1.5000", ""] in rows


def test_the_months_are_those_of_the_equity(read: Page, trained: TrainingResult) -> None:
    head, *rows = read.tables["monthly"]
    assert head[1:4] == ["Jan", "Feb", "Mar"]
    assert [row[0] for row in rows] == [str(year) for year in range(2004, 2013)]
    assert {len(row) for row in rows} == {14}
    assert rows[0][1:3] == ["", ""]  # nothing was tested before March 2004
    equity = trained.equity
    of_october = equity.filter(
        pl.col("session").is_between(dt.date(2008, 10, 1), dt.date(2008, 10, 31))
    )
    expected = 100 * ((of_october.get_column("net_return") + 1).product() - 1)
    assert number(rows[4][10]) == pytest.approx(expected, abs=0.05)
    for row in rows:
        product = np.prod([1 + number(cell) / 100 for cell in row[1:13] if cell])
        # each cell is rounded to a tenth of a percent
        assert 100 * (product - 1) == pytest.approx(number(row[13]), abs=0.9)


def test_every_fold_is_in_the_table(read: Page, trained: TrainingResult) -> None:
    _, *rows = read.tables["folds"]
    assert len(rows) == len(trained.folds) == 17
    for row, fold in zip(rows, trained.folds, strict=True):
        assert row[0] == str(fold.index)
        assert row[1] == f"{fold.train_start} \u2013 {fold.train_end}"
        assert row[2] == f"{fold.test_start} \u2013 {fold.test_end}"
        assert (number(row[3]), number(row[4])) == (fold.n_train, fold.n_test)
        assert number(row[6]) == pytest.approx(fold.metrics["sharpe"], abs=0.005)
        assert number(row[8]) == pytest.approx(fold.metrics["information_coefficient"], abs=5e-4)


def test_the_plots_show_what_the_backtest_found(read: Page, trained: TrainingResult) -> None:
    equity = trained.equity
    strategy = read.trace("equity", "strategy, after costs")
    assert strategy["x"] == equity.get_column("session").cast(pl.String).to_list()
    assert strategy["y"] == pytest.approx(equity.get_column("equity").to_list(), rel=1e-5)
    held = read.trace("equity", "buy and hold")
    assert held["y"] == pytest.approx(equity.get_column("benchmark").to_list(), rel=1e-5)
    assert read.charts["equity"]["layout"]["yaxis"]["type"] == "log"
    starts = [shape["x0"] for shape in read.charts["equity"]["layout"]["shapes"]]
    assert starts == [str(fold.test_start) for fold in trained.folds]
    fallen = read.trace("drawdown", "drawdown")["y"]
    assert min(fallen) == pytest.approx(trained.metrics["max_drawdown"], rel=1e-5)
    ratios = read.trace("rolling", "Sharpe ratio")["y"]
    assert ratios[:125] == [None] * 125
    assert None not in ratios[125:]
    counted = read.trace("distribution", "sessions")["y"]
    assert sum(counted) == equity.height
    [spent] = read.charts["costs"]["data"]
    assert spent["y"][-1] == pytest.approx(equity.get_column("cost").sum(), rel=1e-5)
    [sharpes] = read.charts["fold_sharpes"]["data"]
    assert sharpes["y"] == pytest.approx(
        [fold.metrics["sharpe"] for fold in trained.folds], rel=1e-5
    )


def test_every_plot_has_its_place_and_plotly_accepts_it(full: Report, read: Page) -> None:
    from plotly import graph_objects as go

    everything = Page(page(full))
    for found, count in ((read, 11), (everything, 13)):
        charts = found.charts
        assert len(charts) == count
        places = [fields["id"] for _, fields in found.tags if fields.get("class") == "plot"]
        assert sorted(places, key=str) == sorted(charts)
        for chart in charts.values():
            go.Figure(chart)  # raises on what plotly does not know
            assert len(chart["data"]) >= 1


def test_a_sweep_is_drawn_with_its_threshold(full: Report) -> None:
    found = Page(page(full))
    assert found.trace("trials", "trials")["y"] == [0.1, 0.4]
    assert found.trace("trials", "chosen")["y"] == [0.8]
    layout = found.charts["trials"]["layout"]
    [line], [note] = layout["shapes"], layout["annotations"]
    assert (line["y0"], line["y1"]) == (0.61, 0.61)
    assert "50 worthless trials: 0.61" in note["text"]
    assert full.trials is not None
    alone = replace(full, trials=replace(full.trials, n_trials=1))
    assert "trials" not in Page(page(alone)).charts


def test_shorts_and_borrowing_are_drawn_where_there_are_any(full: Report, read: Page) -> None:
    assert [trace["name"] for trace in read.charts["exposure"]["data"]] == ["long"]
    found = Page(page(full))
    names = [trace["name"] for trace in found.charts["exposure"]["data"]]
    assert names == ["long", "short", "gross"]
    borrowed = found.trace("costs", "borrowing")["y"]
    assert borrowed[-1] == pytest.approx(1e-5 * full.days.height, rel=1e-5)


def test_importance_is_shown_largest_on_top_as_shares(full: Report) -> None:
    [bars] = Page(page(full)).charts["importance"]["data"]
    assert bars["x"] == [0.25, 0.75]
    assert bars["y"][1] == "rsi_14"


def test_whatever_a_text_holds_is_shown_as_text(full: Report, read: Page) -> None:
    html = page(full)
    found = Page(html)
    assert "alert(1)" in found.text
    assert "<script>alert" not in html
    assert "<img" not in html
    shape = [tag for tag, _ in read.tags if tag in {"script", "style", "img", "iframe", "link"}]
    assert [
        tag for tag, _ in found.tags if tag in {"script", "style", "img", "iframe", "link"}
    ] == shape
    assert found.tables["findings"][1][1] == HOSTILE
    # plotly reads tags in labels
    [bars] = found.charts["importance"]["data"]
    assert not re.search(r"<\w", bars["y"][0])
    assert not re.search(r"<\w", found.trace("trials", "chosen")["text"][0])


def test_the_page_asks_the_network_for_nothing(html: str, read: Page) -> None:
    assert "http:" not in html
    assert "https:" not in html
    for tag, fields in read.tags:
        assert not {"src", "href", "srcset", "action", "data"} & set(fields), tag
    assert "@import" not in html
    assert "url(" not in html


def test_the_library_inside_is_plotly_s_own(html: str, read: Page) -> None:
    from plotly.offline import get_plotlyjs

    packed = base64.b64decode(read.scripts["library"])
    assert zlib.decompress(packed).decode() == get_plotlyjs()
    assert len(html) < 3_000_000


def test_where_it_comes_from_is_written_down(read: Page, trained: TrainingResult) -> None:
    for fact in ("5na9", "c0ffee", "3.11.7", trained.strategy.content_hash(), "2000-03-01"):
        assert fact in read.text
    assert '"num_leaves": 7' in read.text


def test_a_leak_is_named_before_any_figure(full: Report, read: Page) -> None:
    strategy = full.strategy.model_copy(
        update={"walk_forward": full.strategy.walk_forward.model_copy(update={"purge": 0})}
    )
    text = Page(page(replace(full, strategy=strategy))).text
    assert text.index("Not evidence.") < text.index("Return a year")
    assert "Not evidence." not in read.text


def test_a_hundred_findings_are_listed_and_the_rest_counted(full: Report) -> None:
    finding = Finding("warning", "A", None, "stale", 3, "the same price")
    found = Page(page(replace(full, findings=(finding,) * 130)))
    assert len(found.tables["findings"]) == 1 + 100
    assert "30 more" in found.text


@pytest.mark.parametrize("sessions", [1, 2, 60])
def test_a_short_history_without_a_benchmark_is_shown(
    trained: TrainingResult, sessions: int
) -> None:
    alone = trained.equity.head(sessions).drop("benchmark_return")
    alone = alone.with_columns(benchmark=pl.lit(None, pl.Float64))
    nothing: Mapping[str, float] = {"sharpe": float("nan"), "annual_return": 0.1}
    found = Page(tear_sheet_html(replace(trained, equity=alone, metrics=dict(nothing))))
    assert [trace["name"] for trace in found.charts["equity"]["data"]] == ["strategy, after costs"]
    assert "type" not in found.charts["equity"]["layout"]["yaxis"]
    assert ["Sharpe ratio, annualised", "\u2013", ""] in found.tables["statistics"]
