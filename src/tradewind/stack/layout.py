"""Where the local stack keeps what it must not lose."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tradewind.errors import StackError
from tradewind.suggestions import did_you_mean

__all__ = ["Layout", "write_atomically", "writing"]

_BUNDLES = "bundles"


@dataclass(frozen=True)
class Layout:
    """Paths below the state directory."""

    root: Path

    @property
    def secrets_file(self) -> Path:
        """Passwords and keys, readable by their owner alone."""
        return self.root / "secrets.json"

    @property
    def state_file(self) -> Path:
        """What the supervisor knows of its services, written anew at each change."""
        return self.root / "run" / "state.json"

    @property
    def lock_file(self) -> Path:
        """Held by the one supervisor of this state directory."""
        return self.root / "run" / "lock"

    @property
    def run_dir(self) -> Path:
        """Files that describe the running stack; worthless once it has stopped."""
        return self.root / "run"

    @property
    def logs_dir(self) -> Path:
        """One log file a service, and Airflow's task logs."""
        return self.root / "logs"

    @property
    def installed_file(self) -> Path:
        """Which packages of the desk's own were installed last, and beside which."""
        return self.root / "installed"

    @property
    def postgres_dir(self) -> Path:
        """PostgreSQL's cluster."""
        return self.root / "postgres"

    @property
    def redis_dir(self) -> Path:
        """Redis's append-only file."""
        return self.root / "redis"

    @property
    def artifacts_dir(self) -> Path:
        """MLflow's files, where no MinIO runs."""
        return self.root / "artifacts"

    @property
    def minio_dir(self) -> Path:
        """MinIO's files, where it runs."""
        return self.root / "minio"

    @property
    def airflow_home(self) -> Path:
        """What Airflow insists on having; its settings come from the environment."""
        return self.root / "airflow"

    @property
    def temporary_dir(self) -> Path:
        """Temporary files of tasks, where those of the machine are on the way to what is hidden."""
        return self.root / "tmp"

    def private(self) -> list[Path]:
        """Return what is there and none of a task's business: passwords, stores, logs of services.

        A task has the rest: bars, Airflow's copies of DAG files, the logs of tasks.
        """
        of_services = (
            self.secrets_file, self.run_dir, self.postgres_dir, self.redis_dir, self.minio_dir,
            self.artifacts_dir, self.root / "artifact-store", *self.logs_dir.glob("*.log*"),
        )  # fmt: skip
        return [path.resolve() for path in of_services if path.exists()]

    def airflow_settings(self) -> list[Path]:
        """Return what Airflow's services read, or run, of its folder when they start.

        Those that are not there among it: a task must not make them, either. Nothing where that
        folder is not here, as in containers, which have one each.
        """
        home = self.airflow_home.resolve()
        if not home.exists():
            return []
        there = {path.name for path in home.iterdir()}
        named = {"airflow.cfg", "webserver_config.py", "config", "plugins"}
        return [home / name for name in sorted(there | named) if name != _BUNDLES]

    @property
    def housekeeping_dir(self) -> Path:
        """What takes how much space, by day."""
        return self.root / "housekeeping"

    def service_log(self, service: str) -> Path:
        """Log file of a service."""
        return self.logs_dir / f"{service}.log"

    def kept_log(self, service: str) -> Path:
        """Return the log file of a service that has been started.

        Raises
        ------
        StackError
            If there is no service of that name, or it has no log yet; the message names those that
            have one.
        """
        logs = {path.stem: path for path in sorted(self.logs_dir.glob("*.log")) if path.is_file()}
        if service in logs:
            return logs[service]
        if not logs:
            raise StackError(
                f"nothing has been started here, so there are no logs in {self.logs_dir}: "
                "`tradewind up` starts the stack"
            )
        raise StackError(
            f"no service named {service!r} has a log in {self.logs_dir}. "
            f"{did_you_mean(service, logs, otherwise='Services that have one')}"
        )

    def heartbeat(self, service: str) -> Path:
        """File that a service touches at each heartbeat that a broker or a database took."""
        return self.run_dir / f"{service}.heartbeat"

    def create(self) -> None:
        """Make the folders and prove that they can be written.

        Raises
        ------
        StackError
            If the disk is full, read-only, or belongs to somebody else.
        """
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o700)
            for folder in (
                self.run_dir, self.logs_dir, self.postgres_dir, self.redis_dir,
                self.artifacts_dir, self.airflow_home, self.housekeeping_dir, self.root / "market",
                self.airflow_home / _BUNDLES,
            ):  # fmt: skip
                folder.mkdir(exist_ok=True)
        self.check_writable()

    def check_writable(self) -> None:
        """Prove that data can be written here, now.

        Raises
        ------
        StackError
            If the disk is full, read-only, or belongs to somebody else.
        """
        # A full disk lets empty files be made; only written data tells.
        probe = self.run_dir / f"probe.{os.getpid()}"
        try:
            write_atomically(probe, "x" * 65536)
        finally:
            with writing(probe):
                probe.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of a refusal of the disk what was refused, where, and how to mend it.

    Raises
    ------
    StackError
        In the place of any `OSError`.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise StackError(
            f"cannot write {where}: {error.strerror or error}. {_mend(error, path)}, or set "
            "TRADEWIND_STATE_DIR to another place. Nothing that was stored is lost."
        ) from error


def _mend(error: OSError, path: Path) -> str:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(there).free / 2**20
        return f"The disk is full ({free:.0f} MB free): free at least 1 GB"
    if error.errno == errno.EROFS:
        return "The disk is read-only: mount it writable"
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"It is closed to user {os.geteuid()} and belongs to user {there.stat().st_uid}: "
            "run tradewind as its owner, or change the owner"
        )
    return "See that this is a folder on a disk with space"


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file so that a reader, or a crash, sees the old text or the new, never half.

    Raises
    ------
    StackError
        If the disk refuses; the old text is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        try:
            with os.fdopen(
                os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w"
            ) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
