"""A backtest in vectorbt, run in vectorbt's environment: ``python vectorbt_orders.py FILE ENGINE``.

FILE holds arrays of sessions by symbols: weights held from each open on, opens and closes. For
each line of its input it runs once, and prints the seconds; the equity goes to ``FILE.ENGINE.npy``.
"""

import sys
import time
from pathlib import Path

import numpy as np
import vectorbt

# It takes amounts below 1e-12 for nothing: with little cash, what is held of one of many.
CASH = 1e9


def main(file: str, engine: str) -> None:
    """Run as often as asked."""
    with np.load(file) as arrays:
        held, opens, closes = (arrays[name] for name in ("held", "opens", "closes"))

    def run() -> np.ndarray:
        # The order of orders within a session is of no account: there is cash for all of them. Of
        # the options that leave the equity as it is these were the fastest, by a little.
        portfolio = vectorbt.Portfolio.from_orders(
            closes,
            size=held,
            size_type="targetpercent",
            price=opens,
            val_price=opens,
            cash_sharing=True,
            group_by=True,
            init_cash=CASH,
            engine=engine,
        )
        return np.asarray(portfolio.value()).ravel() / CASH

    np.save(Path(f"{file}.{engine}.npy"), run())  # the first one compiles
    for _ in sys.stdin:
        began = time.perf_counter()
        run()
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
