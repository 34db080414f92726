"""Every setting of tradewind, once.

A value is taken from the environment (``TRADEWIND_AIRFLOW_PORT``), else from the file ``.env``
of the checkout, else from the default below. Names that do not exist are refused.
"""

# Dataclasses and not pydantic: importing that took most of the time that a command needs.

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from dotenv import dotenv_values

from tradewind.errors import SettingsError
from tradewind.suggestions import did_you_mean

__all__ = ["FIELDS", "Settings", "load_settings"]

PREFIX = "TRADEWIND_"
# Read by compose.yaml from the same `.env`; nothing here listens elsewhere or has images.
ONLY_COMPOSE = frozenset({"TRADEWIND_BIND", "TRADEWIND_IMAGE_TAG"})
PORTS, REPLICAS = (1, 65535), (1, 64)
ArtifactStore = Literal["auto", "directory", "minio"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a user can choose; immutable once read.

    Attributes
    ----------
    home : Path
        The checkout: holds config/, dags/, sources/ and strategies/.
    state_dir : Path
        All state of the local stack; a relative path starts at home.
    market_store : str
        Where bars and snapshots are kept: a directory, a relative one starts at home, or
        s3://bucket/prefix. Default: market, in the state directory.
    airflow_port, mlflow_port : int
        The web pages and their APIs.
    postgres_port, redis_port : int
        The stores of the local stack.
    scheduler_health_port : int
        Health page of Airflow's scheduler.
    minio_port, minio_console_port : int
        MinIO's S3 interface and its web page, where it runs.
    airflow_worker_replicas : int
        Celery workers that run Airflow's tasks.
    worker_modules : str
        Modules that your own tasks import and that take long, separated by commas: each worker
        imports them once, beside those of research, and all its tasks have them.
    artifact_store : {"auto", "directory", "minio"}
        Where MLflow keeps files. auto: MinIO where a minio program is on PATH at the first start,
        else a directory; the choice of the first start stays.
    database_url : str or None
        PostgreSQL with the ledger of trials; services of the stack have it set.
    broker : str
        Where orders of strategies go that say ``execution: live``: a broker that a package brings
        (entry points `tradewind.brokers`). All others are on paper.
    mlflow_public_url : str or None
        Address of MLflow's page for a browser, where it differs.
    alert_url : str or None
        Web hook that is told of failed and late runs.
    start_timeout : float
        Seconds a service may take to become healthy.
    """

    # Ports are below 32768: from there on Linux gives them to connections that go out.
    home: Path
    state_dir: Path = Path(".tradewind")
    market_store: str = ""
    airflow_port: int = 8080
    mlflow_port: int = 5500
    postgres_port: int = 15432
    redis_port: int = 16379
    scheduler_health_port: int = 18974
    minio_port: int = 19000
    minio_console_port: int = 9001
    airflow_worker_replicas: int = 2
    worker_modules: str = ""
    artifact_store: ArtifactStore = "auto"
    database_url: str | None = field(default=None, repr=False)  # has a password in it
    broker: str = "paper"
    mlflow_public_url: str | None = None
    alert_url: str | None = None
    start_timeout: float = 180.0

    def __post_init__(self) -> None:
        if problems := "; ".join(self._problems()):
            raise SettingsError(f"invalid settings: {problems}")
        root = self.market_store or str(self.state / "market")
        if "://" not in root:
            root = str((self.home / root).absolute())
        object.__setattr__(self, "market_store", root)

    def _problems(self) -> Iterator[str]:
        ports = {name: getattr(self, name) for name in FIELDS if name.endswith("_port")}
        limits = dict.fromkeys(ports, PORTS) | {"airflow_worker_replicas": REPLICAS}
        for name, (least, most) in limits.items():
            if not least <= (number := getattr(self, name)) <= most:
                yield (
                    f"{variable(name)} should be greater than or equal to {least} and at most "
                    f"{most}, not {number}"
                )
        if not self.start_timeout > 0:
            yield f"{variable('start_timeout')} should be greater than 0, not {self.start_timeout}"
        if self.artifact_store not in get_args(ArtifactStore):
            known = ", ".join(get_args(ArtifactStore))
            name = variable("artifact_store")
            yield f"{name} should be one of {known}, not {self.artifact_store}"
        seen: dict[int, str] = {}
        for name, port in ports.items():
            if port in seen:
                yield f"{seen[port]} and {name} are both {port}; each service needs its own"
            seen[port] = name

    @cached_property
    def state(self) -> Path:
        """Absolute path of the state directory."""
        return (self.home / self.state_dir).absolute()

    @property
    def strategies_dir(self) -> Path:
        """One YAML file a strategy."""
        return self.home / "strategies"

    @property
    def sources_dir(self) -> Path:
        """One YAML file a source of bars."""
        return self.home / "sources"

    @property
    def dags_dir(self) -> Path:
        """Airflow's DAG files."""
        return self.home / "dags"

    @property
    def config_dir(self) -> Path:
        """How Airflow, MLflow, Redis and PostgreSQL behave, for every way of running them."""
        return self.home / "config"

    def as_environment(self) -> dict[str, str]:
        """Return these settings as variables, for processes that read them again."""
        values = {name: getattr(self, name) for name in FIELDS if name != "database_url"}
        values["state_dir"] = self.state
        return {variable(name): str(value) for name, value in values.items() if value is not None}

    @property
    def mlflow_url(self) -> str:
        """Address of MLflow on this machine."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def mlflow_page(self) -> str:
        """Address of MLflow for a browser."""
        return (self.mlflow_public_url or f"http://localhost:{self.mlflow_port}").rstrip("/")

    @property
    def airflow_url(self) -> str:
        """Address of Airflow on this machine."""
        return f"http://127.0.0.1:{self.airflow_port}"


FIELDS = {each.name: each for each in fields(Settings)}


def variable(name: str) -> str:
    """Return the variable of the environment that sets a field."""
    return PREFIX + name.upper()


def load_settings(cwd: Path | None = None) -> Settings:
    """Read the settings.

    Parameters
    ----------
    cwd : Path, optional
        Where to look for the checkout when ``TRADEWIND_HOME`` is not set: here and above.

    Raises
    ------
    SettingsError
        If a name is unknown, a value is out of range, or no checkout is found.
    """
    home = os.environ.get(PREFIX + "HOME")
    root = Path(home).absolute() if home else _find_home(cwd or Path.cwd())
    given = _given(dotenv_values(root / ".env"), str(root / ".env"))
    given |= _given(os.environ, "the environment")
    return Settings(**{**given, "home": root})


def _find_home(cwd: Path) -> Path:
    for folder in (cwd, *cwd.parents):
        if (folder / "strategies").is_dir() and (folder / "config" / "airflow.env").is_file():
            return folder.absolute()
    raise SettingsError(
        f"no tradewind checkout at {cwd} or above it (a folder with strategies/ and "
        "config/airflow.env). Change into one, or set TRADEWIND_HOME."
    )


def _given(variables: Mapping[str, str | None], where: str) -> dict[str, Any]:
    """Return the values of our variables, by field; the others are not ours to judge."""
    given: dict[str, Any] = {}
    for name, text in variables.items():
        if not name.startswith(PREFIX) or name in ONLY_COMPOSE:
            continue
        found = FIELDS.get(name.removeprefix(PREFIX).lower())
        if found is None:
            help_on = did_you_mean(name, map(variable, FIELDS), otherwise="Known")
            raise SettingsError(f"unknown setting {name} in {where}. {help_on}")
        if text is None or (text == "" and found.default is None):  # as compose.yaml leaves it out
            continue
        kind = found.type if found.type in (int, float, Path) else str
        try:
            given[found.name] = kind(text)
        except ValueError:
            raise SettingsError(
                f"invalid settings: {name} should be a number, not {text!r}"
            ) from None
    return given
