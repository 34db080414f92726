"""Every setting of tradewind, once.

A value is taken from the environment (``TRADEWIND_AIRFLOW_PORT``), else from the file ``.env``
of the checkout, else from the default below. Names that do not exist are refused.
"""

import difflib
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tradewind.errors import SettingsError

__all__ = ["Settings", "load_settings"]

PREFIX = "TRADEWIND_"
# Read by compose.yaml from the same `.env`; nothing here listens elsewhere or has images.
ONLY_COMPOSE = frozenset({"TRADEWIND_BIND", "TRADEWIND_IMAGE_TAG"})
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseModel):
    """What a user can choose; immutable once read."""

    model_config = ConfigDict(frozen=True, validate_default=True)

    home: Path = Field(description="The checkout: holds config/, dags/, sources/ and strategies/.")
    state_dir: Path = Field(
        default=Path(".tradewind"),
        description="All state of the local stack; a relative path starts at home.",
    )
    market_store: str = Field(
        default_factory=lambda given: str((given["home"] / given["state_dir"]) / "market"),
        description="Where bars and snapshots are kept: a directory, a relative one starts at "
        "home, or s3://bucket/prefix. Default: market, in the state directory.",
    )
    airflow_port: Port = Field(default=8080, description="Airflow's web page and API.")
    mlflow_port: Port = Field(default=5500, description="MLflow's web page and API.")
    postgres_port: Port = Field(default=55432, description="PostgreSQL of the local stack.")
    redis_port: Port = Field(default=56379, description="Redis of the local stack.")
    scheduler_health_port: Port = Field(
        default=58974, description="Health page of Airflow's scheduler."
    )
    minio_port: Port = Field(default=59000, description="MinIO's S3 interface, where it runs.")
    minio_console_port: Port = Field(default=9001, description="MinIO's web page, where it runs.")
    airflow_worker_replicas: int = Field(
        default=2, ge=1, le=64, description="Celery workers that run Airflow's tasks."
    )
    worker_modules: str = Field(
        default="",
        description="Modules that your own tasks import and that take long, separated by commas: "
        "each worker imports them once, beside those of research, and all its tasks have them.",
    )
    artifact_store: Literal["auto", "directory", "minio"] = Field(
        default="auto",
        description="Where MLflow keeps files. auto: MinIO where a minio program is on PATH at the "
        "first start, else a directory; the choice of the first start stays.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL with the ledger of trials; services of the stack have it set.",
    )
    broker: str = Field(
        default="paper",
        description="Where orders go: paper, or a broker that a package brings (entry points "
        "`tradewind.brokers`).",
    )
    mlflow_public_url: str | None = Field(
        default=None, description="Address of MLflow's page for a browser, where it differs."
    )
    alert_url: str | None = Field(
        default=None, description="Web hook that is told of failed and late runs."
    )
    start_timeout: float = Field(
        default=180.0, gt=0, description="Seconds a service may take to become healthy."
    )

    @field_validator("market_store")
    @classmethod
    def _absolute(cls, root: str, given: ValidationInfo) -> str:
        return root if "://" in root else str((given.data["home"] / root).absolute())

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        names = [name for name in type(self).model_fields if name.endswith("_port")]
        seen: dict[int, str] = {}
        for name in names:
            port = getattr(self, name)
            if port in seen:
                message = f"{seen[port]} and {name} are both {port}; each service needs its own"
                raise ValueError(message)
            seen[port] = name
        return self

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
        values = {**self.model_dump(exclude={"database_url"}), "state_dir": self.state}
        return {
            PREFIX + name.upper(): str(value) for name, value in values.items() if value is not None
        }

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


FIELDS = Settings.model_fields


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
    try:
        return Settings.model_validate({**given, "home": root})
    except ValidationError as error:
        problems = "; ".join(
            f"{PREFIX}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']} (got {e['input']!r})"
            if e["loc"]
            else e["msg"]
            for e in error.errors()
        )
        raise SettingsError(f"invalid settings: {problems}") from None


def _find_home(cwd: Path) -> Path:
    for folder in (cwd, *cwd.parents):
        if (folder / "strategies").is_dir() and (folder / "config" / "airflow.env").is_file():
            return folder.absolute()
    raise SettingsError(
        f"no tradewind checkout at {cwd} or above it (a folder with strategies/ and "
        "config/airflow.env). Change into one, or set TRADEWIND_HOME."
    )


def _given(variables: Mapping[str, str | None], where: str) -> dict[str, str]:
    """Return the values of our variables, by field; the others are not ours to judge."""
    given: dict[str, str] = {}
    for name, value in variables.items():
        if not name.startswith(PREFIX) or name in ONLY_COMPOSE:
            continue
        field = name.removeprefix(PREFIX).lower()
        if field not in FIELDS:
            raise SettingsError(f"unknown setting {name} in {where}.{_did_you_mean(name)}")
        if value is not None:
            given[field] = value
    return given


def _did_you_mean(name: str) -> str:
    known = [PREFIX + field.upper() for field in FIELDS]
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]}?" if close else f" Known: {', '.join(known)}."
