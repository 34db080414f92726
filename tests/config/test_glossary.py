"""docs/glossary.md has an entry for every figure that is printed, by its name."""

import re
from dataclasses import fields
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tradewind.market.sources import sample
from tradewind.registry._figures import metrics_of
from tradewind.registry.gate import Evidence, decide
from tradewind.registry.monitoring import watch_figures
from tradewind.research.monitoring.hindsight import Hindsight
from tradewind.research.monitoring.monitor import WatchReport
from tradewind.research.strategy.judging import Combinatorial, Gate
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import TrainingResult, train
from tradewind.research.trials.ledger import TrialSummary
from tradewind.research.words import METRICS, words_of
from tradewind.trading.book.views import Day

PAGE = Path(__file__).parents[2] / "docs" / "glossary.md"
LINE = re.compile(
    r"^\| `(?P<name>[^`]+)`(?P<rule> \(rule\))? \| (?P<words>[^|]+) \| (?P<what>[^|]+) \| "
    r"(?P<unit>[^|]+) \| (?P<better>[^|]+) \| (?P<source>[^|]+) \|$",
    re.MULTILINE,
)


def entries() -> dict[str, dict[str, str]]:
    found = [match.groupdict() for match in LINE.finditer(PAGE.read_text("utf-8"))]
    named = {each["name"] + (each["rule"] or ""): each for each in found}
    assert len(named) == len(found), "a name has two entries"
    return named


@pytest.fixture(scope="module")
def trained() -> TrainingResult:
    """A training that has every kind of figure: after a sweep, with many histories."""
    strategy = Strategy.model_validate(
        {
            "name": "mine",
            "description": "as little as has every figure",
            "universe": {"source": "sample", "symbols": ["AAPL", "IBM"], "calendar": "XNYS"},
            "horizon": 5,
            "label": "forward_return",
            "features": [{"return": {"window": 5}}],
            "model": {"kind": "ridge"},
            "walk_forward": {"train": 756, "test": 504},
            "combinatorial": Combinatorial().model_dump(),
            "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
            "seed": 7,
        }
    )
    summary = TrialSummary(3, 0.001, 0.001, 0.4, pl.DataFrame())
    return train(sample.load(["AAPL", "IBM"]), strategy, trials=summary)


def plain(name: str) -> str:
    return name.removeprefix("fold/")


def test_every_figure_of_a_training_has_an_entry(trained: TrainingResult) -> None:
    logged = {plain(metric.key) for metric in metrics_of(trained, 0)}
    assert {"pbo", "combinatorial_sharpe_worst", "mix_alpha", "series/equity"} <= logged
    missing = sorted((logged | set(trained.metrics) | set(METRICS)) - set(entries()))
    assert not missing, f"define in docs/glossary.md: {', '.join(missing)}"


def test_what_has_a_name_in_words_is_called_so() -> None:
    for name, each in entries().items():
        if name in METRICS:
            assert each["words"] == words_of(name)[0], name


def watched() -> set[str]:
    drift = pl.DataFrame(
        {"feature": ["gap"], "psi": 0.5, "ks": 0.5, "psi_rank": 0.5, "ks_rank": 0.5}
    )
    found = watch_figures(WatchReport(drift, 30, 1.0, 0.5, ()), Hindsight())
    return {name.replace("/gap", "/<feature>") for name in found}


def test_every_figure_of_a_watch_has_an_entry() -> None:
    names = watched()
    assert {"live_sharpe", "psi/<feature>", "hindsight_faults"} <= names
    assert names <= set(entries())


def test_every_rule_of_the_gate_and_every_column_of_the_book_has_an_entry() -> None:
    returns = pl.DataFrame(
        {"session": [date(2012, 1, 3)], "net_return": [0.1], "benchmark_return": [0.0],
         "mix_return": [0.0]}
    )  # fmt: skip
    evidence = Evidence({"pbo": 0.1}, returns, False, 0, 2, True)
    rules = {each.rule for each in decide(evidence, None, Gate()).rules}
    assert rules >= {"leakage", "max_pbo", "champion_margin", "max_drawdown"}
    known = entries()
    for rule in rules:
        assert rule + " (rule)" in known or (rule in known and rule not in METRICS), rule
    assert {each.name for each in fields(Day)} - {"account", "session"} <= set(known)


def test_no_entry_is_about_what_is_gone(trained: TrainingResult) -> None:
    printed = {plain(metric.key) for metric in metrics_of(trained, 0)} | set(METRICS)
    printed |= watched() | {each.name for each in fields(Day)}
    rules = {"data_errors", *Gate.model_fields}
    left = {name for name, each in entries().items() if not each["rule"]} - printed - rules
    assert not left
