"""What the tasks of a training do, in a Celery worker.

Each step imports what it needs when it runs: this module is read with every DAG file.
"""

import logging

from tradewind.research.strategy import Strategy
from tradewind.settings import load_settings

__all__ = ["ingest", "train", "verify"]

log = logging.getLogger(__name__)

_ALIASES = ("champion", "challenger")


def ingest(strategy: Strategy) -> str:
    """Load the strategy's bars, check them, store them, and return the snapshot's id.

    Raises
    ------
    MarketDataError
        If the source cannot give the bars, they break a rule, or they cannot be stored.
    """
    from tradewind.market.sources import load_bars
    from tradewind.market.store import write_snapshot
    from tradewind.market.validate import check

    universe = strategy.universe
    bars = load_bars(universe.source, universe.symbols)
    for warning in check(bars, universe.calendar):
        log.warning("%s", warning)
    snapshot_id = write_snapshot(bars, load_settings().snapshots_dir)
    log.info("%d bars of %s are snapshot %s", bars.height, universe.source, snapshot_id)
    return snapshot_id


def train(strategy: Strategy, snapshot_id: str) -> dict[str, str]:
    """Train on a snapshot, log the run, register the model and ask the gate about it.

    Returns
    -------
    dict of str to str
        ``name`` and ``version`` of the registered model, and ``run_id`` of its MLflow run.

    Raises
    ------
    TradewindError
        If the snapshot is damaged, the strategy cannot be trained on it, or MLflow refuses.
    """
    from airflow.sdk import get_current_context

    from tradewind.market.store import read_snapshot
    from tradewind.market.validate import check
    from tradewind.registry.promotion import promote_if_due
    from tradewind.registry.provenance import collect
    from tradewind.registry.tracking import log_training
    from tradewind.research.training import train as train_strategy

    settings = load_settings()
    context = get_current_context()
    bars = read_snapshot(snapshot_id, settings.snapshots_dir)
    check(bars, strategy.universe.calendar)  # raises on an error
    log.info("training %s on %d bars", strategy.name, bars.height)
    # One thread: the worker runs as many tasks as it has slots, and one thread is repeatable.
    result = train_strategy(bars, strategy, num_threads=1)
    log.info("trained %s on %d folds: %s", strategy.name, len(result.folds), result.metrics)
    ref = log_training(
        result,
        strategy=strategy,
        snapshot_id=snapshot_id,
        provenance=collect(settings.home),
        data_errors=0,
        origin={
            "airflow.dag_id": context["dag_run"].dag_id,
            "airflow.run_id": context["dag_run"].run_id,
            "airflow.task_id": context["ti"].task_id,
        },
    )
    decision = promote_if_due(ref.name, ref.version, by="tradewind")
    for rule in decision.rules:
        log.info("%s: %s: %s", rule.rule, "passed" if rule.passed else "refused", rule.reason)
    return {"name": ref.name, "version": ref.version, "run_id": ref.run_id}


def verify(name: str) -> int:
    """Fetch champion and challenger and check that both predict what they did in training.

    Returns
    -------
    int
        Predictions compared.

    Raises
    ------
    ReproductionError
        If a model predicts anything else.
    RegistryError
        If a model cannot be fetched.
    """
    from tradewind.registry.retrieval import verify_round_trip

    snapshots_dir = load_settings().snapshots_dir
    compared = 0
    for alias in _ALIASES:
        rows = verify_round_trip(name, alias, snapshots_dir)
        log.info("models:/%s@%s predicts the same %d values as in training", name, alias, rows)
        compared += rows
    return compared
