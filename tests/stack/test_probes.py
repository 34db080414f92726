"""A heartbeat is recent if it was seen to change, whatever the machine's clock is set to."""

import os
import time
from pathlib import Path

import pytest

from tradewind.stack.probes import ProbeFailure, heartbeat_file


def beat(file: Path, at: float) -> None:
    file.touch()
    os.utime(file, (at, at))


def test_a_heartbeat_of_the_process_before_is_none(tmp_path: Path) -> None:
    file, now = tmp_path / "beat", time.time()
    probe = heartbeat_file(file)
    with pytest.raises(ProbeFailure, match="no heartbeat yet"):
        probe(now)
    beat(file, now - 10)
    with pytest.raises(ProbeFailure, match="no heartbeat since it was started"):
        probe(now)
    beat(file, now + 1)
    probe(now)
    with pytest.raises(ProbeFailure, match="no heartbeat since it was started"):
        probe(now + 5)  # it was started again, and has said nothing yet


@pytest.mark.parametrize("seconds", [-86400.0, 86400.0])
def test_a_worker_that_beats_is_well_though_its_clock_is_set(
    tmp_path: Path, seconds: float
) -> None:
    file, now = tmp_path / "beat", time.time()
    probe = heartbeat_file(file)
    beat(file, now + 1)
    probe(now)
    beat(file, now + seconds)
    probe(now)


def test_a_worker_that_stopped_to_beat_is_not_saved_by_a_date_in_the_future(
    tmp_path: Path,
) -> None:
    file, now = tmp_path / "beat", time.time()
    probe = heartbeat_file(file, max_age=0.0)
    beat(file, now + 86400)
    probe(now)
    with pytest.raises(ProbeFailure, match="the last heartbeat is"):
        probe(now)
