"""What every feature of the desk's own must do, as tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from tradewind.research.code.time_limit import time_limit
from tradewind.research.features.compute import compute_features, find_features
from tradewind.research.features.leaks import refuse_lookahead
from tradewind.research.strategy.strategy import Strategy
from tradewind.testing.strategies import bundled_bars, strategy_of

__all__ = ["FeatureContract"]


class FeatureContract:
    """Tests of a feature, on real daily bars of three shares.

    Attributes
    ----------
    feature : mapping
        As in a strategy file: ``{"custom": {"name": "gap", "function": "my_features:gap"}}``.
    seconds : float
        How long each test may take; five minutes if not given.
    """

    feature: ClassVar[Mapping[str, Any]]
    seconds: ClassVar[float] = 300.0

    @pytest.fixture(scope="class")
    @classmethod
    def strategy(cls) -> Strategy:
        """The strategy whose only feature it is."""
        return strategy_of(features=[cls.feature], model={"kind": "ridge"})

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """Fail what takes longer."""
        try:
            with time_limit(self.seconds):
                yield
        except TimeoutError as error:
            raise AssertionError(
                f"{error} on {bundled_bars().height} bars: what it calls, or its expression, has "
                "no end, or is too slow; `seconds` in the class allows more"
            ) from error

    def test_it_has_values_and_says_something(self, strategy: Strategy) -> None:
        with self.in_time():
            found = find_features(bundled_bars(), strategy, strict=True)
        [name] = strategy.feature_names
        assert found.rows.get_column(name).n_unique() > 1

    def test_it_is_defined_after_its_warm_up(self, strategy: Strategy) -> None:
        with self.in_time():
            undefined = find_features(bundled_bars(), strategy).undefined
        assert undefined.values.is_empty(), undefined.sentences()

    def test_it_comes_out_the_same_again(self, strategy: Strategy) -> None:
        with self.in_time():
            first, second = (compute_features(bundled_bars(), strategy) for _ in range(2))
        assert first.equals(second)

    def test_it_neither_looks_ahead_nor_remembers_nor_is_a_level(self, strategy: Strategy) -> None:
        with self.in_time():
            refuse_lookahead(bundled_bars(), strategy, seed=1)
