"""Airflow's roles for people: what each may do, and what it is refused."""

from collections.abc import Iterator

import httpx
import pytest

from tests.stack.airflow import Airflow, login
from tests.stack.conftest import Stack

PASSWORD = "a password of a test"
ALLOWED = {"viewer": 0, "researcher": 1, "trader": 2}
FORBIDDEN = httpx.codes.FORBIDDEN


@pytest.fixture(scope="module", params=list(ALLOWED))
def person(
    request: pytest.FixtureRequest, stack: Stack, airflow: Airflow
) -> Iterator[tuple[str, Airflow]]:
    """The name of a role, and the session of somebody who has it."""
    role = request.param
    answer = airflow.http.post(
        "/auth/fab/v1/users",
        json={
            "username": f"a_{role}", "password": PASSWORD, "email": f"{role}@example.org",
            "first_name": "A", "last_name": role, "roles": [{"name": role.title()}],
        },
    )  # fmt: skip
    assert answer.is_success, answer.text
    address = stack.json("credentials")["airflow"]["address"]
    with login(address, f"a_{role}", PASSWORD) as session:
        yield role, session


def test_a_person_may_what_the_role_says_and_no_more(person: tuple[str, Airflow]) -> None:
    role, session = person
    assert session.get("/dags/warm")["dag_id"] == "warm"
    begun = session.http.post("/api/v2/dags/warm/dagRuns", json={"logical_date": None, "conf": {}})
    assert (begun.status_code == FORBIDDEN) == (role == "viewer"), begun.text
    # Of a task that there is not, for what is asked is whether an answer would be taken.
    approval = "/api/v2/dags/train_asked/dagRuns/none/taskInstances/approve/-1/hitlDetails"
    answered = session.http.patch(
        approval, json={"chosen_options": ["Approve"], "params_input": {}}
    )
    assert (answered.status_code == FORBIDDEN) == (role != "trader"), answered.text
    assert answered.status_code in {FORBIDDEN, httpx.codes.NOT_FOUND}
    for path in ("connections", "variables"):
        assert session.http.get(f"/api/v2/{path}").status_code == FORBIDDEN
    made = session.http.post("/api/v2/variables", json={"key": "x", "value": "y"})
    assert made.status_code == FORBIDDEN
    assert session.http.get("/auth/fab/v1/users").status_code == FORBIDDEN
