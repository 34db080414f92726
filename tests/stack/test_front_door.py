"""`tradewind.Desk` on the real stack, in a process of a user's own."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.stack.airflow import Airflow
from tests.stack.conftest import Stack, WaitUntil

MODEL = "believed"  # passes its gate, so that its first version becomes the champion
SYMBOLS = ["AAPL", "GOOG", "IBM", "MSFT"]  # what strategies ask for; FB is left to other tests


@pytest.fixture(scope="module")
def ask(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run a script with a `desk` in a process of its own; return what it made of `found`."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    # A user's own Python finds what its PYTHONPATH says: the folder's shadows are for the command.
    left = ("TRADEWIND_HOME", "PYTHONPATH")
    environment = {k: v for k, v in stack.environment.items() if k not in left}
    environment["PYTHONUTF8"] = "1"  # the folder has an umlaut, and this process is not ours

    def run(script: str, **values: object) -> Any:
        code = (
            "import json, sys, tradewind as tw\n"
            "from tradewind.strict_json import dumps\n"
            "home, values = sys.argv[1], json.loads(sys.argv[2])\n"
            f"desk = tw.Desk(home)\n{script}\nprint(dumps(found))\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", "-c", code, str(stack.home),
             json.dumps(values)],
            cwd=elsewhere, env=environment, capture_output=True, text=True, encoding="utf-8",
            timeout=900, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="module")
def trained(ask: Any) -> dict[str, Any]:
    """A version that was trained from Python, while Airflow ran it."""
    return ask(
        "version = desk.train(values['name'], timeout=800)\n"
        "found = {'version': version.version, 'passed': version.passed, 'tags': version.info.tags,"
        " 'metrics': version.metrics, 'shown': str(version)}",
        name=MODEL,
    )


def test_training_waits_for_airflow_and_returns_the_version_of_its_run(
    stack: Stack, airflow: Airflow, trained: dict[str, Any]
) -> None:
    run = airflow.runs(f"train_{MODEL}")[-1]
    assert run["state"] == "success"
    assert trained["tags"]["tradewind.airflow.run_id"] == run["dag_run_id"]
    newest = stack.json("models", "show", MODEL)[0]
    assert (trained["version"], trained["metrics"]) == (newest["version"], newest["metrics"])
    assert trained["passed"] is newest["decision"]["passed"]
    assert trained["passed"] or trained["version"] > 1  # another test's may be the champion
    assert ("It passed its gate." in trained["shown"]) is trained["passed"]


@pytest.mark.usefixtures("trained")
def test_the_registry_says_what_the_command_line_says(stack: Stack, ask: Any) -> None:
    found = ask(
        "champion = desk.champion(values['name'])\n"
        "found = {'models': list(desk.models()), 'versions': [v.info for v in desk.models("
        "values['name'])], 'champion': champion.info, 'forecast': champion.predict(),"
        " 'compared': desk.compare(values['name'], 1, 1)}",
        name=MODEL,
    )
    versions = stack.json("models", "show", MODEL)
    assert found["versions"] == versions
    assert found["champion"] == next(v for v in versions if "champion" in v["aliases"])
    assert MODEL in [model["name"] for model in found["models"]]
    assert found["forecast"] == stack.json("predict", MODEL)
    assert found["compared"] == stack.json("models", "compare", MODEL, "1", "1")


@pytest.mark.usefixtures("trained")
def test_signals_are_those_that_were_stored(stack: Stack, ask: Any, wait_until: WaitUntil) -> None:
    wait_until(lambda: stack.run("signals", MODEL, "--json").returncode == 0, 300)
    assert ask("found = desk.signals(values['name'])", name=MODEL) == stack.json("signals", MODEL)


def test_a_backtest_counts_in_the_ledger_once_like_any_other(stack: Stack, ask: Any) -> None:
    found = ask(
        "result = desk.backtest('ridge')\n"
        "found = {'metrics': result.metrics, 'snapshot_id': result.snapshot_id,"
        " 'html': 'data:image/png;base64,' in result._repr_html_(),"
        " 'sheet': result.snapshot_id in result.tear_sheet()}"
    )
    assert found["html"]
    assert found["sheet"]
    ledger = "SELECT snapshot_id, metrics FROM trial_ledger WHERE strategy = 'ridge'"
    [(snapshot_id, metrics)] = stack.rows(ledger)
    assert snapshot_id == found["snapshot_id"]
    assert metrics["sharpe"] == found["metrics"]["sharpe"]
    told = stack.json("backtest", "ridge")
    assert (told["metrics"], told["snapshot_id"]) == (found["metrics"], found["snapshot_id"])
    assert len(stack.rows(ledger)) == 1  # the same again is no other trial
    assert "ridge" not in [model["name"] for model in stack.json("models", "list")]


def test_bars_are_the_store_s(ask: Any) -> None:
    found = ask(
        "now = desk.bars('sample', values['symbols'])\n"
        "then = desk.bars('sample', values['symbols'], as_of='2010-06-04T22:00+00:00')\n"
        "found = [str(now['session'].max()), str(then['session'].max()), now['symbol'].n_unique()]",
        symbols=SYMBOLS,
    )
    assert found == ["2013-03-01", "2010-06-04", 4]


def test_the_book_says_what_the_command_line_says_and_can_be_stopped(
    stack: Stack, ask: Any
) -> None:
    for what in ("positions", "orders", "fills", "pnl"):
        assert ask(f"found = list(desk.{what}())") == stack.json("trading", what)
    halts = "SELECT halted, reason FROM trading.halts WHERE account IS NULL ORDER BY id"
    before = len(stack.rows(halts))
    ask("desk.halt(reason='a drill')\nfound = None")
    try:
        assert stack.rows(halts)[before:] == [(True, "a drill")]
    finally:
        ask("desk.resume(reason='it is over')\nfound = None")
    assert stack.rows(halts)[before:] == [(True, "a drill"), (False, "it is over")]
