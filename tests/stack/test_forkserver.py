"""Programs forked by a warm process are like those executed: session, environment, output, end."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import psutil
import pytest

from tradewind.errors import StackError
from tradewind.stack.spawning import ForkServer, Process, Program, ending

REPORT = """
import os, sys, tomllib
print("argv", sys.argv[1:])
print("session", os.getsid(0) == os.getpid())
print("greeting", os.environ.get("GREETING"), os.environ.get("HOME"))
print("warm", "wsgiref.simple_server" in sys.modules)
print("stdin", sys.stdin.read())
print("cwd", os.getcwd())
print("to stderr", file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "report"
    path.write_text(f"#!/usr/bin/env python3\n{REPORT}")
    return path


def program(
    tmp_path: Path, *command: str, stdin: str = "", imports: tuple[str, ...] = ()
) -> Program:
    environment = {"GREETING": "hello", "PATH": os.environ["PATH"]}
    return Program(list(command), environment, tmp_path / "child.log", tmp_path, stdin, imports)


def with_server(
    tmp_path: Path,
    use: Callable[[ForkServer], Coroutine[None, None, None]],
    modules: tuple[str, ...] = ("wsgiref.simple_server",),
) -> None:
    async def run() -> None:
        command = [sys.executable, "-m", "tradewind.stack.forkserver", *modules]
        server = await ForkServer.execute(
            Program(command, os.environ, tmp_path / "server.log", tmp_path)
        )
        try:
            async with asyncio.timeout(60):
                await use(server)
        finally:
            if server.returncode is None:
                server.send_signal(signal.SIGTERM)
            await server.wait()

    asyncio.run(run())


def test_a_script_runs_with_its_own_arguments_environment_session_and_files(
    tmp_path: Path, script: Path
) -> None:
    async def use(server: ForkServer) -> None:
        process = await server.fork(program(tmp_path, str(script), "one", "two", stdin="a secret"))
        assert await process.wait() == 3
        assert ending(process) == "ended with exit code 3"

    with_server(tmp_path, use)
    lines = (tmp_path / "child.log").read_text().splitlines()
    assert set(lines) == {
        "argv ['one', 'two']", "session True", "greeting hello None", "warm True",
        "stdin a secret", f"cwd {tmp_path}", "to stderr",
    }  # fmt: skip


def test_a_module_runs_as_with_python_m(tmp_path: Path) -> None:
    async def use(server: ForkServer) -> None:
        process = await server.fork(program(tmp_path, sys.executable, "-m", "platform"))
        assert await process.wait() == 0

    with_server(tmp_path, use)
    assert "Linux" in (tmp_path / "child.log").read_text()


def test_a_program_that_raises_ends_with_code_one_and_its_traceback_in_the_log(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("raise LookupError('no such bar')")

    async def use(server: ForkServer) -> None:
        process = await server.fork(program(tmp_path, str(broken)))
        assert await process.wait() == 1

    with_server(tmp_path, use)
    assert "LookupError: no such bar" in (tmp_path / "child.log").read_text()


def test_signals_reach_the_forked_program_alone(tmp_path: Path) -> None:
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("import time; time.sleep(300)")

    async def use(server: ForkServer) -> None:
        first = await server.fork(program(tmp_path, str(sleeper)))
        second = await server.fork(program(tmp_path, str(sleeper)))
        first.send_signal(signal.SIGTERM)
        assert await first.wait() == -signal.SIGTERM
        await server.ping()
        assert second.returncode is None
        second.send_signal(signal.SIGKILL)
        assert await second.wait() == -signal.SIGKILL

    with_server(tmp_path, use)


def test_a_forked_program_shows_its_own_name(tmp_path: Path) -> None:
    naming = tmp_path / "naming"
    naming.write_text("import psutil; print(psutil.Process().cmdline())")

    async def use(server: ForkServer) -> None:
        process = await server.fork(program(tmp_path, str(naming), "--of", "mine"))
        assert await process.wait() == 0

    with_server(tmp_path, use)
    assert "naming --of mine" in (tmp_path / "child.log").read_text()


def test_a_module_that_is_missing_ends_the_server_and_is_named_in_its_log(tmp_path: Path) -> None:
    async def use(server: ForkServer) -> None:
        with pytest.raises(StackError, match="has died"):
            await server.ping()
        assert await server.wait() == 1

    with_server(tmp_path, use, modules=("no_such_module",))
    assert "No module named 'no_such_module'" in (tmp_path / "server.log").read_text()


def test_a_module_that_starts_a_thread_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "busy.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(300,), name='poller', daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def use(server: ForkServer) -> None:
        assert await server.wait() == 1

    with_server(tmp_path, use, modules=("busy",))
    assert "importing busy started threads (poller)" in (tmp_path / "server.log").read_text()


def test_a_program_waits_for_modules_that_it_needs_and_no_other_does(
    tmp_path: Path, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = "import os, time\nwhile not os.path.exists({!r}): time.sleep(0.05)\n"
    (tmp_path / "first.py").write_text(wait.format("both-are-asked"))
    (tmp_path / "slow.py").write_text(
        "import wsgiref.simple_server\n" + wait.format("quick-has-run")
    )
    quick = tmp_path / "quick"
    quick.write_text("open('quick-has-run', 'w').close()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def use(server: ForkServer) -> None:
        await server.ping()
        async with asyncio.TaskGroup() as both:
            needy = both.create_task(
                server.fork(program(tmp_path, str(script), imports=("first", "slow")))
            )
            free = both.create_task(server.fork(program(tmp_path, str(quick))))
            await asyncio.sleep(0)  # each writes its request at its first turn
            (tmp_path / "both-are-asked").touch()
        assert await free.result().wait() == 0
        assert await needy.result().wait() == 3

    with_server(tmp_path, use, modules=("io",))
    assert "warm True" in (tmp_path / "child.log").read_text()


def test_modules_that_cannot_be_imported_are_named_and_their_program_runs_without_them(
    tmp_path: Path, script: Path
) -> None:
    async def use(server: ForkServer) -> None:
        process = await server.fork(program(tmp_path, str(script), imports=("no_such_module",)))
        assert await process.wait() == 3

    with_server(tmp_path, use)
    assert "importing no_such_module failed" in (tmp_path / "server.log").read_text()


def test_programs_outlive_a_killed_server_and_their_end_is_still_seen(tmp_path: Path) -> None:
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("import time; time.sleep(300)")

    async def use(server: ForkServer) -> None:
        process: Process = await server.fork(program(tmp_path, str(sleeper)))
        await server.ping()  # it answers once the program was let go, and could begin
        server.send_signal(signal.SIGKILL)
        await server.wait()
        with pytest.raises(StackError, match="has died"):
            await server.fork(program(tmp_path, str(sleeper)))
        assert psutil.pid_exists(process.pid)
        assert process.returncode is None
        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert "went with its fork server" in ending(process)

    with_server(tmp_path, use)


def test_the_server_ends_when_its_supervisor_is_gone() -> None:
    command = [sys.executable, "-m", "tradewind.stack.forkserver", "wsgiref.simple_server"]

    async def run() -> None:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert await process.stdout.readline() == b'{"id": 0}\n'
        process.stdin.close()
        async with asyncio.timeout(30):
            assert await process.wait() == 0

    asyncio.run(run())
