"""Databases: made on the first start, one a service, closed to the others, and made only once."""

from typing import Any

import pytest

from tests.compose.project import Project, run
from tradewind.endpoints import ROLES

DATABASES = ("airflow", "mlflow", "tradewind")
SCRIPT = "/docker-entrypoint-initdb.d/databases.sh"


def connect(project: Project, role: str, database: str, password: str) -> str:
    """What psql says when a role asks for a database over the network, as a service does."""
    return project.execute(
        "postgres", "psql", "-XAtq", "-h", "postgres", "-U", role, "-d", database,
        "-c", "SELECT current_user || ' in ' || current_database()",
        check=False, PGPASSWORD=password,
    ).strip()  # fmt: skip


def test_the_first_start_made_databases_roles_and_permissions(project: Project) -> None:
    owners = project.sql(
        "SELECT datname, pg_get_userbyid(datdba) FROM pg_database "
        "WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1"
    )
    assert owners == [[name, name] for name in DATABASES]
    rights = project.sql(
        "SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, "
        "rolbypassrls, left(rolpassword, 13) FROM pg_authid "
        "WHERE rolname !~ '^pg_' AND rolname <> 'postgres' ORDER BY 1"
    )
    assert rights == [[name, "t", *"fffff", "SCRAM-SHA-256"] for name in sorted(ROLES)]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_enters_its_own_database_and_no_other(
    project: Project, secrets: dict[str, str], role: str
) -> None:
    password = secrets[f"postgres_{role}"]
    own = ROLES[role]
    assert connect(project, role, own, password) == f"{role} in {own}"
    others = {*DATABASES, "postgres", "template1"} - {own}
    assert len(others) == 4
    for other in others:
        assert "permission denied for database" in connect(project, role, other, password)
    assert "password authentication failed" in connect(project, role, own, "wrong")


@pytest.mark.usefixtures("training")
def test_each_service_uses_its_own(project: Project) -> None:
    users = project.sql(
        "SELECT DISTINCT client_addr, usename, datname FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND client_addr IS NOT NULL"
    )
    by_address = {c.address("database"): c.service for c in project.containers() if on_database(c)}
    found = {(by_address[address], user, database) for address, user, database in users}
    assert ("mlflow", "mlflow", "mlflow") in found
    assert ("airflow-scheduler", "airflow", "airflow") in found
    assert ("airflow-dag-processor", "airflow_dags", "airflow") in found
    assert ("trading-worker", "trading", "tradewind") in found
    # Airflow's tasks keep the ledger of trials and the signals; how they end is kept by Celery.
    own = {
        "airflow-worker": {"airflow_results", "research"},
        "airflow-dag-processor": {"airflow_dags"},
        "airflow-webserver": {"airflow", "desk"},
        "mlflow": {"mlflow"},
        "trading-worker": {"trading"},
    }
    for service, user, database in found:
        assert ROLES[user] == database
        assert user in own.get(service, {"airflow", "airflow_results"})


def on_database(container: Any) -> bool:
    networks = container.about["NetworkSettings"]["Networks"]
    return any(name.endswith("_database") for name in networks)


def marks(project: Project) -> dict[str, list[list[str]]]:
    """What initialising once more would change: ids of databases, and the salt of each password."""
    return {
        "databases": project.sql("SELECT oid, datname FROM pg_database ORDER BY 1"),
        "passwords": project.sql(
            "SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL ORDER BY 1"
        ),
        "runs": project.sql("SELECT run_id, state FROM dag_run ORDER BY 1", "airflow"),
    }


@pytest.mark.disturbs
@pytest.mark.usefixtures("training")
def test_a_restart_does_not_initialise_again(project: Project) -> None:
    before = marks(project)
    assert len(before["passwords"]) == 1 + len(ROLES)
    run("docker", "restart", project.container("postgres").id)
    project.wait_healthy()
    assert marks(project) == before


@pytest.mark.disturbs
@pytest.mark.usefixtures("training")
def test_initialising_by_hand_changes_nothing_but_the_salt(
    project: Project, secrets: dict[str, str]
) -> None:
    before = marks(project)
    project.execute("postgres", "bash", SCRIPT)
    after = marks(project)
    assert after["databases"] == before["databases"]
    assert after["runs"] == before["runs"]
    changed = {
        new[0] for new, old in zip(after["passwords"], before["passwords"], strict=True)
        if new != old
    }  # fmt: skip
    assert changed == set(ROLES)  # it did run
    for role in ROLES:
        own = ROLES[role]
        assert connect(project, role, own, secrets[f"postgres_{role}"]) == f"{role} in {own}"
    project.wait_healthy()
