import copy
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, AssetAny, TriggerRule
from airflow.sdk.exceptions import DagRunTriggerException

from tradewind.errors import StrategyError
from tradewind.orchestration.dags.strategy_dags import strategy_dags
from tradewind.orchestration.runtime.asked_runs import FIRST, why_refused
from tradewind.orchestration.slots import NextSlot
from tradewind.research.strategy.files import load_strategy

REPOSITORY = Path(__file__).parents[2]

STRATEGY = """\
name: {name}
description: |
  Follows the trend of three stocks.

  Tested on real prices.
schedule: "0 22 * * 1-5"
universe: {{source: sample, symbols: [AAPL, IBM, MSFT]}}
horizon: 5
features: [{{return: {{window: 5}}}}]
model: {{kind: lightgbm, rounds: 10}}
walk_forward: {{train: 500, test: 250}}
backtest: {{commission_bps: 1.0, slippage_bps: 2.0}}
"""


@pytest.fixture
def strategies(tmp_path: Path) -> Path:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (tmp_path / "sources").mkdir()
    for name in ("reversal", "trend"):
        (folder / f"{name}.yaml").write_text(STRATEGY.format(name=name))
    return folder


def after(dag: DAG) -> dict[str, set[str]]:
    return {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}


def test_a_strategy_becomes_a_chain_of_tasks(strategies: Path) -> None:
    dags = strategy_dags(strategies)
    assert [dag_id for dag_id in dags if dag_id.startswith("train_")] == [
        "train_reversal",
        "train_trend",
    ]
    assert after(dags["train_trend"]) == {
        "ingest": {"train"},
        "train": {"judge", "promote", "verify"},
        "judge": {"promote"},
        "promote": {"verify"},
        "verify": set(),
    }


def test_a_strategy_that_says_nothing_of_itself_hides_no_other(strategies: Path) -> None:
    text = STRATEGY.format(name="terse")
    start, end = text.index("description"), text.index("schedule")
    (strategies / "terse.yaml").write_text(f"{text[:start]}description: ' '\n{text[end:]}")
    dags = strategy_dags(strategies)
    assert dags["train_terse"].description == "terse"
    assert "train_trend" in dags


def test_what_a_model_names_is_not_imported_to_read_its_file(strategies: Path) -> None:
    # It cannot be: polars has no such module. A worker would say so.
    named = 'model: {kind: estimator, class: "polars.estimators:Any", parameters: {none: 1}}'
    text = STRATEGY.format(name="forest").replace("model: {kind: lightgbm, rounds: 10}", named)
    sweep = "sweep: {trials: 2, parameters: {parameters.none: {low: 1, high: 9}}}\n"
    (strategies / "forest.yaml").write_text(text + sweep)
    assert "ingest" in after(strategy_dags(strategies)["train_forest"])
    with pytest.raises(StrategyError, match=r"polars\.estimators cannot be imported"):
        load_strategy(strategies / "forest.yaml")
    ingest_forest: Any = strategy_dags(strategies)["train_forest"].get_task("ingest")
    with pytest.raises(StrategyError, match=r"forest: model\.class: polars\.estimators cannot be"):
        ingest_forest.python_callable(*ingest_forest.op_args, **ingest_forest.op_kwargs)


def test_a_sweep_spreads_its_trials_over_the_workers_before_the_training(strategies: Path) -> None:
    text = STRATEGY.format(name="swept")
    sweep = "sweep: {trials: 8, parameters: {rounds: {low: 5, high: 50}}}\n"
    (strategies / "swept.yaml").write_text(text + sweep)
    dag = strategy_dags(strategies)["train_swept"]
    assert after(dag)["ingest"] == {"plan_sweep", "run_trials", "train"}
    assert after(dag)["plan_sweep"] == {"run_trials"}
    assert after(dag)["run_trials"] == {"train"}
    assert dag.get_task("run_trials").is_mapped


def test_folds_are_spread_over_the_workers_where_the_file_says_so(strategies: Path) -> None:
    text = STRATEGY.format(name="wide").replace("test: 250", "test: 250, spread: true")
    sweep = "sweep: {trials: 8, parameters: {rounds: {low: 5, high: 50}}}\n"
    (strategies / "wide.yaml").write_text(text)
    (strategies / "swept.yaml").write_text(text.replace("name: wide", "name: swept") + sweep)
    dags = strategy_dags(strategies)
    assert after(dags["train_wide"])["ingest"] == {"plan_folds", "run_folds", "train"}
    assert after(dags["train_wide"])["plan_folds"] == {"run_folds"}
    assert after(dags["train_wide"])["run_folds"] == {"train"}
    assert dags["train_wide"].get_task("run_folds").is_mapped
    # The folds are those of the best trial.
    assert after(dags["train_swept"])["run_trials"] == {"plan_folds", "train"}


def test_a_watch_that_is_repeated_begins_no_second_training(strategies: Path) -> None:
    retrain: Any = strategy_dags(strategies)["monitor_trend"].get_task("retrain")
    run_ids = []
    for _ in range(2):
        operator = copy.copy(retrain)
        operator.render_template_fields({"run_id": "asset_triggered__1", "ti": XComs()})
        with pytest.raises(DagRunTriggerException) as triggered:
            operator.execute({})
        assert triggered.value.skip_when_already_exists
        assert triggered.value.conf == {"reasons": "['x: shifted']"}
        run_ids.append(triggered.value.dag_run_id)
    # The same for every watch of the month: a champion is asked to be replaced once, not daily.
    assert run_ids == ["monitor__version_3__2013-02"] * 2


class XComs:
    def xcom_pull(self, task_ids: str) -> dict[str, Any]:
        assert task_ids == "watch"
        return {"reasons": ["x: shifted"], "occasion": "version_3__2013-02"}


def test_a_promotion_waits_for_a_person_where_the_file_says_so(strategies: Path) -> None:
    text = STRATEGY.format(name="careful")
    (strategies / "careful.yaml").write_text(text + "gate: {promotion: approval}\n")
    dag = strategy_dags(strategies)["train_careful"]
    assert after(dag)["judge"] == {"approve"}
    assert after(dag)["approve"] == {"promote"}
    # The registry is checked whatever the gate or the person said.
    assert dag.get_task("verify").trigger_rule == TriggerRule.NONE_FAILED
    assert dag.get_task("approve").execution_timeout is None


def test_a_strategy_can_be_trained_whenever_there_are_new_bars(strategies: Path) -> None:
    text = STRATEGY.format(name="eager").replace('"0 22 * * 1-5"', "on_new_bars")
    (strategies / "eager.yaml").write_text(text)
    dag = strategy_dags(strategies)["train_eager"]
    schedule: Any = dag.schedule
    assert [asset.uri for asset in schedule] == ["tradewind://bars/sample"]


def test_signals_start_from_new_bars_and_from_a_new_champion(strategies: Path) -> None:
    dags = strategy_dags(strategies)
    schedule: Any = dags["signals_trend"].schedule
    assert isinstance(schedule, AssetAny)  # either will do
    champion = ("champion_trend", "tradewind://champion/trend")
    bars = ("bars_sample", "tradewind://bars/sample")
    either: Any = schedule.objects
    assert [(asset.name, asset.uri) for asset in either] == [bars, champion]
    told = {
        (dag_id, task.task_id): [(asset.name, asset.uri) for asset in task.outlets]
        for dag_id, dag in dags.items()
        for task in dag.tasks
        if dag_id.endswith("trend") and task.outlets
    }
    assert told == {
        ("train_trend", "promote"): [champion],
        ("signals_trend", "signal"): [("signals_trend", "tradewind://signals/trend")],
    }


def test_every_run_has_a_deadline_and_every_task_a_limit(strategies: Path) -> None:
    for dag in strategy_dags(strategies).values():
        assert dag.deadline is not None
        assert all(task.execution_timeout for task in dag.tasks)


def test_a_training_runs_alone_and_never_catches_up(strategies: Path) -> None:
    dag = strategy_dags(strategies)["train_trend"]
    assert (dag.max_active_runs, dag.catchup, dag.is_paused_upon_creation) == (1, False, False)
    assert isinstance(dag.schedule, NextSlot)
    assert dag.schedule.summary == "0 22 * * 1-5"
    assert dag.tags == {"tradewind", "training"}
    assert dag.description == "Follows the trend of three stocks."
    assert "Tested on real prices." in (dag.doc_md or "")


def test_a_server_s_hiccup_is_retried_and_wrong_input_is_not(strategies: Path) -> None:
    from airflow.sdk import RetryAction

    from tradewind.errors import BarValidationError, RegistryError, ReproductionError
    from tradewind.orchestration.retries import RETRIES

    tasks = strategy_dags(strategies)["train_trend"].tasks
    assert {task.retries for task in tasks} == {RETRIES}
    for task in tasks:
        policy = task.retry_policy
        assert policy is not None
        decide = {
            kind: policy.evaluate(kind("x"), 1, 1).action
            for kind in (BarValidationError, ReproductionError, RegistryError)
        }
        assert decide == {
            BarValidationError: RetryAction.FAIL,
            ReproductionError: RetryAction.FAIL,
            RegistryError: RetryAction.DEFAULT,
        }


def test_a_broken_file_shows_its_error_and_hides_no_other(strategies: Path) -> None:
    (strategies / "my broken one.yaml").write_text("name: my broken one\nhorizn: 5\n")
    dags = strategy_dags(strategies)
    assert {"train_reversal", "train_trend", "train_my_broken_one"} < set(dags)
    broken = dags["train_my_broken_one"]
    assert "horizn" in (broken.doc_md or "")
    task: Any
    [task] = broken.tasks
    assert task.retries == 0
    with pytest.raises(StrategyError, match=r"my broken one\.yaml(?s:.*)horizn"):
        task.python_callable()


def test_broken_files_never_take_the_id_of_a_good_one(strategies: Path) -> None:
    (strategies / "trend.yml").write_text("nonsense")
    (strategies / "a b.yaml").write_text("nonsense")
    (strategies / "a_b.yaml").write_text("nonsense")
    dags = strategy_dags(strategies)
    assert {dag_id for dag_id in dags if dag_id.startswith("train_")} == {
        "train_reversal",
        "train_trend",
        "train_trend_yml",
        "train_a_b",
        "train_a_b_yaml",
    }
    assert len(dags["train_trend"].tasks) == 5


def test_only_the_dag_asked_for_is_built(strategies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (strategies / "broken.yaml").write_text("nonsense")
    for wanted in ("train_trend", "train_broken"):
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", wanted)
        assert list(strategy_dags(strategies)) == [wanted]


def test_a_worker_reads_only_the_strategy_it_runs(
    strategies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = "tradewind.orchestration.dags.strategy_dags.load_strategies"
    monkeypatch.setattr(of, lambda _: 1 / 0)
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "signals_trend")
    assert list(strategy_dags(strategies)) == ["signals_trend"]


@pytest.mark.parametrize("dag_id", ["train_trend", "signals_trend"])
def test_a_worker_is_told_what_became_of_the_strategy_it_runs(
    strategies: Path, monkeypatch: pytest.MonkeyPatch, dag_id: str
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "train")
    (strategies / "trend.yaml").write_text("nonsense")
    with pytest.raises(StrategyError, match=r"trend\.yaml:1: must hold"):
        strategy_dags(strategies)
    (strategies / "trend.yaml").unlink()
    with pytest.raises(StrategyError, match="no strategy named 'trend'"):
        strategy_dags(strategies)


def test_a_worker_s_dag_is_that_of_the_page(
    strategies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where two files have a name, the good one counts; of two good ones the first.
    (strategies / "trend.yml").write_text("nonsense")
    (strategies / "reversal.yaml").rename(strategies / "reversal.yml")
    (strategies / "reversal.yaml").write_text("nonsense")
    for dag_id, dag in strategy_dags(strategies).items():
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
        [(found, again)] = strategy_dags(strategies).items()
        monkeypatch.delenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID")
        assert (found, again.doc_md, after(again)) == (dag_id, dag.doc_md, after(dag))


def test_a_run_of_any_date_that_may_be_asked_for_has_all_its_tasks(strategies: Path) -> None:
    """For one of before its start Airflow makes no tasks, and calls the run a success."""
    earliest = '{"logical_date": "%s"}'
    now = datetime.now(UTC)
    assert why_refused((earliest % (FIRST - timedelta(seconds=1)).isoformat()).encode(), now)
    assert not why_refused((earliest % FIRST.isoformat()).encode(), now)
    dags = strategy_dags(strategies)
    assert len(dags) >= 8
    for dag in dags.values():
        assert dag.start_date == FIRST
        assert {task.start_date for task in dag.tasks} == {FIRST}


def test_airflow_can_store_the_dags(strategies: Path) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    (strategies / "broken.yaml").write_text("nonsense")
    dags = strategy_dags(strategies)
    assert len(dags) == 9
    for dag_id, dag in dags.items():
        stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert stored.dag_id == dag_id
        assert stored.task_ids == [task.task_id for task in dag.tasks]


def test_a_missing_directory_is_an_import_error(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="nowhere"):
        strategy_dags(tmp_path / "nowhere")


def test_shipped_strategies_are_all_valid() -> None:
    dags = strategy_dags(REPOSITORY / "strategies")
    assert dags
    broken = {dag_id: dag.doc_md for dag_id, dag in dags.items() if "broken" in dag.tags}
    assert broken == {}
    assert all(isinstance(dag, DAG) for dag in dags.values())


def test_what_is_no_strategy_costs_itself_alone(strategies: Path) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    text = STRATEGY.format(name="bad")
    (strategies / f"{'n' * 240}.yaml").write_text(text)
    (strategies / "nul.yaml").write_text(text.replace("Follows", '"\\0').replace("prices.", '"'))
    (strategies / "long.yaml").write_text(text.replace("source: sample", f"source: {'s' * 3000}"))
    os.mkfifo(strategies / "pipe.yaml")
    (strategies / "code.yaml").write_text(
        text.replace("return: {window: 5}", 'custom: {name: x, function: "endless:f"}')
    )
    os.mkfifo(strategies / "endless.py")
    dags = strategy_dags(strategies)
    assert {"train_trend", "train_nul", "train_long", "train_pipe", "train_code"} < set(dags)
    [long] = [dag_id for dag_id in dags if "nnnn" in dag_id]
    assert len(long) < 250
    for dag_id, dag in dags.items():
        stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert stored.dag_id == dag_id
        assert "\0" not in f"{dag.doc_md}{dag.description}"


def test_a_strategy_that_airflow_refuses_costs_itself_alone(
    strategies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tradewind.orchestration.dags import strategy_dags as module

    made = module._KINDS["execute_"]

    def refuse(dag_id: str, strategy: Any, since: Any) -> DAG:
        if strategy.name == "reversal":
            raise ValueError("no DAG")
        return made(dag_id, strategy, since)

    monkeypatch.setitem(module._KINDS, "execute_", refuse)
    dags = strategy_dags(strategies)
    assert {dag_id for dag_id in dags if "reversal" in dag_id} == {"train_reversal"}
    assert "Airflow takes no DAG of reversal: ValueError: no DAG" in (
        dags["train_reversal"].doc_md or ""
    )
    assert len(dags) == 1 + 4
