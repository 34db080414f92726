"""Seconds from the trigger by Airflow's API to the first line of the first task."""

from benchmarks.airflows import Timer, airflows
from benchmarks.table import AtMost, Row, row


def measure(quick: bool) -> list[Row]:
    """Return the row of the table."""
    with airflows() as both:
        for timer in both.values():
            latency(timer)  # the first is not counted
        found: dict[str, list[float]] = {who: [] for who in both}
        for _ in range(5 if quick else 21):
            for who, timer in both.items():
                found[who].append(latency(timer))
    return [row(3, "trigger to the task's first line", "s", found, [AtMost(0.5)])]


def latency(timer: Timer) -> float:
    """Run the DAG once; its task returns the time at its first line."""
    run = timer.run("latency", "first_line")
    return float(run.result) - run.asked
