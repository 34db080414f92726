"""From the gate's decision to the champion and back, against a real MLflow server."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tradewind.errors import PromotionError, RegistryError
from tradewind.registry.gate import Decision
from tradewind.registry.promotion import history, judge_version, promote, rollback
from tradewind.registry.provenance import Provenance
from tradewind.registry.tracking import log_training
from tradewind.registry.versions import show_model
from tradewind.research.strategy.strategy import Strategy

pytestmark = [
    pytest.mark.usefixtures("mlflow_url"),
    # MLflow 3.17 compares columns with a range, which pandas 3.1 deprecates.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]

PROVENANCE = Provenance(git_commit="c0ffee", git_dirty="false", lock_sha256="10c", python="3.11.7")
GOOD = {
    "deflated_sharpe_probability": 0.97,
    "deflated_alpha_probability": 0.97,
    "deflated_mix_alpha_probability": 0.97,
    "trades": 200.0,
}
GATE = {"max_drawdown": 0.9}
WHO = {"reason": "looked at it", "by": "anna"}

Register = Callable[..., str]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return request.node.originalname.removeprefix("test_")[:50]


@pytest.fixture
def register(training: Any, name: str, client: Any, tmp_path: Path) -> Register:
    """Register a version whose returns are shifted, and whose figures and rules are as asked.

    It has what the gate reads and no model, which takes long to log.
    """

    from mlflow.entities import Metric

    def log(
        *,
        daily: float = 0.0,
        metrics: dict[str, float] | None = None,
        gate: dict[str, Any] | None = None,
        data_errors: int | None = 0,
        data_end: str | None = None,
        **fields: Any,
    ) -> str:
        strategy = strategy_with(training, name, gate, **fields)
        equity = training.result.equity.with_columns(pl.col("net_return") + daily)
        (tmp_path / "backtest").mkdir(exist_ok=True)
        equity.write_parquet(tmp_path / "backtest" / "equity.parquet")
        (tmp_path / "strategy.json").write_text(strategy.model_dump_json())
        found = client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else client.create_experiment(name)
        run_id = client.create_run(experiment).info.run_id
        client.log_artifacts(run_id, str(tmp_path))
        shown = {**training.result.metrics, **(GOOD if metrics is None else metrics)}
        client.log_batch(run_id, [Metric(key, value, 0, 0) for key, value in shown.items()])
        tags = {
            "tradewind.strategy_sha256": strategy.content_hash(),
            "tradewind.trials": "1",
            **({} if data_errors is None else {"tradewind.data_errors": str(data_errors)}),
            **({} if data_end is None else {"tradewind.data_end": data_end}),
        }
        if not found:
            client.create_registered_model(name)
        made = client.create_model_version(name, f"runs:/{run_id}/model", run_id, tags=tags)
        return str(made.version)

    return log


def settle(name: str, version: str | int) -> Decision:
    """What the tasks of a training do in the end."""
    decision = judge_version(name, version)
    if decision.passed:
        promote(name, version, reason="passed the gate", by="tradewind")
    return decision


def strategy_with(training: Any, name: str, gate: Any = None, **fields: Any) -> Strategy:
    whole = {**training.strategy.model_dump(), **fields, "name": name}
    return Strategy.model_validate({**whole, "gate": {**GATE, **(gate or {})}})


@pytest.fixture
def aliases(client: Any, name: str) -> Callable[[], dict[str, int]]:
    def read() -> dict[str, int]:
        return {key: int(held) for key, held in client.get_registered_model(name).aliases.items()}

    return read


def test_a_first_version_that_passes_becomes_champion(
    training: Any, aliases: Any, name: str, client: Any, tmp_path: Path
) -> None:
    result = replace(training.result, metrics={**training.result.metrics, **GOOD})
    ref = log_training(
        result, strategy=strategy_with(training, name), snapshot_id=training.snapshot_id,
        provenance=PROVENANCE, findings=(),
    )  # fmt: skip
    version = ref.version
    decision = settle(name, version)
    assert decision.passed
    assert aliases() == {"challenger": 1, "champion": 1}

    [info] = show_model(name)
    assert info.decision == decision
    judged = {key for key in info.tags if key.startswith("tradewind.gate")}
    assert judged == {"tradewind.gate", "tradewind.gate.decision"}
    shown = client.get_run(info.run_id).data.tags
    assert (info.tags["tradewind.gate"], shown["tradewind.gate"]) == ("passed", "passed")
    file = json.loads(
        Path(client.download_artifacts(info.run_id, "gate.json", tmp_path)).read_text()
    )
    assert (file["passed"], file["champion"]) == (True, None)
    assert [rule["rule"] for rule in file["rules"]] == [rule.rule for rule in decision.rules]
    description = client.get_model_version(name, version).description
    assert description.startswith("### Gate: passed, against no champion\n")
    assert "| min_deflated_sharpe | 0.97 | 0.95 | passed |" in description
    note = shown["mlflow.note.content"]
    assert note.endswith(description)  # after what the training says of itself
    assert note.startswith("**")
    settle(name, version)
    assert client.get_run(info.run_id).data.tags["mlflow.note.content"] == note

    [entry] = history(name)
    assert (entry.kind, entry.version, entry.former) == ("promotion", 1, None)
    assert (entry.by, entry.reason, entry.override) == ("tradewind", "passed the gate", None)
    assert settle(name, version) == decision
    assert history(name) == [entry]


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("min_deflated_sharpe", {"metrics": {**GOOD, "deflated_sharpe_probability": 0.949}}),
        ("min_trades", {"metrics": {**GOOD, "trades": 29.0}}),
        ("max_drawdown", {"gate": {"max_drawdown": 0.01}}),
        ("data_errors", {"data_errors": None}),
    ],
)
def test_a_refused_first_version_gets_no_alias(
    register: Register, aliases: Any, name: str, rule: str, options: Any
) -> None:
    version = register(**options)
    decision = settle(name, version)
    assert [result.rule for result in decision.refused] == [rule]
    assert aliases() == {}
    assert history(name) == []
    newest = show_model(name)[0]
    assert newest.tags["tradewind.gate"] == "refused"
    assert newest.decision is not None
    assert [result.rule for result in newest.decision.refused] == [rule]
    with pytest.raises(PromotionError, match=rf"the gate refused .*{rule}: .*--override"):
        promote(name, version, **WHO)


def test_a_better_version_replaces_the_champion_and_a_worse_one_does_not(
    register: Register, aliases: Any, name: str
) -> None:
    settle(name, register())
    worse = settle(name, register(daily=-0.001))
    assert [result.rule for result in worse.refused] == ["champion_margin"]
    assert aliases() == {"challenger": 1, "champion": 1}
    better = settle(name, register(daily=0.001))
    assert better.passed
    assert aliases() == {"challenger": 3, "champion": 3, "previous": 1}
    assert [(entry.version, entry.former) for entry in history(name)] == [(1, None), (3, 1)]


def test_a_strategy_is_refreshed_by_newer_bars_and_not_by_the_same(
    register: Register, aliases: Any, name: str
) -> None:
    assert settle(name, register(data_end="2013-02-28")).passed
    again = settle(name, register(data_end="2013-02-28"))
    assert [result.rule for result in again.refused] == ["champion_margin"]
    assert settle(name, register(data_end="2013-03-01")).passed
    # Another strategy, however new its bars, must be better.
    other = settle(name, register(data_end="2013-03-04", seed=8))
    assert [result.rule for result in other.refused] == ["champion_margin"]
    unknown = settle(name, register(data_end="soon"))
    assert [result.rule for result in unknown.refused] == ["champion_margin"]
    assert aliases() == {"champion": 3, "previous": 1, "challenger": 3}


def test_a_version_that_passed_waits_as_challenger_until_promoted(
    register: Register, aliases: Any, name: str
) -> None:
    version = register()
    assert judge_version(name, version).passed
    assert aliases() == {"challenger": 1}
    entry = promote(name, version, **WHO)
    assert (entry.by, entry.reason) == ("anna", "looked at it")
    assert aliases() == {"challenger": 1, "champion": 1}


def test_an_override_is_recorded_with_what_it_passed_over(
    register: Register, aliases: Any, name: str
) -> None:
    version = register(metrics={**GOOD, "trades": 3.0})
    judge_version(name, version)
    entry = promote(name, version, **WHO, override="a hedge, it trades once a year")
    assert aliases() == {"champion": 1}
    assert entry.override == "a hedge, it trades once a year"
    assert entry.refused == ("min_trades",)
    assert history(name) == [entry]
    needless = register(daily=0.001)
    judge_version(name, needless)
    assert promote(name, needless, **WHO, override="to be sure").override is None


def test_leakage_bars_promotion_whatever_overrides_the_gate(
    register: Register, aliases: Any, name: str, training: Any
) -> None:
    windows = {**training.strategy.walk_forward.model_dump(), "purge": 0}
    version = register(walk_forward=windows, allow_leakage=True)
    [refused] = judge_version(name, version).refused
    assert refused.rule == "leakage"
    with pytest.raises(PromotionError, match=r"marked for leakage.*never be promoted"):
        promote(name, version, **WHO, override="I know better")
    assert aliases() == {}
    assert history(name) == []


def test_without_a_decision_nothing_is_promoted(
    register: Register, aliases: Any, name: str, client: Any
) -> None:
    version = register()
    with pytest.raises(PromotionError, match=r"has not judged .* version 1"):
        promote(name, version, **WHO, override="in a hurry")
    # A verdict that somebody typed is none.
    client.set_model_version_tag(name, version, "tradewind.gate", "passed")
    client.set_model_version_tag(name, version, "tradewind.gate.decision", '{"passed": true}')
    with pytest.raises(PromotionError, match="has not judged"):
        promote(name, version, **WHO)
    with pytest.raises(RegistryError, match=rf"no '{name}' version 9"):
        promote(name, 9, **WHO)
    with pytest.raises(RegistryError, match="no 'nothing' version 1"):
        judge_version("nothing", 1)
    assert aliases() == {}


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2000])
def test_a_reason_says_something_and_fits(register: Register, name: str, reason: str) -> None:
    with pytest.raises(PromotionError, match="reason must say something"):
        promote(name, register(), reason=reason, by="anna")


def test_a_decision_against_another_champion_is_made_again(
    register: Register, aliases: Any, name: str
) -> None:
    settle(name, register())
    second, third = register(daily=0.0005), register(daily=0.002)
    assert judge_version(name, second).passed
    assert judge_version(name, third).passed
    promote(name, third, **WHO)
    with pytest.raises(PromotionError, match=r"the gate refused .* version 2: champion_margin"):
        promote(name, second, **WHO)
    assert aliases() == {"challenger": 3, "champion": 3, "previous": 1}
    assert show_model(name)[1].tags["tradewind.gate"] == "refused"


def test_a_version_that_is_judged_again_and_refused_loses_its_alias(
    register: Register, aliases: Any, name: str
) -> None:
    settle(name, register(gate={"champion_margin": None}))
    second = register(daily=0.0005)
    assert judge_version(name, second).passed
    assert aliases()["challenger"] == 2
    third = register(daily=0.002, metrics={**GOOD, "trades": 3.0})
    judge_version(name, third)
    promote(name, third, **WHO, override="a test")
    assert aliases() == {"challenger": 2, "champion": 3, "previous": 1}
    assert not judge_version(name, second).passed
    assert aliases() == {"champion": 3, "previous": 1}


def test_a_rollback_brings_the_former_champion_back_once(
    register: Register, aliases: Any, name: str
) -> None:
    for daily in (0.0, 0.001, 0.002):
        settle(name, register(daily=daily))
    assert aliases() == {"challenger": 3, "champion": 3, "previous": 2}
    entry = rollback(name, reason="loses money", by="anna")
    assert (entry.kind, entry.version, entry.former) == ("rollback", 2, 3)
    assert aliases() == {"challenger": 3, "champion": 2}
    assert rollback(name, reason="loses money", by="anna") == entry  # the same call again
    with pytest.raises(PromotionError, match="already rolled back to version 2 by anna"):
        rollback(name, reason="loses more", by="bert")
    # The task of the training is repeated, long after: what a person took back stays back.
    with pytest.raises(PromotionError, match=r"for this very reason .passed the gate.*version 2"):
        settle(name, 3)
    assert aliases() == {"challenger": 3, "champion": 2}
    promote(name, 3, reason="it was the market", by="anna")
    assert aliases() == {"challenger": 3, "champion": 3, "previous": 2}
    assert [(e.kind, e.version) for e in history(name)] == [
        ("promotion", 1), ("promotion", 2), ("promotion", 3), ("rollback", 2), ("promotion", 3),
    ]  # fmt: skip


def test_there_is_nothing_to_roll_back_to(register: Register, name: str, client: Any) -> None:
    with pytest.raises(RegistryError, match="no former champion"):
        rollback("nothing", reason="x", by="anna")
    version = register()
    with pytest.raises(PromotionError, match="no former champion"):
        rollback(name, reason="x", by="anna")
    settle(name, version)
    with pytest.raises(PromotionError, match="no former champion"):
        rollback(name, reason="x", by="anna")
    client.set_registered_model_alias(name, "champion", register())  # by hand
    with pytest.raises(PromotionError, match="by hand"):
        promote(name, 2, **WHO)


def test_a_history_that_somebody_changed_is_named(
    register: Register, name: str, client: Any
) -> None:
    settle(name, register())
    [key] = [k for k in client.get_registered_model(name).tags if "promotion" in k]
    assert key == "tradewind.promotion.0001.version_1"
    client.set_registered_model_tag(name, key, "none of it")
    with pytest.raises(RegistryError, match=rf"{key} .* 'none of it'"):
        history(name)


def test_words_that_somebody_wrote_stay_above_the_table(
    register: Register, name: str, client: Any
) -> None:
    version = register()
    client.update_model_version(name, version, "Trained after the split.")
    for _ in range(2):
        judge_version(name, version)
    description = client.get_model_version(name, version).description
    assert description.startswith("Trained after the split.\n\n### Gate: passed")
    assert description.count("### Gate") == 1


# --- A process that dies

# Every request that changes the registry.
WRITES = (
    "log_text", "log_batch", "update_model_version", "set_model_version_tag",
    "set_registered_model_tag", "set_registered_model_alias", "delete_registered_model_alias",
)  # fmt: skip


class DiedError(BaseException):
    """Nothing of ours catches it, as nothing catches a process's death."""


@pytest.fixture
def dies_before(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Make a call that dies before its n-th write to the registry; whether it got so far."""

    def dies(writes: int, call: Callable[[], object]) -> bool:
        from mlflow import MlflowClient

        left = writes

        def mortal(write: Any) -> Any:
            def wrapped(*args: Any, **options: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise DiedError
                left -= 1
                return write(*args, **options)

            return wrapped

        with monkeypatch.context() as patch:
            for write in WRITES:
                patch.setattr(MlflowClient, write, mortal(getattr(MlflowClient, write)))
            try:
                call()
            except DiedError:
                return True
        return False

    return dies


def test_a_promotion_that_dies_at_any_write_ends_the_same_when_repeated(
    register: Register, aliases: Any, name: str, client: Any, dies_before: Any
) -> None:
    settle(name, register())
    register(daily=0.001)
    client.set_model_version_tag(name, "2", "tradewind.gate.dropped_rule", "1 vs 0: refused")
    deaths = 0
    while dies_before(deaths, lambda: settle(name, 2)):
        found, tags = aliases(), client.get_model_version(name, "2").tags
        assert found["champion"] in {1, 2}
        if "tradewind.gate.decision" not in tags:
            assert found == {"challenger": 1, "champion": 1}
        if found["champion"] == 2:
            assert found["previous"] == 1
            assert len(history(name)) == 2
        settle(name, 2)
        assert aliases() == {"challenger": 2, "champion": 2, "previous": 1}
        assert [(e.version, e.former) for e in history(name)] == [(1, None), (2, 1)]
        assert show_model(name)[0].decision is not None
        assert "tradewind.gate.dropped_rule" not in show_model(name)[0].tags

        # Back to where nothing had been asked yet.
        for alias, version in (("champion", "1"), ("challenger", "1")):
            client.set_registered_model_alias(name, alias, version)
        client.delete_registered_model_alias(name, "previous")
        client.delete_registered_model_tag(name, "tradewind.promotion.0002.version_2")
        for key in client.get_model_version(name, "2").tags:
            if key.startswith("tradewind.gate"):
                client.delete_model_version_tag(name, "2", key)
        deaths += 1
    assert deaths > 8


def test_a_rollback_that_dies_at_any_write_ends_the_same_when_repeated(
    register: Register, aliases: Any, name: str, client: Any, dies_before: Any
) -> None:
    for daily in (0.0, 0.001):
        settle(name, register(daily=daily))
    deaths = 0
    while dies_before(deaths, lambda: rollback(name, reason="no", by="anna")):
        for _ in range(2):
            rollback(name, reason="no", by="anna")
            assert aliases() == {"challenger": 2, "champion": 1}
            assert [e.kind for e in history(name)] == ["promotion", "promotion", "rollback"]
        client.set_registered_model_alias(name, "champion", "2")
        client.set_registered_model_alias(name, "previous", "1")
        client.delete_registered_model_tag(name, "tradewind.promotion.0003.version_1")
        deaths += 1
    assert deaths == 3  # the entry, the champion, the alias of the former one


def test_a_promotion_that_was_given_up_is_no_past_of_the_next(
    register: Register, aliases: Any, name: str, dies_before: Any
) -> None:
    settle(name, register())
    for daily in (0.001, 0.0012):
        judge_version(name, register(daily=daily))
    assert dies_before(2, lambda: promote(name, 2, **WHO))  # the entry and `previous` were written
    assert aliases()["champion"] == 1
    with pytest.raises(PromotionError, match="no former champion"):
        rollback(name, reason="x", by="anna")
    assert promote(name, 3, **WHO).former == 1
    rollback(name, reason="x", by="anna")
    assert aliases()["champion"] == 1


def test_a_worker_killed_between_decision_and_alias_is_made_up_for(
    register: Register, aliases: Any, name: str, client: Any
) -> None:
    version = register()
    script = f"""
import os, signal
from mlflow import MlflowClient
from tradewind.registry import promotion

MlflowClient.set_registered_model_alias = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
promotion.judge_version({name!r}, {version})
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert client.get_model_version(name, version).tags["tradewind.gate"] == "passed"
    assert aliases() == {}
    settle(name, version)
    assert aliases() == {"challenger": 1, "champion": 1}
    assert len(history(name)) == 1


def test_a_task_is_skipped_whose_version_is_no_longer_better(
    register: Register, aliases: Any, name: str
) -> None:
    """While an approval was waited for, another version became champion."""
    from airflow.sdk.exceptions import AirflowSkipException
    from airflow.sdk.execution_time.context import set_current_context

    from tradewind.orchestration.steps import training

    first, approved, meanwhile = register(), register(daily=0.001), register(daily=0.002)
    settle(name, first)
    assert judge_version(name, approved).passed
    settle(name, meanwhile)
    context: Any = {"ti": Approved()}
    with set_current_context(context), pytest.raises(AirflowSkipException, match="champion_margin"):
        training.promote(name, approved)
    assert aliases()["champion"] == int(meanwhile)


class Approved:
    def xcom_pull(self, task_ids: str) -> dict[str, Any]:
        assert task_ids == "approve"
        return {"responded_by_user": {"id": "2", "name": "ann"}}
