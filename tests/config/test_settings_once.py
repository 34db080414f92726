"""A setting lives in one place."""

import re
from collections import Counter
from pathlib import Path

import anyio
import pytest
from dotenv import dotenv_values

from tradewind.errors import SettingsError
from tradewind.settings import Settings, load_settings
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import Secrets
from tradewind.stack.services import services

CHECKOUT = Path(__file__).parents[2]
FILES = sorted((CHECKOUT / "config").glob("*.env"))
# MLflow's client (in Airflow's tasks) and its server each have their own copy of these choices.
ON_BOTH_SIDES = {"MLFLOW_DISABLE_TELEMETRY", "OPENBLAS_NUM_THREADS"}


def keys_of(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return [line.split("=", 1)[0] for line in lines if "=" in line and not line.startswith("#")]


def test_no_key_is_set_twice_in_the_files() -> None:
    assert len(FILES) == 2
    count = Counter(key for path in FILES for key in keys_of(path))
    assert {key for key, times in count.items() if times > 1} == ON_BOTH_SIDES


def test_the_stack_adds_no_key_that_a_file_sets(tmp_path: Path) -> None:
    settings = Settings(home=CHECKOUT, state_dir=tmp_path, artifact_store="directory")
    layout = Layout(settings.state)
    layout.create()
    found = services(settings, layout, Secrets())  # raises where a key is set twice
    workers = [s for s in found if s.name.startswith("airflow-worker")]
    assert len(workers) == 2
    for key, value in dotenv_values(CHECKOUT / "config" / "airflow.env").items():
        assert workers[0].environment[key] == value


def test_mlflow_has_more_connections_than_threads() -> None:
    """A batch holds one connection and takes a second: else a burst of batches is a deadlock."""
    given = dotenv_values(CHECKOUT / "config" / "mlflow.env")
    sizes = ("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW")
    connections = sum(int(given[size] or 0) for size in sizes)

    async def threads() -> float:
        return anyio.to_thread.current_default_thread_limiter().total_tokens

    assert connections > anyio.run(threads)
    text = (CHECKOUT / "config" / "postgres" / "postgresql.conf").read_text()
    limit = re.search(r"^max_connections = (\d+)$", text, re.MULTILINE)
    assert limit
    assert int(limit[1]) > 2 * connections * int(given["MLFLOW_WORKERS"] or 0)


def test_services_come_after_what_they_need(tmp_path: Path) -> None:
    settings = Settings(home=CHECKOUT, state_dir=tmp_path, artifact_store="directory")
    layout = Layout(settings.state)
    layout.create()
    seen: set[str] = set()
    for service in services(settings, layout, Secrets()):
        assert set(service.needs) <= seen, service.name
        seen.add(service.name)
    assert len(seen) >= 12


def test_an_unknown_setting_is_refused_with_the_likely_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(CHECKOUT))
    monkeypatch.setenv("TRADEWIND_AIRFLOW_PROT", "1")
    with pytest.raises(SettingsError, match="Did you mean TRADEWIND_AIRFLOW_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TRADEWIND_AIRFLOW_PORT", "99999", "TRADEWIND_AIRFLOW_PORT.*65535.*99999"),
        (
            "TRADEWIND_AIRFLOW_PORT",
            "5500",
            "TRADEWIND_AIRFLOW_PORT and TRADEWIND_MLFLOW_PORT are both",
        ),
        ("TRADEWIND_AIRFLOW_WORKER_REPLICAS", "0", "from 1 to 64, not '0'"),
    ],
)
def test_a_value_out_of_range_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(CHECKOUT))
    monkeypatch.setenv("TRADEWIND_MLFLOW_PORT", "5500")  # whatever the checkout's .env says
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_the_environment_goes_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("TRADEWIND_AIRFLOW_PORT=7001\nTRADEWIND_MLFLOW_PORT=7002\n")
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("TRADEWIND_AIRFLOW_PORT", "7003")
    found = load_settings()
    assert (found.airflow_port, found.mlflow_port) == (7003, 7002)


def test_outside_a_checkout_the_error_says_what_one_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TRADEWIND_HOME", raising=False)
    with pytest.raises(SettingsError, match="set TRADEWIND_HOME"):
        load_settings(tmp_path)
