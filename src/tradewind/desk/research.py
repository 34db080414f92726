"""Looks at a strategy without a training: a backtest, and what its champion wants to hold."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from tradewind.desk._connections import ledger_url, use_mlflow
from tradewind.desk.training import require_strategy
from tradewind.errors import MarketDataError
from tradewind.settings import Settings

if TYPE_CHECKING:
    from tradewind.research.strategy.strategy import Strategy
    from tradewind.trading.signals import SignalSet

__all__ = ["BacktestReport", "age_of", "backtest", "signals"]


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


def backtest(
    settings: Settings, strategy: str, on_fold: Callable[[int, int], None] | None = None
) -> BacktestReport:
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
    """
    from tradewind.market.ingest import check_stored, ingest
    from tradewind.market.sources.source import find_source, open_source
    from tradewind.market.store.bar_store import BarStore
    from tradewind.research.backtest.benchmark import benchmark_name
    from tradewind.research.features.own_code import feature_code_hash
    from tradewind.research.training import train
    from tradewind.research.trials.database_ledger import DatabaseLedger
    from tradewind.research.trials.ledger import counted_in
    from tradewind.research.verdict import verdict

    asked = require_strategy(settings, strategy)
    url = ledger_url(settings)
    universe = asked.universe
    spec = find_source(universe.source, settings.sources_dir)
    calendar = spec.sessions_for(universe.calendar)
    store = BarStore(settings.market_store)
    ingest(
        open_source(spec),
        spec,
        store,
        symbols=asked.bar_symbols,
        known_at=datetime.now(UTC),
        backdate=spec.backdate,
    )
    snapshot_id = store.snapshot(
        spec.name,
        asked.bar_symbols,
        calendar=calendar,
        start=universe.start,
        end=universe.end,
    )
    bars = store.read(snapshot_id)
    check_stored(bars, spec, asked.bar_symbols)
    with DatabaseLedger(url) as ledger:
        code = feature_code_hash(asked) or ""
        counted = counted_in(ledger, snapshot_id=snapshot_id, feature_code=code)
        result = train(bars, asked, trials=counted, on_fold=on_fold)
    words = verdict(result.metrics, benchmark_name(asked))
    return BacktestReport(strategy, snapshot_id, result.metrics, len(result.folds), words)


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
    from tradewind.trading.signals import SignalBook

    require_strategy(settings, strategy)
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
        found = find_strategy(settings.strategies_dir, asked)
        if found is None:
            return ""
        asked = found
    try:
        source = find_source(asked.universe.source, settings.sources_dir)
        calendar = source.sessions_for(asked.universe.calendar)
        old = said_of_age(sessions_behind(calendar, session, now), session, calendar)
    except MarketDataError as error:  # such as a calendar that knows no further session
        return f"how old the bars are cannot be said: {error}"
    return f"{old}, and are played as the present" if old and asked.execution == "replay" else old
