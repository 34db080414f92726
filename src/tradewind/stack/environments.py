"""What each service is told in its environment, and which secrets: what it needs, and no more."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from tradewind.broker_login import LOGIN
from tradewind.errors import StackError
from tradewind.host.proxies import spare_this_machine
from tradewind.host.utf8 import UTF8
from tradewind.oidc.provider import SESSION_SECONDS
from tradewind.settings import Settings
from tradewind.stack import minio, redis
from tradewind.stack.layout import Layout
from tradewind.stack.reread import NO_DATABASE
from tradewind.stack.secrets import Secrets, vendor_keys
from tradewind.stack.servers import object_store, postgres_server, redis_server
from tradewind.vendor_keys import given_keys

__all__ = [
    "airflow_environment",
    "airflow_secrets",
    "base_environment",
    "broker_secrets",
    "dag_processor_secrets",
    "database_url",
    "desk_secrets",
    "logins_by_provider",
    "mlflow_environment",
    "mlflow_secrets",
    "worker_secrets",
]

WEBSERVER_CONFIG = Path(__file__).parents[1] / "orchestration/runtime/webserver_config.py"


def mlflow_environment(settings: Settings, layout: Layout) -> dict[str, str]:
    """Return what MLflow's services are told, without secrets."""
    server = postgres_server(settings)
    return _merge(
        _read_config(settings.config_file("mlflow.env")),
        server.environment(),
        {
            "PGDATABASE": server.name("mlflow"),
            "PGUSER": server.name("mlflow"),
            "MLFLOW_HOST": "127.0.0.1",
            "MLFLOW_PORT": str(settings.mlflow_port),
            "MLFLOW_AUTH_CONFIG_PATH": str(settings.config_file("mlflow-auth.ini")),
            "MLFLOW_SERVER_ALLOWED_HOSTS": _hosts(settings.mlflow_page),
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": _origin(settings.mlflow_page),
            "MLFLOW_ARTIFACTS_DESTINATION": _files(settings, layout),
        },
    )


def _files(settings: Settings, layout: Layout) -> str:
    """Return where MLflow keeps its files."""
    store = object_store(settings)
    if store is not None:
        return store.destination
    if minio.is_chosen(settings, layout):
        return f"s3://{minio.BUCKET}"
    return layout.artifacts_dir.as_uri()


def mlflow_secrets(settings: Settings, layout: Layout, secrets: Secrets) -> dict[str, str]:
    """Return the secrets of MLflow's server."""
    login = {
        "PGPASSWORD": secrets.postgres_mlflow,
        "MLFLOW_AUTH_ADMIN_PASSWORD": secrets.mlflow_admin,
        "MLFLOW_WORKER_PASSWORD": secrets.mlflow_worker,
        "MLFLOW_READER_PASSWORD": secrets.mlflow_reader,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.mlflow_flask_secret_key,
    }
    store = object_store(settings)
    if store is not None:
        key, _, secret = secrets.objects_login.partition(":")
        return login | store.environment(key, secret)
    if minio.is_chosen(settings, layout):
        login |= minio.client_environment(settings, minio.MLFLOW_USER, secrets.minio_mlflow)
    return login


def _hosts(page: str) -> str:
    """Return the names under which MLflow may be asked for: else any site could, by DNS rebinding.

    This machine's own, under every port, for who forwards it under another; and the page's.
    """
    here = ("localhost", "127.0.0.1", "[::1]")
    any_port = ("localhost:*", "127.0.0.1:*", "[[]::1]:*")  # patterns, in which [ begins a set
    return ",".join([*here, *any_port, urlsplit(_origin(page)).netloc])


def _origin(page: str) -> str:
    """Return what a browser says it comes from: MLflow takes changes from no other site.

    This machine's own names are taken without. Browsers write a name in lower case, and no port
    where it is the scheme's own.
    """
    site = urlsplit(page)
    name = site.hostname or ""
    name = f"[{name}]" if ":" in name else name
    usual = {"http": 80, "https": 443}.get(site.scheme)
    port = "" if site.port in {None, usual} else f":{site.port}"
    return f"{site.scheme}://{name}{port}"


def airflow_environment(settings: Settings, layout: Layout) -> dict[str, str]:
    """Return what all of Airflow's services are told, without secrets."""
    return _merge(
        _read_config(settings.config_file("airflow.env")),
        {
            "AIRFLOW_HOME": str(layout.airflow_home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(settings.dags_dir),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(layout.airflow_home / "bundles"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.home / "plugins"),
            "AIRFLOW__FAB__CONFIG_FILE": str(layout.airflow_home / "webserver_config.py"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(layout.logs_dir / "tasks"),
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(
                layout.logs_dir / "dag-processor"
            ),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": NO_DATABASE,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
            "AIRFLOW__API__BASE_URL": settings.airflow_page,
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(
                settings.scheduler_health_port
            ),
            "MLFLOW_TRACKING_URI": settings.mlflow_url,
        },
    )


def logins_by_provider(settings: Settings) -> dict[str, str]:
    """Return what Airflow's page is told where people log in by an identity provider."""
    if settings.oidc_issuer is None:
        return {}
    return {
        "AIRFLOW__FAB__CONFIG_FILE": str(WEBSERVER_CONFIG),
        # At the end of a working day roles are read again: by default a login lasts a month.
        "AIRFLOW__FAB__SESSION_MAX_LIFETIME_MINUTES": str(SESSION_SECONDS // 60),
    }


def airflow_secrets(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """Return the secrets of Airflow's own services, which run nothing that a user writes."""
    return {
        **postgres_server(settings).for_asyncpg("airflow", secrets.postgres_airflow),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url("airflow", settings, secrets),
        "AIRFLOW__CORE__FERNET_KEY": secrets.airflow_fernet_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.airflow_jwt_secret,
        "AIRFLOW__API__SECRET_KEY": secrets.airflow_api_secret_key,
        **_tasks_of_airflow(settings, secrets),
        **_tasks_of_trading(settings, secrets),
    }


def desk_secrets(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """Return what the desk's page needs, in Airflow's web server: the book, to read and to halt."""
    return {"TRADEWIND_DATABASE_URL": database_url("desk", settings, secrets)}


def worker_secrets(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """Return what tasks need, in which authors of strategies say what is done."""
    return {
        **_tasks_of_airflow(settings, secrets),
        **_tasks_of_trading(settings, secrets),
        "MLFLOW_TRACKING_USERNAME": "tradewind",
        "MLFLOW_TRACKING_PASSWORD": secrets.mlflow_worker,
        "TRADEWIND_DATABASE_URL": database_url("research", settings, secrets),
        **vendor_keys(secrets),
        **given_keys(settings.home),
    }


def broker_secrets(secrets: Secrets) -> dict[str, str]:
    """Return what opens accounts at a real broker: for the trading worker alone."""
    login = os.environ.get(LOGIN) or secrets.broker_login
    return {LOGIN: login} if login else {}


def dag_processor_secrets(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """Return what reading DAG files needs, which their authors write."""
    return {
        **postgres_server(settings).for_asyncpg("airflow_dags", secrets.postgres_airflow_dags),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url("airflow_dags", settings, secrets),
        # What the watchers of streams are told is written with it.
        "AIRFLOW__CORE__FERNET_KEY": secrets.airflow_fernet_key,
    }


def _tasks_of_airflow(settings: Settings, secrets: Secrets) -> dict[str, str]:
    results = database_url("airflow_results", settings, secrets)
    return {
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{results}",
        "AIRFLOW__CELERY__BROKER_URL": redis_server(settings, secrets).url(
            "airflow", secrets.redis_airflow
        ),
    }


def _tasks_of_trading(settings: Settings, secrets: Secrets) -> dict[str, str]:
    return {
        "AIRFLOW_CONN_TRADING": redis.airflow_connection(
            redis_server(settings, secrets), "trading", secrets.redis_trading
        )
    }


def database_url(role: str, settings: Settings, secrets: Secrets) -> str:
    """Return the address at which a role reaches its database, with its password."""
    return postgres_server(settings).url(role, getattr(secrets, f"postgres_{role}"))


def base_environment(settings: Settings) -> dict[str, str]:
    """Return what every service is told: what the user's shell says, and the settings."""
    # What a user's shell says to other Airflows, MLflows and PostgreSQLs is not meant for ours.
    ours = ("AIRFLOW", "MLFLOW", "_MLFLOW", "PG", "AWS_", "TRADEWIND_", "CELERY_", "MINIO_")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment = {
        **inherited,
        **settings.as_environment(),
        **UTF8,
        "PYTHONUNBUFFERED": "1",
        # A process title is written over the environment unless told not to.
        "SPT_NOENV": "1",
    }
    spare_this_machine(environment)
    return environment


def _read_config(path: Path) -> dict[str, str]:
    return {k: v for k, v in dotenv_values(path, interpolate=False).items() if v is not None}


def _merge(*parts: Mapping[str, str]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for part in parts:
        if twice := merged.keys() & part.keys():
            raise StackError(f"{', '.join(sorted(twice))}: set in config/ and by the stack")
        merged |= part
    return merged
