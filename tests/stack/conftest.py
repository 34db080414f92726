"""One real stack a test session, on free ports, in a folder of its own, driven by its command."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg2
import pytest

from tests.identity_provider import IdentityProvider, running_provider
from tests.stack.airflow import Airflow, login
from tests.stack.pooler import PGBOUNCER
from tests.support import free_ports, wait_until
from tradewind.settings import FIELDS, Settings, load_settings
from tradewind.stack import minio
from tradewind.stack.doctor import environment_of
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import load_secrets
from tradewind.stack.state import read_state

if TYPE_CHECKING:
    from tests.stack import playing

# What files of tests need that is no package of Python's, by how the files' names begin.
PROGRAMS = {"test_minio": shutil.which("minio"), "test_pooler": PGBOUNCER}
HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
STRATEGIES = HERE / "strategies"
DAGS = HERE / "dags"
HANDED_IN = "handed_in"  # the strategy of dags/examples
STRUCK = {name: f"struck_{name}" for name in ("momentum", "noise", "swept")}


_ENVIRONMENT = threading.Lock()

# What the machine of a user may be like. No file of the folder may shadow a module; no request to
# this machine may go to a proxy, of which there is none at this address; and nothing may be read or
# written in the locale's encoding. The shell's PYTHONPATH has the folder on it.
FOLDER = "t r ä#d %e"
SHADOWS = ("redis", "celery", "polars", "mlflow", "statistics", "typer")
DEAD_PROXY = "http://127.0.0.1:9"
MACHINE = {
    **{f"{name}_proxy": DEAD_PROXY for name in ("http", "https", "all")},
    **{f"{name}_PROXY": DEAD_PROXY for name in ("HTTP", "HTTPS", "ALL")},
    "no_proxy": "example.org",
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONPATH": ".",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "CI" in os.environ:  # where the tests must run, and fail without their program
        return
    missing = tuple(name for name, program in PROGRAMS.items() if program is None)
    left_out = [item for item in items if missing and item.path.name.startswith(missing)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if "CI" in os.environ:
        return
    for name, program in PROGRAMS.items():
        if program is None:
            terminalreporter.write_line(
                f"a program is missing: tests/stack/{name}*.py are left out (`.ci/run` brings it)",
                yellow=True,
            )


@dataclass(frozen=True)
class Stack:
    """A checkout of its own, and the command line run in it."""

    home: Path
    environment: dict[str, str]
    program: tuple[str, ...] = (sys.executable, "-m", "tradewind")

    def part(self, *services: str) -> "Stack":
        """The same checkout with some of its services only."""
        program = (sys.executable, str(HERE / "part.py"))
        environment = {**self.environment, "STACK_PART": " ".join(services)}
        return replace(self, environment=environment, program=program)

    def run(self, *words: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.program, *words],
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ok(self, *words: str, timeout: float = 300) -> str:
        result = self.run(*words, timeout=timeout)
        assert result.returncode == 0, f"{words}:\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def rows(
        self, query: str, *values: object, database: str = "tradewind", role: str = ""
    ) -> list[Any]:
        """Ask a database as a role of it, or as the one that owns it."""
        with self.cursor(database, role) as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()

    def change(self, statement: str, *values: object, role: str = "") -> None:
        """Change the database `tradewind`, and keep the change."""
        with self.cursor("tradewind", role) as cursor:
            cursor.execute(statement, values)
            cursor.connection.commit()

    @contextmanager
    def cursor(self, database: str, role: str = "") -> Iterator[Any]:
        """Give a cursor of a role, or of the database's owner; its connection ends with it."""
        user = role or database
        password = getattr(load_secrets(Layout(self.settings.state)), f"postgres_{user}")
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.settings.postgres_port,
            user=user, dbname=database, password=password,
        )  # fmt: skip
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        return json.loads(self.run("status", "--json").stdout)

    def service(self, name: str) -> dict[str, Any]:
        return next(row for row in self.status()["services"] if row["service"] == name)

    def airflow_environment(self) -> dict[str, str]:
        """Return the environment of Airflow's services, for a command of its own beside them."""
        state = read_state(Layout(self.settings.state))
        assert state is not None
        return environment_of(state.services["airflow-scheduler"], state)

    def kill(self, name: str) -> None:
        """Kill a service and all it started; wait until its supervisor has it back."""
        pid = self.service(name)["pid"]
        os.killpg(pid, signal.SIGKILL)
        wait_until(
            lambda: self.service(name)["pid"] not in {pid, None} and self.status()["healthy"],
            180,
            of=self.status,
        )

    @property
    def settings(self) -> Settings:
        names = {k: v for k, v in self.environment.items() if k.startswith("TRADEWIND_")}
        # The environment belongs to the process, and the campaign of kills asks from many threads.
        with _ENVIRONMENT, pytest.MonkeyPatch.context() as patch:
            for name, value in names.items():
                patch.setenv(name, value)
            return load_settings(self.home)


NewStack = Callable[[Path], Stack]
WaitUntil = Callable[..., None]


def make_stack(home: Path) -> Stack:
    for folder in ("config", "dags", "sources", "strategies"):
        shutil.copytree(CHECKOUT / folder, home / folder)
    shutil.copy(CHECKOUT / ".gitignore", home)
    return Stack(home, environment_for(home))


def environment_for(home: Path) -> dict[str, str]:
    """Return the environment of a user whose machine is as odd as can be, with ports of its own."""
    names = [name for name in FIELDS if name.endswith("_port")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRADEWIND_")}
    environment |= {f"TRADEWIND_{name.upper()}": str(port) for name, port in ports.items()}
    environment |= MACHINE
    environment["PYTHONPATH"] += f":{home}"
    environment["TRADEWIND_HOME"] = str(home)
    environment["TRADEWIND_ARTIFACT_STORE"] = "directory"
    environment["TRADEWIND_START_TIMEOUT"] = "600"  # how busy the machine is must not decide
    return environment


def root_login(stack: Stack) -> dict[str, str]:
    """Return the variables by which an S3 client reaches MinIO with all rights."""
    password = load_secrets(Layout(stack.settings.state)).minio_root
    return minio.client_environment(stack.settings, minio.USER, password)


def lay_struck(home: Path) -> None:
    """Lay the strategies of the campaign of kills into a checkout, under names that no test has."""
    for name, struck in STRUCK.items():
        folder = STRATEGIES if (STRATEGIES / f"{name}.yaml").exists() else CHECKOUT / "strategies"
        text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
        found = text.replace(f"\nname: {name}", f"\nname: {struck}", 1)
        (home / "strategies" / f"{struck}.yaml").write_text(found, encoding="utf-8")


def lay_own_training(home: Path) -> None:
    """Lay the example of a workflow of one's own where its page says, for a test to begin it.

    Its gate does not ask whether it is any good, and it sends no orders.
    """
    example = CHECKOUT / "dags" / "examples"
    changes = {
        "dags/own_training.py": {'schedule=Asset.ref(name="bars_sample")': "schedule=None"},
        f"strategies/{HANDED_IN}.yaml": {
            "\ngate:": "\ngate:\n  min_deflated_sharpe: null\n  min_alpha_probability: null\n"
            "  max_drawdown: null\n  min_trades: null",
            "execution: replay": "execution: off",
        },
    }
    for path, texts in changes.items():
        found = (example / Path(path).name).read_text(encoding="utf-8")
        for old, new in texts.items():
            assert old in found
            found = found.replace(old, new)
        (home / path).write_text(found, encoding="utf-8")


def commit(home: Path) -> None:
    """Make a repository of a checkout, so that a training can say which commit it was made from."""
    git = ("git", "-C", str(home), "-c", "user.name=tests", "-c", "user.email=tests@localhost")
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "-m", "All")):
        subprocess.run([*git, *words], check=True, capture_output=True)


@pytest.fixture
def new_stack() -> NewStack:
    return make_stack


@pytest.fixture(name="wait_until")
def wait_until_fixture() -> WaitUntil:
    return wait_until


@pytest.fixture(scope="session")
def identity_provider() -> Iterator[IdentityProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory, identity_provider: IdentityProvider
) -> Iterator[Stack]:
    made = make_stack(tmp_path_factory.mktemp("stack") / FOLDER)
    # With logins by a provider, so that all else shows that programs go on with their passwords.
    secret = made.home / ".tradewind" / "oidc-client-secret"
    secret.parent.mkdir()
    secret.write_text("told to nobody")
    secret.chmod(0o600)
    made.environment.update(
        TRADEWIND_OIDC_ISSUER=identity_provider.url,
        TRADEWIND_OIDC_CLIENT_ID="desk",
        TRADEWIND_OIDC_CLIENT_SECRET_FILE=str(secret.relative_to(made.home)),
        TRADEWIND_OIDC_ROLES="quants=researcher,ops=admin",
    )
    for folder in (".", "dags", "strategies"):
        for name in SHADOWS:
            (made.home / folder / f"{name}.py").write_text(f"raise ImportError('not {name}')\n")
    # Before the start, so that nobody waits for Airflow to look for new files.
    for source in (STRATEGIES, DAGS):
        shutil.copytree(source, made.home / source.name, dirs_exist_ok=True)
    lay_struck(made.home)
    lay_own_training(made.home)
    commit(made.home)
    try:
        made.ok("up", "--detach", timeout=1800)
        yield made
    finally:
        made.run("down")


@pytest.fixture(scope="session")
def airflow(stack: Stack) -> Iterator[Airflow]:
    """The admin's session."""
    page = stack.json("credentials")["airflow"]
    with login(page["address"], page["user"], page["password"]) as session:
        yield session


@pytest.fixture(scope="session")
def played(
    stack: Stack, airflow: Airflow, tmp_path_factory: pytest.TempPathFactory
) -> "playing.Played":
    """Sessions that were traded, and a backup that was made in the midst of the last."""
    from tests.stack import playing

    found = playing.play(stack, airflow, tmp_path_factory.mktemp("played"))
    commit(stack.home)  # what a training of another test is made from is the commit it names
    return found


@pytest.fixture(scope="session")
def mlflow(stack: Stack) -> Iterator[httpx.Client]:
    """MLflow's REST interface; paths start after `/api/2.0/mlflow`."""
    page = stack.json("credentials")["mlflow"]
    with httpx.Client(
        base_url=f"{page['address']}/api/2.0/mlflow",
        auth=(page["user"], page["password"]),
        timeout=60,
    ) as client:
        yield client


@pytest.fixture(scope="session")
def trainings(airflow: Airflow) -> dict[str, str]:
    """Ids of runs by strategy, all begun at once, for tests that need not begin their own."""
    names = ("asked", "noise", "peeking", "careless")
    return {name: airflow.trigger(f"train_{name}") for name in names}
