"""What a user does with the stack: bring it up, take it down, ask how it is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tradewind.errors import ServiceFailedError, StackError
from tradewind.host.paths import unusable
from tradewind.host.proxies import check_proxies, spare_this_machine
from tradewind.oidc.provider import provider_of
from tradewind.settings import Settings
from tradewind.stack.half_restored import refuse_half_restored
from tradewind.stack.installing import install_packages
from tradewind.stack.layout import Layout, writing
from tradewind.stack.ports import require_free
from tradewind.stack.processes import (
    proportional_memory,
    session_members,
    with_children,
)
from tradewind.stack.secrets import Secrets, ensure_secrets
from tradewind.stack.servers import stores
from tradewind.stack.state import StackState, is_current, read_state
from tradewind.stack.theirs import lacks_ca

__all__ = ["credentials", "detach", "down", "run", "status"]

# What runs in the background.
COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "tradewind", "up", "--no-install")
Watcher = Callable[[StackState], None]
Told = Callable[[str], None]


def run(
    settings: Settings,
    on_change: Watcher = lambda _: None,
    *,
    install: bool = True,
    on_line: Told = lambda _: None,
) -> None:
    """Run the stack in this process until SIGINT or SIGTERM.

    Parameters
    ----------
    settings : Settings
    on_change : callable, optional
        Called with the state of the stack when a service's changes.
    install : bool
        Whether packages of the desk's own are installed first, if they have changed.
    on_line : callable, optional
        Called with what pip or uv says meanwhile.

    Raises
    ------
    RequirementsError
        If those packages cannot be had as asked.
    StackError
        If it cannot start: disk, secrets, ports, another supervisor, or a service that fails.
    """
    import asyncio

    from tradewind.stack.leftovers import clear_leftovers, only_supervisor
    from tradewind.stack.services import services
    from tradewind.stack.supervisor import Supervisor

    _require_usable_paths(settings)
    _require_ca_files(settings)
    check_proxies()
    provider_of(settings)  # before a page finds that its client's secret is missing
    spare_this_machine(os.environ)
    layout = Layout(settings.state)
    layout.create()
    refuse_half_restored(layout)
    with only_supervisor(layout):
        clear_leftovers(layout)
        if install:
            install_packages(settings, on_line)
        secrets = ensure_secrets(layout)
        wanted = services(settings, layout, secrets)
        for service in wanted:
            for port in service.ports:
                require_free(port, service.name)
        supervisor = Supervisor(
            wanted, layout, start_timeout=settings.start_timeout, on_change=on_change
        )

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, supervisor.stop)
            await supervisor.run()

        try:
            asyncio.run(main())
        except ServiceFailedError as error:
            _blame_the_disk(layout, error)
            raise


def detach(
    settings: Settings,
    on_change: Watcher = lambda _: None,
    *,
    install: bool = True,
    on_line: Told = lambda _: None,
) -> StackState:
    """Start the stack in the background and wait until all of it is healthy.

    Returns at once if it runs already; starts it again if a service of it was given up. The
    parameters are those of `run`.

    Raises
    ------
    RequirementsError
        If packages of the desk's own cannot be had as asked.
    ServiceFailedError, StackError
        If it did not start; nothing of it is left running.
    """
    _require_usable_paths(settings)
    _require_ca_files(settings)
    check_proxies()
    provider_of(settings)  # before a page finds that its client's secret is missing
    layout = Layout(settings.state)
    layout.create()
    refuse_half_restored(layout)
    state = read_state(layout)
    process: subprocess.Popen[bytes] | None = None
    log = layout.service_log("supervisor")
    if state is not None and state.supervised() and state.gave_up():
        down(settings)
        state = None
    if state is None or not state.supervised():
        if install:
            install_packages(settings, on_line)
        with writing(log):
            log.unlink(missing_ok=True)
        with writing(log), log.open("ab") as output:
            process = subprocess.Popen(
                COMMAND,
                env=_supervisor_environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=layout.root,
            )
    return _until_all_healthy(settings, layout, process, log, on_change)


def _blame_the_disk(layout: Layout, error: ServiceFailedError) -> None:
    """Add the cause where it is the disk: a service often could not even write why it died."""
    try:
        layout.check_writable()
    except StackError as cause:
        raise ServiceFailedError(f"{error}\n{cause}") from error


def _until_all_healthy(
    settings: Settings,
    layout: Layout,
    process: "subprocess.Popen[bytes] | None",
    log: Path,
    on_change: Watcher,
) -> StackState:
    # Services start side by side, but a chain of three can each use the whole time allowed.
    deadline = time.monotonic() + 3 * settings.start_timeout
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            _, _, message = f"\n{log.read_text(errors='replace')}".partition("\nerror: ")
            if not message:
                layout.check_writable()  # a full disk swallows the last words
            raise ServiceFailedError(message.strip() or f"`tradewind up` failed: see {log}")
        state = read_state(layout)
        if state is not None and (process is None or state.pid == process.pid):
            on_change(state)
            if process is None and not state.supervised():
                raise StackError("the stack stopped while it was waited for: see `tradewind logs`")
            if state.all_healthy():
                return state
        time.sleep(0.2)
    raise ServiceFailedError("the stack did not become healthy: see `tradewind status`")


def down(settings: Settings, *, timeout: float = 120.0) -> bool:
    """Stop the stack, in reverse order; whatever a killed supervisor left behind, too.

    Returns
    -------
    bool
        Whether anything was running.

    Raises
    ------
    StackError
        If the supervisor does not end in `timeout` seconds.
    """
    from tradewind.stack.leftovers import clear_leftovers, only_supervisor

    layout = Layout(settings.state)
    state = read_state(layout)
    if state is None:
        return False
    if not state.supervised():
        with only_supervisor(layout):
            return bool(clear_leftovers(layout))
    supervisor = psutil.Process(state.pid)
    supervisor.terminate()
    try:
        supervisor.wait(timeout)
    except psutil.TimeoutExpired:
        raise StackError(
            f"the supervisor (pid {state.pid}) did not stop within {timeout:g} s: "
            "see `tradewind logs supervisor`"
        ) from None
    return True


def status(settings: Settings) -> dict[str, Any]:
    """Return how the stack is: for each service state, pid, health, memory in bytes, address.

    What its supervisor cannot vouch for is `unknown`.
    """
    layout = Layout(settings.state)
    state = read_state(layout)
    if state is None:
        return {"running": False, "healthy": False, "services": []}
    supervised = state.supervised()
    current = is_current(layout)
    members = session_members(state.sessions())
    families = with_children(members)
    rows = []
    for record in state.services.values():
        pids = members.get(record.pid or 0, [])
        alive = bool(pids)
        condition = record.state if supervised or record.state == "failed" else "stopped"
        if not supervised and alive:
            condition = "orphaned"
        if supervised and not current:
            condition = "unknown"
        rows.append(
            {
                "service": record.name,
                "state": condition,
                "healthy": condition in ("healthy", "done"),
                "pid": record.pid if alive else None,
                "memory": proportional_memory(families.get(record.pid or 0, [])),
                "restarts": record.restarts,
                "address": record.address,
                "detail": record.detail,
                "step": record.step,
            }
        )
    if supervised:
        rows.append(_supervisor_row(state.pid, _trouble(layout, current=current)))
    return {
        "running": supervised,
        "healthy": supervised and all(row["healthy"] for row in rows),
        "seconds_to_healthy": state.seconds,
        "state_dir": str(settings.state),
        "services": rows,
    }


def _trouble(layout: Layout, *, current: bool) -> str:
    try:
        layout.check_writable()
    except StackError as error:
        return str(error)
    return "" if current else "has not reported for a while: see `tradewind logs supervisor`"


def _supervisor_row(pid: int, trouble: str) -> dict[str, Any]:
    return {
        "service": "supervisor", "state": "unhealthy" if trouble else "healthy",
        "healthy": not trouble, "pid": pid, "memory": proportional_memory([pid]), "restarts": 0,
        "address": "", "detail": trouble, "step": False,
    }  # fmt: skip


def credentials(settings: Settings, secrets: Secrets) -> dict[str, dict[str, str]]:
    """Return address, user and password of each web page."""
    return {
        "airflow": {
            "address": settings.airflow_page,
            "user": "admin",
            "password": secrets.airflow_admin,
        },
        "mlflow": {
            "address": f"http://localhost:{settings.mlflow_port}",
            "user": "admin",
            "password": secrets.mlflow_admin,
        },
        "mlflow-reader": {
            "address": f"http://localhost:{settings.mlflow_port}",
            "user": "reader",
            "password": secrets.mlflow_reader,
        },
    }


def _require_usable_paths(settings: Settings) -> None:
    places: list[tuple[str, Path | str, str]] = [
        ("this workspace", settings.home, "Move it"),
        ("the state directory", settings.state, "Set TRADEWIND_STATE_DIR to another"),
        ("the store of bars", settings.market_store, "Set TRADEWIND_MARKET_STORE to another"),
        ("Python's environment", sys.prefix, "Make it elsewhere"),
    ]
    for what, path, mend in places:
        if "://" not in str(path) and (problem := unusable(path)):
            raise StackError(f"{what} cannot be used under this name: {problem}. {mend}.")


def _require_ca_files(settings: Settings) -> None:
    """Refuse a CA's file that is missing, before services fail one by one in a library's words."""
    named = stores(settings)
    for where in (named.postgres, named.redis, named.objects):
        if where is not None and (problem := lacks_ca(where)):
            raise StackError(problem)


def _supervisor_environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, **settings.as_environment()}
