"""Every file in strategies/ and sources/ can be used as it is."""

from pathlib import Path

import tradewind as tw

DESK = tw.Desk(Path(__file__).parents[1])


def test_every_strategy_can_be_read():
    assert DESK.strategies()


def test_every_source_can_be_read():
    assert DESK.sources()
