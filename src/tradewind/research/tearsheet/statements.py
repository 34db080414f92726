"""Says in words how far a result can be trusted."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from tradewind.research.tearsheet.report import Report
from tradewind.research.verdict import SURE, is_better, least_probability, verdict_title
from tradewind.research.words import count, percent, probability, ratio

__all__ = ["Statement", "Tone", "statements"]

Tone = Literal["good", "caution", "bad", "plain"]

_LIKELY: Final = SURE
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing to bear in mind, and whether it speaks for the result or against it."""

    tone: Tone
    title: str
    text: str


def statements(report: Report) -> list[Statement]:
    """Return statements about the figures, the gravest first.

    A figure that was not computed gets no statement.
    """
    found = [
        _leak(report),
        _external(report),
        _interval(report),
        _probability(report),
        _trials(report),
        _overfitting(report),
        _benchmark(report),
        _skill(report),
        _windows(report),
        _costs(report),
        _data(report),
        _untested(report),
    ]
    return [statement for statement in found if statement is not None]


def _leak(report: Report) -> Statement | None:
    strategy = report.strategy
    if not strategy.leaks:
        return None
    return Statement(
        "bad",
        "Labels leak",
        f"Training stops {strategy.purge} sessions before each test window, but labels look "
        f"{strategy.horizon} ahead: the last ones are made of prices from the test. The file asks "
        "for it; none of these figures is evidence, and the model is never promoted.",
    )


def _external(report: Report) -> Statement | None:
    if not report.strategy.model.external:
        return None
    return Statement(
        "caution",
        "Made elsewhere",
        "The predictions were handed in. Nobody here can know whether they were made without the "
        "future, nor make them again; the training windows are those that the file states. If a "
        "prediction knew more than its session's close, none of these figures is evidence.",
    )


def _interval(report: Report) -> Statement | None:
    low, high = report.metric("sharpe_low_95"), report.metric("sharpe_high_95")
    if not low <= high:  # also where they are not defined
        return None
    years = report.days.height / report.per_year
    text = (
        f"{count(report.days.height)} sessions ({years:.1f} years) gave a Sharpe ratio of "
        f"{ratio(report.metric('sharpe'))}. Of histories resampled from it in blocks, 95 % "
        f"had one between {ratio(low)} and {ratio(high)}"
    )
    if low > 0.0:
        return Statement("good", "Above zero", text + ".")
    if high < 0.0:
        return Statement("bad", "Below zero", text + ".")
    return Statement("caution", "Zero is possible", text + ": chance alone may explain it.")


def _probability(report: Report) -> Statement | None:
    likely = report.metric("sharpe_probability")
    if not 0.0 <= likely <= 1.0:
        return None
    return Statement(
        "good" if likely >= _LIKELY else "caution",
        f"{probability(likely)} likely to be above zero",
        "The probabilistic Sharpe ratio: it allows for the length of the history and for returns "
        "that are skewed or have fat tails, but not for how many strategies were looked at.",
    )


def _trials(report: Report) -> Statement | None:
    trials, likely = report.trials, report.metric("deflated_sharpe_probability")
    if trials is None or not report.was_tried_before:
        return Statement(
            "plain",
            "One trial",
            "One set of parameters was judged. What was tried before without being recorded is in "
            "no figure here.",
        )
    text = (
        f"{count(trials.n_trials)} sets of parameters were tried on these data. The best of as "
        f"many worthless ones would be expected to show a Sharpe ratio of {ratio(trials.threshold)}"
    )
    if not 0.0 <= likely <= 1.0:
        return Statement("plain", f"{count(trials.n_trials)} trials", text + ".")
    good = likely >= _LIKELY
    return Statement(
        "good" if good else "caution" if likely >= _HALF else "bad",
        f"{probability(likely)} likely to be more than the luck of {count(trials.n_trials)} trials",
        f"{text}; the deflated Sharpe ratio is the probability that the true one beats that.",
    )


def _overfitting(report: Report) -> Statement | None:
    pbo = report.metric("pbo")
    if not 0.0 <= pbo <= 1.0:
        return None
    return Statement(
        "good" if pbo <= 1.0 - _LIKELY else "caution" if pbo < _HALF else "bad",
        f"{probability(pbo)} probability of overfitting",
        "Of all ways to halve the history: how often the parameters that were best on one half "
        "came out below the median on the other.",
    )


def _benchmark(report: Report) -> Statement | None:
    better = is_better(report.metrics)
    if better is None:
        return None
    likely = least_probability(report.metrics)
    return Statement(
        "good" if better else "caution" if likely >= _HALF else "bad",
        verdict_title(report.metrics, report.benchmark),
        " ".join(filter(None, [_alpha(report), _mix(report), _holding(report)])),
    )


def _alpha(report: Report) -> str:
    alpha, slope = report.metric("alpha"), report.metric("beta")
    if math.isnan(alpha) or math.isnan(slope):
        return ""
    likely = probability(report.metric("deflated_alpha_probability"))
    if report.benchmark == "cash":
        return (
            f"The benchmark is cash, which earns nothing here: all of the {percent(alpha)} a year "
            f"counts, and with a probability of {likely} it is more than luck. That is fair to a "
            "strategy that is as much short as long, and to no other."
        )
    means = (
        "equal shares of the universe, equal again at each open, at no cost"
        if report.benchmark == "equal_weight"
        else f"{report.benchmark}, at no cost"
    )
    return (
        f"The benchmark is {means}. The strategy moved by {ratio(slope)} of it (beta, by least "
        f"squares on the sessions tested) and earned {percent(alpha)} a year beside that (alpha), "
        f"which is more than luck with a probability of {likely}; {_LIKELY:.0%} would be sure."
    )


def _mix(report: Report) -> str:
    alpha = report.metric("mix_alpha")
    if math.isnan(alpha):
        return ""
    likely = probability(report.metric("deflated_mix_alpha_probability"))
    return (
        f"Beside the position that it held on average, kept all the time, it earned "
        f"{percent(alpha)} a year, more than luck with a probability of {likely}: what its "
        "decisions added, whatever rose."
    )


def _holding(report: Report) -> str:
    held, earned = report.metric("benchmark_annual_return"), report.metric("annual_return")
    if math.isnan(held) or math.isnan(earned):
        return ""
    return (
        f"Buying the same symbols in equal shares and holding them returned {percent(held)} a year "
        f"with a Sharpe ratio of {ratio(report.metric('benchmark_sharpe'))} and a drawdown of "
        f"{percent(report.metric('benchmark_max_drawdown'))}; the strategy returned "
        f"{percent(earned)} with {ratio(report.metric('sharpe'))} and "
        f"{percent(report.metric('max_drawdown'))}. Symbols that are still there today flatter "
        "both."
    )


def _skill(report: Report) -> Statement | None:
    coefficient, earned = report.metric("information_coefficient"), report.metric("sharpe")
    if not coefficient <= 0.0 < earned:  # also where they are not defined
        return None
    return Statement(
        "bad",
        "The predictions do not explain the gain",
        f"Their rank correlation with what came is {ratio(coefficient, 3)}: what was ranked high "
        "did not do better. The gain came from being invested.",
    )


def _windows(report: Report) -> Statement | None:
    sharpes = [fold.metrics["sharpe"] for fold in report.folds if "sharpe" in fold.metrics]
    won = sum(sharpe > 0.0 for sharpe in sharpes)
    if not sharpes:
        return None
    share = won / len(sharpes)
    two_thirds = 2 / 3
    return Statement(
        "good" if share >= two_thirds else "caution" if share >= _HALF else "bad",
        f"Gained in {won} of {len(sharpes)} test windows",
        "Each window is predicted by a model that was fitted before it. A good mean that rests on "
        "a few windows is worth less than one that does not.",
    )


def _costs(report: Report) -> Statement | None:
    turnover, cost = report.metric("annual_turnover"), report.metric("annual_cost")
    if math.isnan(turnover) or math.isnan(cost):
        return None
    rules = report.strategy.backtest
    each_way = rules.commission_bps + rules.slippage_bps
    return Statement(
        "plain",
        f"Costs took {percent(cost, 2)} a year",
        f"Trades are filled in full at the next open, for {each_way:g} basis points each way, at a "
        f"turnover of {ratio(turnover, 1)} times equity a year. Size does not move these prices.",
    )


def _data(report: Report) -> Statement | None:
    if not report.findings:
        return None
    number = len(report.findings)
    return Statement(
        "caution",
        f"{count(number)} {'remark' if number == 1 else 'remarks'} on the data",
        "Validation let the bars pass and noted what is odd about them; listed below.",
    )


def _untested(report: Report) -> Statement | None:
    number = report.metric("untested_sessions")
    if not number > 0.0:  # also where it is not known
        return None
    return Statement(
        "plain",
        f"The newest {count(number)} sessions are not judged",
        "Test windows are of one length, and these sessions fill none. The final model may have "
        "been fitted on them.",
    )
