"""A process that imports modules once and forks the programs that need them.

Run as ``python -m tradewind.stack.forkserver MODULE...``. Five of Airflow's services import
the same 2,000 modules, which takes each of them four seconds of CPU and 100 MB; forked from
one process that has imported them, they share both.

It reads requests from its standard input and writes replies to its standard output, one JSON
object a line (`tradewind.stack.spawning` is the other end):

- ``{"id": 1, "command": [...], "environment": {...}, "log": path, "cwd": path, "stdin": text}``
  is answered with ``{"id": 1, "pid": 4711}`` and, when that process has ended, with
  ``{"ended": 4711, "code": 0}``. The command is a Python script, or ``python -m`` and a module.
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

__all__ = ["main"]

Request = dict[str, Any]


def main(modules: list[str]) -> None:
    """Import the modules, then serve requests until the input ends; a fork runs its command."""
    # Whatever a module prints while it is imported must not look like a reply.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # Where the title is kept must be found before the environment beside it is replaced.
    setproctitle(f"tradewind fork server: {' '.join(modules)}")
    gc.disable()  # no garbage, no holes: the pages that children share stay as they are
    for module in modules:
        importlib.import_module(module)
    if threading.active_count() > 1:  # a lock held by one of them would stay held in every child
        names = ", ".join(t.name for t in threading.enumerate()[1:])
        sys.exit(f"importing {', '.join(modules)} started threads ({names}): they cannot be forked")
    gc.collect()
    gc.freeze()
    request = _serve(replies)
    replies.close()
    if request is not None:
        _run(request)


def _serve(replies: IO[str]) -> Request | None:
    """Answer requests; return None when the input has ended, a request in the child to run it."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _reply(replies, id=0)
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        rest = b""
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if woken in ready:
                os.read(woken, 4096)
                for pid, code in _ended():
                    _reply(replies, ended=pid, code=code)
            if 0 not in ready:
                continue
            received = os.read(0, 65536)
            if not received:
                return None
            *lines, rest = (rest + received).split(b"\n")
            for line in lines:
                request: Request = json.loads(line)
                if "command" not in request:
                    _reply(replies, id=request["id"])
                    continue
                told, tell = os.pipe()
                pid = os.fork()
                if pid == 0:
                    os.close(tell)
                    if not os.read(told, 1):  # the server died before it could tell of this one
                        os._exit(1)
                    os.close(told)
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.close(woken)
                    os.close(wake)
                    return request
                os.close(told)
                _reply(replies, id=request["id"], pid=pid)
                with suppress(BrokenPipeError):
                    os.write(tell, b"\n")
                os.close(tell)


def _ended() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def _reply(replies: IO[str], **content: int) -> None:
    try:
        replies.write(json.dumps(content) + "\n")
    except BrokenPipeError:  # nobody listens any more: the end of the input will follow
        sys.exit(0)


def _run(request: Request) -> NoReturn:
    """Become the program of the request: its session, environment, files and arguments."""
    os.setsid()
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for output in (1, 2):
        os.dup2(log, output)
    os.close(log)
    source = os.memfd_create("stdin")  # not a pipe, which would wait for its reader: for us
    with os.fdopen(os.dup(source), "wb") as sink:
        sink.write(request["stdin"].encode())
    os.lseek(source, 0, os.SEEK_SET)
    os.dup2(source, 0)
    os.close(source)
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
