"""What every model and rule of the desk's own must do, as tests."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from tradewind.research.evaluation.asked_again import comes_out_again
from tradewind.research.evaluation.dataset import Dataset, prepare
from tradewind.research.evaluation.walk_forward import score
from tradewind.research.models.model import (
    FittedModel,
    code_of,
    fingerprint,
    fit,
    importance,
    predict_rows,
)
from tradewind.research.strategy.strategy import Strategy
from tradewind.testing.strategies import bundled_bars, strategy_of

__all__ = ["ModelContract"]


class ModelContract:
    """Tests of a model or a rule, on real daily bars of three shares.

    Attributes
    ----------
    model : mapping
        As in a strategy file, such as ``{"kind": "custom", "class": "my_models:Mine"}``.
    features : sequence
        As in a strategy file; three of ours if not given.
    """

    model: ClassVar[Mapping[str, Any]]
    features: ClassVar[Sequence[Any]] = (
        {"return": {"window": 5}},
        {"momentum": {"window": 252, "skip": 21}},
        {"volatility": {"window": 21}},
    )

    @pytest.fixture(scope="class")
    @classmethod
    def strategy(cls) -> Strategy:
        """The strategy whose model it is."""
        return strategy_of(features=cls.features, model=cls.model)

    @pytest.fixture(scope="class")
    @classmethod
    def dataset(cls, strategy: Strategy) -> Dataset:
        """Rows of features and labels, and folds."""
        return prepare(bundled_bars(), strategy)

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, strategy: Strategy, dataset: Dataset) -> FittedModel:
        """The model, fitted to the latest rows."""
        return fit(dataset.latest_rows(), strategy)

    def test_it_predicts_a_number_a_row(
        self, strategy: Strategy, dataset: Dataset, fitted: FittedModel
    ) -> None:
        rows = dataset.rows.tail(600)
        found = predict_rows(fitted, rows, strategy)
        assert found.shape == (rows.height,)
        assert np.isfinite(found).all()

    def test_a_row_is_predicted_alike_in_any_order_and_with_other_sessions(
        self, strategy: Strategy, dataset: Dataset, fitted: FittedModel
    ) -> None:
        rows = dataset.rows.tail(600)
        together = predict_rows(fitted, rows, strategy)
        order = np.random.default_rng(1).permutation(rows.height)
        assert np.array_equal(predict_rows(fitted, rows[order], strategy), together[order]), (
            "it predicts another number where it is asked again, or in another order: a call must "
            "change nothing in the model"
        )
        last = rows.get_column("session") == rows.item(-1, "session")
        alone = predict_rows(fitted, rows.filter(last), strategy)
        assert np.array_equal(alone, together[last.to_numpy()]), (
            "it predicts the last session differently where it is asked for that alone"
        )

    def test_two_fits_on_the_same_rows_are_the_same(
        self, strategy: Strategy, dataset: Dataset, fitted: FittedModel
    ) -> None:
        again = fit(dataset.latest_rows(), strategy)
        assert fingerprint(again) == fingerprint(fitted), (
            "two fits on the same rows differ: all that is drawn at random must come from "
            "context.seed, and save must write the same bytes for the same model"
        )
        rows = dataset.rows.tail(600)
        found, expected = (predict_rows(each, rows, strategy) for each in (again, fitted))
        assert np.array_equal(found, expected), "two fits on the same rows predict differently"

    def test_threads_do_not_change_it(
        self, strategy: Strategy, dataset: Dataset, fitted: FittedModel
    ) -> None:
        many = fit(dataset.latest_rows(), strategy, num_threads=2)
        assert fingerprint(many) == fingerprint(fitted), (
            "a fit on two threads is another model than one on one thread (context.threads)"
        )

    def test_it_predicts_the_same_when_it_was_saved_and_loaded(
        self, strategy: Strategy, dataset: Dataset, fitted: FittedModel
    ) -> None:
        kind: Any = code_of(strategy.model)
        if not hasattr(kind, "unpacked"):
            return  # kept by MLflow's own flavour, which has tests of its own
        back = FittedModel(strategy.model, kind.unpacked(fitted.native.packed()))
        rows = dataset.rows.tail(600)
        found, expected = (predict_rows(each, rows, strategy) for each in (back, fitted))
        wrong = np.flatnonzero(found != expected)
        assert not wrong.size, (
            f"what load makes of what save wrote predicts {found[wrong[0]]!r} where the model "
            f"itself predicted {expected[wrong[0]]!r}, and so for {wrong.size} of {rows.height} "
            "rows: save or load leaves something out"
        )

    def test_it_neither_looks_ahead_nor_remembers(
        self, strategy: Strategy, dataset: Dataset
    ) -> None:
        score(dataset, strategy)  # what it keeps outside of itself, it has by now
        predictions = score(dataset, strategy).predictions
        assert comes_out_again(dataset, predictions, strategy), (
            "in another process two fits on the same rows predict differently: what is drawn at "
            "random must come from context.seed"
        )

    def test_what_it_is_given_stays_as_it_is(
        self, strategy: Strategy, dataset: Dataset, fitted: FittedModel
    ) -> None:
        before = dataset.rows.clone()
        fit(dataset.latest_rows(), strategy)
        predict_rows(fitted, dataset.rows.tail(600), strategy)
        assert before.equals(dataset.rows)

    def test_its_importance_is_one_figure_a_feature(
        self, strategy: Strategy, fitted: FittedModel
    ) -> None:
        figures = importance(fitted, strategy.feature_names)
        assert set(figures) in (set(), set(strategy.feature_names))
        assert pl.Series(list(figures.values()), dtype=pl.Float64).is_finite().all()
