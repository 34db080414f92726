"""A task that its author made hostile is refused at each door, on the running stack."""

import json
from dataclasses import asdict

import httpx

from tests.hostile import told_of
from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets


def test_a_hostile_task_is_refused_at_each_door(
    stack: Stack, airflow: Airflow, mlflow: httpx.Client
) -> None:
    told = told_of(mlflow, asdict(load_secrets(Layout(stack.settings.state))))
    answer = airflow.post("/dags/hostile/dagRuns", {"logical_date": None, "conf": told})
    run_id = answer["dag_run_id"]
    assert airflow.finished("hostile", run_id)[0] == "success"
    [defers] = [task for task in airflow.tasks("hostile", run_id) if task["task_id"] == "defers"]
    assert "is not of an installed package" in str(airflow.log("hostile", run_id, defers, 1))
    found = airflow.returned("hostile", run_id, "tries")
    assert len(found) >= 70
    assert {name: tried["said"] for name, tried in found.items() if not tried["shut"]} == {}


def test_the_doctor_names_each_door_and_finds_it_shut(stack: Stack) -> None:
    told = stack.run("doctor", "--json").stdout
    found = {check["name"]: check["problem"] for check in json.loads(told)}
    doors = {name: problem for name, problem in found.items() if name.startswith("door ")}
    assert len(doors) >= 50
    assert {name: problem for name, problem in doors.items() if problem} == {}


def test_the_doctor_finds_doors_that_are_open(stack: Stack) -> None:
    opened = {
        "door role research: change signals": ("GRANT UPDATE ON signals TO research",
                                               "REVOKE UPDATE ON signals FROM research"),
        "door role trading: forget a halt": ("GRANT DELETE ON trading.halts TO trading",
                                             "REVOKE DELETE ON trading.halts FROM trading"),
    }  # fmt: skip
    for grant, _ in opened.values():
        stack.change(grant)
    try:
        told = stack.run("doctor", "--json").stdout
    finally:
        for _, revoke in opened.values():
            stack.change(revoke)
    found = {check["name"]: check["problem"] for check in json.loads(told)}
    assert {name for name in found if name.startswith("door ") and found[name]} == set(opened)
