"""Processes of the machine: who holds a port, what a service consists of, what is left over."""

import os
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

__all__ = [
    "belongs_to_another",
    "boot_id",
    "holder_of_port",
    "is_same_process",
    "proportional_memory",
    "session_members",
    "started_at",
    "stop_processes",
    "with_children",
]

_LOOPBACK = (("127.0.0.1",), ("::ffff:127.0.0.1",))


def boot_id() -> str:
    """Identity of this boot of the machine: process ids mean nothing beyond it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since the machine's boot; None if there is none.

    With the pid it names one process of this boot. Seconds since the epoch would not: they are
    calculated from the time of the boot, which moves when somebody sets the machine's clock.
    """
    stat = _stat(pid)
    return int(stat[19]) if stat else None


def is_same_process(pid: int, started: int | None) -> bool:
    """Whether the process is alive and is the one that `started_at` told of."""
    stat = _stat(pid)
    return bool(stat) and int(stat[19]) == started and stat[0] not in {"Z", "X"}


def belongs_to_another(pid: int, started: int | None) -> bool:
    """Whether the number was given to another process than the one `started_at` told of.

    A dead process that nobody has waited for still counts as the one it was: children that
    outlived it are in its session all the same.
    """
    return started_at(pid) not in {None, started}


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the third (state) on; empty if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().decode(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the second is a name, and may hold anything


def session_members(sessions: Iterable[int]) -> dict[int, list[int]]:
    """Living processes of each session.

    Each service leads a session of its own, which its children cannot leave by dying parents or
    changed process groups; the id of a session is not given to another while a member lives.
    """
    found: dict[int, list[int]] = {session: [] for session in sessions}
    for pid in psutil.pids():
        try:
            session = os.getsid(pid)
        except OSError:
            continue
        if session in found:
            found[session].append(pid)
    return found


def with_children(members: Mapping[int, Iterable[int]]) -> dict[int, list[int]]:
    """Add the children that left for sessions of their own, as each of PostgreSQL's does.

    A child that leads one of the given sessions is a service forked by another, and stays there.
    """
    taken = {pid for pids in members.values() for pid in pids}
    parents = {process.pid: process.info["ppid"] for process in psutil.process_iter(["ppid"])}
    found = {session: set(pids) for session, pids in members.items()}
    for family in found.values():
        while more := {pid for pid, parent in parents.items() if parent in family} - family - taken:
            family.update(more)
    return {session: sorted(pids) for session, pids in found.items()}


def proportional_memory(pids: Iterable[int]) -> int | None:
    """Sum of the proportional set size in bytes; None if nothing of it can be read."""
    total = 0
    seen = False
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
                seen = True
                break
    return total if seen else None


def holder_of_port(port: int) -> tuple[int, str] | None:
    """Process that has a TCP port of this machine, as (pid, command line).

    Who listens on it, else whose connection goes out from it: that, too, keeps others from
    listening there. The pid is 0 where the process is one that this user may not look at.
    """
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # pragma: no cover - not on Linux
        return None
    found = [each for each in connections if each.laddr[1:] == (port,)]
    listening = [each for each in found if each.status == psutil.CONN_LISTEN]
    going_out = [each for each in found if each.raddr and each.laddr[:1] in _LOOPBACK]
    for connection in (*listening, *going_out):
        outgoing = "" if connection in listening else "a connection of "
        if connection.pid is None:
            if connection.status == psutil.CONN_TIME_WAIT:
                continue  # its process is gone, and it is in nobody's way
            return 0, f"{outgoing}a process of another user"
        try:
            command = " ".join(psutil.Process(connection.pid).cmdline())[:120]
        except psutil.Error:
            command = "unknown"
        return connection.pid, f"{outgoing}{command}"
    return None


def stop_processes(pids: Iterable[int], *, grace: float) -> None:
    """End processes: ask first, kill what is left after `grace` seconds."""
    processes = []
    for pid in pids:
        try:
            processes.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    for process in processes:
        try:
            process.send_signal(signal.SIGTERM)
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=grace)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(p.is_running() for p in alive):
        psutil.wait_procs(alive, timeout=0.2)
