"""Trainings through Airflow, and the strategy files they are made from."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from tradewind.desk._connections import PATIENCE, airflow, trigger_when_known
from tradewind.errors import MarketDataError, SourceError, StrategyError
from tradewind.settings import Settings
from tradewind.stack.checks import Check
from tradewind.suggestions import did_you_mean

if TYPE_CHECKING:
    from tradewind.desk.airflow_client import DagRun
    from tradewind.market.sources.source import SourceSpec
    from tradewind.research.strategy.strategy import Strategy

__all__ = ["announcement", "check_files", "train", "trigger"]

_CALENDAR_DAYS: Final = 45  # some calendars' next year is released in its last weeks


def trigger(settings: Settings, strategy: str) -> str:
    """Start a training of a strategy and return the id of its run.

    Raises
    ------
    StrategyError
        If there is no such strategy file, or it is wrong.
    OrchestrationError
        If Airflow is out of reach or does not know the strategy.
    """
    _require_usable(settings, strategy)
    with airflow(settings) as client:
        return trigger_when_known(client, f"train_{strategy}")


def announcement(settings: Settings, strategy: str) -> str:
    """Return what a version of a strategy will do that passes its gate, to be said before.

    Raises
    ------
    StrategyError
        If there is no such strategy file, or it is wrong.
    """
    from tradewind.trading.announcement import consequences

    return consequences(_trained_here(settings, strategy), settings.broker)


def train(
    settings: Settings,
    strategy: str,
    on_change: Callable[[Mapping[str, str]], None] | None = None,
    *,
    on_note: Callable[[str], None] | None = None,
    timeout: float = 1800.0,
) -> "DagRun":
    """Train a strategy through Airflow and wait for the end, through restarts of the stack too.

    Parameters
    ----------
    settings : Settings
    strategy : str
    on_change : callable, optional
        Called with the state of each task, by name, as they change.
    on_note : callable, optional
        Told, in a sentence, what is waited for.
    timeout : float
        Seconds.

    Raises
    ------
    StrategyError
        If there is no such strategy file, or it is wrong.
    OrchestrationError
        If the run fails, or Airflow is out of reach or does not know the strategy.
    """
    _require_usable(settings, strategy)
    with airflow(settings, patience=PATIENCE, on_note=on_note) as client:
        run_id = trigger_when_known(client, f"train_{strategy}")
        return client.wait(f"train_{strategy}", run_id, on_change=on_change, timeout=timeout)


def _require_usable(settings: Settings, strategy: str) -> None:
    """Refuse a strategy whose training would end with its first line."""
    from tradewind.research.features.tried_once import try_features

    found = _trained_here(settings, strategy)
    if problem := try_features(found, settings.strategies_dir):
        raise StrategyError(problem)


def _trained_here(settings: Settings, strategy: str) -> "Strategy":
    """Return a strategy, unless its model is trained elsewhere."""
    from tradewind.research.strategy.files import find_strategy

    found = find_strategy(strategy, settings.strategies_dir)
    if found.model.external:
        found.model.check_code(found.name)
    return found


def check_files(settings: Settings) -> list[Check]:
    """Check every source and strategy file, and that strategies name sources that there are.

    A source is opened, so that its options are checked, too; its bars are not read. A vendor is
    asked one cheap question: whether the key is taken, and what is left of the quota. One
    whose calendar soon knows no further session is a problem weeks before it is one.
    """
    from tradewind.market.sources.source import load_sources
    from tradewind.research.features.tried_once import try_features
    from tradewind.research.models.tried_once import try_model
    from tradewind.research.strategy.files import load_strategies

    checks = []
    sources, bad_sources = load_sources(settings.sources_dir)
    strategies, bad_strategies = load_strategies(settings.strategies_dir)
    checks += [_source_check(spec) for spec in sources.values()]
    checks += [Check(f"source {p.stem}", str(e), f"correct {p}") for p, e in bad_sources.items()]
    for name, strategy in strategies.items():
        problem = _universe_problem(strategy, sources)
        advice = "name one of sources/, or correct that file"
        if not problem:
            problem = try_features(strategy, settings.strategies_dir)
            problem = problem or try_model(strategy, settings.strategies_dir)
            advice = "correct that module, or what the strategy file says of it"
        checks.append(Check(f"strategy {name}", problem, advice))
    checks += [
        Check(f"strategy {p.stem}", str(e), f"correct {p}") for p, e in bad_strategies.items()
    ]
    return checks


def _universe_problem(strategy: "Strategy", sources: Mapping[str, "SourceSpec"]) -> str:
    """Return what is wrong with the source that a strategy names; nothing if it is sound."""
    universe = strategy.universe
    if universe.source not in sources:
        help_on = did_you_mean(universe.source, sources)
        return f"universe.source: there is no sound sources/{universe.source}.yaml. {help_on}"
    try:
        sources[universe.source].sessions_for(universe.calendar)
    except SourceError as error:
        return f"universe.calendar: {error}"
    return ""


def _source_check(spec: "SourceSpec") -> Check:
    from tradewind.market.calendar import known_until
    from tradewind.market.sources.offers import OffersStatus
    from tradewind.market.sources.source import open_source
    from tradewind.market.validation.session_rules import exception_findings

    name = f"source {spec.name}"
    try:
        source = open_source(spec)
        until = known_until(spec.calendar)
        exception_findings(spec.session_calendar)
    except MarketDataError as error:
        return Check(name, str(error), f"correct {spec.file}")
    left = None if until is None else (until - datetime.now(UTC).date()).days
    if left is not None and left <= _CALENDAR_DAYS and spec.schedule is not None:
        what = f"are known until {until}" if left >= 0 else f"were known until {until}"
        return Check(
            name,
            f"the sessions of {spec.calendar} {what} and no further; then no bars are asked for "
            "and no signals made",
            "upgrade exchange_calendars, whose releases bring the next year's holidays",
        )
    if isinstance(source, OffersStatus):
        try:
            return Check(name, note=source.status())
        except MarketDataError as error:
            return Check(name, str(error), "as it says; bars that are stored stay usable")
    return Check(name)
