"""Airflow's own tables in a PostgreSQL of the tests' own, and rows in them."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

# With what hangs on them; in an order in which foreign keys let them go.
_FILLED = (
    "dag_run", "dag", "dag_bundle", "asset_event", "asset", "trigger", "callback", "log", "job",
    "celery_taskmeta",
)  # fmt: skip


class Metadata:
    """Airflow's tables, made from its models in a schema of their own."""

    def __init__(self, url: str) -> None:
        from airflow.models import import_all_models
        from airflow.models.base import Base
        from celery.backends.database.models import Task, TaskSet

        import_all_models()
        self.schema = f"airflow_{uuid.uuid4().hex[:8]}"
        options = {"options": f"-c search_path={self.schema} -c synchronous_commit=off"}
        self.engine = sa.create_engine(url, connect_args=options)
        self._tables = Base.metadata.tables
        with self.engine.begin() as connection:
            connection.execute(sa.text(f"CREATE SCHEMA {self.schema}"))
        Base.metadata.create_all(self.engine)
        for model in (Task, TaskSet):
            model.__table__.create(self.engine)
        self._mine = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        self._mine.close()
        with self.engine.begin() as connection:
            connection.execute(sa.text(f"DROP SCHEMA {self.schema} CASCADE"))
        self.engine.dispose()

    def empty(self) -> None:
        for table in _FILLED:
            self._mine.execute(sa.text(f"DELETE FROM {table}"))
        self.add("dag_bundle", name="specs")

    def add(self, table: str, **values: Any) -> Any:
        """Insert a row, and return its first key."""
        insert = self._tables[table].insert().values(**values)
        return self._mine.execute(insert).inserted_primary_key[0]  # type: ignore[index]

    def dag(self, dag_id: str) -> None:
        self.add(
            "dag", dag_id=dag_id, bundle_name="specs", max_active_tasks=1,
            max_consecutive_failed_dag_runs=0, has_task_concurrency_limits=False,
        )  # fmt: skip

    def version(self, dag_id: str, number: int, created: datetime) -> Any:
        version = self.add("dag_version", dag_id=dag_id, version_number=number, created_at=created)
        self.add(
            "serialized_dag", dag_id=dag_id, dag_hash=uuid.uuid4().hex, dag_version_id=version,
            data={},
        )  # fmt: skip
        return version

    def run(self, dag_id: str, run_id: str, ended: datetime | None, **values: Any) -> int:
        """Insert a run with one task, what that returned, and a deadline."""
        task = values.pop("task", "success")
        version = values.get("created_dag_version_id")
        began = values.pop("began", ended and ended - timedelta(hours=1))
        key = self.add(
            "dag_run", dag_id=dag_id, run_id=run_id,
            **{
                "run_type": "scheduled", "state": "success", "end_date": ended,
                "start_date": began, "run_after": began, **values,
            },
        )  # fmt: skip
        trigger = None
        if task == "deferred":
            trigger = self.add(
                "trigger", classpath="x", kwargs="{}", created_date=began or values["run_after"]
            )
        ti = self.add(
            "task_instance", task_id="train", dag_id=dag_id, run_id=run_id, pool="default_pool",
            state=task, trigger_id=trigger, dag_version_id=version, id=uuid.uuid4(), map_index=-1,
        )  # fmt: skip
        self.add(
            "xcom", dag_run_id=key, task_id="train", key="return_value", dag_id=dag_id,
            run_id=run_id, value="1",
        )  # fmt: skip
        self.add("hitl_detail", ti_id=ti, options=["yes"], subject="?")
        callback = self.add(
            "callback", type="triggerer", fetch_method="import_path", data={}, priority_weight=1,
            state="scheduled", created_at=began or values["run_after"],
        )  # fmt: skip
        self.add(
            "deadline", dagrun_id=key, callback_id=callback, missed=False,
            deadline_time=began or values["run_after"],
        )  # fmt: skip
        return int(key)

    def ask(self, question: str) -> list[Any]:
        return [tuple(row) for row in self._mine.execute(sa.text(question))]

    def names(self, table: str = "dag_run") -> set[str]:
        return {row[0] for row in self.ask(f"SELECT run_id FROM {table}")}

    def count(self, table: str) -> int:
        return int(self.ask(f"SELECT count(*) FROM {table}")[0][0])
