"""The trading application's Celery app: held to its prefix, and free of what it must not load."""

import subprocess
import sys
from pathlib import Path

from tradewind.trading.app import KEY_PREFIX, app, health

TEMPLATE = Path(__file__).parents[2] / "config" / "users.acl.template"


def test_every_key_has_the_prefix_that_its_redis_user_is_held_to() -> None:
    for options in (app.conf.broker_transport_options, app.conf.result_backend_transport_options):
        assert options == {"global_keyprefix": KEY_PREFIX}
    rules = [rule for rule in TEMPLATE.read_text().splitlines() if rule.startswith("user trading ")]
    assert len(rules) == 1
    assert f" ~{KEY_PREFIX}* " in rules[0]


def test_health_says_which_worker_answered_and_when() -> None:
    found = health.apply().get()
    assert set(found) == {"worker", "at"}
    assert found["at"].endswith("+00:00")
    assert health.name in app.tasks


def test_trading_loads_neither_airflow_nor_mlflow() -> None:
    code = (
        "import sys, tradewind.trading.app; "
        "sys.exit(', '.join({'airflow', 'mlflow', 'pandas'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
