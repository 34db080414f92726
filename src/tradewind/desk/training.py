"""Trainings through Airflow, and the strategy files they are made from."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tradewind.desk._connections import airflow, trigger_when_known
from tradewind.errors import StrategyError
from tradewind.settings import Settings
from tradewind.stack.checks import Check

if TYPE_CHECKING:
    from tradewind.orchestration.client import DagRun
    from tradewind.research.strategy import Strategy

__all__ = ["check_files", "require_strategy", "train", "trigger"]


def trigger(settings: Settings, strategy: str) -> str:
    """Start a training of a strategy and return the id of its run.

    Raises
    ------
    StrategyError
        If there is no such strategy file, or it is wrong.
    OrchestrationError
        If Airflow is out of reach or does not know the strategy.
    """
    require_strategy(settings, strategy)
    with airflow(settings) as client:
        return trigger_when_known(client, f"train_{strategy}")


def train(
    settings: Settings,
    strategy: str,
    on_change: Callable[[Mapping[str, str]], None] | None = None,
    *,
    timeout: float = 1800.0,
) -> "DagRun":
    """Train a strategy through Airflow and wait for the end.

    Parameters
    ----------
    settings : Settings
    strategy : str
    on_change : callable, optional
        Called with the state of each task, by name, as they change.
    timeout : float
        Seconds.

    Raises
    ------
    StrategyError
        If there is no such strategy file, or it is wrong.
    OrchestrationError
        If the run fails, or Airflow is out of reach or does not know the strategy.
    """
    require_strategy(settings, strategy)
    with airflow(settings) as client:
        run_id = trigger_when_known(client, f"train_{strategy}")
        return client.wait(f"train_{strategy}", run_id, on_change=on_change, timeout=timeout)


def check_files(settings: Settings) -> list[Check]:
    """Check every source and strategy file, and that strategies name sources that there are."""
    from tradewind.market.source import load_sources
    from tradewind.research.strategy_files import load_strategies

    checks = []
    sources, bad_sources = load_sources(settings.sources_dir)
    strategies, bad_strategies = load_strategies(settings.strategies_dir)
    checks += [Check(f"source {name}") for name in sources]
    checks += [Check(f"source {p.stem}", str(e), f"mend {p}") for p, e in bad_sources.items()]
    for name, strategy in strategies.items():
        source = strategy.universe.source
        missing = "" if source in sources else f"universe.source: there is no sources/{source}.yaml"
        checks.append(Check(f"strategy {name}", missing, "name one of sources/, or mend that file"))
    checks += [Check(f"strategy {p.stem}", str(e), f"mend {p}") for p, e in bad_strategies.items()]
    return checks


def require_strategy(settings: Settings, strategy: str) -> "Strategy":
    """Return the strategy of a name.

    Raises
    ------
    StrategyError
        If there is no such strategy file, or it is wrong.
    """
    from tradewind.research.strategy_files import find_strategy, load_strategies

    found = find_strategy(settings.strategies_dir, strategy)
    if found is not None:
        return found
    good, bad = load_strategies(settings.strategies_dir)
    for path, error in bad.items():
        if path.stem == strategy:
            raise error
    raise StrategyError(
        f"no strategy {strategy!r} in {settings.strategies_dir}. There are: "
        f"{', '.join(sorted(good)) or 'none'}"
    )
