"""How long `docker compose up` takes to all healthy, and what each container weighs.

Run from the checkout: ``python -m benchmarks.containers``.
Brings the stack up in a project of its own, on free ports, with the images built; measures it idle
and during one training; prints a table and writes ``benchmarks/results/containers-DATE.json``.
"""

import json
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from tests.compose.project import (
    CHECKOUT,
    Project,
    airflow_client,
    build,
    image_sizes,
    make_project,
    remove,
    start_training,
)

GOAL_SECONDS = 90
IDLE_SECONDS = 60  # what a start leaves to be done is done by then
FINAL = {"success", "failed"}


def peak_of_training(project: Project) -> dict[str, float]:
    """Most memory (MiB) that each container had while a training ran."""
    peak: dict[str, float] = {}
    with airflow_client(project.credentials()["airflow"]) as airflow:
        path = start_training(airflow)
        while airflow.get(path).json()["state"] not in FINAL:
            for name, memory in project.memory().items():
                peak[name] = max(peak.get(name, 0.0), memory["used"])
        state = airflow.get(path).json()["state"]
    if state != "success":
        sys.exit(f"the training ended as {state}")
    return peak


def main() -> None:
    """Measure, print a table, write JSON."""
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "checkout", f"tradewind-bench-{uuid.uuid4().hex[:6]}")
        try:
            build(project)
            first = project.up()
            project.down("down")
            later = project.up()
            time.sleep(IDLE_SECONDS)
            idle = project.memory()
            peak = peak_of_training(project)
            images = image_sizes(project)
        finally:
            remove(project)
    rows: list[dict[str, Any]] = [
        {
            "container": name,
            "limit_mib": round(memory["limit"]),
            "idle_mib": round(memory["used"]),
            "training_mib": round(peak[name]),
        }
        for name, memory in idle.items()
    ]
    verdict = "met" if first <= GOAL_SECONDS else "NOT met"
    print(f"up to all healthy: first {first:.0f} s, after down {later:.0f} s "
          f"(goal {GOAL_SECONDS} s: {verdict})\n")  # fmt: skip
    print(f"{'container':<26}{'limit':>8}{'idle':>8}{'training':>10}   MiB")
    for row in rows:
        print(f"{row['container']:<26}{row['limit_mib']:>8}{row['idle_mib']:>8}"
              f"{row['training_mib']:>10}")  # fmt: skip
    print(f"{'together':<34}{sum(row['idle_mib'] for row in rows):>8}"
          f"{sum(row['training_mib'] for row in rows):>10}\n")  # fmt: skip
    for image, size in images.items():
        print(f"{image:<50}{size / 1e6:>8.0f} MB")
    results = CHECKOUT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    (results / f"containers-{time.strftime('%Y-%m-%d')}.json").write_text(
        json.dumps(
            {
                "seconds_to_healthy": {"first": first, "after_down": later, "goal": GOAL_SECONDS},
                "memory": rows,
                "image_bytes": images,
            },
            indent=2,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
