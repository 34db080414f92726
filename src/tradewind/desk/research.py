"""Looks at a strategy without a training: a backtest, and what its champion wants to hold."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from tradewind.desk._connections import ledger_url, use_mlflow
from tradewind.errors import MarketDataError, StrategyError
from tradewind.settings import Settings

if TYPE_CHECKING:
    from tradewind.desk.bars import CheckedBars
    from tradewind.desk.counted import CountedTraining
    from tradewind.research.strategy.strategy import Strategy
    from tradewind.trading.signals import SignalSet

__all__ = ["BacktestReport", "Judged", "age_of", "backtest", "judge", "signals", "strategies"]


@dataclass(frozen=True)
class BacktestReport:
    """What a backtest found.

    Attributes
    ----------
    strategy, snapshot_id : str
    metrics : dict of str to float
        Over all test windows in a row; see `tradewind.research.statistics.performance` for units.
    folds : int
    verdict : str
        Whether it is better than its benchmark, in words; empty where nobody knows.
    """

    strategy: str
    snapshot_id: str
    metrics: dict[str, float]
    folds: int
    verdict: str = ""


@dataclass(frozen=True)
class Judged:
    """A strategy as its file is now, judged on the bars as they are now.

    Attributes
    ----------
    bars : CheckedBars
        What it was judged on.
    trained : CountedTraining
    """

    bars: "CheckedBars"
    trained: "CountedTraining"

    @property
    def verdict(self) -> str:
        """Whether it is better than its benchmark, in words; empty where nobody knows."""
        from tradewind.research.backtest.benchmark import benchmark_name
        from tradewind.research.verdict import verdict

        result = self.trained.result
        return verdict(result.metrics, benchmark_name(result.strategy))


def strategies(settings: Settings) -> "list[Strategy]":
    """Return the strategies, by name.

    Raises
    ------
    StrategyError
        If a strategy file is wrong.
    """
    from tradewind.research.strategy.files import load_strategies

    found, errors = load_strategies(settings.strategies_dir)
    for error in errors.values():
        raise error
    return list(found.values())


def judge(
    settings: Settings, strategy: str, on_fold: Callable[[int, int], None] | None = None
) -> Judged:
    """Judge a strategy as its file is now, without a sweep and without registering anything.

    It is a trial like any other: it enters the ledger, and counts against the best result.

    Parameters
    ----------
    settings : Settings
    strategy : str
    on_fold : callable, optional
        Called with (folds done, folds in all) after each fold.

    Raises
    ------
    StrategyError
        If there is no such strategy file, or it is wrong.
    MarketDataError
        If its source cannot give bars, or they break a rule.
    ResearchError
        If it cannot be judged, or the ledger is out of reach.
    StackError
        If the stack, which has the ledger, does not run.
    """
    from tradewind.desk.bars import checked_bars, snapshot_of_universe, store_universe
    from tradewind.desk.counted import train_counted
    from tradewind.research.strategy.files import find_strategy

    asked = find_strategy(strategy, settings.strategies_dir)
    url = ledger_url(settings)  # before anything is read: without the stack there is no ledger
    store_universe(settings, asked)
    bars = checked_bars(settings, asked, snapshot_of_universe(settings, asked))
    return Judged(bars, train_counted(bars, asked, url, on_fold=on_fold))


def backtest(
    settings: Settings, strategy: str, on_fold: Callable[[int, int], None] | None = None
) -> BacktestReport:
    """Return the figures of a strategy that is judged as `judge` does; raises what that does."""
    judged = judge(settings, strategy, on_fold)
    result = judged.trained.result
    return BacktestReport(
        strategy, judged.bars.snapshot_id, result.metrics, len(result.folds), judged.verdict
    )


def signals(settings: Settings, strategy: str, session: date | None = None) -> "SignalSet | None":
    """Return what a strategy's champion wants to hold, as it was stored last; None if never.

    Parameters
    ----------
    settings : Settings
    strategy : str
    session : date, optional
        Signals that were decided after that session, whichever version made them last.

    Raises
    ------
    StrategyError
        If there is no such strategy file, or it is wrong.
    RegistryError
        If MLflow, which knows the champion, is out of reach.
    TradingError
        If the database is out of reach.
    """
    from tradewind.registry.versions import aliases_of
    from tradewind.research.strategy.files import find_strategy
    from tradewind.trading.signals import SignalBook

    find_strategy(strategy, settings.strategies_dir)
    book = SignalBook(ledger_url(settings))
    if session is not None:
        return book.of(strategy, session)
    use_mlflow(settings)
    champion = aliases_of(strategy).get("champion")
    return None if champion is None else book.latest(strategy, champion)


def age_of(settings: Settings, strategy: "Strategy | str", session: date, now: datetime) -> str:
    """Return in words how old bars are that end on a session.

    Empty where they are not old, and of a name that no strategy file has: then nothing is traded.
    Where it cannot be known, the reason.
    """
    from tradewind.market.age import said_of_age, sessions_behind
    from tradewind.market.sources.source import find_source
    from tradewind.research.strategy.files import find_strategy

    asked = strategy
    if isinstance(asked, str):
        try:
            asked = find_strategy(asked, settings.strategies_dir)
        except StrategyError:
            return ""
    try:
        source = find_source(asked.universe.source, settings.sources_dir)
        calendar = source.sessions_for(asked.universe.calendar)
        old = said_of_age(sessions_behind(calendar, session, now), session, calendar)
    except MarketDataError as error:  # such as a calendar that knows no further session
        return f"how old the bars are cannot be said: {error}"
    return f"{old}, and are played as the present" if old and asked.execution == "replay" else old
