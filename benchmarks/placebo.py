"""What the gate makes of nothing: noise as features, and the real bars with nothing in them.

Run from the checkout: ``python -m benchmarks.placebo``, or ``make campaign``.

First, features of noise in every kind of `positions`, at horizons 1 and 21: the gate may accept as
many as the error rate of its rule says, one in twenty, give or take what chance allows. Second, the
whole sweep of a shipped strategy, on the real bars and on copies with randomised phases
(`benchmarks.surrogates`): where p-values mean what they say, those of the copies are uniform, and
where the real strategy stands among the copies is a p-value that assumes next to nothing.
Prints both as Markdown and writes ``benchmarks/results/placebo-DATE.md`` and ``.json``.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import polars as pl

from benchmarks.surrogates import placebo
from tradewind.market.calendar import sessions_per_year
from tradewind.market.sources import sample
from tradewind.registry.gate import Evidence, decide
from tradewind.research.backtest.benchmark import benchmark_name, benchmark_returns, mix_returns
from tradewind.research.backtest.positions import target_weights
from tradewind.research.backtest.run import run_backtest
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.evaluation.walk_forward import Score, score
from tradewind.research.models.model import share
from tradewind.research.statistics import performance
from tradewind.research.statistics.alpha import alpha_figures, alpha_probability
from tradewind.research.statistics.inference import deflated_sharpe, probabilistic_sharpe
from tradewind.research.strategy.files import load_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.trials.ledger import MemoryLedger, summarise_trials
from tradewind.research.trials.parameter_sets import draw
from tradewind.research.trials.trial import Returns, Trial
from tradewind.research.verdict import least_probability

__all__ = ["Cell", "Swept", "accepted", "allowed", "main", "swept", "uniform"]

CHECKOUT = Path(__file__).parents[1]
SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
KINDS = ("iid", "ar1", "random_walk")
HORIZONS = (1, 21)
POSITIONS = ("long_flat", "long_short", "sign", "proportional")
SURE = 0.99  # what chance allows: beyond it, one run of a cell in a hundred
SURE_OF_SKILL = 0.95  # what both rules ask for if a file says nothing; the rest is their error rate
SWEPT = "ranker"
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Cell:
    """How much noise was accepted in one way of trading it, of how many seeds.

    Attributes
    ----------
    noise, positions : str
    horizon, seeds : int
    sharpe, alpha : int
        That pass the rule on the Sharpe ratio, and the one on the alpha.
    accepted : int
        That pass the whole gate.
    allowed : int
        See `allowed`.
    """

    noise: str
    positions: str
    horizon: int
    seeds: int
    sharpe: int
    alpha: int
    accepted: int
    allowed: int


@dataclass(frozen=True)
class Swept:
    """A sweep's best trial: p-values, each the probability of as much from nothing.

    Attributes
    ----------
    first_gross, first_net : float
        Of the first trial, before and after costs: nothing was chosen, so they need no deflation.
    best : float
        Of the best trial, as if it were the only one.
    best_deflated, best_alpha : float
        Of the best trial by the deflated Sharpe ratio, of its returns and of what is left of
        them beside the benchmark.
    sharpe : float
        Of the best trial, annualised.
    """

    first_gross: float
    first_net: float
    best: float
    best_deflated: float
    best_alpha: float
    sharpe: float


def allowed(seeds: int, rate: float, sure: float = SURE) -> int:
    """Return the most acceptances of nothing that chance explains: a quantile of the binomial."""
    from scipy.stats import binom

    return int(binom.ppf(sure, seeds, rate))


def noise_strategy(kind: str, horizon: int, seed: int) -> Strategy:
    """Return the shipped noise with other features, horizon and luck."""
    said = load_strategy(CHECKOUT / "strategies" / "noise.yaml").model_dump()
    features = [
        {"custom": {"name": name, "function": "placebo_features:noise",
                    "parameters": {"kind": kind, "seed": 1000 * (seed + 1) + index}}}
        for index, name in enumerate(("noise_a", "noise_b"))
    ]  # fmt: skip
    return Strategy.model_validate({**said, "features": features, "horizon": horizon, "seed": seed})


def traded(strategy: Strategy, positions: str) -> Strategy:
    """Return a strategy that makes positions of another kind of its predictions."""
    said = strategy.model_dump()
    return Strategy.model_validate(
        {**said, "backtest": {**said["backtest"], "positions": positions}}
    )


def evidence_of(strategy: Strategy, predictions: pl.DataFrame, bars: pl.DataFrame) -> Evidence:
    """Return what a training without a ledger would show the gate."""
    weights = target_weights(predictions, strategy.backtest, horizon=strategy.horizon)
    equity = run_backtest(weights, bars, strategy.backtest)
    net = equity.get_column("net_return").to_numpy()
    held = benchmark_returns(bars, strategy, equity.get_column("session"))
    mix = mix_returns(bars, weights, predictions, strategy)
    per_year = sessions_per_year(strategy.universe.calendar)
    return Evidence(
        metrics=performance.summarise(equity, per_year=per_year)
        | alpha_figures(net, held, mix, per_year=per_year)
        | {
            "deflated_sharpe_probability": deflated_sharpe(net, 1, 0.0),
            "deflated_alpha_probability": alpha_probability(net, held),
            "deflated_mix_alpha_probability": alpha_probability(net, mix),
        },
        returns=equity.select(
            "session", "net_return", benchmark_return=pl.Series(held), mix_return=pl.Series(mix)
        ),
        leaks=False,
        data_errors=0,
        trials=1,
        swept=False,
        sessions_per_year=per_year,
        benchmark=benchmark_name(strategy),
    )


def verdicts(task: tuple[str, int, int]) -> list[tuple[bool, bool, bool]]:
    """Return for each kind of positions whether noise passes either rule, and the gate."""
    kind, horizon, seed = task
    strategy = noise_strategy(kind, horizon, seed)
    bars = sample.load(SYMBOLS)
    predictions = score(prepare(bars, strategy), strategy).predictions
    found = []
    for positions in POSITIONS:
        judged = traded(strategy, positions)
        evidence, rules = evidence_of(judged, predictions, bars), judged.gate
        sharpe = evidence.metrics["deflated_sharpe_probability"] >= SURE_OF_SKILL
        alpha = least_probability(evidence.metrics) >= SURE_OF_SKILL
        found.append((sharpe, alpha, decide(evidence, None, rules).passed))
    return found


def accepted(
    seeds: int,
    *,
    first: int = 0,
    workers: int = 1,
    kinds: Sequence[str] = KINDS,
    horizons: Sequence[int] = HORIZONS,
) -> list[Cell]:
    """Return how much noise the gate accepts, by kind of noise, horizon and positions.

    Seeds count from `first`, so that what a rule was agreed on can be left out.
    """
    cells = [(kind, horizon) for kind in kinds for horizon in horizons]
    tasks = [(*cell, seed) for cell in cells for seed in range(first, first + seeds)]
    with placebo_home():
        results = list(in_turn(verdicts, tasks, workers, "noise"))
    rate = 1.0 - SURE_OF_SKILL
    found = []
    for index, (kind, horizon) in enumerate(cells):
        of_cell = results[index * seeds : (index + 1) * seeds]
        for column, positions in enumerate(POSITIONS):
            passed = [verdict[column] for verdict in of_cell]
            sharpe, alpha, gate = (sum(which) for which in zip(*passed, strict=True))
            found.append(
                Cell(kind, positions, horizon, seeds, sharpe, alpha, gate, allowed(seeds, rate))
            )
    return found


def swept(task: tuple[int | None, int]) -> Swept:
    """Run the whole sweep on the real bars (None) or on a copy, as many trials as are asked for."""
    seed, trials = task
    strategy = load_strategy(CHECKOUT / "strategies" / f"{SWEPT}.yaml")
    bars = sample.load(strategy.bar_symbols)
    dataset = prepare(bars if seed is None else placebo(bars, seed), strategy)
    span = dataset.data_start, dataset.data_end
    ledger = MemoryLedger()
    outcomes: list[tuple[Score, Strategy]] = []
    shared = [share(strategy) for _ in dataset.windows]  # as a batch of a sweep does
    for parameters in draw(strategy)[:trials]:
        tried = strategy.with_parameters(parameters)
        outcomes.append((score(dataset, tried, shared=shared), tried))
        ledger.enter(Trial.of(outcomes[-1][0], tried, snapshot_id="placebo", span=span))
    first = outcomes[0][0]
    best, chosen = max(outcomes, key=lambda each: each[0].metrics["sharpe"])
    sessions, net = best.sessions, best.net_returns
    held = benchmark_returns(dataset.benchmark, chosen, sessions)
    counted = summarise_trials(
        ledger, chosen.name, data_start=span[0], data_end=span[1],
        symbols=chosen.universe.symbols, benchmark=Returns(sessions.to_numpy(), held),
    )  # fmt: skip
    beside = alpha_probability(
        net, held, n_trials=counted.n_trials, variance=counted.alpha_variance
    )
    return Swept(
        first_gross=1.0 - probabilistic_sharpe(first.equity.get_column("gross_return").to_numpy()),
        first_net=1.0 - probabilistic_sharpe(first.net_returns),
        best=1.0 - probabilistic_sharpe(net),
        best_deflated=1.0 - deflated_sharpe(net, counted.n_trials, counted.variance),
        best_alpha=1.0 - beside,
        sharpe=best.metrics["sharpe"],
    )


def uniform(values: Sequence[float]) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distance of p-values from the uniform, and its p."""
    from scipy.stats import kstest

    found = kstest(values, "uniform")
    return float(found.statistic), float(found.pvalue)


def in_turn(call: Callable[[T], R], tasks: Sequence[T], workers: int, what: str) -> Iterator[R]:
    """Yield what a call makes of each task, in their order, and say how far it is."""
    began = time.monotonic()
    context = get_context("spawn")  # polars and LightGBM have threads, which a fork would lose
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        results = pool.map(call, tasks) if workers > 1 else map(call, tasks)
        for done, result in enumerate(results, start=1):
            if done % max(1, len(tasks) // 10) == 0:
                print(
                    f"{what}: {done} of {len(tasks)}, {time.monotonic() - began:.0f} s", flush=True
                )
            yield result


@contextmanager
def placebo_home() -> Iterator[None]:
    """Have a folder of strategies in which the features of noise are found."""
    before = os.environ.get("TRADEWIND_HOME")
    with tempfile.TemporaryDirectory() as folder:
        strategies = Path(folder) / "strategies"
        strategies.mkdir()
        shutil.copy(Path(__file__).with_name("placebo_features.py"), strategies)
        os.environ["TRADEWIND_HOME"] = folder
        try:
            yield
        finally:
            os.environ.pop("TRADEWIND_HOME")
            if before is not None:
                os.environ["TRADEWIND_HOME"] = before


P_VALUES = {
    "first_gross": "first trial, before costs: nothing is chosen, so it should be uniform",
    "first_net": "first trial, after costs: conservative by what the costs take",
    "best": "best trial as if it were the only one: too small, which is why trials are counted",
    "best_deflated": "best trial, deflated Sharpe ratio: conservative",
    "best_alpha": "best trial, deflated Sharpe ratio beside the benchmark: conservative",
}


def noise_table(cells: Iterable[Cell]) -> str:
    """Return what was accepted as a Markdown table."""
    lines = [
        "| noise | horizon | positions | pass the Sharpe ratio's rule | pass the alpha's rule | "
        "accepted by the gate | allowed |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {cell.noise} | {cell.horizon} | {cell.positions} | {cell.sharpe} of {cell.seeds} | "
        f"{cell.alpha} of {cell.seeds} | **{cell.accepted}** | {cell.allowed} |"
        for cell in cells
    ]
    return "\n".join(lines)


def sweep_table(real: Swept, copies: Sequence[Swept]) -> str:
    """Return how p-values are spread, and where the real strategy stands, as a Markdown table."""
    lines = [
        "| p-value of the | below 0.05 | below 0.5 | Kolmogorov-Smirnov to uniform (p) | real | "
        "copies at or below the real one |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, words in P_VALUES.items():
        values = [getattr(copy, name) for copy in copies]
        ours = getattr(real, name)
        distance, p = uniform(values)
        small, half = (sum(value < bound for value in values) for bound in (0.05, 0.5))
        lines.append(
            f"| {words} | {small} | {half} | {distance:.3f} (p {p:.2g}) | {ours:.4f} | "
            f"{sum(value <= ours for value in values)} of {len(values)} |"
        )
    as_good = sum(copy.sharpe >= real.sharpe for copy in copies)
    lines += [
        "",
        f"The best Sharpe ratio is {real.sharpe:.2f} on the real bars; {as_good} of {len(copies)} "
        f"copies show as much or more: p = {(as_good + 1) / (len(copies) + 1):.3f}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run both, print them, write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placebo", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="of noise, in each cell")
    parser.add_argument("--first", type=int, default=0, help="seed of all, noise and copies")
    parser.add_argument("--copies", type=int, default=100, help="of the real bars")
    parser.add_argument("--trials", type=int, default=50, help="of each sweep")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"))
    asked = parser.parse_args()
    began = time.monotonic()
    cells = accepted(asked.seeds, first=asked.first, workers=asked.workers)
    parts = [
        "# Placebo",
        f"{asked.seeds} seeds of noise a cell; {asked.copies} copies of the bars of {SWEPT}, "
        f"{asked.trials} trials each. Seeds begin at {asked.first}.",
        "## Noise",
        noise_table(cells),
    ]
    whole = [asdict(cell) for cell in cells]
    total, seeds = sum(cell.accepted for cell in cells), sum(cell.seeds for cell in cells)
    most = allowed(seeds, 1.0 - SURE_OF_SKILL)
    parts.append(f"In all the gate accepts {total} of {seeds}; {most} are allowed.")
    found: dict[str, object] = {"noise": whole, "accepted": total, "allowed": most}
    if asked.copies:
        copies_of = range(asked.first, asked.first + asked.copies)
        tasks = [(seed, asked.trials) for seed in (None, *copies_of)]
        real, *copies = in_turn(swept, tasks, asked.workers, "sweeps")
        parts += [
            "## The whole sweep on copies without anything to find",
            sweep_table(real, copies),
        ]
        found |= {"real": asdict(real), "copies": [asdict(copy) for copy in copies]}
    found["seconds"] = round(time.monotonic() - began)
    text = "\n\n".join(parts) + "\n"
    print(text)
    asked.results.mkdir(exist_ok=True)
    at = asked.results / f"placebo-{time.strftime('%Y-%m-%d')}"
    at.with_suffix(".md").write_text(text)
    at.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    beyond = [cell for cell in cells if cell.accepted > cell.allowed]
    if beyond or total > most:
        sys.exit(f"noise is accepted more often than chance allows: {beyond or total}")


if __name__ == "__main__":
    main()
