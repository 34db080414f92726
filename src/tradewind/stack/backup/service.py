"""The service of the local stack that makes backups, where a setting asks for it."""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tradewind.settings import Settings
from tradewind.stack.layout import Layout
from tradewind.stack.probes import Probe, ProbeFailure
from tradewind.stack.service import Service

__all__ = ["NAME", "scheduled", "status_file"]

NAME: Final = "backups"


def status_file(layout: Layout) -> Path:
    """Return the file in which it says how the last backup went."""
    return layout.run_dir / "backups.json"


def scheduled(settings: Settings, layout: Layout, base: Mapping[str, str]) -> list[Service]:
    """Return the service, or nothing where no backups are made by the clock."""
    if not settings.backup_every_hours:
        return []
    status = status_file(layout)
    # The login of the bucket is the user's own, as of every client of S3.
    login = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return [
        Service(
            NAME,
            [sys.executable, "-m", "tradewind.stack.backup.schedule"],
            {**base, **(login if settings.backup_to.startswith("s3://") else {})},
            needs=("mlflow", "trading-migrate"),  # with their tables, and the stores beneath them
            probe=_last_one(
                status, start=3 * settings.start_timeout, longest=settings.backup_every_hours * 3600
            ),
            prepare=lambda: status.unlink(missing_ok=True),
            address=settings.backup_to,
        )
    ]


def _last_one(status: Path, *, start: float, longest: float) -> Probe:
    """Healthy when the last backup was made and none hangs, and while a start may go on anyway.

    A place that is full must not keep the stack from starting.
    """

    def probe(started: float) -> None:
        try:
            said = json.loads(status.read_text())
        except FileNotFoundError:
            raise ProbeFailure("has not looked yet") from None
        if said["error"] and time.time() - started > start:
            raise ProbeFailure(f"the last backup failed: {said['error']}")
        # By the clock that nobody sets: one that is set forward makes no backup hang.
        if said["begun"] and time.monotonic() - said["begun"] > longest:
            raise ProbeFailure(
                "a backup does not come to its end, and the next one is due: does its place, or "
                "the network to it, hang?"
            )

    return probe
