"""A process that imports modules once and forks the programs that need them.

Run as ``python -m tradewind.stack.forkserver MODULE...``. Five of Airflow's services import
the same 3,000 modules, which takes each of them six seconds of CPU and 200 MB; forked from
one process that has imported them, they share both.

It reads requests from its standard input and writes replies to its standard output, one JSON
object a line (`tradewind.stack.spawning` is the other end):

- ``{"id": 1, "command": [...], "given": path, "log": path, "cwd": path}`` is answered with
  ``{"id": 1, "pid": 4711}`` and, when that process has ended, with ``{"ended": 4711, "code": 0}``.
  The command is a Python script, or ``python -m`` and a module. The file that is given holds
  ``{"environment": {...}, "stdin": text}``; the new process alone reads it, so that no secret of
  one program is ever in the memory of another.
  ``"imports": [...]`` are more modules that it needs: it is forked when they are imported, and
  who needs none of them before.
- ``{"id": 2}`` is answered with ``{"id": 2}``.

The end of its input ends it; the programs it forked go on.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn

from setproctitle import setproctitle

from tradewind.stack.percent import allow_percent_signs
from tradewind.stack.reread import read_again
from tradewind.workers.warm import import_or_warn

__all__ = ["main"]

Request = dict[str, Any]

# Python looks for garbage at each 700 objects made, and a start makes millions that stay.
_COLLECTED_AFTER = 10_000, 20, 20


def main(modules: list[str]) -> None:
    """Import the modules, then serve requests until the input ends; a fork runs its command."""
    # Whatever a module prints while it is imported must not look like a reply.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # Where the title is kept must be found before the environment beside it is replaced.
    setproctitle(f"tradewind fork server: {' '.join(modules)}")
    allow_percent_signs()
    gc.disable()  # no garbage, no holes: the pages that children share stay as they are
    for module in modules:
        importlib.import_module(module)
    _settle(*modules)
    request = _Server(replies).serve()
    replies.close()
    if request is not None:
        _run(request)


def _settle(*modules: str) -> None:
    """Keep what has been imported as it is, for children to share; exit if it cannot be forked."""
    if threading.active_count() > 1:  # a lock held by one of them would stay held in every child
        names = ", ".join(t.name for t in threading.enumerate()[1:])
        sys.exit(f"importing {', '.join(modules)} started threads ({names}): they cannot be forked")
    gc.collect()
    gc.freeze()


class _Server:
    """Reads requests, forks programs, tells of their ends."""

    def __init__(self, replies: IO[str]) -> None:
        self._replies = replies
        self._waiting: list[Request] = []
        self._imported: set[str] = set()
        self._woken, self._wake = os.pipe()

    def serve(self) -> Request | None:
        """Return None when the input has ended, and a request in the child that is to run it."""
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(self._wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._reply(id=0)
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            rest = b""
            while True:
                # While somebody waits for modules, look what else is asked between any two of them.
                ready = {key.fd for key, _ in selector.select(0 if self._waiting else None)}
                if self._woken in ready:
                    os.read(self._woken, 4096)
                    for pid, code in _ended():
                        self._reply(ended=pid, code=code)
                if 0 in ready:
                    received = os.read(0, 65536)
                    if not received:
                        return None
                    *lines, rest = (rest + received).split(b"\n")
                    for line in lines:
                        self._take(json.loads(line))
                for request in [r for r in self._waiting if not self._missing(r)]:
                    self._waiting.remove(request)
                    if self._fork(request):
                        return request
                if self._waiting:
                    self._import(self._missing(self._waiting[0])[0])

    def _take(self, request: Request) -> None:
        if "command" in request:
            self._waiting.append(request)
        else:
            self._reply(id=request["id"])

    def _missing(self, request: Request) -> list[str]:
        return [name for name in request.get("imports", ()) if name not in self._imported]

    def _import(self, module: str) -> None:
        import_or_warn(module)  # the program that needs it will fail by itself, where it uses it
        self._imported.add(module)
        _settle(module)

    def _fork(self, request: Request) -> bool:
        """Tell of a fork before it begins; return whether this is the child."""
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(tell)
            if not os.read(told, 1):  # the server died before it could tell of this one
                os._exit(1)
            os.close(told)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self._woken)
            os.close(self._wake)
            return True
        os.close(told)
        self._reply(id=request["id"], pid=pid)
        with suppress(BrokenPipeError):
            os.write(tell, b"\n")
        os.close(tell)
        return False

    def _reply(self, **content: int) -> None:
        try:
            self._replies.write(json.dumps(content) + "\n")
        except BrokenPipeError:  # nobody listens any more: the end of the input will follow
            sys.exit(0)


def _ended() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def _run(request: Request) -> NoReturn:
    """Become the program of the request: its session, environment, files and arguments."""
    os.setsid()
    given = json.loads(Path(request["given"]).read_bytes())
    os.environ.clear()
    os.environ.update(given["environment"])
    os.chdir(request["cwd"])
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for output in (1, 2):
        os.dup2(log, output)
    os.close(log)
    source = os.memfd_create("stdin")  # not a pipe, which would wait for its reader: for us
    with os.fdopen(os.dup(source), "wb") as sink:
        sink.write(given["stdin"].encode())
    os.lseek(source, 0, os.SEEK_SET)
    os.dup2(source, 0)
    os.close(source)
    read_again()
    gc.set_threshold(*_COLLECTED_AFTER)
    gc.enable()
    command: list[str] = request["command"]
    setproctitle(" ".join([Path(command[0]).name, *command[1:]]))
    if command[1:2] == ["-m"]:
        sys.argv = command[2:]
        runpy.run_module(command[2], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
