"""Row 14: how long the command line takes to answer, with the whole stack up where it matters."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import AtMost, Row, row
from tests.stack.conftest import Stack, make_stack

__all__ = ["measure"]

GOAL = [AtMost(0.3)]


def measure(quick: bool) -> list[Row]:
    """Measure ``--help``, and ``status`` of a stack that runs."""
    with tempfile.TemporaryDirectory() as folder:
        stack = make_stack(Path(folder) / "checkout")
        if quick:  # a start of all of it takes too long here; two services are read alike
            stack = stack.part("postgres", "redis")
        try:
            stack.ok("up", "--detach", timeout=600)
            return [
                row(14, f"tradewind {words}", "s", {"ours": answers(stack, words)}, GOAL)
                for words in ("--help", "status")
            ]
        finally:
            stack.run("down")


def answers(stack: Stack, words: str) -> list[float]:
    """Return the seconds of ten answers; a first one warms the files."""
    program = Path(sys.executable).with_name("tradewind")
    taken = []
    for _ in range(11):
        began = time.perf_counter()
        subprocess.run(
            [program, words],
            cwd=stack.home,
            env=stack.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        taken.append(time.perf_counter() - began)
    return taken[1:]
