"""Where the local stack keeps what it must not lose."""

import os
from dataclasses import dataclass
from pathlib import Path

from tradewind.errors import StackError

__all__ = ["Layout", "write_atomically"]


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

    def service_log(self, service: str) -> Path:
        """Log file of a service."""
        return self.logs_dir / f"{service}.log"

    def heartbeat(self, service: str) -> Path:
        """File that a Celery worker touches at each heartbeat it sends to the broker."""
        return self.run_dir / f"{service}.heartbeat"

    def create(self) -> None:
        """Make the folders and prove that they can be written.

        Raises
        ------
        StackError
            If the disk is full, read-only, or belongs to somebody else.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o700)
            for folder in (
                self.run_dir, self.logs_dir, self.postgres_dir, self.redis_dir,
                self.artifacts_dir, self.airflow_home, self.root / "snapshots",
            ):  # fmt: skip
                folder.mkdir(exist_ok=True)
            # A full disk lets empty files be made; only written data tells.
            write_atomically(self.run_dir / "probe", "x" * 65536)
            (self.run_dir / "probe").unlink()
        except OSError as error:
            raise StackError(
                f"cannot write to the state directory {self.root}: {error}. "
                "Free some space or mount it writable, or set TRADEWIND_STATE_DIR to another place."
            ) from error


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file so that a reader, or a crash, sees the old text or the new, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
