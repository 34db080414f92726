from collections.abc import Mapping
from dataclasses import replace

import polars as pl
import pytest

from tradewind.market.findings import Finding
from tradewind.research._belief import statements
from tradewind.research.report import Report, Trials, report_of
from tradewind.research.training import TrainingResult


@pytest.fixture(scope="module")
def report(trained: TrainingResult) -> Report:
    return report_of(trained)


def said(report: Report, changed: Mapping[str, float] | None = None) -> dict[str, tuple[str, str]]:
    changed_report = replace(report, metrics={**report.metrics, **(changed or {})})
    return {found.title: (found.tone, found.text) for found in statements(changed_report)}


@pytest.mark.parametrize(
    ("low", "high", "title", "tone"),
    [
        (0.2, 1.4, "Above zero", "good"),
        (-0.1, 1.4, "Zero is possible", "caution"),
        (0.0, 1.4, "Zero is possible", "caution"),
        (-1.4, -0.1, "Below zero", "bad"),
    ],
)
def test_the_interval_decides_what_is_said_of_zero(
    report: Report, low: float, high: float, title: str, tone: str
) -> None:
    found = said(report, {"sharpe_low_95": low, "sharpe_high_95": high})
    assert found[title][0] == tone


def test_the_shipped_strategy_is_told_that_holding_was_better(report: Report) -> None:
    found = said(report)
    tone, text = found["No better than holding"]
    assert tone == "bad"
    assert f"{report.metrics['benchmark_annual_return']:.1%}".replace("%", "\u00a0%") in text
    assert "Better than holding" in said(
        report, {"benchmark_annual_return": 0.01, "benchmark_sharpe": 0.1}
    )
    assert said(report, {"benchmark_annual_return": 0.01})["No better than holding"][0] == "caution"


def test_a_gain_without_skill_is_named(report: Report) -> None:
    title = "The predictions do not explain the gain"
    assert title in said(report, {"information_coefficient": -0.01, "sharpe": 0.7})
    assert title not in said(report, {"information_coefficient": 0.01, "sharpe": 0.7})
    assert title not in said(report, {"information_coefficient": -0.01, "sharpe": -0.7})


def test_a_sweep_is_held_against_the_result(report: Report) -> None:
    assert said(report)["No sweep"][0] == "plain"
    trials = Trials(50, 0.61, pl.DataFrame(), pl.DataFrame())
    swept = replace(report, trials=trials)
    figures = {"deflated_sharpe_probability": 0.84, "pbo": 0.6}
    found = said(swept, figures)
    assert "No sweep" not in found
    tone, text = found["84.0\u00a0% likely to be more than the luck of 50 trials"]
    assert tone == "caution"
    assert "50 sets of parameters" in text
    assert "0.61" in text
    assert found["60.0\u00a0% probability of overfitting"][0] == "bad"
    assert (
        said(swept, {"deflated_sharpe_probability": 0.3})[
            "30.0\u00a0% likely to be more than the luck of 50 trials"
        ][0]
        == "bad"
    )
    assert said(swept)["50 trials"][0] == "plain"


def test_a_leak_comes_first(report: Report) -> None:
    strategy = report.strategy
    leaking = strategy.model_copy(
        update={
            "allow_leakage": True,
            "walk_forward": strategy.walk_forward.model_copy(update={"purge": 2}),
        }
    )
    first = statements(replace(report, strategy=leaking))[0]
    assert (first.tone, first.title) == ("bad", "Labels leak")
    assert "2 sessions before" in first.text
    assert "5 ahead" in first.text


def test_windows_are_counted(report: Report) -> None:
    won = sum(fold.metrics["sharpe"] > 0 for fold in report.folds)
    assert 0 < won < 17
    assert f"Gained in {won} of 17 test windows" in said(report)


def test_findings_are_mentioned(report: Report) -> None:
    finding = Finding("warning", None, None, "stale", None, "the same price for a week")
    assert "1 remark on the data" in said(replace(report, findings=(finding,)))
    assert "2 remarks on the data" in said(replace(report, findings=(finding, finding)))
    assert not [title for title in said(report) if "on the data" in title]


def test_nothing_is_said_of_what_was_not_computed(report: Report) -> None:
    bare = replace(report, metrics={}, folds=())
    assert [found.title for found in statements(bare)] == ["No sweep"]
