"""Leftovers are told from strangers by the start of their session's leader."""

import os
import subprocess
import sys

import psutil

from tests.stack.conftest import WaitUntil
from tradewind.stack.processes import (
    belongs_to_another,
    is_same_process,
    session_members,
    started_at,
    stop_processes,
    with_children,
)


def test_children_of_a_dead_unreaped_leader_are_found_and_stopped(wait_until: WaitUntil) -> None:
    leader = subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600 & wait"], start_new_session=True)
    try:
        created = started_at(leader.pid)
        wait_until(lambda: len(session_members([leader.pid])[leader.pid]) == 3, 10)
        os.kill(leader.pid, 9)
        wait_until(
            lambda: psutil.Process(leader.pid).status() == psutil.STATUS_ZOMBIE, 10
        )  # not waited for: as under a slow init
        assert not belongs_to_another(leader.pid, created)
        stop_processes(session_members([leader.pid])[leader.pid], grace=5)
    finally:
        leader.wait()
    assert session_members([leader.pid])[leader.pid] == []


def test_a_number_given_to_a_later_process_is_a_strangers() -> None:
    mine = started_at(os.getpid())
    assert mine is not None
    assert belongs_to_another(os.getpid(), mine - 1)
    assert not is_same_process(os.getpid(), mine - 1)
    assert not belongs_to_another(os.getpid(), mine)
    assert is_same_process(os.getpid(), mine)


def test_a_process_with_any_name_is_told_from_others() -> None:
    name = "a) Z 1 (b"  # what /proc writes between parentheses, before everything else
    script = f"import setproctitle; setproctitle.setthreadtitle({name!r}); input()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    try:
        assert is_same_process(process.pid, started_at(process.pid))
    finally:
        process.communicate(b"\n")
    assert started_at(process.pid) is None
    assert not is_same_process(process.pid, None)


def test_children_with_sessions_of_their_own_belong_to_the_family(wait_until: WaitUntil) -> None:
    script = "setsid sh -c 'sleep 600 & wait' & wait"
    leader = subprocess.Popen(["sh", "-c", script], start_new_session=True)

    def family() -> list[int]:
        return with_children(session_members([leader.pid]))[leader.pid]

    try:
        wait_until(lambda: len(family()) == 3, 10)
        assert len(session_members([leader.pid])[leader.pid]) == 1
    finally:
        stop_processes(family(), grace=5)
        leader.wait()


def test_a_service_forked_by_another_is_counted_once(wait_until: WaitUntil) -> None:
    server = subprocess.Popen(["sh", "-c", "setsid sleep 600 & wait"], start_new_session=True)
    try:
        wait_until(lambda: len(with_children(session_members([server.pid]))[server.pid]) == 2, 10)
        [forked] = {p.pid for p in psutil.Process(server.pid).children()}
        wait_until(lambda: os.getsid(forked) == forked, 10)
        families = with_children(session_members([server.pid, forked]))
        assert families == {server.pid: [server.pid], forked: [forked]}
    finally:
        stop_processes(with_children(session_members([server.pid]))[server.pid], grace=5)
        server.wait()
