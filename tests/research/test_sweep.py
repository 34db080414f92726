import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from tests.postgres import running_postgres
from tradewind.errors import LedgerError, SplitError, SweepError
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import train
from tradewind.research.trials.database_ledger import DatabaseLedger
from tradewind.research.trials.ledger import counted_in, overfitting
from tradewind.research.trials.parameter_sets import draw
from tradewind.research.trials.studies import find_study
from tradewind.research.trials.sweep import SweepPlan, collect, plan, run_batch

ONE_BATCH = Path(__file__).with_name("one_batch.py")
TRIALS = 8


def swept(**changes: Any) -> Strategy:
    """A sweep of eight trials, each a fraction of a second."""
    return Strategy.model_validate(
        {
            "name": "swept",
            "description": "Small enough for a test.",
            "universe": {"source": "sample", "symbols": ["AAPL", "IBM", "MSFT"]},
            "horizon": 5,
            "features": [{"return": {"window": 5}}, {"volatility": {"window": 21}}],
            "model": {"kind": "lightgbm", "rounds": 10},
            "walk_forward": {"train": 504, "test": 756},
            "sweep": {
                "trials": TRIALS,
                "batches": 2,
                "parameters": {
                    "learning_rate": {"low": 0.01, "high": 0.2, "log": True},
                    "num_leaves": {"low": 3, "high": 31},
                },
            },
            "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
            "seed": 7,
            **changes,
        }
    )


@contextmanager
def batch(
    planned: SweepPlan, strategy: Strategy, url: str, folder: Path, number: int
) -> Iterator["subprocess.Popen[str]"]:
    file = folder / f"{strategy.name}.json"
    file.write_text(strategy.model_dump_json())
    command = [sys.executable, str(ONE_BATCH), planned.study_name, str(file), url, str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def running(planned: SweepPlan, url: str) -> list[int]:
    import optuna

    study = optuna.load_study(study_name=planned.study_name, storage=url)
    states = (optuna.trial.TrialState.RUNNING,)
    return [trial.number for trial in study.get_trials(deepcopy=False, states=states)]


def stopped_within_a_trial(
    process: "subprocess.Popen[str]", planned: SweepPlan, url: str
) -> list[int]:
    process.send_signal(signal.SIGSTOP)
    found = running(planned, url)
    if not found:  # it was just between two
        process.send_signal(signal.SIGCONT)
    return found


def test_a_batch_that_is_killed_goes_on_where_it_stopped(
    bars: pl.DataFrame, postgres_url: str, tmp_path: Path
) -> None:
    strategy = swept(name="killed", model={"kind": "lightgbm", "rounds": 100})
    planned = plan(strategy, "a" * 64, postgres_url)
    with batch(planned, strategy, postgres_url, tmp_path, 0) as process:
        assert process.stdout is not None
        before = [int(process.stdout.readline()) for _ in range(2)]
        while not stopped_within_a_trial(process, planned, postgres_url):
            assert process.poll() is None, "it finished before it could be stopped"
        process.kill()
        before += [int(line) for line in process.stdout.read().split()]
    [begun] = running(planned, postgres_url)
    with pytest.raises(SweepError, match=r"trials are unfinished.*run its batches again"):
        collect(planned.study_name, strategy, postgres_url)

    told: list[int] = []
    report = run_batch(
        planned.study_name, bars, strategy, postgres_url, on_trial=lambda n, _: told.append(n)
    )
    assert begun not in before
    assert report.taken_over == (begun,)
    assert tuple(told) == report.finished
    assert sorted([*before, *report.finished]) == list(range(TRIALS))  # none twice, none lost
    assert collect(planned.study_name, strategy, postgres_url).trials.height == TRIALS
    with DatabaseLedger(postgres_url) as ledger:
        assert len(ledger.trials("killed")) == TRIALS


def test_optuna_reads_a_plan_as_it_was_drawn(postgres_url: str) -> None:
    import optuna

    parameters: dict[str, Any] = {
        "learning_rate": {"low": 0.01, "high": 0.2, "log": True},
        "num_leaves": {"low": 3, "high": 31},
        "lambda_l2": {"choices": [0.0, 1.0, 10.0]},
    }
    strategy = swept(name="drawn", sweep={"trials": TRIALS, "parameters": parameters})
    planned = plan(strategy, "a" * 64, postgres_url)
    assert plan(strategy, "a" * 64, postgres_url) == planned  # and makes no trial twice
    made = [
        optuna.trial.create_trial(
            state=optuna.trial.TrialState.WAITING,
            params=each,
            distributions={
                "learning_rate": optuna.distributions.FloatDistribution(0.01, 0.2, log=True),
                "num_leaves": optuna.distributions.IntDistribution(3, 31),
                "lambda_l2": optuna.distributions.CategoricalDistribution((0.0, 1.0, 10.0)),
            },
        )
        for each in draw(strategy)
    ]
    study = optuna.create_study(storage=postgres_url)
    study.add_trials(made)
    by_optuna = study.get_trials()
    ours = optuna.load_study(study_name=planned.study_name, storage=postgres_url).get_trials()
    assert len(ours) == TRIALS
    for mine, its in zip(ours, by_optuna, strict=True):
        mine._trial_id = its._trial_id
        assert mine == its


def test_optuna_reads_how_a_trial_ended(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna

    planned = plan(swept(name="ended"), "a" * 64, postgres_url)
    by_optuna = optuna.load_study(study_name=planned.study_name, storage=postgres_url)
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")  # a database need not run in UTC
    with find_study(postgres_url, planned.study_name) as study:
        waiting = study.unfinished()
        with study.claimed(waiting[1]) as claim:
            assert claim is not None
            assert running(planned, postgres_url) == [1]
            study.finish(claim, -0.25)
        with study.claimed(waiting[2]) as claim:
            assert claim is not None
            study.finish(claim, None)
        # the next one that waits, as Optuna itself begins and ends it
        asked = by_optuna.ask()
        by_optuna.tell(asked, -0.25)
        assert set(study.unfinished()) == set(range(3, TRIALS))
    its, mine, failed = by_optuna.get_trials()[:3]
    assert (its.number, its.state) == (0, mine.state)
    assert mine.value == its.value == -0.25
    assert failed.state == optuna.trial.TrialState.FAIL
    assert failed.value is None
    times = [mine.datetime_start, mine.datetime_complete, failed.datetime_start]
    times += [failed.datetime_complete, its.datetime_start, its.datetime_complete]
    known = [time for time in times if time is not None]
    assert times == sorted(known)  # in one zone


@pytest.mark.parametrize("value", [0.5, None])
def test_a_trial_that_another_program_ended_keeps_its_end(
    postgres_url: str, value: float | None
) -> None:
    import optuna

    planned = plan(
        swept(name="told_" + ("failed" if value is None else "a_value")), "a" * 64, postgres_url
    )
    by_optuna = optuna.load_study(study_name=planned.study_name, storage=postgres_url)
    with find_study(postgres_url, planned.study_name) as study:
        with study.claimed(study.unfinished()[0]) as claim:
            assert claim is not None
            by_optuna.tell(0, -1.5)
            with pytest.raises(SweepError, match="trial 0 was ended by another program"):
                study.finish(claim, value)
        with study.claimed(study.trials()[0]) as claim:
            assert claim is None
    assert by_optuna.trials[0].value == -1.5


def finish_without_a_lock(planned: SweepPlan, url: str) -> None:
    query = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    with (
        find_study(url, planned.study_name) as study,
        study.claimed(study.unfinished()[0]) as claim,
        sa.create_engine(url, poolclass=sa.NullPool).connect() as connection,
    ):
        assert claim is not None
        assert connection.execute(sa.text(query)).scalars().all() == [True]
        study.finish(claim, 0.5)


def test_a_trial_whose_lock_is_lost_is_not_finished(postgres_url: str) -> None:
    planned = plan(swept(name="cut_off"), "a" * 64, postgres_url)
    with pytest.raises(LedgerError, match="running a sweep: the database refused"):
        finish_without_a_lock(planned, postgres_url)
    with find_study(postgres_url, planned.study_name) as study:
        first = study.trials()[0]
        assert (first.state.name, first.values) == ("RUNNING", None)
        with study.claimed(first) as claim:
            assert claim is not None
            assert claim.begun_before


def test_a_crash_of_the_database_takes_nothing_from_a_batch_that_ended(
    bars: pl.DataFrame, tmp_path: Path
) -> None:
    strategy = swept(
        name="durable", sweep={"trials": 2, "parameters": {"rounds": {"choices": [1, 2]}}}
    )
    with running_postgres(tmp_path) as server:
        planned = plan(strategy, "a" * 64, server.url)
        run_batch(planned.study_name, bars, strategy, server.url)
        server.kill()
        server.start()
        assert collect(planned.study_name, strategy, server.url).trials.height == 2


def test_two_batches_at_once_find_what_one_finds(
    bars: pl.DataFrame, postgres_url: str, tmp_path: Path
) -> None:
    strategy = swept(name="shared", model={"kind": "lightgbm", "rounds": 50})
    alone = plan(strategy, "a" * 64, postgres_url)
    assert run_batch(alone.study_name, bars, strategy, postgres_url).finished == tuple(range(8))

    shared = plan(strategy, "b" * 64, postgres_url)  # another snapshot, so other entries
    assert shared.batches == (0, 1)
    with batch(shared, strategy, postgres_url, tmp_path, 0) as process:
        assert process.stdout is not None
        others = [int(process.stdout.readline())]  # it has begun
        mine = run_batch(shared.study_name, bars, strategy, postgres_url, batch=1).finished
        others += [int(line) for line in process.communicate()[0].split()]
        assert process.returncode == 0
    assert mine
    assert sorted([*mine, *others]) == list(range(TRIALS))

    one, two = (collect(each.study_name, strategy, postgres_url) for each in (alone, shared))
    assert one.trials.equals(two.trials)
    assert one.configurations == two.configurations
    assert (one.best_number, one.best_value) == (two.best_number, two.best_value)
    with DatabaseLedger(postgres_url) as ledger:
        returns = [ledger.returns("shared", c * 64, one.configurations) for c in "ab"]
    assert len(returns[0]) == TRIALS
    for mine, other in zip(*returns, strict=True):
        np.testing.assert_array_equal(mine.net, other.net)
        np.testing.assert_array_equal(mine.sessions, other.sessions)


def test_a_trial_that_another_is_running_is_left_to_it(
    bars: pl.DataFrame, postgres_url: str
) -> None:
    strategy = swept(name="held")
    planned = plan(strategy, "a" * 64, postgres_url)
    with find_study(postgres_url, planned.study_name) as study:
        waiting = study.unfinished()
        with study.claimed(waiting[2]) as claim:
            assert claim is not None
            report = run_batch(planned.study_name, bars, strategy, postgres_url, batch=1)
        assert report.finished == (4, 5, 6, 7, 0, 1, 3)  # begins at a place of its own
        assert set(study.unfinished()) == {2}
        with study.claimed(waiting[3]) as claim:
            assert claim is None  # finished
    # whoever claimed it let go of it without a result
    again = run_batch(planned.study_name, bars, strategy, postgres_url, batch=1)
    assert again.finished == again.taken_over == (2,)


def test_a_sweep_asked_for_again_is_found_finished(bars: pl.DataFrame, postgres_url: str) -> None:
    strategy = swept(name="again")
    planned = plan(strategy, "a" * 64, postgres_url)
    run_batch(planned.study_name, bars, strategy, postgres_url)
    assert plan(strategy, "a" * 64, postgres_url) == planned
    assert run_batch(planned.study_name, bars, strategy, postgres_url).finished == ()
    told_apart = strategy.model_copy(update={"seed": 8})
    assert plan(told_apart, "a" * 64, postgres_url).study_name != planned.study_name
    assert plan(strategy, "a" * 64, postgres_url, feature_code="2") != planned


def test_the_best_trial_is_what_a_training_then_finds(
    bars: pl.DataFrame, postgres_url: str
) -> None:
    strategy = swept(name="best")
    planned = plan(strategy, "a" * 64, postgres_url)
    run_batch(planned.study_name, bars, strategy, postgres_url)
    found = collect(planned.study_name, strategy, postgres_url)
    assert found.best_value == found.trials.get_column("value").max()
    best = strategy.with_parameters(found.best_parameters)
    with DatabaseLedger(postgres_url) as ledger:
        count = counted_in(ledger, snapshot_id="a" * 64, sweep=found.configurations)
        result = train(bars, best, trials=count)
        returns = ledger.returns("best", "a" * 64, found.configurations)
    assert result.metrics["sharpe"] == found.best_value
    assert result.trials is not None
    assert result.metrics["trials"] == result.trials.n_trials == TRIALS  # it is one of them
    assert result.metrics["pbo"] == result.trials.pbo == overfitting(returns)
    sharpes = found.trials.get_column("sharpe").to_numpy() / np.sqrt(252)
    assert result.trials.variance == pytest.approx(sharpes.var(ddof=1))
    believed = result.metrics["deflated_sharpe_probability"]
    assert believed < result.metrics["sharpe_probability"]


def test_the_lowest_of_equals_is_best(bars: pl.DataFrame, postgres_url: str) -> None:
    # more leaves than there can be: both trials grow the same trees
    sweep = {"trials": 2, "parameters": {"num_leaves": {"choices": [512, 1024]}}}
    model = {"kind": "lightgbm", "rounds": 2, "min_data_in_leaf": 300}
    strategy = swept(name="equals", sweep=sweep, model=model)
    planned = plan(strategy, "a" * 64, postgres_url)
    run_batch(planned.study_name, bars, strategy, postgres_url)
    found = collect(planned.study_name, strategy, postgres_url)
    assert found.trials.get_column("value").n_unique() == 1
    assert found.best_number == 0


def test_trials_that_cannot_be_traded_are_counted_with_their_reason(
    bars: pl.DataFrame, postgres_url: str
) -> None:
    # where a leaf needs more rows than there are, all symbols are predicted alike: no position
    sweep = {"trials": 2, "parameters": {"min_data_in_leaf": {"choices": [50, 1000000]}}}
    rules = {"positions": "long_short", "commission_bps": 1.0, "slippage_bps": 4.0}
    strategy = swept(name="flat", sweep=sweep, backtest=rules)
    planned = plan(strategy, "a" * 64, postgres_url)
    report = run_batch(planned.study_name, bars, strategy, postgres_url)
    assert len(report.failed) == len(report.finished) == 1
    found = collect(planned.study_name, strategy, postgres_url)
    assert found.best_parameters == {"min_data_in_leaf": 50}
    failed = found.trials.filter(pl.col("value").is_null())
    assert failed.get_column("failure").to_list() == [
        "its sharpe is not defined: it never traded, or nothing varied"
    ]
    with DatabaseLedger(postgres_url) as ledger:
        assert len(ledger.trials("flat")) == 2


def test_a_sweep_without_a_result_says_why(bars: pl.DataFrame, postgres_url: str) -> None:
    sweep = {"trials": 2, "parameters": {"min_data_in_leaf": {"choices": [100000, 1000000]}}}
    rules = {"positions": "long_short", "commission_bps": 1.0, "slippage_bps": 4.0}
    strategy = swept(name="nothing", sweep=sweep, backtest=rules)
    planned = plan(strategy, "a" * 64, postgres_url)
    run_batch(planned.study_name, bars, strategy, postgres_url)
    with pytest.raises(SweepError, match="all 2 trials failed, the first because: its sharpe"):
        collect(planned.study_name, strategy, postgres_url)


def test_a_sweep_that_failed_is_gone_on_with_by_the_next_run(
    bars: pl.DataFrame, postgres_url: str
) -> None:
    strategy = swept(name="resumed")
    first = plan(strategy, "a" * 64, postgres_url, asked_by="run 1")
    assert plan(strategy, "a" * 64, postgres_url, asked_by="run 1") == first  # its own retry
    ran = 0

    def fail(*_: object) -> None:
        nonlocal ran
        ran += 1
        if ran == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(first.study_name, bars, strategy, postgres_url, on_trial=fail)
    second = plan(strategy, "a" * 64, postgres_url, asked_by="run 2")
    assert second == first
    report = run_batch(second.study_name, bars, strategy, postgres_url)
    assert len(report.finished) == second.n_trials - ran
    # What is finished is whose it is: they find it again, and another asks anew.
    for run in ("run 1", "run 2"):
        assert plan(strategy, "a" * 64, postgres_url, asked_by=run) == first
    third = plan(strategy, "a" * 64, postgres_url, asked_by="run 3")
    assert third.study_name == f"{first.study_name}-2"
    assert plan(strategy, "a" * 64, postgres_url, asked_by="run 4") == third  # nothing ran yet
    run_batch(third.study_name, bars, strategy, postgres_url)
    both = [collect(each.study_name, strategy, postgres_url) for each in (first, third)]
    assert both[0].trials.equals(both[1].trials)


def test_another_question_does_not_get_this_answer(bars: pl.DataFrame, postgres_url: str) -> None:
    strategy = swept(name="mixed")
    planned = plan(strategy, "a" * 64, postgres_url, sweep_id="monday")
    assert planned.study_name == "mixed-monday"
    with pytest.raises(SweepError, match="planned for another strategy file, snapshot"):
        plan(strategy, "b" * 64, postgres_url, sweep_id="monday")
    with pytest.raises(SweepError, match="planned for another strategy file, snapshot"):
        run_batch(planned.study_name, bars, swept(name="mixed", horizon=6), postgres_url)
    with pytest.raises(SweepError, match="no sweep mixed-tuesday; plan it first"):
        run_batch("mixed-tuesday", bars, strategy, postgres_url)
    with pytest.raises(SweepError, match="asks for no sweep"):
        plan(swept(sweep=None), "a" * 64, postgres_url)


def test_bars_that_do_not_suit_are_refused_before_any_trial(
    bars: pl.DataFrame, postgres_url: str
) -> None:
    strategy = swept(name="short")
    planned = plan(strategy, "a" * 64, postgres_url)
    few = bars.filter(pl.col("session").dt.year() < 2005)
    with pytest.raises(SplitError, match="cannot hold one fold"):
        run_batch(planned.study_name, few, strategy, postgres_url)
    assert len(running(planned, postgres_url)) == 0


def test_a_database_out_of_reach_is_named_without_its_password() -> None:
    with pytest.raises(LedgerError, match=r"the database refused.*see that it runs") as caught:
        plan(swept(), "a" * 64, "postgresql+psycopg2://someone:hidden@127.0.0.1:9/none")
    assert "hidden" not in str(caught.value)
    with pytest.raises(LedgerError, match="kept in PostgreSQL, not in sqlite"):
        plan(swept(), "a" * 64, "sqlite:///trials.db")
    with pytest.raises(LedgerError, match="is no URL"):
        plan(swept(), "a" * 64, "hidden")


def test_parameters_that_cannot_be_fitted_are_a_failed_trial_and_stop_no_other(
    bars: pl.DataFrame, postgres_url: str
) -> None:
    fractions = {"bagging_fraction": {"choices": [1e-4, 0.9]}}
    strategy = swept(name="starved", sweep={"trials": 2, "batches": 1, "parameters": fractions})
    planned = plan(strategy, "a" * 64, postgres_url)
    report = run_batch(planned.study_name, bars, strategy, postgres_url)
    assert (len(report.finished), len(report.failed)) == (1, 1)
    assert collect(planned.study_name, strategy, postgres_url).best_parameters == {
        "bagging_fraction": 0.9
    }
    with DatabaseLedger(postgres_url) as ledger:
        failures = [trial.failure for trial in ledger.trials("starved") if trial.failure]
    assert len(failures) == 1
    assert "bagging_fraction=0.0001" in failures[0]
