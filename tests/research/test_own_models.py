"""Models and rules of the desk's own: fitted and asked as promised, and tried for every promise."""

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.research.own_models import LOOKING, REMEMBERING, SEQUENCES, SOUND
from tradewind.desk.bars import CheckedBars
from tradewind.desk.counted import train_counted
from tradewind.errors import FitError, LeakError, StrategyError
from tradewind.research.backtest.positions import target_weights
from tradewind.research.code import memory_limit
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.evaluation.walk_forward import score
from tradewind.research.features.compute import compute_features
from tradewind.research.features.own_code import own_code_hash
from tradewind.research.models.model import fingerprint, fit, importance, predict_rows
from tradewind.research.strategy.files import load_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.training import train
from tradewind.research.trials.database_ledger import DatabaseLedger
from tradewind.research.trials.parameter_sets import draw

Desk = Callable[..., Strategy]


@pytest.fixture(scope="module")
def bars(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.filter(pl.col("symbol").is_in(["AAPL", "IBM", "MSFT"]))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Write code beside the strategy files, and return a strategy whose model it is."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    (tmp_path / "strategies").mkdir()

    def make(code: str, *, model: dict[str, Any] | None = None, **fields: Any) -> Strategy:
        (tmp_path / "strategies" / "mine.py").write_text(code)
        named = {"kind": "custom", "class": "mine:Mine"} if model is None else model
        return Strategy.model_validate(
            {
                "name": "own",
                "description": "Small enough for a test.",
                "universe": {"source": "sample", "symbols": ["AAPL", "IBM", "MSFT"]},
                "horizon": 5,
                "features": [{"return": {"window": 5}}, {"volatility": {"window": 21}}],
                "model": named,
                "walk_forward": {"train": 756, "test": 504},
                "backtest": {"commission_bps": 1.0, "slippage_bps": 4.0},
                "seed": 7,
                **fields,
            }
        )

    return make


def rule(**more: Any) -> dict[str, Any]:
    return {"kind": "rule", "function": "mine:rule", **more}


def test_a_class_is_fitted_on_a_fold_s_rows_and_asked_for_the_next(
    bars: pl.DataFrame, desk: Desk
) -> None:
    strategy = desk(
        SOUND, model={"kind": "custom", "class": "mine:Mine", "parameters": {"scale": 2.0}}
    )
    dataset = prepare(bars, strategy)
    found = score(dataset, strategy).predictions
    first = dataset.windows[0]
    known, asked = dataset.train_rows(first), dataset.test_rows(first)
    columns = list(strategy.feature_names)
    weights = np.linalg.lstsq(known.select(columns).to_numpy(), known["label"].to_numpy())[0]
    expected = 2.0 * (asked.select(columns).to_numpy() * weights).sum(axis=1)
    np.testing.assert_array_equal(found.filter(fold=0)["prediction"].to_numpy(), expected)
    model = fit(known, strategy)
    assert importance(model, strategy.feature_names) == dict(
        zip(columns, np.abs(weights), strict=True)
    )


def test_a_prediction_is_the_same_in_any_company_and_any_order(
    bars: pl.DataFrame, desk: Desk
) -> None:
    strategy = desk(SOUND)
    rows = compute_features(bars, strategy)
    model = fit(prepare(bars, strategy).latest_rows(), strategy)
    together = predict_rows(model, rows, strategy)
    mixed = rows.with_row_index().sample(fraction=1.0, shuffle=True, seed=1)
    again = predict_rows(model, mixed.drop("index"), strategy)
    assert again.tobytes() == together[mixed["index"].to_numpy()].tobytes()
    assert predict_rows(model, rows[-1], strategy)[0] == together[-1]


def test_a_history_holds_the_symbol_s_own_sessions_before(bars: pl.DataFrame, desk: Desk) -> None:
    plain = desk(SOUND)
    looking = desk(SEQUENCES, model={"kind": "custom", "class": "mine:Mine", "lookback": 4})
    rows, with_history = compute_features(bars, plain), compute_features(bars, looking)
    columns = list(plain.feature_names)
    for symbol in ("AAPL", "MSFT"):
        own = rows.filter(symbol=symbol)
        seen = with_history.filter(symbol=symbol)
        assert seen.drop("history").equals(own[3:])
        history = seen["history"].to_numpy()
        assert history.shape == (own.height - 3, 4, 2)
        np.testing.assert_array_equal(history[10], own[10:14].select(columns).to_numpy())
    with pytest.raises(ValueError, match="a column history of its own"):
        desk(
            SEQUENCES,
            model={"kind": "custom", "class": "mine:Mine", "lookback": 2},
            features=[{"custom": {"name": "history", "function": "mine:f"}}],
        )


def test_a_model_over_sequences_is_trained_and_comes_out_again(
    bars: pl.DataFrame, desk: Desk
) -> None:
    strategy = desk(SEQUENCES, model={"kind": "custom", "class": "mine:Mine", "lookback": 10})
    first, second = train(bars, strategy), train(bars, strategy, num_threads=2)
    assert first.metrics["reproducible"] == 1.0
    assert fingerprint(first.model) == fingerprint(second.model)
    assert first.predictions.equals(second.predictions)
    other = train(bars, strategy.model_copy(update={"seed": 8}))
    assert fingerprint(other.model) != fingerprint(first.model)


def test_a_rule_may_say_the_weights_themselves(bars: pl.DataFrame, desk: Desk) -> None:
    code = "def rule(features, share):\n    return (features['return_5'] < 0).cast(float) * share\n"
    strategy = desk(
        code,
        model=rule(parameters={"share": 0.3}),
        backtest={"commission_bps": 1.0, "slippage_bps": 4.0, "positions": "weights"},
    )
    trained = train(bars, strategy)
    assert trained.metrics["reproducible"] == 1.0
    assert trained.importance_shuffled
    assert trained.importance["volatility_21"] == 0.0 < trained.importance["return_5"]
    predicted = trained.predictions
    weights = target_weights(predicted, strategy.backtest, horizon=1)
    both = weights.join(predicted, on=["symbol", "session"])
    assert (both["weight"] - both["prediction"]).abs().max() == 0.0
    assert set(both["weight"]) == {0.0, 0.3}


def test_weights_beyond_all_of_the_equity_are_scaled_down(desk: Desk) -> None:
    strategy = desk(
        "",
        model=rule(),
        backtest={"commission_bps": 0.0, "slippage_bps": 0.0, "positions": "weights"},
    )
    wanted = pl.DataFrame(
        {"symbol": ["A", "B"], "session": [pl.date(2020, 1, 2)] * 2, "prediction": [1.5, -0.5]}
    ).with_columns(session=pl.date(2020, 1, 2))
    found = target_weights(wanted, strategy.backtest, horizon=1)
    assert found["weight"].to_list() == [0.75, -0.25]


@pytest.mark.parametrize("where", REMEMBERING)
def test_what_a_model_keeps_outside_of_itself_is_found(
    bars: pl.DataFrame, desk: Desk, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT_ANSWERS", "{}")  # so that what it keeps there goes with the test
    strategy = desk(REMEMBERING[where])
    # All folds are fitted once, as in a sweep's trial before; then their labels are known.
    score(prepare(bars, strategy), strategy)
    with pytest.raises(LeakError, match=r"own: model: it remembers: for \w+ 20\d\d-"):
        train(bars, strategy)


@pytest.mark.parametrize("where", LOOKING)
@pytest.mark.parametrize("kind", ["custom", "rule"])
def test_labels_of_the_test_that_are_found_in_the_process_are_no_use(
    bars: pl.DataFrame, desk: Desk, kind: str, where: str
) -> None:
    strategy = desk(LOOKING[where], model=rule() if kind == "rule" else None)
    with pytest.raises(LeakError, match=r"own: model: it (remembers|looks ahead)"):
        train(bars, strategy)


def test_a_model_that_draws_without_its_seed_is_marked(bars: pl.DataFrame, desk: Desk) -> None:
    code = SOUND.replace("rcond=None)[0]", "rcond=None)[0] + np.random.normal(size=2)")
    assert train(bars, desk(code)).metrics["reproducible"] == 0.0


BAD = {
    "nan": ("return np.full(len(features), np.nan)", "returned nan for AAPL 20.*no finite number"),
    "too few": ("return [1.0]", r"shape \(1,\) for 3 rows; expected is \(3,\)"),
    "a table": ("return features", "returned DataFrame, not one number a row|returned predictions"),
    "text": ("return 'up'", "returned str, not one number a row"),
    "nothing": ("return None", "predict returned nothing; it must return one number a row"),
    "raises": (
        "return 1 / 0",
        r"mine.py: predict failed in line 15 \(predict\): ZeroDivisionError",
    ),
    "exits": ("raise SystemExit(3)", "predict failed in line 15 .*SystemExit: 3"),
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_prediction_is_said_with_file_line_and_function(
    bars: pl.DataFrame, desk: Desk, how: str
) -> None:
    code, said = BAD[how]
    assert "        assert features" in SOUND
    broken = SOUND.replace('        assert features["session"].n_unique() == 1', f"        {code}")
    with pytest.raises(FitError, match=f"(?s)strategy own: model.class: mine:Mine: .*{said}"):
        score(prepare(bars, desk(broken)), desk(broken))


def test_a_fit_without_an_end_is_ended(bars: pl.DataFrame, desk: Desk) -> None:
    endless = SOUND.replace(
        "        self.columns = list(context.features)", "        while True: ..."
    )
    strategy = desk(endless, model={"kind": "custom", "class": "mine:Mine", "fit_seconds": 1.0})
    said = r"fit is not done after 1 s in line 10 \(fit\); model.fit_seconds .* says how long"
    with pytest.raises(FitError, match=said):
        score(prepare(bars, strategy), strategy)


def test_a_fit_that_goes_on_after_any_error_is_ended_all_the_same(
    bars: pl.DataFrame, desk: Desk
) -> None:
    stubborn = SOUND.replace(
        "        self.columns = list",
        "        while True:\n            try:\n                while True: ...\n"
        "            except Exception:\n                pass\n        self.columns = list",
    )
    strategy = desk(stubborn, model={"kind": "custom", "class": "mine:Mine", "fit_seconds": 1.0})
    with pytest.raises(FitError, match="fit is not done after 1 s in line 12"):
        score(prepare(bars, strategy), strategy)


def test_a_fit_that_eats_memory_is_refused_it(
    bars: pl.DataFrame, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_limit, "free_memory", lambda: 555_000_000)
    eating = SOUND.replace(
        "        self.columns = list",
        "        held = [np.ones(10_000_000) for _ in range(100)]\n        self.columns = list",
    )
    strategy = desk(eating)
    before = resource.getrlimit(resource.RLIMIT_DATA)
    said = r"fit needs more memory than there is in line 10 .*: 0.5 GB were free \(Unable to"
    with pytest.raises(FitError, match=said):
        score(prepare(bars, strategy), strategy)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert len(np.ones(100_000_000)) == 100_000_000


def test_what_it_prints_or_changes_reaches_nobody(
    bars: pl.DataFrame, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    meddling = SOUND.replace(
        "        assert features",
        "        print('hello')\n        features[0, 2] = 7.0\n"
        "        features.insert_column(0, features['symbol'].alias('x'))\n        assert features",
    )
    sound, meddles = desk(SOUND), desk(meddling)
    dataset = prepare(bars, sound)
    before = dataset.rows.clone()
    desk(meddling)
    score(dataset, meddles)
    assert dataset.rows.equals(before)
    out, err = capsys.readouterr()
    assert out == ""
    assert "hello" in err


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("class Other: ...", "has no class Mine"),
        ("def Mine(): ...", ":1: Mine is a function, not a class"),
        ("class Mine(:", ":1: no Python"),
    ],
)
def test_a_class_that_is_not_there_is_said_when_the_file_is_read(
    tmp_path: Path, desk: Desk, code: str, said: str
) -> None:
    strategy = desk(code)
    path = tmp_path / "strategies" / "own.yaml"
    path.write_text(strategy.model_dump_json(exclude={"benchmark", "sweep", "combinatorial",
                                                      "owner", "schedule"}))  # fmt: skip
    with pytest.raises(StrategyError, match=f"model.class.*{said}"):
        load_strategy(path)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_package\nclass Mine: ...", "ModuleNotFoundError.*no_such_package"),
        ("class Mine:\n    def fit(self): ...", "mine.py: Mine has no predict, no save, no load"),
    ],
)
def test_a_class_that_cannot_be_used_is_said_before_anything_is_fitted(
    bars: pl.DataFrame, desk: Desk, code: str, said: str
) -> None:
    strategy = desk(code)
    with pytest.raises(StrategyError, match=f"strategy own: model.class: mine:Mine: .*{said}"):
        score(prepare(bars, strategy), strategy)


def test_its_parameters_are_swept_by_their_names(bars: pl.DataFrame, desk: Desk) -> None:
    sweep = {"trials": 3, "parameters": {"parameters.scale": {"choices": [1.0, -2.0, 3.0]}}}
    strategy = desk(SOUND, sweep=sweep)
    trials = draw(strategy)
    assert {trial["parameters.scale"] for trial in trials} == {1.0, -2.0, 3.0}
    dataset = prepare(bars, strategy)
    found = [score(dataset, strategy.with_parameters(trial)).predictions for trial in trials]
    sizes = {abs(each["prediction"].to_numpy()).sum() for each in found}
    assert len(sizes) == 3
    with pytest.raises(ValueError, match="must begin with parameters"):
        desk(SOUND, sweep={"trials": 2, "parameters": {"lookback": {"low": 1, "high": 5}}})


def test_another_code_is_another_trial(desk: Desk) -> None:
    one = own_code_hash(desk(SOUND))
    assert one == own_code_hash(desk(SOUND))
    assert one != own_code_hash(desk(SOUND + "\n"))
    assert desk(SOUND).content_hash() == desk(SOUND + "\n").content_hash()


def test_a_training_that_fails_was_tried(bars: pl.DataFrame, desk: Desk, postgres_url: str) -> None:
    code = SOUND.replace(
        '        assert features["session"].n_unique() == 1', "        return [1.0]"
    )
    strategy = desk(code, name="tried_in_vain")
    checked = CheckedBars("s" * 64, bars, ())
    with pytest.raises(FitError):
        train_counted(checked, strategy, postgres_url)
    with DatabaseLedger(postgres_url) as ledger:
        [tried] = ledger.trials(strategy.name)
    assert tried.failure is not None
    assert "returned predictions of shape" in tried.failure
    assert (tried.data_start, tried.data_end) == (bars["session"].min(), bars["session"].max())
