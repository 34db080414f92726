"""Run a batch of a sweep in a process of its own, and say each trial when it is finished.

Arguments: name of the sweep, file of the strategy, address of the database, number of the batch.
"""

import sys
from pathlib import Path

from tradewind.market.sources import sample
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.trials.sweep import run_batch


def say(number: int, _: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


study_name, file, url, batch = sys.argv[1:]
strategy = Strategy.model_validate_json(Path(file).read_text())
bars = sample.load(strategy.universe.symbols)
run_batch(study_name, bars, strategy, url, batch=int(batch), on_trial=say)
