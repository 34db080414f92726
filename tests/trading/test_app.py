"""The trading application's Celery app: held to its prefix, and free of what it must not load."""

import subprocess
import sys
from pathlib import Path

from tradewind.trading.app import KEY_PREFIX, app, health

TEMPLATE = Path(__file__).parents[2] / "config" / "users.acl.template"


def test_every_key_has_the_prefix_that_its_redis_user_is_held_to() -> None:
    for options in (app.conf.broker_transport_options, app.conf.result_backend_transport_options):
        assert options["global_keyprefix"] == KEY_PREFIX
    rules = [rule for rule in TEMPLATE.read_text().splitlines() if rule.startswith("user trading ")]
    assert len(rules) == 1
    assert f" ~{KEY_PREFIX}* " in rules[0]


def test_a_task_is_given_out_again_only_when_none_can_still_be_running() -> None:
    # A task of a prefetching worker waits for the one before it.
    waits_and_runs = (1 + app.conf.worker_prefetch_multiplier) * app.conf.task_time_limit
    assert waits_and_runs < app.conf.broker_transport_options["visibility_timeout"]
    assert app.conf.task_soft_time_limit < app.conf.task_time_limit
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost


def test_nothing_but_json_is_read_or_written() -> None:
    assert app.conf.accept_content == app.conf.result_accept_content == ["json"]
    assert app.conf.task_serializer == app.conf.result_serializer == "json"


def test_health_says_which_worker_answered_and_when() -> None:
    found = health.apply().get()
    assert set(found) == {"worker", "at"}
    assert found["at"].endswith("+00:00")
    assert health.name in app.tasks


def test_trading_loads_nothing_that_its_image_lacks() -> None:
    code = (
        "import sys, tradewind.trading.tasks; "
        "heavy = {'airflow', 'mlflow', 'numpy', 'optuna', 'pandas', 'polars'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
