"""The short form of the campaign of kills."""

import os
import random
import sys

from benchmarks.kills import SWEPT, TRAINED, run
from tests.stack.conftest import Stack

KILLS = int(os.environ.get("TRADEWIND_CAMPAIGN_KILLS", "4"))
SEED = int(os.environ.get("TRADEWIND_CAMPAIGN_SEED", random.SystemRandom().randrange(10**6)))


def test_what_is_killed_while_everything_is_busy_loses_and_doubles_nothing(stack: Stack) -> None:
    sys.stdout.write(f"TRADEWIND_CAMPAIGN_SEED={SEED}\n")
    # Orders through kills are in test_execution.py.
    kills, found = run(stack, kills=KILLS, seed=SEED, pause=(0.0, 2.0), traded=0)
    assert len(kills) == KILLS
    assert found.wrong == []
    assert found.done["runs logged"] > 0
    for what in ("remote", *(f"train_{name}" for name in (*TRAINED, SWEPT))):
        assert found.done[f"{what} succeeded"] == found.done[f"{what} asked for"] > 0
