"""How long the stack takes until all is healthy: in a new checkout, and after `tradewind down`."""

import tempfile
import time
from pathlib import Path

from benchmarks.table import AtMost, Row, row
from tests.stack.conftest import Stack, make_stack

GOALS = {"first start": 30.0, "later start": 10.0}


def measure(quick: bool) -> list[Row]:
    """Return the rows of the table."""
    found: dict[str, list[float]] = {name: [] for name in GOALS}
    for _ in range(1 if quick else 5):
        with tempfile.TemporaryDirectory() as folder:
            stack = make_stack(Path(folder) / "checkout")
            try:
                for seconds in found.values():
                    seconds.append(_seconds_to_healthy(stack))
                    stack.ok("down")
            finally:
                stack.run("down")
    return [
        row(10, f"{name}, to all healthy", "s", {"ours": seconds}, [AtMost(GOALS[name])])
        for name, seconds in found.items()
    ]


def _seconds_to_healthy(stack: Stack) -> float:
    began = time.perf_counter()
    stack.ok("up", "--detach", timeout=1800)
    return time.perf_counter() - began
