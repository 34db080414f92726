"""A fan-out of 60 short tasks and their join; beside stock Airflow and Dagster.

Dagster runs it by its Python interface, with dynamic outputs, its default executor (a process a
step, as many at once as there are cores) and its default storage.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.airflows import FLOWS, airflows
from benchmarks.servers import Servers, servers
from benchmarks.table import Row, Times
from benchmarks.timing import Timed, in_turn

GOALS = (Times("stock Airflow", 3.0), Times("Dagster", 8.0))


def measure(quick: bool) -> list[Row]:
    """Return the rows of the table; the quick ones are without Dagster."""
    with ExitStack() as until_the_end:
        both = until_the_end.enter_context(airflows())
        systems = {who: partial(timer.run, "fan", "total") for who, timer in both.items()}
        if not quick:
            systems["Dagster"] = partial(_run, until_the_end.enter_context(dagster()))
        return in_turn(2, "fan-out of 60 tasks", systems, GOALS, quick=quick)


@contextmanager
def dagster() -> Iterator[Servers]:
    """Yield Dagster with a home of its own."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"DAGSTER_HOME": folder, "DAGSTER_DISABLE_TELEMETRY": "yes"}
        with servers("dagster", Path(folder), given) as found:
            yield found


def _run(programs: Servers) -> Timed:
    asked = time.time()
    *_, last = programs.run("python", str(FLOWS / "dagster_fan.py")).splitlines()
    return Timed(asked, *json.loads(last))
