"""Contracts: tests of every promise that a desk's own code makes. They need pytest.

Derive a class, name what is to be tried, and run pytest::

    from tradewind.testing import ModelContract

    class TestMine(ModelContract):
        model = {"kind": "custom", "class": "my_models:Mine", "parameters": {"neighbours": 50}}
"""

from tradewind.testing.broker import BrokerContract
from tradewind.testing.feature import FeatureContract
from tradewind.testing.model import ModelContract
from tradewind.testing.source import SourceContract
from tradewind.testing.strategy import StrategyContract

__all__ = [
    "BrokerContract", "FeatureContract", "ModelContract", "SourceContract", "StrategyContract",
]  # fmt: skip
