"""Every setting of tradewind, once.

A value is taken from the environment (``TRADEWIND_AIRFLOW_PORT``), else from the file ``.env``
of the workspace, else from the default below. Names that do not exist are refused, and values that
cannot be meant (`tradewind.setting_rules`), by file, line and value.
"""

# Dataclasses and not pydantic: importing that took most of the time that a command needs.

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tradewind.broker_login import LOGIN
from tradewind.env_file import Variable, read_env
from tradewind.errors import SettingsError
from tradewind.roles import REFUSED
from tradewind.setting_rules import read_setting
from tradewind.shipped import shipped
from tradewind.suggestions import did_you_mean
from tradewind.vendor_keys import is_key

__all__ = ["FIELDS", "Settings", "load_settings"]

PREFIX = "TRADEWIND_"
# Read by compose.yaml from the same `.env`; nothing here listens elsewhere or has images.
ONLY_COMPOSE = frozenset(
    {
        "TRADEWIND_BIND",
        "TRADEWIND_CERTIFICATES",
        "TRADEWIND_IMAGE_TAG",
        "TRADEWIND_NETWORK",
        "TRADEWIND_TLS",
        "TRADEWIND_TLS_AIRFLOW_PORT",
        "TRADEWIND_TLS_BIND",
        "TRADEWIND_TLS_MLFLOW_PORT",
        "TRADEWIND_TLS_NAME",
    }
)
ArtifactStore = Literal["auto", "directory", "minio"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a user can choose; immutable once read.

    Attributes
    ----------
    home : Path
        The workspace: holds sources/ and strategies/, and dags/, plugins/ and config/ where there
        are any.
    state_dir : Path
        All state of the local stack; a relative path starts at home.
    market_store : str
        Where bars and snapshots are kept: a directory, a relative one starts at home, or
        s3://bucket/prefix. Default: market, in the state directory.
    airflow_port, mlflow_port : int
        The web pages and their APIs.
    postgres_port, redis_port : int
        The stores of the local stack.
    postgres_url, redis_url, objects_url : str or None
        A PostgreSQL, Redis and S3 bucket that a team runs already, in the place of the stack's own
        (`tradewind adopt`). No login stands in them.
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
    oidc_issuer : str or None
        Address of the identity provider that people log in with, on both pages; none for
        passwords alone (docs/login.md).
    oidc_client_id : str or None
        What the provider knows both pages by.
    oidc_client_secret_file : str or None
        File that holds the client's secret, for you alone to read; a relative path starts at home.
    oidc_roles : str
        Groups with their roles, such as quants=researcher,desk=trader,ops=admin.
    oidc_role_claim : str
        Claim of the token that lists a person's groups; a dot leads into a claim.
    oidc_name_claim : str
        Claim that people are named by: nobody may be able to choose another's.
    oidc_others : {"refused", "viewer"}
        What somebody is who is in no group with a role.
    oidc_scopes : str
        What the provider is asked for.
    oidc_ca_file : str or None
        CA that signed the provider's certificate, where the machine does not know it.
    keep_days : int
        Days for which the runs of Airflow that have ended are kept, with their logs; 0 for ever.
    keep_deleted_days : int
        Days after which runs that were deleted in MLflow are erased with their files, and files of
        bars that neither a snapshot nor the newest bars need; 0 for never.
    backup_to : str
        Where backups are kept: a directory (a relative one starts at home), or s3://bucket/prefix.
    backup_every_hours : float
        Hours from one backup to the next; 0 for none by the clock.
    backup_keep : int
        How many of the backups that are made by the clock are left there.
    backup_encrypt_to : str
        Public keys of age, separated by commas, that backups are encrypted to.
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
    postgres_url: str | None = None
    redis_url: str | None = None
    objects_url: str | None = None
    minio_port: int = 19000
    minio_console_port: int = 9001
    airflow_worker_replicas: int = 2
    worker_modules: str = ""
    artifact_store: ArtifactStore = "auto"
    database_url: str | None = field(default=None, repr=False)  # has a password in it
    broker: str = "paper"
    mlflow_public_url: str | None = None
    alert_url: str | None = None
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret_file: str | None = None
    oidc_roles: str = ""
    oidc_role_claim: str = "groups"
    oidc_name_claim: str = "preferred_username"
    oidc_others: str = REFUSED
    oidc_scopes: str = "openid profile email"
    oidc_ca_file: str | None = None
    keep_days: int = 90
    keep_deleted_days: int = 30
    backup_to: str = ""
    backup_every_hours: float = 0.0
    backup_keep: int = 7
    backup_encrypt_to: str = ""
    start_timeout: float = 180.0

    def __post_init__(self) -> None:
        if problems := "; ".join(self._problems()):
            raise SettingsError(f"invalid settings: {problems}")
        root = self.market_store or str(self.state / "market")
        if "://" not in root:
            root = str((self.home / root).absolute())
        object.__setattr__(self, "market_store", root)

    def _problems(self) -> Iterator[str]:
        for name in FIELDS:
            value = getattr(self, name)
            if name in {"home", "database_url"} or value is None:
                continue
            try:
                read_setting(name, str(value), self.home)
            except ValueError as error:
                yield f"{variable(name)} {error}"
        if self.backup_every_hours and not self.backup_to:
            yield (
                "TRADEWIND_BACKUP_EVERY_HOURS asks for backups, and TRADEWIND_BACKUP_TO says no "
                "place: set it to a directory or s3://bucket/prefix"
            )
        if self.oidc_issuer and not (self.oidc_client_id and self.oidc_client_secret_file):
            yield (
                "TRADEWIND_OIDC_ISSUER needs TRADEWIND_OIDC_CLIENT_ID and "
                "TRADEWIND_OIDC_CLIENT_SECRET_FILE beside it"
            )
        if self.oidc_issuer and not self.oidc_roles and self.oidc_others == REFUSED:
            yield (
                "TRADEWIND_OIDC_ISSUER lets nobody in: set TRADEWIND_OIDC_ROLES, such as "
                "quants=researcher,ops=admin, or TRADEWIND_OIDC_OTHERS=viewer"
            )
        if not self.oidc_issuer and (self.oidc_client_id or self.oidc_roles):
            yield "TRADEWIND_OIDC_ISSUER is not set, and without it no other TRADEWIND_OIDC_ counts"
        ports = {name: getattr(self, name) for name in FIELDS if name.endswith("_port")}
        seen: dict[int, str] = {}
        for name, port in ports.items():
            if port in seen:
                yield (
                    f"{variable(seen[port])} and {variable(name)} are both {port}; each service "
                    "needs its own"
                )
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
        """Files of the workspace's own in the place of those that come with tradewind."""
        return self.home / "config"

    def config_file(self, name: str) -> Path:
        """Return a file that says how Airflow, MLflow, Redis or PostgreSQL behaves.

        The workspace's own, else the one that comes with tradewind.

        Parameters
        ----------
        name : str
            Such as ``airflow.env``.

        Raises
        ------
        SettingsError
            If neither is there.
        """
        own = self.config_dir / name
        return own if own.is_file() else shipped(f"config/{name}")

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
    def airflow_page(self) -> str:
        """Address of Airflow for a browser."""
        return f"http://localhost:{self.airflow_port}"

    @property
    def airflow_url(self) -> str:
        """Address of Airflow on this machine."""
        return f"http://127.0.0.1:{self.airflow_port}"


FIELDS = {each.name: each for each in fields(Settings)}


def variable(name: str) -> str:
    """Return the variable of the environment that sets a field."""
    return PREFIX + name.upper()


def load_settings(cwd: Path | None = None, *, home: Path | None = None) -> Settings:
    """Read the settings.

    Parameters
    ----------
    cwd : Path, optional
        Where to look for the workspace when ``TRADEWIND_HOME`` is not set: here and above.
    home : Path, optional
        Where to look for it whatever ``TRADEWIND_HOME`` says.

    Raises
    ------
    SettingsError
        If a name is unknown, a value is out of range, or no workspace is found.
    """
    asked = os.environ.get(PREFIX + "HOME")
    if home is None and asked:
        root = Path(asked).absolute()
        if not root.is_dir():
            raise SettingsError(
                f"TRADEWIND_HOME in the environment must be a folder, not {asked!r}"
            )
    else:
        root = _find_home((home or cwd or Path.cwd()).absolute())
    file = root / ".env"
    written = read_env(file)
    values, wrong = _given(written, lambda name: f"{file}:{written[name].line}: {name}", root)
    around = {name: Variable(value, 0) for name, value in os.environ.items()}
    of_environment = _given(around, lambda name: f"{name} in the environment", root)
    # What the environment says of a setting is all that counts of it.
    problems = [one for name, one in wrong.items() if name not in of_environment[0]]
    problems += of_environment[1].values()
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(**{**values, **of_environment[0], "home": root})


def _find_home(cwd: Path) -> Path:
    for folder in (cwd, *cwd.parents):
        if all((folder / name).is_dir() for name in ("strategies", "sources")):
            return folder.absolute()
    raise SettingsError(
        f"no workspace of tradewind at {cwd} or above it (a folder with strategies/ and sources/). "
        "Make one with `tradewind init FOLDER`, change into one, or set TRADEWIND_HOME."
    )


def _no_setting(name: str) -> str:
    if name == LOGIN:
        return (
            "may not stand where tasks can read it: set it in the environment of `tradewind up`, "
            "or broker_login in secrets.json"
        )
    return f"is no setting. {did_you_mean(name, map(variable, FIELDS), otherwise='Known')}"


def _given(
    variables: Mapping[str, Variable], told: Callable[[str], str], root: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of our variables, by field, and what is wrong with the others of ours."""
    given: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, variable_ in variables.items():
        text = variable_.value
        upper = name.upper().replace("-", "_")
        if not upper.startswith(PREFIX) or name in ONLY_COMPOSE:
            continue
        field_name = upper.removeprefix(PREFIX).lower()
        found = FIELDS.get(field_name)
        if found is None and (is_key(name) or (name == LOGIN and not variable_.line)):
            continue
        if found is None or upper != name:
            problems[name] = f"{told(name)} {_no_setting(upper)}"
        elif field_name == "home":
            if variable_.line:
                problems[name] = f"{told(name)} says where this file is: set it in the environment"
        elif text is None:
            problems[name] = f"{told(name)} has no value: write {name}=..."
        elif text == "" and found.default is None:
            continue  # as compose.yaml leaves it out
        else:
            try:
                value = (
                    text if field_name == "database_url" else read_setting(field_name, text, root)
                )
            except ValueError as error:
                problems[field_name] = f"{told(name)} {error}"
            else:
                given[field_name] = value
    return given, problems
