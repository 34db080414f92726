import math
from collections.abc import Mapping
from dataclasses import replace

import polars as pl
import pytest

from tradewind.market.validation.findings import Finding
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.tearsheet.report import Report, Trials, report_of
from tradewind.research.tearsheet.statements import statements
from tradewind.research.training import TrainingResult
from tradewind.research.words import percent, ratio


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
    assert "equal shares of the universe" in text
    assert ratio(report.metrics["beta"]) in text
    assert percent(report.metrics["alpha"]) in text


@pytest.mark.parametrize(
    ("likely", "title", "tone"),
    [
        (0.95, "Better than holding", "good"),
        (0.949, "No better than holding", "caution"),
        (0.5, "No better than holding", "caution"),
        (0.499, "No better than holding", "bad"),
    ],
)
def test_the_probability_of_an_alpha_decides_what_is_said_of_holding(
    report: Report, likely: float, title: str, tone: str
) -> None:
    both = {"deflated_alpha_probability": likely, "deflated_mix_alpha_probability": 0.99}
    assert said(report, both)[title][0] == tone
    changed = replace(report, metrics={**report.metrics, **both})
    assert changed.verdict.startswith(f"{title}: alpha ")


@pytest.mark.parametrize(
    ("benchmark", "title", "words"),
    [
        ("cash", "Better than cash", "as much short as long"),
        ({"symbol": "SPY"}, "Better than holding SPY", "The benchmark is SPY"),
    ],
)
def test_the_benchmark_is_named(report: Report, benchmark: object, title: str, words: str) -> None:
    said_of = Strategy.model_validate({**report.strategy.model_dump(), "benchmark": benchmark})
    sure = {"deflated_alpha_probability": 0.99, "deflated_mix_alpha_probability": 0.99}
    found = said(replace(report, strategy=said_of), sure)
    assert words in found[title][1]


def test_a_training_of_before_there_was_an_alpha_is_compared_by_return_and_ratio(
    report: Report,
) -> None:
    old = {
        name: value
        for name, value in report.metrics.items()
        if "alpha" not in name and name != "beta"
    }
    before = replace(report, metrics=old)
    assert said(before)["No better than holding"][0] == "bad"
    assert "(alpha)" not in said(before)["No better than holding"][1]
    better = {"benchmark_annual_return": 0.01, "benchmark_sharpe": 0.1}
    assert "Better than holding" in said(before, better)


@pytest.mark.parametrize(("number", "title"), [
    (115.0, "The newest 115 sessions are not judged"), (0.0, None), (None, None),
])  # fmt: skip
def test_sessions_that_no_window_judges_are_told(
    report: Report, number: float | None, title: str | None
) -> None:
    others = {name: at for name, at in report.metrics.items() if name != "untested_sessions"}
    found = said(
        replace(report, metrics=others), {} if number is None else {"untested_sessions": number}
    )
    assert [each for each in found if "not judged" in each] == ([title] if title else [])


def test_a_gain_without_skill_is_named(report: Report) -> None:
    title = "The predictions do not explain the gain"
    assert title in said(report, {"information_coefficient": -0.01, "sharpe": 0.7})
    assert title not in said(report, {"information_coefficient": 0.01, "sharpe": 0.7})
    assert title not in said(report, {"information_coefficient": -0.01, "sharpe": -0.7})


def test_a_sweep_is_held_against_the_result(report: Report) -> None:
    assert said(report)["One trial"][0] == "plain"
    trials = Trials(50, 0.61, pl.DataFrame(), pl.DataFrame())
    swept = replace(report, trials=trials)
    figures = {"deflated_sharpe_probability": 0.84, "pbo": 0.6}
    found = said(swept, figures)
    assert "One trial" not in found
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
    assert said(swept, {"deflated_sharpe_probability": math.nan})["50 trials"][0] == "plain"
    alone = replace(report, trials=replace(trials, n_trials=1))
    assert "One trial" in said(alone)


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
    assert [found.title for found in statements(bare)] == ["One trial"]
