"""Row 14: how long the command line takes to answer, beside the least that stock Airflow can say.

The whole stack is up, but for the quick one.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.others import environment
from benchmarks.table import AtMost, Row, row
from tests.stack.conftest import Stack, make_stack
from tradewind.host.utf8 import UTF8

__all__ = ["measure"]

GOAL = [AtMost(0.3)]
PROGRAM = Path(sys.executable).with_name("tradewind")


def measure(quick: bool) -> list[Row]:
    """Measure ``--help``, and ``status`` of a stack that runs."""
    with tempfile.TemporaryDirectory() as folder:
        stack = make_stack(Path(folder) / "checkout")
        if quick:  # a start of all of it takes too long here; two services are read alike
            stack = stack.part("postgres", "redis")
        try:
            stack.ok("up", "--detach", timeout=600)
            stock = answers([environment("airflow") / "airflow", "version"], stack, 5)
            found = {
                words: {"ours": answers([PROGRAM, words], stack, 10), "airflow version": stock}
                for words in ("--help", "status")
            }
            return [row(14, f"tradewind {words}", "s", each, GOAL) for words, each in found.items()]
        finally:
            stack.run("down")


def answers(command: list[Path | str], stack: Stack, count: int) -> list[float]:
    """Return the seconds of some answers; a first one, which is not counted, warms the files."""
    taken = []
    for _ in range(count + 1):
        began = time.perf_counter()
        subprocess.run(
            command,
            cwd=stack.home,
            # Stock Airflow cannot read its own files in the locale that our stack is tried in.
            env={**stack.environment, **UTF8, "AIRFLOW_HOME": str(stack.home)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        taken.append(time.perf_counter() - began)
    return taken[1:]
