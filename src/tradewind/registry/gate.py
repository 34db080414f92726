"""Whether a version may become the champion: the rules of its strategy file, and its evidence.

Rules are named after their fields in the strategy file. A figure that is missing or cannot be
refuses: what nobody knows is no reason to trade.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from tradewind.research.statistics.overlap import LEAST_COMMON_SESSIONS
from tradewind.research.strategy.judging import Gate

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Decision", "Evidence", "RuleResult", "decide"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a version.

    Attributes
    ----------
    metrics : mapping of str to float
        Out of sample, over all folds.
    returns : DataFrame of shape (n_sessions, 4)
        session, net_return (after costs), benchmark_return and mix_return (null throughout where
        they were not kept): out of sample, each session once.
    leaks : bool or None
        Whether it was trained with labels that reach into the test window.
    data_errors : int or None
        Findings of severity error in the bars it was trained on.
    trials : int or None
        How many trials it was chosen among; 1 without a sweep.
    swept : bool or None
        Whether it was chosen in a sweep.
    strategy_sha256 : str, optional
        Content hash of its strategy with the parameters it was fitted with.
    features_sha256 : str, optional
        Of the source of the strategy's own features.
    data_end : date, optional
        Last session of the bars it was trained on.
    sessions_per_year : float, optional
        Of its calendar; what figures are annualised by.
    benchmark : str, optional
        What its benchmark is called.
    reproducible : bool, optional
        Whether two fits on the same rows predict the same; None if nobody looked.
    model_code_sha256 : str, optional
        Of the source of the strategy's own model.
    external : bool
        Whether its predictions were made elsewhere and handed in.
    """

    metrics: Mapping[str, float]
    returns: "pl.DataFrame"
    leaks: bool | None
    data_errors: int | None
    trials: int | None
    swept: bool | None
    strategy_sha256: str | None = None
    features_sha256: str | None = None
    data_end: date | None = None
    sessions_per_year: float | None = None
    benchmark: str | None = None
    reproducible: bool | None = True
    model_code_sha256: str | None = None
    external: bool = False


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule: what was measured, what was asked, and whether it is met.

    `figure` and `bound` are None where there was nothing to measure; `reason` is for people.
    """

    rule: str
    figure: float | None
    bound: float | None
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says, with the result of each rule it asked."""

    passed: bool
    rules: tuple[RuleResult, ...]

    @property
    def refused(self) -> tuple[RuleResult, ...]:
        """Rules that are not met."""
        return tuple(rule for rule in self.rules if not rule.passed)


def decide(evidence: Evidence, champion: Evidence | None, rules: Gate) -> Decision:
    """Hold evidence against rules.

    Asked are always ``leakage`` and ``data_errors``, of external models ``checked_for_leaks`` in
    the place of the first; of the others those that the strategy file
    does not leave out, and ``max_pbo`` of strategies with a sweep only.

    Parameters
    ----------
    evidence : Evidence
        Of the version that is judged.
    champion : Evidence, optional
        Of the version it would replace; used are its returns, and what tells whether it is the
        same strategy on older bars. Such a refresh need not beat it: against itself no strategy
        wins by more than chance, and the champion would go stale. None if there is no champion:
        then there is nothing to beat. Everything else is asked all the same.
    rules : Gate
        From the strategy file of the version that is judged.

    Returns
    -------
    Decision
        Passed if every rule is met. The same evidence always gives the same decision.
    """
    results = [
        _checked_for_leaks(rules) if evidence.external else _no_leakage(evidence),
        _no_data_error(evidence),
        _deflated_sharpe(evidence, rules.min_deflated_sharpe),
        _alpha(evidence, rules.min_alpha_probability),
        _overfitting(evidence, rules.max_pbo),
        _drawdown(evidence, rules.max_drawdown),
        _trades(evidence, rules.min_trades),
        _comes_out_again(evidence) if rules.reproducible else None,
        _beats(evidence, champion, rules.champion_margin, rules.champion_level),
    ]
    asked = tuple(result for result in results if result is not None)
    return Decision(passed=all(result.passed for result in asked), rules=asked)


def _no_leakage(evidence: Evidence) -> RuleResult:
    reasons = {
        None: "it is not recorded whether training labels reach into the test windows",
        True: "training labels reach into the test windows (allow_leakage), so that its figures "
        "prove nothing",
        False: "no training label reaches into a test window",
    }
    figure = None if evidence.leaks is None else float(evidence.leaks)
    return RuleResult("leakage", figure, 0.0, evidence.leaks is False, reasons[evidence.leaks])


def _checked_for_leaks(rules: Gate) -> RuleResult:
    reason = (
        "its predictions were made elsewhere, and nobody here can know whether they were made "
        "without the future; "
    )
    if rules.checked_for_leaks:
        reason += "`gate: {checked_for_leaks: false}` in the strategy file takes them on trust"
    else:
        reason += "the strategy file takes them on trust (gate.checked_for_leaks: false)"
    passed = not rules.checked_for_leaks
    return RuleResult("checked_for_leaks", None, None, passed, reason)


def _no_data_error(evidence: Evidence) -> RuleResult:
    return _bounded(
        "data_errors", evidence.data_errors, 0.0,
        what="the number of errors in its bars", at_least=False, possible=lambda n: n >= 0,
    )  # fmt: skip


def _deflated_sharpe(evidence: Evidence, bound: float | None) -> RuleResult | None:
    if bound is None:
        return None
    rule = "min_deflated_sharpe"
    figure = evidence.metrics.get("deflated_sharpe_probability")
    if evidence.trials is None or evidence.trials < 1:
        reason = "it is not recorded among how many trials it was chosen: nothing can be deflated"
        return RuleResult(rule, _known(figure), bound, passed=False, reason=reason)
    return _bounded(
        rule, figure, bound,
        what="the probability that its Sharpe ratio beats the best of "
        f"{evidence.trials} worthless trials",
        at_least=True, possible=_is_probability,
    )  # fmt: skip


def _alpha(evidence: Evidence, bound: float | None) -> RuleResult | None:
    if bound is None:
        return None
    rule = "min_alpha_probability"
    names = ("deflated_alpha_probability", "deflated_mix_alpha_probability")
    beside, mix = (_known(evidence.metrics.get(name)) for name in names)
    figure = None if beside is None or mix is None else min(beside, mix)
    if evidence.trials is None or evidence.trials < 1:
        reason = "it is not recorded among how many trials it was chosen: nothing can be deflated"
        return RuleResult(rule, figure, bound, passed=False, reason=reason)
    kept = evidence.returns.select("benchmark_return", "mix_return")
    if kept.is_empty() or sum(kept.null_count().row(0)):
        reason = (
            "what its benchmark earned was not kept when it was trained, so nobody knows whether "
            "it is better than holding; train the strategy again, which keeps it"
        )
        return RuleResult(rule, figure, bound, passed=False, reason=reason)
    luck = (
        "above zero"
        if evidence.trials == 1
        else f"above that of the best of {evidence.trials} worthless trials"
    )
    slope = evidence.metrics.get("beta", math.nan)
    held = f"{slope:.3g} times those of its benchmark, {_named(evidence.benchmark)},"
    if mix is not None and mix == figure and mix != beside:
        held = "what the position that it held on average earned"
    return _bounded(
        rule, figure, bound,
        what=f"the probability that its returns less {held} have a Sharpe ratio {luck}",
        at_least=True, possible=_is_probability,
    )  # fmt: skip


def _named(benchmark: str | None) -> str:
    words = {"equal_weight": "equal shares of its universe", None: "which is not recorded"}
    return words.get(benchmark, str(benchmark))


def _overfitting(evidence: Evidence, bound: float | None) -> RuleResult | None:
    if bound is None or evidence.swept is False:
        return None
    return _bounded(
        "max_pbo", evidence.metrics.get("pbo"), bound,
        what="the probability of backtest overfitting", at_least=False, possible=_is_probability,
    )  # fmt: skip


def _drawdown(evidence: Evidence, bound: float | None) -> RuleResult | None:
    if bound is None:
        return None
    figure = evidence.metrics.get("max_drawdown")
    return _bounded(
        "max_drawdown", None if figure is None else 0.0 - figure, bound,
        what="the deepest fall from a peak", at_least=False, possible=_is_probability,
    )  # fmt: skip


def _trades(evidence: Evidence, bound: int | None) -> RuleResult | None:
    if bound is None:
        return None
    return _bounded(
        "min_trades", evidence.metrics.get("trades"), float(bound),
        what="the number of positions it opened", at_least=True, possible=lambda n: n >= 0,
    )  # fmt: skip


def _comes_out_again(evidence: Evidence) -> RuleResult | None:
    if evidence.reproducible and "reproducible" not in evidence.metrics:
        return None  # a kind of model that is ours: our own tests hold it
    unknown = "it is not recorded whether two fits on the same rows predict the same; train again"
    if evidence.external:
        unknown = (
            "its model was fitted elsewhere, and cannot be fitted again here; `gate: "
            "{reproducible: false}` in the strategy file leaves this rule out"
        )
    reasons = {
        None: unknown,
        True: "two fits on the same rows predict the same",
        False: "not reproducible: two fits on the same rows predict differently. All that a model "
        "draws at random must come from the strategy's seed",
    }
    figure = None if evidence.reproducible is None else float(evidence.reproducible)
    passed = evidence.reproducible is True
    return RuleResult("reproducible", figure, 1.0, passed, reasons[evidence.reproducible])


def _bounded(
    rule: str,
    figure: float | None,
    bound: float,
    *,
    what: str,
    at_least: bool,
    possible: Callable[[float], bool],
) -> RuleResult:
    known = _known(figure)
    asked = f"{'at least' if at_least else 'at most'} {bound:.6g} is asked"
    if known is None:
        reason = f"{what} is missing or not a number; {asked}, and what is not known is refused"
        return RuleResult(rule, None, bound, passed=False, reason=reason)
    if not possible(known):
        reason = f"{what} cannot be {known:.6g}: the evidence is damaged"
        return RuleResult(rule, known, bound, passed=False, reason=reason)
    passed = known >= bound if at_least else known <= bound
    return RuleResult(rule, known, bound, passed, f"{what} is {known:.6g}; {asked}")


def _beats(
    evidence: Evidence, champion: Evidence | None, margin: float | None, level: float
) -> RuleResult | None:
    import numpy as np

    from tradewind.research.statistics.inference import sharpe_difference_interval

    if margin is None:
        return None
    rule = "champion_margin"
    if champion is None:
        return RuleResult(rule, None, margin, passed=True, reason="there is no champion to beat")
    again = _is_same_strategy(evidence, champion) and not _is_other_prediction(evidence, champion)
    if again and _ends_later(evidence, champion):
        reason = (
            "it is the champion's own strategy trained on newer bars, to "
            f"{evidence.data_end} instead of {champion.data_end}: a refresh has nobody to beat"
        )
        return RuleResult(rule, None, margin, passed=True, reason=reason)
    common = evidence.returns.join(champion.returns, on="session", suffix="_champion")
    if common.height < LEAST_COMMON_SESSIONS:
        reason = (
            f"it was tested on {common.height} sessions together with the champion; fewer than "
            f"{LEAST_COMMON_SESSIONS} say nothing"
        )
        return RuleResult(rule, None, margin, passed=False, reason=reason)
    ours, theirs = (
        common.get_column(column).to_numpy() for column in ("net_return", "net_return_champion")
    )
    refusal = None
    per_year = evidence.sessions_per_year
    if per_year is None:
        refusal = "it is not known how many sessions a year its calendar has"
    elif not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        refusal = "a return is not a number on the sessions that both were tested on"
    elif again and np.array_equal(ours, theirs):  # a negative margin would let it pass for ever
        refusal = (
            "unchanged: it is the champion's own strategy with the champion's returns on all "
            f"{common.height} common sessions, and no newer bars, so there is nothing to replace"
        )
    else:
        difference, low, high = sharpe_difference_interval(
            ours, theirs, per_year=per_year, level=level, seed=0
        )
        if not math.isfinite(difference + low + high):
            refusal = f"a Sharpe ratio is not defined on the {common.height} common sessions"
    if refusal is not None:
        return RuleResult(rule, None, margin, passed=False, reason=refusal)
    reason = (
        f"its Sharpe ratio is {difference:+.4g} against the champion's on {common.height} common "
        f"sessions; of the {level:.6g} interval from {low:+.4g} to {high:+.4g} the lower end must "
        f"exceed {margin:.6g}"
    )
    return RuleResult(rule, low, margin, low > margin, reason)


def _is_same_strategy(evidence: Evidence, champion: Evidence) -> bool:
    return (
        evidence.strategy_sha256 is not None
        and evidence.strategy_sha256 == champion.strategy_sha256
        and evidence.features_sha256 == champion.features_sha256
        and evidence.model_code_sha256 == champion.model_code_sha256
    )


def _is_other_prediction(evidence: Evidence, champion: Evidence) -> bool:
    """Whether an external model earned something else than the champion in a common session.

    Its strategy file is the same whatever is handed in, so that it says nothing.
    """
    if not evidence.external:
        return False
    common = evidence.returns.join(champion.returns, on="session", suffix="_champion")
    ours, theirs = common.get_column("net_return"), common.get_column("net_return_champion")
    return common.is_empty() or not ours.equals(theirs)


def _ends_later(evidence: Evidence, champion: Evidence) -> bool:
    ours, theirs = evidence.data_end, champion.data_end
    return ours is not None and theirs is not None and ours > theirs


def _known(figure: float | None) -> float | None:
    """Return a figure as a number, None if it is none."""
    return float(figure) if figure is not None and math.isfinite(figure) else None


def _is_probability(figure: float) -> bool:
    return 0.0 <= figure <= 1.0
