"""Ours and stock MLflow, side by side: with logins on, each on a PostgreSQL of its own."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import families
from benchmarks.stock import stock_mlflow, stores
from tests.stack.conftest import make_stack
from tradewind.stack.processes import proportional_memory

__all__ = ["MlflowServer", "both", "ours", "peak_memory", "stock"]

SERVICES = ("postgres", "databases", "forkserver", "mlflow-migrate", "mlflow")


@dataclass(frozen=True)
class MlflowServer:
    """A server that answers, and its administrator's login.

    Attributes
    ----------
    address, user, password : str
    pids : callable
        Returns its processes; its database's are not among them.
    """

    address: str
    user: str
    password: str
    pids: Callable[[], list[int]]

    def variables(self) -> dict[str, str]:
        """Return what MLflow's client finds it by."""
        return {
            "MLFLOW_TRACKING_URI": self.address,
            "MLFLOW_TRACKING_USERNAME": self.user,
            "MLFLOW_TRACKING_PASSWORD": self.password,
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }


@contextmanager
def both() -> Iterator[dict[str, MlflowServer]]:
    """Start both."""
    with ours() as our_server, stock() as stock_server:
        yield {"ours": our_server, "stock": stock_server}


@contextmanager
def ours() -> Iterator[MlflowServer]:
    """Start MLflow as the local stack starts it, and of the stack no more than that takes."""
    with tempfile.TemporaryDirectory() as folder:
        stack = make_stack(Path(folder) / "checkout").part(*SERVICES)
        try:
            stack.ok("up", "--detach")
            parts = (stack.service("forkserver"), stack.service("mlflow"))
            page = stack.json("credentials")["mlflow"]
            yield MlflowServer(
                stack.settings.mlflow_url,
                page["user"],
                page["password"],
                # The server is a child of its fork server, whose memory it shares.
                lambda: sorted(set(families(part["pid"] for part in parts))),
            )
        finally:
            stack.run("down")


@contextmanager
def stock() -> Iterator[MlflowServer]:
    """Start ``mlflow server`` with its own defaults."""
    with (
        tempfile.TemporaryDirectory() as folder,
        stores(Path(folder)) as kept,
        stock_mlflow(Path(folder) / "mlflow", kept) as found,
    ):
        yield MlflowServer(found.address, found.user, found.password, found.pids)


@contextmanager
def peak_memory(server: MlflowServer, seen: list[float]) -> Iterator[None]:
    """Note what a server holds meanwhile, twice a second, in MiB (proportional set size)."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            seen.append((proportional_memory(server.pids()) or 0) / 2**20)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
