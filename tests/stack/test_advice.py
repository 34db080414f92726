"""What the doctor advises is carried out here, and helps."""

from collections.abc import Iterator
from contextlib import suppress

import psycopg2
import pytest

from tests.stack.conftest import Stack, make_stack
from tradewind.endpoints import ROLES
from tradewind.stack.doctor import databases, import_error
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = make_stack(tmp_path_factory.mktemp("stores")).part("postgres", "databases")
    try:
        made.ok("up", "--detach")
        yield made
    finally:
        made.run("down")


def superuser(stack: Stack) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(
        host="127.0.0.1", port=stack.settings.postgres_port, user="postgres", dbname="postgres",
        password=load_secrets(Layout(stack.settings.state)).postgres_superuser,
    )  # fmt: skip
    connection.autocommit = True
    return connection


def said_of_databases(stack: Stack) -> dict[str, tuple[str, str]]:
    found = [*databases(stack.settings, load_secrets(Layout(stack.settings.state)))]
    assert len(found) == len(ROLES)
    return {check.name: (check.problem, check.mend) for check in found if check.problem}


def test_a_start_sets_roles_and_rights_right(stores: Stack) -> None:
    """All that keeps a role out of its database, or lets it into another's, in one start."""
    with superuser(stores).cursor() as cursor:
        for change in (
            "ALTER ROLE airflow NOLOGIN",
            "ALTER ROLE mlflow PASSWORD 'another'",
            "ALTER ROLE tradewind CONNECTION LIMIT 0",
        ):
            cursor.execute(change)
    found = said_of_databases(stores)
    assert set(found) == {"database airflow", "database mlflow", "database tradewind"}
    assert "too many connections" in found["database tradewind"][0]
    for name in ("database airflow", "database mlflow"):
        assert found[name][1].startswith("tradewind down, then tradewind up --detach")
    stores.ok("down")
    stores.ok("up", "--detach")
    assert said_of_databases(stores) == {}

    with superuser(stores).cursor() as cursor:
        cursor.execute("GRANT CONNECT ON DATABASE mlflow TO airflow")
        cursor.execute("GRANT CONNECT ON DATABASE tradewind TO PUBLIC")
    found = said_of_databases(stores)
    assert set(found) == {
        "database airflow", "database airflow_dags", "database airflow_results", "database mlflow",
    }  # fmt: skip
    assert {mend.partition(":")[0] for _, mend in found.values()} == {
        "tradewind down, then tradewind up --detach"
    }
    stores.ok("down")
    stores.ok("up", "--detach")
    assert said_of_databases(stores) == {}


def test_a_server_without_a_free_connection_says_what_holds_them(stores: Stack) -> None:
    held: list[psycopg2.extensions.connection] = []
    try:
        with suppress(psycopg2.OperationalError):  # it has no more to give
            while len(held) < 1000:
                held.append(superuser(stores))
        found = said_of_databases(stores)
        assert found
        for problem, mend in found.values():
            assert "connection" in problem or "too many clients" in problem
            assert mend.startswith("end what holds so many connections")
    finally:
        for connection in held:
            connection.close()
    assert said_of_databases(stores) == {}


@pytest.mark.parametrize(
    ("trace", "line"),
    [
        (
            'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    import x\n'
            "ModuleNotFoundError: No module named 'x'\n",
            "ModuleNotFoundError: No module named 'x'",
        ),
        (
            "Traceback (most recent call last):\n"
            "airflow.exceptions.AirflowTaskTimeout: DagBag import timeout for a.py after 30.0s.\n"
            "Please take a look at these docs to improve your DAG import time:\n"
            "* https://airflow.apache.org/docs/best-practices.html\n"
            "* https://airflow.apache.org/docs/reducing-complexity, PID: 7\n",
            "airflow.exceptions.AirflowTaskTimeout: DagBag import timeout for a.py after 30.0s.",
        ),
        ("SystemExit: 1", "SystemExit: 1"),
        ("something else\n\n", "something else"),
        ("", "it cannot be read"),
    ],
)
def test_of_a_dag_file_the_line_with_the_error_is_told(trace: str, line: str) -> None:
    assert import_error(trace) == line
