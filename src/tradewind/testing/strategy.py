"""What every strategy file must do, as tests."""

from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from tradewind.market.ingest import read
from tradewind.market.sources.source import find_source, open_source
from tradewind.research.evaluation.dataset import LEAST_FOLDS, Dataset, prepare
from tradewind.research.features.leaks import refuse_lookahead
from tradewind.research.models.model import fit, predict_rows
from tradewind.research.strategy.files import find_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.settings import load_settings

__all__ = ["StrategyContract"]


class StrategyContract:
    """Tests of a strategy file, on the bars of its source. Nothing is stored, and no trial counted.

    Attributes
    ----------
    name : str
        Of its file in ``strategies/``.
    """

    name: ClassVar[str]

    @pytest.fixture(scope="class")
    @classmethod
    def strategy(cls) -> Strategy:
        """What the file says."""
        return find_strategy(cls.name, load_settings().strategies_dir)

    @pytest.fixture(scope="class")
    @classmethod
    def bars(cls, strategy: Strategy) -> pl.DataFrame:
        """Bars of its symbols and its benchmark, which have passed every rule."""
        spec = find_source(strategy.universe.source, load_settings().sources_dir)
        spec.sessions_for(strategy.universe.calendar)  # refuses another calendar than the source's
        wanted = strategy.bar_symbols
        return read(open_source(spec), spec, symbols=wanted, known_at=datetime.now(UTC))

    @pytest.fixture(scope="class")
    @classmethod
    def dataset(cls, strategy: Strategy, bars: pl.DataFrame) -> Dataset:
        """Rows of features and labels, and folds."""
        return prepare(bars, strategy)

    def test_its_source_has_bars_of_each_symbol(
        self, strategy: Strategy, bars: pl.DataFrame
    ) -> None:
        assert set(bars.get_column("symbol").unique()) == set(strategy.bar_symbols)

    def test_its_features_neither_look_ahead_nor_remember(
        self, strategy: Strategy, bars: pl.DataFrame
    ) -> None:
        refuse_lookahead(bars, strategy, seed=strategy.seed)

    def test_its_features_are_defined_after_their_warm_up(
        self, strategy: Strategy, dataset: Dataset
    ) -> None:
        undefined = dataset.undefined
        assert undefined.values.is_empty() or strategy.missing != "refuse", undefined.sentences()

    def test_its_bars_are_enough_to_be_judged_on(self, dataset: Dataset) -> None:
        assert len(dataset.windows) >= LEAST_FOLDS

    def test_its_model_can_be_fitted_and_predicts_a_number_a_row(
        self, strategy: Strategy, dataset: Dataset
    ) -> None:
        if strategy.model.external:
            return  # it is fitted elsewhere
        strategy.model.check_code(strategy.name)
        window = dataset.windows[-1]
        model = fit(dataset.train_rows(window), strategy)
        found = predict_rows(model, dataset.test_rows(window), strategy)
        assert found.shape == (dataset.test_rows(window).height,)
        assert np.isfinite(found).all()
