"""Airflow finds the provider; the provider needs nothing of tradewind."""

import json
import subprocess
import sys
from importlib.metadata import entry_points

import jsonschema
from airflow.providers_manager import ProvidersManager
from airflow.sdk import Connection
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from tests.bridge.conftest import Server, StartWorker
from tradewind import bridge

MODULES = ("errors", "hook", "operators", "provider", "streams", "triggers")


def test_airflow_accepts_what_the_entry_point_tells() -> None:
    [point] = (
        point
        for point in entry_points(group="apache_airflow_provider")
        if point.module.startswith("tradewind.")
    )
    providers = ProvidersManager().providers
    assert providers["tradewind"].data["name"] == point.load()()["name"]
    hook = ProvidersManagerTaskRuntime().hooks["celery"]
    assert hook is not None
    assert hook.hook_class_name == "tradewind.bridge.hook.CeleryHook"
    assert hook.connection_testable


def test_the_form_asks_for_all_that_a_connection_may_say() -> None:
    from tradewind.bridge._address import _EXTRAS
    from tradewind.bridge.provider import get_provider_info

    [kind] = get_provider_info()["connection-types"]
    assert set(kind["conn-fields"]) == _EXTRAS
    for field in kind["conn-fields"].values():
        jsonschema.Draft7Validator.check_schema(field["schema"])


def test_the_test_button_names_the_workers(server: Server, start_worker: StartWorker) -> None:
    given = {**server.connection, "extra": json.dumps(server.connection["extra"])}
    connection = Connection(conn_id="foreign", **given)
    ok, text = connection.test_connection()
    assert (ok, text) == (True, "Broker and results answer; no worker does.")
    start_worker()
    ok, text = connection.test_connection()
    assert ok
    assert "1 workers: celery@" in text


def test_the_test_button_tells_what_is_wrong(server: Server) -> None:
    given = {**server.connection, "extra": None, "password": "wrong"}
    ok, text = Connection(conn_id="foreign", **given).test_connection()
    assert not ok
    assert "AuthenticationError" in text


def test_the_bridge_loads_nothing_else_of_tradewind() -> None:
    imports = "; ".join(f"import tradewind.bridge.{name}" for name in MODULES)
    script = f"import sys; {imports}; print(*[m for m in sys.modules if m.startswith('tradewind')])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = {module for module in done.stdout.split() if ".bridge" not in module}
    assert loaded == {"tradewind", "tradewind.foreign"}


def test_the_front_door_is_cheap_and_complete() -> None:
    script = (
        "import sys; from tradewind import bridge; "
        "print([m for m in ('airflow', 'celery', 'redis') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert {getattr(bridge, name).__name__ for name in bridge.__all__} == set(bridge.__all__)
