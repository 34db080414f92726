"""Leftovers are told from strangers by the start of their session's leader."""

import os
import subprocess
import time

import psutil

from tradewind.stack.processes import (
    belongs_to_another,
    session_members,
    stop_processes,
    with_children,
)


def test_children_of_a_dead_unreaped_leader_are_found_and_stopped(wait_until) -> None:
    leader = subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600 & wait"], start_new_session=True)
    try:
        created = psutil.Process(leader.pid).create_time()
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
    assert belongs_to_another(os.getpid(), time.time() - 1e6)
    assert not belongs_to_another(os.getpid(), psutil.Process().create_time())


def test_children_with_sessions_of_their_own_belong_to_the_family(wait_until) -> None:
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


def test_a_service_forked_by_another_is_counted_once(wait_until) -> None:
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
