"""A training of one's own: predictions made elsewhere are judged, and versions registered."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.desk._connections import ledger_url, use_mlflow
from tradewind.desk.research import Judged
from tradewind.settings import Settings

if TYPE_CHECKING:
    from tradewind.registry.provenance import Provenance
    from tradewind.registry.version_info import VersionInfo

__all__ = ["judge", "provenance_of", "register"]

# What Airflow says to a task in its environment, and what it becomes in a version's tags.
_ORIGIN = {
    "AIRFLOW_CTX_DAG_ID": "airflow.dag_id",
    "AIRFLOW_CTX_DAG_RUN_ID": "airflow.run_id",
    "AIRFLOW_CTX_TASK_ID": "airflow.task_id",
}


def judge(settings: Settings, name: str, predictions: Any) -> Judged:  # noqa: ANN401 - see HandedIn
    """Judge predictions that were made elsewhere, by the strategy file that they are for.

    They are a trial like any other: they enter the ledger, also if they cannot be judged. Handed in
    again, or with more sessions and the same results in the earlier ones, they are the same trial.
    Bars after the last session that is predicted are not looked at.

    Parameters
    ----------
    settings : Settings
    name : str
        The strategy's; its model is ``external``.
    predictions : DataFrame of shape (n_rows, 3)
        symbol, session, prediction; see `tradewind.research.models.external.HandedIn`.

    Raises
    ------
    PredictionsError
        If they are no such frame, or one of them is wrong or missing.
    StrategyError
        If there is no such strategy file, it is wrong, or its model is not external.
    MarketDataError
        If its source cannot give bars, or they break a rule.
    ResearchError
        If it cannot be judged, or the ledger is out of reach.
    StackError
        If the stack, which has the ledger, does not run.
    """
    from tradewind.desk.bars import checked_bars, snapshot_of_universe, store_universe
    from tradewind.desk.counted import train_counted
    from tradewind.research.models.external import HandedIn
    from tradewind.research.strategy.files import find_strategy

    strategy = find_strategy(name, settings.strategies_dir)
    handed_in = HandedIn.of(predictions, strategy)
    url = ledger_url(settings)  # before anything is read: without the stack there is no ledger
    store_universe(settings, strategy)
    snapshot_id = snapshot_of_universe(settings, strategy, until=handed_in.last_session)
    bars = checked_bars(settings, strategy, snapshot_id)
    return Judged(bars, train_counted(bars, strategy, url, handed_in=handed_in))


def provenance_of(settings: Settings, judged: Judged) -> "Provenance":
    """Return the code and the packages that something was judged with."""
    from tradewind.registry.provenance import NONE, collect

    return collect(
        settings.home,
        features_sha256=judged.trained.features_sha256 or NONE,
        model_code_sha256=judged.trained.model_code_sha256 or NONE,
    )


def register(
    settings: Settings, judged: Judged, provenance: "Provenance", *, attached: Path | None = None
) -> "VersionInfo":
    """Log what was judged to MLflow, register its model, and have the gate judge the version.

    A task of Airflow's that is tried again finds the version that it registered before.

    Parameters
    ----------
    settings : Settings
    judged : Judged
        Of predictions that were handed in, or a backtest.
    provenance : Provenance
        As it was when it was judged.
    attached : Path, optional
        A file or a folder that is kept with the version.

    Returns
    -------
    VersionInfo
        With what the gate said; nothing is promoted.

    Raises
    ------
    RegistryError
        If what is attached cannot be read, or MLflow is out of reach or refuses.
    StackError
        If the stack does not run.
    """
    from tradewind.registry.promotion import judge_version
    from tradewind.registry.tracking import log_training
    from tradewind.registry.versions import version_of

    use_mlflow(settings)
    origin = {tag: os.environ[name] for name, tag in _ORIGIN.items() if os.environ.get(name)}
    result = judged.trained.result
    registered = log_training(
        result,
        strategy=result.strategy,
        snapshot_id=judged.bars.snapshot_id,
        provenance=provenance,
        origin=origin,
        findings=judged.bars.findings,
        attached=attached,
    )
    judge_version(registered.name, registered.version)
    return version_of(registered.name, registered.version)
