"""Backups by the clock: ``python -m tradewind.stack.backup.schedule``, a service of the stack.

A backup is due when the newest of the place is as old as the setting says, so none is missed
because the machine was off, and a restart makes none that is not due.
"""

import json
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

from tradewind.errors import TradewindError
from tradewind.settings import Settings, load_settings
from tradewind.stack.backup.encryption import public_keys
from tradewind.stack.backup.kept import backups
from tradewind.stack.backup.local import back_up
from tradewind.stack.backup.places import place_of
from tradewind.stack.backup.service import NAME, status_file
from tradewind.stack.layout import Layout, write_atomically

__all__ = ["main", "seconds_until_due"]

_LOOKS: Final = 60.0  # seconds, so that a clock that is set is seen
_AGAIN: Final = 900.0  # seconds after a backup that failed


def seconds_until_due(settings: Settings, now: datetime) -> float:
    """Return when the next backup is due; 0 or less, if it is now.

    Raises
    ------
    BackupError
        If the place cannot be read.
    """
    made = [each.manifest.made for each in backups(place_of(settings.backup_to, settings.home))]
    if not made:
        return 0.0
    return (made[-1] + timedelta(hours=settings.backup_every_hours) - now).total_seconds()


def main() -> NoReturn:
    """Make backups until the process is ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what is half made is removed
    settings = load_settings()
    file = status_file(Layout(settings.state))
    error = ""
    while True:
        _report(file, error)
        try:
            wait = seconds_until_due(settings, datetime.now(UTC))
            if wait <= 0:
                _report(file, error, begun=time.monotonic())
                _back_up(settings)
                wait = 0.0
            error = ""
        except Exception as problem:  # noqa: BLE001 - whatever it is, the next one may succeed
            known = isinstance(problem, TradewindError)
            error = str(problem) if known else f"{type(problem).__name__}: {problem}"
            wait = _AGAIN
            _say({"error": error})
        _report(file, error)
        time.sleep(min(max(wait, 1.0), _AGAIN if error else _LOOKS))


def _back_up(settings: Settings) -> None:
    made = back_up(
        settings, settings.backup_to, keep=settings.backup_keep,
        encrypt_to=public_keys(settings.backup_encrypt_to),
    )  # fmt: skip
    _say({"backup": made.backup.name, "bytes": made.backup.size, "removed": made.removed})


def _report(file: Path, error: str, *, begun: float | None = None) -> None:
    """Say how it goes; `begun` is of the clock that nobody sets, which all processes share."""
    write_atomically(file, json.dumps({"service": NAME, "error": error, "begun": begun}))


def _say(line: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps({"at": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}", **line}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
