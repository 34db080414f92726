"""The state file: whose it is and whether it holds, whatever the machine's clock is set to."""

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tradewind.stack.layout import Layout
from tradewind.stack.leftovers import clear_leftovers
from tradewind.stack.processes import boot_id, started_at
from tradewind.stack.state import (
    ServiceState,
    StackState,
    disown_state,
    is_current,
    read_state,
    vouch_for_state,
    write_state,
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "state")
    made.create()
    return made


@pytest.fixture
def service() -> Iterator[int]:
    """A process that leads a session of its own, as each service does."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Move the time of day; with it moves the time of the boot that psutil calculates with."""
    booted, now = psutil.boot_time(), time.time
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: booted + seconds)
    monkeypatch.setattr(time, "time", lambda: now() + seconds)


def state_of(pid: int) -> StackState:
    state = StackState(pid=os.getpid(), started=started_at(os.getpid()))
    state.services = {"one": ServiceState("one", step=False, pid=pid, started=started_at(pid))}
    return state


def write_as_version_0_1(layout: Layout, pid: int, *, off: float = 0.0) -> None:
    """Write a state file as it was when processes were told by the time of day."""
    rest = {"detail": "", "restarts": 0, "address": ""}
    content = {
        "pid": os.getpid(), "created": psutil.Process().create_time() + off, "boot": boot_id(),
        "error": "", "seconds": 1.0,
        "services": {
            "one": {"name": "one", "step": False, "state": "healthy", "pid": pid,
                    "created": psutil.Process(pid).create_time() + off, **rest},
            "two": {"name": "two", "step": True, "state": "done", "pid": None, "created": 0.0,
                    **rest},
        },
    }  # fmt: skip
    layout.state_file.write_text(json.dumps(content))


@pytest.mark.parametrize("seconds", [-1e6, -1.5, 1.5, 86400.0])
def test_a_clock_that_is_set_leaves_the_stack_to_its_owner(
    layout: Layout, service: int, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    write_state(layout, state_of(service))
    set_clock(monkeypatch, seconds)
    state = read_state(layout)
    assert state is not None
    assert state.supervised()
    assert is_current(layout)
    assert clear_leftovers(layout) == [service]


def test_a_state_is_current_while_it_is_vouched_for(layout: Layout, service: int) -> None:
    write_state(layout, state_of(service))
    disown_state(layout)
    assert not is_current(layout)
    vouch_for_state(layout)
    assert is_current(layout)
    long_ago = time.clock_gettime(time.CLOCK_BOOTTIME) - 31
    os.utime(layout.state_file, (long_ago, long_ago))
    assert not is_current(layout)


@pytest.mark.parametrize("off", [0.0, 1.5, -1e6])
def test_a_running_stack_of_version_0_1_is_known_by_its_lock(
    layout: Layout, service: int, off: float
) -> None:
    write_as_version_0_1(layout, service, off=off)
    with layout.lock_file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = read_state(layout)
    assert state is not None
    assert state.supervised()
    assert state.sessions() == [service]
    assert state.services["one"].started == started_at(service)


def test_leftovers_of_version_0_1_are_told_from_strangers(layout: Layout, service: int) -> None:
    write_as_version_0_1(layout, service, off=1e4)  # the number was given to another since
    assert clear_leftovers(layout) == []
    write_as_version_0_1(layout, service)
    state = read_state(layout)
    assert state is not None
    assert not state.supervised()
    assert clear_leftovers(layout) == [service]
