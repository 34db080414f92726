"""The databases of a version whose services were all owners: what is in them is taken along."""

import tempfile
from collections.abc import Iterator
from contextlib import closing

import optuna  # noqa: TID253 - what an older version made with it
import psycopg2
import pytest
import sqlalchemy as sa
from celery import Celery
from celery.backends.database.models import ResultModelBase, TaskExtended

from tests.postgres import RunningPostgres
from tradewind.endpoints import DATABASES, PostgresServer
from tradewind.research.trials import ledger_table
from tradewind.stack.backup.databases import Databases, Login
from tradewind.stack.postgres import program
from tradewind.trading import signal_inputs, signals
from tradewind.trading.migrate import migrate

MAKE = """
CREATE ROLE {0};
ALTER ROLE {0} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD '{1}';
CREATE DATABASE {0} OWNER {0};
REVOKE CONNECT, TEMPORARY ON DATABASE {0} FROM PUBLIC
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPostgres]:
    """Made and filled as the older version did it, then started by this one, twice."""
    made = RunningPostgres(tmp_path_factory.mktemp("older"))
    try:
        made.start()
        make_older(made)
        fill(made)
        for _ in range(2):
            made.initialise()
            migrate(made.url)
            made.set_rights()
        yield made
    finally:
        made.stop()


def make_older(server: RunningPostgres) -> None:
    connection = psycopg2.connect(
        host="127.0.0.1", port=server.port, user="postgres", password=server.superuser
    )
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for name in DATABASES:
                password = sa.make_url(server.url_of(name)).password
                for statement in MAKE.format(name, password).split(";"):
                    cursor.execute(statement)
    finally:
        connection.close()


def fill(server: RunningPostgres) -> None:
    """Write what the owners wrote: a study, a result of Celery, the evidence."""
    migrate(server.url)
    engine = sa.create_engine(server.url)
    with engine.begin() as connection:
        for make in (ledger_table.make, signals.make_table, signal_inputs.make_table):
            make(connection)
    engine.dispose()
    study = optuna.create_study(study_name="older", storage=server.url)
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=2)
    with results(server, "airflow") as app:
        app.backend.store_result("older", {"said": "well"}, "SUCCESS")


def results(server: RunningPostgres, role: str) -> closing[Celery]:
    """Celery with its results in Airflow's database, by one of its roles."""
    return closing(Celery(backend=f"db+{server.url_of(role)}"))


def test_a_study_goes_on(server: RunningPostgres) -> None:
    url = server.url_of("research")
    study = optuna.load_study(study_name="older", storage=url)
    assert len(study.trials) == 2
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=1)
    assert len(optuna.load_study(study_name="older", storage=url).trials) == 3
    optuna.create_study(study_name="new", storage=url)
    optuna.delete_study(study_name="older", storage=url)
    assert [each.study_name for each in optuna.get_all_study_summaries(url)] == ["new"]


def test_results_of_celery_are_read_and_added_to(server: RunningPostgres) -> None:
    with results(server, "airflow_results") as app:
        assert app.AsyncResult("older").result == {"said": "well"}
        app.backend.store_result("new", None, "SUCCESS")
        assert app.AsyncResult("new").state == "SUCCESS"
    owner = sa.create_engine(server.url_of("airflow"))
    with owner.begin() as connection:
        count = sa.text("SELECT task_id FROM celery.celery_taskmeta ORDER BY 1 FOR UPDATE")
        assert list(connection.scalars(count)) == ["new", "older"]
        connection.execute(sa.text("DELETE FROM celery.celery_taskmeta"))
    owner.dispose()


def test_results_are_kept_as_celery_makes_its_tables(server: RunningPostgres) -> None:
    """Where Celery changes them, an owner has to: who writes results may not."""
    assert TaskExtended.__table__ in ResultModelBase.metadata.sorted_tables
    engine = sa.create_engine(server.url)
    ResultModelBase.metadata.create_all(engine)
    described = sa.text(
        "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable "
        "FROM information_schema.columns WHERE table_name IN "
        "('celery_taskmeta', 'celery_tasksetmeta') ORDER BY table_name, ordinal_position"
    )
    with engine.connect() as connection:
        expected = connection.execute(described).all()
    engine.dispose()
    owner = sa.create_engine(server.url_of("airflow"))
    with owner.begin() as connection:
        connection.execute(sa.text("DROP TABLE celery.celery_taskmeta, celery.celery_tasksetmeta"))
    server.set_rights()
    with owner.connect() as connection:
        assert connection.execute(described).all() == expected
    owner.dispose()


def test_the_owner_backs_up_what_tasks_made(server: RunningPostgres) -> None:
    engine = sa.create_engine(server.url_of("research"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE made_by_a_task AS SELECT 'kept' AS said"))
    engine.dispose()
    login = Login.at(
        PostgresServer(port=server.port), "tradewind", str(sa.make_url(server.url).password)
    )
    databases = Databases({"tradewind": login}, program)
    databases.refuse_strangers()
    with databases.one_moment() as moments, tempfile.TemporaryFile() as file:
        rows = databases.dump(moments["tradewind"], file)
    assert rows["studies.made_by_a_task"] == 1


@pytest.mark.parametrize("table", ["trial_ledger", "signals", "signal_inputs"])
def test_evidence_is_added_to_by_tasks(server: RunningPostgres, table: str) -> None:
    engine = sa.create_engine(server.url_of("research"))
    allowed = sa.text(
        "SELECT has_table_privilege(:t, 'SELECT') AND has_table_privilege(:t, 'INSERT') "
        "AND NOT has_table_privilege(:t, 'UPDATE') AND NOT has_table_privilege(:t, 'DELETE')"
    )
    with engine.connect() as connection:
        assert connection.scalar(allowed, {"t": table})
    engine.dispose()
