"""Predictions that are made elsewhere: what is refused, and what they count as."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.support import typed
from tradewind.errors import FitError, PredictionsError, StrategyError
from tradewind.research.evaluation.predict import predict, wanted_weights
from tradewind.research.models.external import HandedIn
from tradewind.research.models.model import fingerprint
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import TrainingResult, train
from tradewind.research.trials.ledger import MemoryLedger, counted_in

SYMBOLS = ("AAPL", "IBM", "MSFT")
FIELDS: dict[str, Any] = {
    "name": "theirs",
    "description": "predictions of a workflow of our own",
    "universe": {"source": "sample", "symbols": list(SYMBOLS)},
    "horizon": 5,
    "model": {"kind": "external"},
    "walk_forward": {"train": 756, "test": 504},
    "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
}
FITTED = {"features": [{"return": {"window": 5}}], "model": {"kind": "ridge"}}
THEIRS = Strategy.model_validate(FIELDS)
FIRST_TESTED, LAST = dt.date(2003, 3, 14), dt.date(2013, 3, 1)
A_DAY = dt.date(2008, 6, 2)
SESSION, NUMBER = pl.col("session"), pl.col("prediction")


@pytest.fixture(scope="module")
def theirs(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars of the three shares."""
    return bars.filter(pl.col("symbol").is_in(SYMBOLS))


@pytest.fixture(scope="module")
def predictions(theirs: pl.DataFrame) -> pl.DataFrame:
    """What fell will rise, in no order, from the first session that is tested."""
    close = pl.col("close")
    fallen = -(close / close.shift(5).over("symbol", order_by="session") - 1.0)
    made = theirs.select("symbol", "session", prediction=fallen)
    return made.filter(FIRST_TESTED <= SESSION).sample(fraction=1.0, shuffle=True, seed=1)


@pytest.fixture(scope="module")
def handed_in(theirs: pl.DataFrame, predictions: pl.DataFrame) -> TrainingResult:
    return train(theirs, THEIRS, handed_in=HandedIn.of(predictions, THEIRS))


def row(symbol: str, day: dt.date, value: float = 0.1) -> pl.DataFrame:
    return pl.DataFrame({"symbol": symbol, "session": day, "prediction": value})


def test_each_test_window_is_judged_by_what_was_handed_in(
    predictions: pl.DataFrame, handed_in: TrainingResult
) -> None:
    assert handed_in.folds[0].test_start == FIRST_TESTED
    assert len(handed_in.folds) == 4
    judged = handed_in.predictions.join(predictions, on=["symbol", "session"], suffix="_made")
    assert judged.height == handed_in.predictions.height == 4 * 504 * 3
    assert judged["prediction"].equals(judged["prediction_made"].alias("prediction"))
    assert {"reproducible", "leakage"}.isdisjoint(handed_in.metrics)  # nobody can know
    assert handed_in.input_example.columns == ["symbol", "session"]
    last = handed_in.reference["session"].unique().sort()
    assert (last.len(), last[-1]) == (20, LAST)


def test_predictions_of_a_model_are_worth_what_that_is_worth(theirs: pl.DataFrame) -> None:
    own = train(theirs, Strategy.model_validate(FIELDS | FITTED))
    untested = pl.col("session") > own.predictions["session"].max()
    newest = theirs.filter(untested).select("symbol", "session", prediction=pl.lit(0.0))
    made = own.predictions.select("symbol", "session", "prediction")
    # Its feature needs five sessions of warm-up, so that its windows begin as much later.
    later = THEIRS.model_validate(FIELDS | {"walk_forward": {"train": 761, "test": 504}})
    found = train(theirs, later, handed_in=HandedIn.of(pl.concat([made, newest]), later))
    assert found.equity.equals(own.equity)
    same = {name: value for name, value in own.metrics.items() if name in found.metrics}
    assert same == found.metrics


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda made: made.to_dicts(), r"hand in a polars frame .* not builtins\.list"),
        (lambda made: made.rename({"prediction": "y"}), "not symbol, session, y"),
        (lambda made: made.with_columns(NUMBER.cast(pl.String)), "not prediction of type String"),
        (lambda made: made.with_columns(SESSION.cast(pl.Datetime)), "not session of type Datetime"),
        (lambda made: made.with_columns(symbol=pl.lit(1)), "not symbol of type Int32"),
        (lambda made: made.clear(), "not none of any session"),
        (lambda made: made.with_columns(symbol=pl.lit(None, pl.String)), "without symbol or"),
    ],
)
def test_what_is_no_frame_of_predictions_is_refused(
    predictions: pl.DataFrame, change: Callable[[pl.DataFrame], Any], told: str
) -> None:
    with pytest.raises(PredictionsError, match=told):
        HandedIn.of(change(predictions), THEIRS)


def _on_a_day(value: float | None) -> pl.Expr:
    return pl.when(SESSION == A_DAY).then(value).otherwise(NUMBER).alias("prediction")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda made: made.with_columns(_on_a_day(float("nan"))), "2008-06-02 is nan, .*3 such"),
        (lambda made: made.with_columns(_on_a_day(None)), "2008-06-02 is None, and must be a fin"),
        (lambda made: made.with_columns(_on_a_day(float("inf"))), "is inf, and must be a finite"),
        (lambda made: pl.concat([made, row("IBM", A_DAY)]), "IBM on 2008-06-02 is there more than"),
        (lambda made: pl.concat([made, row("GE", A_DAY)]), "universe.symbols does not list"),
        (
            lambda made: pl.concat([made, row("IBM", dt.date(2008, 7, 4))]),
            "IBM on 2008-07-04 is of no bar: the day is no session of XNYS",
        ),
        (lambda made: made.filter(SESSION != A_DAY), r"AAPL on 2008-06-02 is missing\. .*\(3 such"),
        (
            lambda made: made.filter(SESSION > FIRST_TESTED),
            "from 2003-03-14, the first that is.* to 2013-03-01.*; yours begin on 2003-03-17",
        ),
        (
            lambda made: made.filter((SESSION != LAST) | (pl.col("symbol") != "IBM")),
            "IBM on 2013-03-01 is missing",
        ),
        (lambda made: made.filter(pl.col("symbol") != "IBM"), "IBM on 2003-03-14 is missing"),
    ],
)
def test_what_cannot_be_judged_is_named(
    theirs: pl.DataFrame,
    predictions: pl.DataFrame,
    change: Callable[[pl.DataFrame], pl.DataFrame],
    told: str,
) -> None:
    made = HandedIn.of(change(predictions), THEIRS)
    with pytest.raises(PredictionsError, match=told):
        train(theirs, THEIRS, handed_in=made)


def test_a_symbol_that_comes_later_has_no_prediction_until_it_has_one(
    theirs: pl.DataFrame, predictions: pl.DataFrame, handed_in: TrainingResult
) -> None:
    late = (pl.col("symbol") != "IBM") | (SESSION >= A_DAY)
    found = train(theirs, THEIRS, handed_in=HandedIn.of(predictions.filter(late), THEIRS))
    assert found.predictions.equals(handed_in.predictions.filter(late))
    assert [fold.n_test for fold in found.folds] == [
        found.predictions.filter(fold=each).height for each in range(4)
    ]
    weights = found.wanted_weights().filter(symbol="IBM")
    assert weights.filter(SESSION < A_DAY)["weight"].max() == 0.0
    assert typed(weights["weight"].max(), float) > 0.0


def test_names_of_categories_and_whole_numbers_are_read(predictions: pl.DataFrame) -> None:
    plain = HandedIn.of(predictions, THEIRS)
    named = predictions.with_columns(pl.col("symbol").cast(pl.Categorical)).reverse()
    assert HandedIn.of(named, THEIRS).sha256 == plain.sha256
    whole = HandedIn.of(predictions.with_columns(prediction=pl.lit(1)), THEIRS)
    assert whole.table.schema["prediction"] == pl.Float64
    assert whole.sha256 != plain.sha256


def test_a_model_that_is_fitted_here_takes_none_and_an_external_one_is_not_trained(
    theirs: pl.DataFrame, predictions: pl.DataFrame, strategy: Strategy
) -> None:
    with pytest.raises(StrategyError, match="kind is lightgbm, which is fitted here"):
        HandedIn.of(predictions, strategy)
    with pytest.raises(StrategyError, match=r"nothing to train here.*Desk\(\).judge\('theirs'"):
        train(theirs, THEIRS)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"features": [{"return": {"window": 5}}]}, "what is not known here; list no features"),
        ({"combinatorial": {}}, "is fitted elsewhere: leave it out"),
        ({"schedule": "0 6 * * 1"}, "is fitted elsewhere: leave it out"),
        ({"monitor": {"max_psi": 0.2}}, "is fitted elsewhere: leave it out"),
        ({"allow_leakage": True}, "is fitted elsewhere: leave it out"),
        (
            {"walk_forward": {"train": 1000, "test": 126, "spread": True}},
            "is fitted elsewhere: leave it out",
        ),
        ({"sweep": {"trials": 2, "parameters": {"alpha": {"choices": [1, 2]}}}}, "hand in each"),
    ],
)
def test_what_has_no_meaning_without_a_model_is_refused(more: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Strategy.model_validate(FIELDS | more)


def test_a_record_which_says_every_field_is_read_again() -> None:
    found = Strategy.model_validate(FIELDS)
    assert Strategy.model_validate(found.model_dump()) == found
    assert Strategy.recorded(found.model_dump_json()) == found


def test_signals_are_made_of_it_and_of_no_session_beyond(
    theirs: pl.DataFrame, predictions: pl.DataFrame, handed_in: TrainingResult
) -> None:
    newest = predict(handed_in.model, theirs, THEIRS)
    assert newest.sort("symbol").equals(predictions.filter(session=LAST).sort("symbol"))
    wanted = wanted_weights(handed_in.model, theirs, THEIRS, sessions=THEIRS.horizon)
    kept = handed_in.wanted_weights()
    assert wanted["session"].max() == LAST
    earlier = train(
        theirs.filter(SESSION < LAST), THEIRS,
        handed_in=HandedIn.of(predictions.filter(SESSION < LAST), THEIRS),
    )  # fmt: skip
    with pytest.raises(FitError, match=r"up to 2013-02-28, and none of AAPL on 2013-03-01\. Hand"):
        predict(earlier.model, theirs, THEIRS)
    assert kept["session"].max() == handed_in.equity["session"].max()


class Desk:
    """Hands in, and counts."""

    def __init__(self, bars: pl.DataFrame) -> None:
        self.ledger = MemoryLedger()
        self._bars = bars

    def trials(self, made: pl.DataFrame) -> float:
        handed_in = HandedIn.of(made, THEIRS)
        counted = counted_in(
            self.ledger, snapshot_id=str(handed_in.last_session),
            feature_code=handed_in.sha256, may_continue=True,
        )  # fmt: skip
        known = self._bars.filter(handed_in.last_session >= SESSION)
        return train(known, THEIRS, handed_in=handed_in, trials=counted).metrics["trials"]


def test_predictions_that_go_on_are_one_trial_and_others_are_another(
    theirs: pl.DataFrame, predictions: pl.DataFrame
) -> None:
    desk = Desk(theirs)
    then = predictions.filter(dt.date(2011, 6, 1) >= SESSION)  # a window less
    assert desk.trials(then) == 1.0
    assert desk.trials(predictions) == 1.0
    assert desk.trials(predictions.reverse()) == 1.0
    assert desk.trials(then) == 1.0
    latest = dt.date(2010, 1, 4) <= SESSION
    other = predictions.with_columns(pl.when(latest).then(-NUMBER).otherwise(NUMBER))
    assert desk.trials(other.select("symbol", "session", prediction="prediction")) == 2.0
    kept = desk.ledger.trials("theirs")
    assert len({each.configuration for each in kept}) == 2
    assert len(kept) == 3  # on two snapshots, and the other


def test_what_was_learnt_is_what_was_handed_in(
    predictions: pl.DataFrame, handed_in: TrainingResult
) -> None:
    assert fingerprint(handed_in.model) == HandedIn.of(predictions, THEIRS).sha256
    assert np.isfinite(handed_in.model.native.table["prediction"].to_numpy()).all()
