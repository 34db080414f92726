"""What a training leads to is said in words, before it does."""

from typing import Any

import pytest

from tradewind.research.strategy.strategy import Strategy
from tradewind.trading.announcement import consequences

FIELDS: dict[str, Any] = {
    "name": "small",
    "description": "the least a strategy says",
    "universe": {"source": "sample", "symbols": ["IBM", "MSFT"]},
    "horizon": 5,
    "features": [{"return": {"window": 5}}],
    "model": {"kind": "lightgbm"},
    "walk_forward": {"train": 504, "test": 126},
    "backtest": {"commission_bps": 1, "slippage_bps": 4.0},
}


@pytest.mark.parametrize(
    ("said", "broker", "expected"),
    [
        ({}, "paper", ["champion by itself", "on paper, account small", "still to come"]),
        ({}, "ib://gateway:4001", ["on paper, account small"]),
        ({"gate": {"promotion": "approval"}}, "paper", ["when a person approves it"]),
        ({"execution": "off"}, "paper", ["no order leaves"]),
        ({"execution": "replay"}, "paper", ["on paper", "as if the last session of the bars"]),
        ({"execution": "live"}, "paper", ["names no real broker", "refused"]),
        ({"execution": "live"}, None, ["REAL ORDERS", "TRADEWIND_BROKER names, account small"]),
        (
            {"execution": "live"},
            "ib://gateway:4001?account.small=U123&account.other=U9",
            ["REAL ORDERS at the broker ib at gateway:4001, account U123"],
        ),
        ({"execution": "live"}, "mine", ["REAL ORDERS at the broker mine, account small"]),
        (
            {"allow_leakage": True, "walk_forward": {"train": 504, "test": 126, "purge": 0}},
            "paper",
            ["No version is ever promoted"],
        ),
    ],
)
def test_what_follows_is_said(
    said: dict[str, Any], broker: str | None, expected: list[str]
) -> None:
    found = consequences(Strategy.model_validate(FIELDS | said), broker)
    assert all(part in found for part in expected), found
    assert ("REAL" in found) == ("REAL" in " ".join(expected))


def test_nothing_secret_is_said() -> None:
    strategy = Strategy.model_validate(FIELDS | {"execution": "live"})
    found = consequences(strategy, "mine://me:hunter2@host:1?token=hunter3")
    assert "host:1" in found
    assert "hunter" not in found
