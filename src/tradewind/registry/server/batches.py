"""Batches of metrics and parameters, written to PostgreSQL in one transaction.

MLflow's own store makes two objects a metric. It reads, writes and commits each part of a batch in
a session of its own, while it holds another. Here a batch is four statements. It writes the same
rows, which a test compares with MLflow's own. But a refused batch leaves nothing behind, where
MLflow's leaves its parameters. And a run is of the user who made it, whatever its client says.
"""

# ruff: noqa: TID253 - loaded by MLflow's server

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from flask import g, has_request_context
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.mlflow_tags import MLFLOW_USER
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_param_keys_unique,
    _validate_run_id,
)
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert
from sqlalchemy.orm import Session

__all__ = ["BatchedStore"]

METRICS, LATEST, PARAMS = (model.__table__ for model in (SqlMetric, SqlLatestMetric, SqlParam))
ORDER = ("step", "timestamp", "value")  # by which a metric is the latest of its key
Row = dict[str, Any]


class BatchedStore(SqlAlchemyStore):
    """MLflow's store in PostgreSQL, with batches of its own, and makers of runs that are true."""

    def create_run(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: list[RunTag],
        run_name: str | None,
    ) -> Run:
        """Make a run, of the user who is logged in: a client may say what it likes."""
        user = g.get("mlflow_authenticated_user") if has_request_context() else None
        if user is not None:
            user_id = str(user)
            others = [tag for tag in tags or () if tag.key != MLFLOW_USER]
            tags = [*others, RunTag(MLFLOW_USER, user_id)]
        made: Run = super().create_run(experiment_id, user_id, start_time, tags, run_name)
        return made

    def log_batch(
        self, run_id: str, metrics: list[Metric], params: list[Param], tags: list[RunTag]
    ) -> None:
        """Write metrics, parameters and tags of a run.

        Raises
        ------
        MlflowException
            If anything in it is invalid, the run is missing or deleted, or a parameter has another
            value already.
        """
        if tags or any(metric.model_id is not None for metric in metrics):
            super().log_batch(run_id, metrics, params, tags)
            return
        _validate_run_id(run_id)
        metrics, params, _ = _validate_batch_log_data(metrics, params, [])
        _validate_batch_log_limits(metrics, params, [])
        _validate_param_keys_unique(params)
        with self.ManagedSessionMaker(read_only=False) as session:
            self._check_run_is_active(self._get_run(session, run_id))
            _write_params(session, run_id, params)
            _write_metrics(session, [self._row(run_id, metric) for metric in metrics])

    def _row(self, run_id: str, metric: Metric) -> Row:
        is_nan, value = self.sanitize_metric_value(metric.value)
        return {
            "run_uuid": run_id,
            "key": metric.key,
            "value": value,
            "timestamp": metric.timestamp,
            "step": metric.step,
            "is_nan": is_nan,
        }


def _write_params(session: Session, run_id: str, params: Sequence[Param]) -> None:
    if not params:
        return
    wanted = {param.key: param.value for param in params}
    rows = [{"run_uuid": run_id, "key": key, "value": wanted[key]} for key in sorted(wanted)]
    session.execute(_insert(PARAMS, rows).on_conflict_do_nothing())
    # Read back, not inferred from what was inserted: another batch may have written the same key.
    found = session.execute(
        sa.select(PARAMS.c.key, PARAMS.c.value).where(
            PARAMS.c.run_uuid == run_id, PARAMS.c.key.in_(wanted)
        )
    )
    changed = [
        {"key": key, "old_value": value, "new_value": wanted[key]}
        for key, value in found
        if value != wanted[key]
    ]
    if changed:
        raise MlflowException.invalid_parameter_value(
            "Changing param values is not allowed. Params were already"
            f" logged='{changed}' for run ID='{run_id}'."
        )


def _write_metrics(session: Session, rows: list[Row]) -> None:
    if not rows:
        return
    # Sorted, so that two batches with the same keys cannot wait for each other.
    rows.sort(key=lambda row: (row["key"], *(row[name] for name in ORDER)))
    session.execute(_insert(METRICS, rows).on_conflict_do_nothing())
    latest = {row["key"]: row for row in rows}
    added = _insert(LATEST, list(latest.values()))
    later = sa.tuple_(*(added.excluded[name] for name in ORDER)) > sa.tuple_(
        *(LATEST.c[name] for name in ORDER)
    )
    session.execute(
        added.on_conflict_do_update(
            index_elements=LATEST.primary_key,
            set_={name: added.excluded[name] for name in (*ORDER, "is_nan")},
            where=later,
        )
    )


def _insert(table: sa.Table, rows: Sequence[Row]) -> Insert:
    """Insert rows as one array a column: psycopg2 would send them one by one."""
    arrays = {
        name: sa.cast([row[name] for row in rows], ARRAY(table.c[name].type)) for name in rows[0]
    }
    return insert(table).from_select(list(arrays), sa.select(*map(sa.func.unnest, arrays.values())))
