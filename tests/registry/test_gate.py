"""The gate's rules, each on figures that can be checked by hand."""

import math
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import typed
from tradewind.registry.gate import Decision, Evidence, RuleResult, decide
from tradewind.research.strategy.judging import Gate

RULES = Gate(
    min_deflated_sharpe=0.9, min_alpha_probability=0.8, max_pbo=0.4, max_drawdown=0.3,
    min_trades=25, champion_margin=0.1,
)  # fmt: skip
GOOD = {
    "deflated_sharpe_probability": 0.95,
    "deflated_alpha_probability": 0.85,
    "deflated_mix_alpha_probability": 0.9,
    "pbo": 0.2,
    "max_drawdown": -0.25,
    "trades": 40.0,
}
NOISE = np.random.default_rng(3).normal(0.0, 0.01, 500)


def returns(values: Any, first: date = date(2010, 1, 1)) -> pl.DataFrame:
    values = np.asarray(values, dtype=np.float64)
    sessions = [first + timedelta(days=day) for day in range(values.size)]
    return pl.DataFrame(
        {
            "session": sessions,
            "net_return": values,
            "benchmark_return": 0.5 * values,
            "mix_return": values,
        },
        schema={
            "session": pl.Date,
            "net_return": pl.Float64,
            "benchmark_return": pl.Float64,
            "mix_return": pl.Float64,
        },
    )


def evidence(**changes: Any) -> Evidence:
    good = Evidence(
        metrics=GOOD, returns=returns(NOISE + 0.001), leaks=False, data_errors=0, trials=50,
        swept=True, sessions_per_year=252.0, benchmark="equal_weight",
    )  # fmt: skip
    return replace(good, **changes)


def ruled(decision: Decision, rule: str) -> RuleResult:
    [found] = [result for result in decision.rules if result.rule == rule]
    return found


def test_good_evidence_without_a_champion_passes_every_rule() -> None:
    decision = decide(evidence(), None, RULES)
    assert decision.passed
    assert decision.refused == ()
    assert [(r.rule, r.figure, r.bound, r.passed) for r in decision.rules] == [
        ("leakage", 0.0, 0.0, True),
        ("data_errors", 0.0, 0.0, True),
        ("min_deflated_sharpe", 0.95, 0.9, True),
        ("min_alpha_probability", 0.85, 0.8, True),
        ("max_pbo", 0.2, 0.4, True),
        ("max_drawdown", 0.25, 0.3, True),
        ("min_trades", 40.0, 25.0, True),
        ("champion_margin", None, 0.1, True),
    ]
    assert "50 worthless trials is 0.95; at least 0.9 is asked" in decision.rules[2].reason


@pytest.mark.parametrize(
    ("rule", "metric", "at_bound", "beyond"),
    [
        ("min_deflated_sharpe", "deflated_sharpe_probability", 0.9, math.nextafter(0.9, 0.0)),
        ("min_alpha_probability", "deflated_alpha_probability", 0.8, math.nextafter(0.8, 0.0)),
        ("min_alpha_probability", "deflated_mix_alpha_probability", 0.8, math.nextafter(0.8, 0.0)),
        ("max_pbo", "pbo", 0.4, math.nextafter(0.4, 1.0)),
        ("max_drawdown", "max_drawdown", -0.3, math.nextafter(-0.3, -1.0)),
        ("min_trades", "trades", 25.0, 24.0),
    ],
)
def test_a_bound_itself_passes_and_the_next_figure_does_not(
    rule: str, metric: str, at_bound: float, beyond: float
) -> None:
    assert decide(evidence(metrics={**GOOD, metric: at_bound}), None, RULES).passed
    refused = decide(evidence(metrics={**GOOD, metric: beyond}), None, RULES)
    assert [result.rule for result in refused.refused] == [rule]


@pytest.mark.parametrize("metric", sorted(GOOD))
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_figure_that_is_missing_or_no_number_refuses(metric: str, value: float | None) -> None:
    metrics = {key: number for key, number in GOOD.items() if key != metric}
    decision = decide(
        evidence(metrics=metrics if value is None else {**metrics, metric: value}), None, RULES
    )
    [refused] = decision.refused
    assert not decision.passed
    assert refused.figure is None
    assert "missing or not a number" in refused.reason


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("deflated_sharpe_probability", 1.1),
        ("deflated_alpha_probability", -0.1),
        ("pbo", -0.1),
        ("max_drawdown", 0.2),
        ("max_drawdown", -1.5),
        ("trades", -1.0),
    ],
)
def test_a_figure_that_cannot_be_refuses_however_good_it_looks(metric: str, value: float) -> None:
    loose = Gate(min_alpha_probability=0.8, max_drawdown=1.0, champion_margin=None)
    [refused] = decide(evidence(metrics={**GOOD, metric: value}), None, loose).refused
    assert "cannot be" in refused.reason


@pytest.mark.parametrize(
    ("change", "rule", "reason"),
    [
        ({"leaks": True}, "leakage", "allow_leakage"),
        ({"leaks": None}, "leakage", "not recorded"),
        ({"data_errors": 1}, "data_errors", "is 1; at most 0"),
        ({"data_errors": None}, "data_errors", "missing"),
        ({"trials": None}, "min_deflated_sharpe", "how many trials"),
        ({"trials": 0}, "min_deflated_sharpe", "how many trials"),
    ],
)
def test_a_mark_or_a_missing_one_refuses(change: Any, rule: str, reason: str) -> None:
    [refused, *others] = decide(evidence(**change), None, RULES).refused
    assert refused.rule == rule
    assert reason in refused.reason
    assert [other.rule for other in others] == (
        ["min_alpha_probability"] if "trials" in change else []
    )


def test_overfitting_is_asked_of_sweeps_and_of_what_might_be_one() -> None:
    metrics = {key: value for key, value in GOOD.items() if key != "pbo"}
    plain = decide(evidence(metrics=metrics, swept=False), None, RULES)
    assert plain.passed
    assert "max_pbo" not in [result.rule for result in plain.rules]
    for swept in (True, None):
        assert not ruled(
            decide(evidence(metrics=metrics, swept=swept), None, RULES), "max_pbo"
        ).passed


def test_a_rule_that_the_file_leaves_out_is_not_asked_but_marks_always_are() -> None:
    none = Gate(
        min_deflated_sharpe=None, min_alpha_probability=None, max_pbo=None, max_drawdown=None,
        min_trades=None, champion_margin=None,
    )  # fmt: skip
    decision = decide(evidence(metrics={}), evidence(), none)
    assert [result.rule for result in decision.rules] == ["leakage", "data_errors"]
    assert decision.passed
    assert not decide(evidence(leaks=True), None, none).passed


def test_a_better_version_beats_the_champion_and_an_equal_one_does_not() -> None:
    champion = evidence(returns=returns(NOISE))
    # The same ups and downs, 10 basis points more a day: the difference is known to the hair.
    better = decide(evidence(returns=returns(NOISE + 0.001)), champion, RULES)
    expected = 0.001 / NOISE.std(ddof=1) * math.sqrt(252)
    result = ruled(better, "champion_margin")
    assert better.passed
    assert result.figure == pytest.approx(expected, rel=0.1)
    assert f"is {expected:+.4g} against the champion's on 500 common sessions" in result.reason
    assert not decide(champion, champion, RULES).passed
    worse = ruled(decide(champion, evidence(), RULES), "champion_margin")
    assert not worse.passed
    assert worse.figure == pytest.approx(-expected, rel=0.1)


def test_a_margin_must_be_exceeded_and_a_lucky_difference_is_none() -> None:
    champion = evidence(returns=returns(NOISE))
    figure = ruled(decide(evidence(), champion, RULES), "champion_margin").figure
    assert figure is not None
    at_it = RULES.model_copy(update={"champion_margin": figure})
    below = RULES.model_copy(update={"champion_margin": math.nextafter(figure, 0.0)})
    assert not decide(evidence(), champion, at_it).passed
    assert decide(evidence(), champion, below).passed
    # Better by a whole ratio on two years of unrelated returns: chance does that, too.
    other = np.random.default_rng(4).normal(0.0, 0.01, 500)
    lucky = evidence(returns=returns(other - other.mean() + NOISE.mean() + 0.0007))
    result = ruled(decide(lucky, champion, RULES), "champion_margin")
    assert "Sharpe ratio is +1." in result.reason
    assert not result.passed


TRAINED = {"strategy_sha256": "5ha", "features_sha256": "none", "data_end": date(2013, 3, 1)}
TODAY = {**TRAINED, "data_end": date(2013, 3, 4)}


def test_the_champions_own_strategy_on_newer_bars_need_not_beat_it() -> None:
    champion = evidence(returns=returns(NOISE), **TRAINED)
    fresh = evidence(returns=returns([*NOISE, 0.002]), **TODAY)
    decision = decide(fresh, champion, RULES)
    assert decision.passed
    result = ruled(decision, "champion_margin")
    assert (result.figure, result.bound) == (None, 0.1)
    assert "newer bars, to 2013-03-04 instead of 2013-03-01" in result.reason
    # It is asked all else: a refresh that has become bad goes no further.
    spoilt = decide(replace(fresh, metrics={**GOOD, "max_drawdown": -0.31}), champion, RULES)
    assert [rule.rule for rule in spoilt.refused] == ["max_drawdown"]
    assert decide(replace(fresh, leaks=True), champion, RULES).refused[0].rule == "leakage"


@pytest.mark.parametrize(
    "ours",
    [
        TRAINED,  # the same bars again
        {**TODAY, "data_end": date(2013, 2, 28)},  # older ones
        {**TODAY, "data_end": None},
        {**TODAY, "strategy_sha256": "0ther"},
        {**TODAY, "strategy_sha256": None},
        {**TODAY, "features_sha256": "edited"},
    ],
)
def test_what_is_no_refresh_must_beat_the_champion(ours: Any) -> None:
    champion = evidence(returns=returns(NOISE), **TRAINED)
    [refused] = decide(evidence(returns=returns(NOISE), **ours), champion, RULES).refused
    assert refused.rule == "champion_margin"
    assert decide(evidence(**ours), champion, RULES).passed  # and it may


def test_what_was_made_elsewhere_is_refused_until_the_file_takes_it_on_trust() -> None:
    made = evidence(external=True, reproducible=None)
    refused = decide(made, None, RULES).refused
    assert [rule.rule for rule in refused] == ["checked_for_leaks", "reproducible"]
    for rule in refused:
        assert rule.figure is None
        assert f"{rule.rule}: false}}`" in rule.reason
    trusting = RULES.model_copy(update={"checked_for_leaks": False, "reproducible": False})
    trusted = decide(made, None, trusting)
    assert trusted.passed
    assert "on trust (gate.checked_for_leaks: false)" in ruled(trusted, "checked_for_leaks").reason
    assert "leakage" not in [rule.rule for rule in trusted.rules]
    assert not decide(evidence(reproducible=None), None, RULES).passed  # of others as before


def test_predictions_that_go_on_are_a_refresh_and_others_of_the_same_file_are_not() -> None:
    trusting = RULES.model_copy(update={"checked_for_leaks": False, "reproducible": False})
    champion = evidence(returns=returns(NOISE), external=True, **TRAINED)
    gone_on = evidence(returns=returns([*NOISE, 0.002]), external=True, **TODAY)
    assert decide(gone_on, champion, trusting).passed
    other = evidence(returns=returns([*NOISE[:-1], 0.002, 0.002]), external=True, **TODAY)
    [refused] = decide(other, champion, trusting).refused
    assert refused.rule == "champion_margin"
    assert "its Sharpe ratio is" in refused.reason


@pytest.mark.parametrize("missing", ["strategy_sha256", "data_end"])
def test_what_is_not_known_of_the_champion_makes_no_refresh(missing: str) -> None:
    gone: dict[str, Any] = {missing: None}
    unknown = replace(evidence(returns=returns(NOISE), **TRAINED), **gone)
    ours = {**TODAY, missing: None if missing == "strategy_sha256" else TODAY[missing]}
    assert not decide(evidence(returns=returns(NOISE), **ours), unknown, RULES).passed


def test_a_negative_margin_accepts_what_is_not_worse_by_more() -> None:
    champion = evidence(returns=returns(NOISE))
    slightly = evidence(returns=returns(NOISE - 0.0001))  # 0.0001 / 0.01 a day: -0.16 a year
    figure = ruled(decide(slightly, champion, RULES), "champion_margin").figure
    assert figure == pytest.approx(-0.0001 / NOISE.std(ddof=1) * math.sqrt(252), rel=0.1)
    for margin, passes in ((0.0, False), (-0.1, False), (-0.2, True), (-10.0, True)):
        rules = RULES.model_copy(update={"champion_margin": margin})
        assert decide(slightly, champion, rules).passed == passes, margin


def test_the_champion_once_more_is_refused_however_low_the_margin() -> None:
    champion = evidence(returns=returns(NOISE), **TRAINED)
    low = RULES.model_copy(update={"champion_margin": -1.0})
    [refused] = decide(champion, champion, low).refused
    assert refused.reason.startswith("unchanged: ")
    revised = evidence(returns=returns([*NOISE[:-1], 0.0]), **TRAINED)  # a bar was corrected
    assert decide(revised, champion, low).passed


def test_only_the_sessions_of_both_are_compared_and_too_few_refuse() -> None:
    late = date(2010, 1, 1) + timedelta(days=500 - 59)
    champion = evidence(returns=returns(np.resize(NOISE, 300), late))
    [refused] = decide(evidence(), champion, RULES).refused
    assert refused.rule == "champion_margin"
    assert "59 sessions together with the champion; fewer than 60" in refused.reason
    one_more = evidence(returns=returns(np.resize(NOISE, 300), late - timedelta(days=1)))
    assert "60 common sessions" in decide(evidence(), one_more, RULES).rules[-1].reason


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_returns_that_are_no_numbers_or_never_vary_refuse(bad: float) -> None:
    broken = NOISE.copy()
    broken[250] = bad
    for values, reason in ((broken, "not a number"), (np.zeros(500), "not defined")):
        ours = decide(evidence(returns=returns(values)), evidence(), RULES)
        theirs = decide(evidence(), evidence(returns=returns(values)), RULES)
        assert reason in ours.refused[-1].reason
        assert reason in theirs.refused[-1].reason


def test_the_same_evidence_gives_the_same_decision() -> None:
    champion = evidence(returns=returns(NOISE))
    assert decide(evidence(), champion, RULES) == decide(evidence(), champion, RULES)


share = st.floats(0.0, 1.0)
better_by = st.floats(0.0, 0.5)


@settings(deadline=None)
@given(
    start=st.tuples(share, share, share, share, st.integers(0, 60), st.floats(-0.001, 0.002)),
    steps=st.tuples(
        better_by, better_by, better_by, better_by, st.integers(0, 20), st.floats(0.0, 0.001)
    ),
)
def test_better_figures_never_turn_a_pass_into_a_refusal(start: Any, steps: Any) -> None:
    deflated, alpha, pbo, drawdown, trades, daily = start
    champion = evidence(returns=returns(NOISE[:80]))

    def judged(by: Any) -> Decision:
        metrics = {
            "deflated_sharpe_probability": min(deflated + by[0], 1.0),
            "deflated_alpha_probability": min(alpha + by[1], 1.0),
            "deflated_mix_alpha_probability": min(alpha + 2 * by[1], 1.0),
            "pbo": max(pbo - by[2], 0.0),
            "max_drawdown": min(by[3] - drawdown, 0.0),
            "trades": float(trades + by[4]),
        }
        return decide(
            evidence(metrics=metrics, returns=returns(NOISE[:80] + daily + by[5])), champion, RULES
        )

    before, after = judged((0.0, 0.0, 0.0, 0.0, 0, 0.0)), judged(steps)
    for old, new in zip(before.rules, after.rules, strict=True):
        assert new.passed or not old.passed, (old, new)
    assert after.passed or not before.passed


@settings(deadline=None)
@given(metrics=st.dictionaries(st.sampled_from(sorted(GOOD)), st.floats()), leaks=st.booleans())
def test_a_pass_is_never_given_without_every_figure(metrics: dict[str, float], leaks: bool) -> None:
    decision = decide(evidence(metrics=metrics, leaks=leaks), None, RULES)
    if decision.passed:
        assert not leaks
        assert set(metrics) == set(GOOD)
        assert all(map(math.isfinite, metrics.values()))
    assert decision.passed == (not decision.refused)


@pytest.mark.parametrize(
    ("beside", "mix", "figure", "named"),
    [
        (0.3, 0.9, 0.3, "of its benchmark, equal shares of its universe,"),
        (0.9, 0.3, 0.3, "what the position that it held on average earned"),
        (0.3, 0.3, 0.3, "of its benchmark"),
        (0.9, 0.8, 0.8, "what the position"),
    ],
)
def test_the_lower_of_the_two_alphas_counts(
    beside: float, mix: float, figure: float, named: str
) -> None:
    metrics = {
        **GOOD, "deflated_alpha_probability": beside, "deflated_mix_alpha_probability": mix,
    }  # fmt: skip
    result = ruled(decide(evidence(metrics=metrics), None, RULES), "min_alpha_probability")
    assert (result.figure, result.passed) == (figure, figure >= 0.8)
    assert named in result.reason
    left_out = RULES.model_copy(update={"min_alpha_probability": None})
    assert decide(evidence(metrics=metrics), None, left_out).passed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"benchmark": "equal_weight"}, "equal shares of its universe, have a Sharpe ratio above"),
        ({"benchmark": "SPY"}, "SPY, have a Sharpe ratio above that of the best of 50 worthless"),
        ({"benchmark": None}, "which is not recorded"),
        ({"trials": 1}, "have a Sharpe ratio above zero is 0.3; at least 0.8 is asked"),
        ({"metrics": {**GOOD, "deflated_alpha_probability": 0.3, "beta": 0.7816}}, "less 0.782 t"),
    ],
)
def test_a_missing_alpha_is_refused_with_its_benchmark(change: Any, words: str) -> None:
    poor = {"metrics": {**GOOD, "deflated_alpha_probability": 0.3}}
    result = ruled(decide(evidence(**{**poor, **change}), None, RULES), "min_alpha_probability")
    assert not result.passed
    assert words in result.reason


@pytest.mark.parametrize("kept", ["none", "one is missing", "no session"])
def test_a_version_of_before_there_was_a_benchmark_is_told_to_train_again(kept: str) -> None:
    old = returns(NOISE + 0.001)
    if kept == "none":
        old = old.with_columns(benchmark_return=pl.lit(None, pl.Float64))
    elif kept == "one is missing":
        gone = pl.when(pl.int_range(pl.len()) != 7).then("mix_return")
        old = old.with_columns(mix_return=gone)
    else:
        old = old.clear()
    result = ruled(decide(evidence(returns=old), None, RULES), "min_alpha_probability")
    assert not result.passed
    assert "train the strategy again" in result.reason


def test_the_comparison_is_annualised_by_the_calendar() -> None:
    champion = evidence(returns=returns(NOISE))
    figures = {
        year: ruled(
            decide(evidence(sessions_per_year=year), champion, RULES), "champion_margin"
        ).figure
        for year in (252.0, 365.0)
    }
    assert figures[365.0] == pytest.approx(typed(figures[252.0], float) * math.sqrt(365 / 252))
    unknown = decide(evidence(sessions_per_year=None), champion, RULES)
    assert "how many sessions a year" in ruled(unknown, "champion_margin").reason
