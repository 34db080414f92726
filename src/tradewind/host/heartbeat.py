"""The heartbeat of a service as the age of a file, which a probe reads at almost no cost."""

import os
from pathlib import Path
from typing import Final

__all__ = ["HEARTBEAT_FILE", "touch_heartbeat"]

HEARTBEAT_FILE: Final = "WORKER_HEARTBEAT_FILE"


def touch_heartbeat() -> None:
    """Set the time of the file named by `HEARTBEAT_FILE`, if it is set, to now.

    Called when somebody else, a broker or a database, has taken the heartbeat. The file of a
    service that hangs, or has lost them, grows old. A probe compares its time of modification with
    the clock.
    """
    file = os.environ.get(HEARTBEAT_FILE)
    if file:
        Path(file).touch()
