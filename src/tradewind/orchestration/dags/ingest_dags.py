"""An ingestion DAG for every source file.

It is read again at every start of a task, so nothing here imports polars or pandas; the task does.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, get_current_context, task

from tradewind.errors import SourceError
from tradewind.market.sources.source import SourceSpec, load_sources
from tradewind.orchestration.dags.common import (
    bars_asset,
    broken_dags,
    dag_arguments,
    each_made,
    headline,
    is_wanted,
)
from tradewind.orchestration.slots import counted_since
from tradewind.orchestration.steps import training
from tradewind.orchestration.steps.announced import announce, announced_version
from tradewind.orchestration.timetables import AfterClose

__all__ = ["ingest_dags"]

_PREFIX = "ingest_"


def ingest_dags(
    sources_dir: Path, *, wanted: Callable[[Path], bool] = lambda _: True
) -> dict[str, DAG]:
    """Return an ingestion DAG for each source file, by DAG id.

    An invalid file becomes a DAG, too; its page and its only task say what is wrong.

    Parameters
    ----------
    sources_dir : Path
        Where the source files are kept.
    wanted : callable, optional
        Tells of which files the DAGs are made; all if not given.

    Raises
    ------
    SourceError
        If there is no such directory; Airflow shows it as an import error.
    """
    sources, errors = load_sources(sources_dir, wanted=wanted)
    dags, refused = each_made(
        sources,
        lambda name, spec: {
            dag_id: _ingest_dag(dag_id, spec, counted_since(sources_dir, name))
            for dag_id in filter(is_wanted, [_PREFIX + name])
        },
    )
    errors |= {sources_dir / f"{name}.yaml": SourceError(why) for name, why in refused.items()}
    taken = {_PREFIX + name for name in sources if name not in refused}
    return dags | broken_dags(_PREFIX, "source", errors, taken)


def _ingest_dag(dag_id: str, spec: SourceSpec, since: datetime) -> DAG:
    with DAG(
        dag_id,
        description=headline(spec.description, spec.name),
        doc_md=f"# {spec.name}\n\n{spec.description}\n\nBars of kind `{spec.kind}`, held against "
        f"the sessions of {spec.calendar}. Strategies with `schedule: on_new_bars` are trained "
        "when a run has stored something new; a run that found nothing new is skipped.",
        schedule=AfterClose(spec.session_calendar, since, spec.asked_after)
        if spec.schedule == "after_close"
        else None,
        tags=["tradewind", "data"],
        **dag_arguments(),
    ) as dag:
        bars = bars_asset(spec.name)

        @task(outlets=[bars], multiple_outputs=False)
        def ingest() -> dict[str, Any]:
            """Load every symbol, refuse bars that break a rule, store what is new or revised."""
            context = get_current_context()
            counts = training.ingest_source(spec, announced_version(context, bars))
            announce(context, bars, counts["table_version"], counts["last_session"])
            return counts

        ingest()
    return dag
