"""The tasks of ingestion and training, in a Celery worker.

Each step imports what it needs when it runs, for this module is read with every DAG file.
"""

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any

from tradewind.desk.bars import bar_store
from tradewind.market.sources.source import SourceSpec
from tradewind.orchestration.steps import folds
from tradewind.orchestration.steps.stores import ledger_url
from tradewind.orchestration.steps.sweeps import chosen_by_sweep
from tradewind.research.strategy.strategy import Strategy
from tradewind.settings import load_settings

if TYPE_CHECKING:
    from tradewind.market.ingest import IngestResult

__all__ = [
    "ingest",
    "ingest_source",
    "judge",
    "promote",
    "train",
    "verify",
]

log = logging.getLogger(__name__)


def ingest(strategy: Strategy) -> str:
    """Store what is new among the strategy's bars, and return the id of their snapshot.

    In a backfill the snapshot holds what was known at the run's logical date, and no more.

    Raises
    ------
    StrategyError
        If the model's code cannot be used.
    MarketDataError
        If the source cannot give the bars, they break a rule, or they cannot be stored.
    """
    from airflow.sdk import get_current_context

    from tradewind.desk.bars import snapshot_of_universe, store_universe

    strategy.model.check_code(strategy.name)  # the DAG file was read without it
    settings, source = load_settings(), strategy.universe.source
    _log_stored(source, store_universe(settings, strategy, on_progress=_Progress()))
    as_of = get_current_context()["dag_run"].logical_date if _is_backfill() else None
    snapshot_id = snapshot_of_universe(settings, strategy, as_of=as_of)
    log.info("snapshot %s of %s as of %s", snapshot_id, source, as_of or "now")
    return snapshot_id


def ingest_source(spec: SourceSpec, announced: int | None) -> dict[str, Any]:
    """Store what is new among all bars of a source.

    Bars are new if the asset has not announced them yet, whoever stored them: a training stores the
    bars it needs, too, and a try may be killed after its last bar.

    Parameters
    ----------
    spec : SourceSpec
    announced : int, optional
        Version of the source's table that the asset has announced last; None if that is not known.

    Returns
    -------
    dict
        Bars that are ``new``, ``revised`` and ``unchanged``, symbols that ``failed`` to the last
        try where any did, and what to announce: the ``table_version``, and the ``last_session``
        of any bar.

    Raises
    ------
    AirflowSkipException
        If there is nothing to announce, so that no DAG that waits for new bars is started.
    PartialSourceError
        If some symbols could not be had, and there are tries left.
    MarketDataError
        If the source cannot give the bars, they break a rule, or they cannot be stored.
    """
    from airflow.sdk import get_current_context
    from airflow.sdk.exceptions import AirflowSkipException

    from tradewind.desk.bars import store_new_bars

    settings = load_settings()
    stored = store_new_bars(settings, spec, on_progress=_Progress())
    counts = _log_stored(spec.name, stored)
    if stored.failed:
        task = get_current_context()["ti"]
        if task.try_number <= task.max_tries:
            stored.refuse_failed(spec.name)  # once no try is left, the others' bars are announced
    store = bar_store(settings)
    version = store.version(spec.name)
    if version is None or not store.has_new(spec.name, announced):
        raise AirflowSkipException(f"source {spec.name} has nothing new: {counts}")
    last = store.last_session(spec.name)
    return {**counts, "table_version": version, "last_session": last and last.isoformat()}


def train(strategy: Strategy, snapshot_id: str) -> dict[str, str]:
    """Train on a snapshot with the best parameters, log the run and register the version.

    Returns
    -------
    dict of str to str
        ``name`` and ``version`` of the registered model, ``run_id`` and ``url`` of its MLflow run.

    Raises
    ------
    TradewindError
        If the snapshot is damaged, the strategy cannot be trained on it, or MLflow refuses.
    """
    from airflow.sdk import get_current_context

    from tradewind.desk.bars import checked_bars
    from tradewind.desk.counted import train_counted
    from tradewind.registry.provenance import NONE, collect
    from tradewind.registry.tracking import log_training
    from tradewind.research.models.model import fingerprint

    settings = load_settings()
    context = get_current_context()
    bars = checked_bars(settings, strategy, snapshot_id)
    for warning in bars.findings:
        log.warning("%s", warning)
    ledger = ledger_url(settings)
    chosen = chosen_by_sweep(strategy, snapshot_id)
    handed = folds.handed_over(chosen.strategy, snapshot_id)
    log.info("training %s on %d bars", strategy.name, bars.bars.height)
    trained = train_counted(
        bars, chosen.strategy, ledger, sweep=chosen.configurations, predicted=handed
    )
    result = trained.result
    log.info(
        "trained %s on %d folds, model %s: %s",
        strategy.name, len(result.folds), fingerprint(result.model), result.metrics,
    )  # fmt: skip
    for line in result.undefined.sentences():
        log.warning("%s", line)
    untested = int(result.metrics["untested_sessions"])
    log.info(
        "the newest %d sessions are in no test window; the final model may know them", untested
    )
    ref = log_training(
        result,
        strategy=chosen.strategy,
        snapshot_id=snapshot_id,
        provenance=collect(
            settings.home,
            features_sha256=trained.features_sha256 or NONE,
            model_code_sha256=trained.model_code_sha256 or NONE,
        ),
        findings=bars.findings,
        origin={
            "airflow.dag_id": context["dag_run"].dag_id,
            "airflow.run_id": context["dag_run"].run_id,
            "airflow.task_id": context["ti"].task_id,
        },
    )
    folds.forget(chosen.strategy, snapshot_id)  # not before: a try that is killed needs them
    url = settings.mlflow_page.rstrip("/") + ref.page
    log.info("registered %s version %s: %s", ref.name, ref.version, url)
    return {
        "name": ref.name,
        "version": ref.version,
        "run_id": ref.run_id,
        "url": url,
    }


def judge(name: str, version: str) -> bool:
    """Judge a version by its gate, store the decision, and return whether it passed.

    A version of a backfill is evidence of the past and never becomes the champion: False.

    Raises
    ------
    RegistryError
        If the evidence cannot be fetched or the decision cannot be stored.
    """
    from tradewind.registry.promotion import judge_version
    from tradewind.registry.versions import version_of

    if _is_backfill():
        log.info("a backfill is not judged: %s version %s is for comparison", name, version)
        return False
    decision = judge_version(name, version)
    for rule in decision.rules:
        log.info("%s: %s: %s", "passed" if rule.passed else "REFUSED", rule.rule, rule.reason)
    if words := version_of(name, version).verdict:
        log.info("%s", words)
    return decision.passed


def promote(name: str, version: str) -> int:
    """Make a version that passed its gate the champion, and return its number.

    Raises
    ------
    AirflowSkipException
        If the champion it was judged against was replaced meanwhile, perhaps while an approval was
        pending, and it does not pass against today's; or if its promotion was taken back since.
    RegistryError
        If MLflow is out of reach.
    """
    from airflow.sdk import get_current_context
    from airflow.sdk.exceptions import AirflowSkipException

    from tradewind.errors import PromotionError
    from tradewind.registry.promotion import promote as promote_version

    approval = get_current_context()["ti"].xcom_pull(task_ids="approve")
    by, reason = "airflow", "passed the gate"
    if approval:
        by = str((approval.get("responded_by_user") or {}).get("name") or "airflow")
        reason = "passed the gate and was approved"
    try:
        promote_version(name, version, reason=reason, by=by)
    except PromotionError as error:
        log.warning("%s", error)
        raise AirflowSkipException(str(error)) from error
    return int(version)


def verify(name: str, version: str) -> int:
    """Fetch a version, and the champion, and check that both predict what they did in training.

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
    from tradewind.registry.versions import aliases_of

    store = bar_store(load_settings())
    compared = 0
    champion = aliases_of(name).get("champion", int(version))
    for which in sorted({int(version), champion}):
        rows = verify_round_trip(name, which, store)
        log.info("%s version %d predicts the same %d values as in training", name, which, rows)
        compared += rows
    return compared


class _Progress:
    """Logs how many symbols are done, and how long the others take at the pace so far."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def __call__(self, done: int, total: int) -> None:
        now = monotonic()
        if self._first is None:
            self._first = done, now
        before, began = self._first
        if before < done < total:
            left = (now - began) * (total - done) / (done - before)
            log.info("%d of %d symbols, some %.0f min left", done, total, left / 60.0)
        else:
            log.info("%d of %d symbols", done, total)


def _log_stored(source: str, stored: "IngestResult") -> dict[str, int]:
    """Log what was stored and what is odd about it, and return the counts."""
    for warning in stored.findings:
        log.warning("%s", warning)
    for symbol, why in stored.failed.items():
        log.error("%s: nothing new is stored: %s", symbol, why)
    counts = {"new": stored.new, "revised": stored.revised, "unchanged": stored.unchanged}
    if stored.failed:
        counts["failed"] = len(stored.failed)
    log.info("bars of %s: %s", source, counts)
    return counts


def _is_backfill() -> bool:
    from airflow.sdk import get_current_context

    # Its type is an enumeration of text, which equals its value but prints otherwise.
    return bool(get_current_context()["dag_run"].run_type == "backfill")
