"""The MLflow server, its workers forked from one process that has imported MLflow.

``mlflow server`` imports MLflow in its command line, and again in each worker that uvicorn spawns:
three times eight seconds of CPU and 200 MB. This module starts the same application under Gunicorn,
which forks, with the same settings (the variables that ``mlflow server`` reads).

Run as ``python -m tradewind.registry.server.serve``; nothing imports it.
"""

# ruff: noqa: TID253 - this program is MLflow

import logging
import multiprocessing
import os
import secrets
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

from gunicorn.app.base import BaseApplication
from mlflow.server import app, auth, constants
from mlflow.server.auth import bootstrap_admin_user, create_app
from mlflow.server.auth.config import read_auth_config
from mlflow.server.handlers import (
    _get_artifact_repo_mlflow_artifacts,
    _get_tracking_store,
    initialize_backend_stores,
)
from mlflow.utils.server_cli_utils import resolve_default_artifact_root

from tradewind.errors import SettingsError
from tradewind.foreign import ForeignNames
from tradewind.oidc.provider import provider_of
from tradewind.registry.server.accounts import confine, make_accounts
from tradewind.registry.server.artifacts import SCHEME
from tradewind.registry.server.erasing import serve_erasing
from tradewind.registry.server.first_view import begin_with_training
from tradewind.registry.server.logins import OneAtATime, compare_for_strangers_too
from tradewind.registry.server.own_files import keep_to_own_files
from tradewind.registry.server.stores import batched
from tradewind.registry.server.writable import serve_writable
from tradewind.settings import Settings, load_settings

__all__ = ["FOREIGN", "main"]

FOREIGN: Final = (
    ForeignNames(
        "mlflow",
        (
            "mlflow.environment_variables:_MLFLOW_SERVER_BOOT_ID",
            "mlflow.environment_variables:_MLFLOW_SGI_NAME",
            "mlflow.server.auth:auth_config",
            "mlflow.server.auth:bootstrap_admin_user",
            "mlflow.server.auth:create_app",
            "mlflow.server.auth:store",
            "mlflow.server.auth.config:read_auth_config",
            "mlflow.server.auth.sqlalchemy_store:SqlAlchemyStore.authenticate_user",
            "mlflow.server.auth.sqlalchemy_store:SqlAlchemyStore.has_user",
            "mlflow.server.handlers:_get_artifact_repo_mlflow_artifacts",
            "mlflow.server.handlers:_get_tracking_store",
            "mlflow.server.handlers:initialize_backend_stores",
            "mlflow.server:app",
            "mlflow.server:serve",
            "mlflow.utils.server_cli_utils:resolve_default_artifact_root",
        ),
        "serve MLflow from processes that share what they have imported, and probe it by a write",
        "MLflow's server does not start: each name is one of its own start",
    ),
)


class _Server(BaseApplication):  # type: ignore[misc] # gunicorn ships no types
    """Gunicorn with settings from its caller, not from a command line."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # noqa: ANN401 - an ASGI application
        # Called in each worker, since processes must not share a connection to a database.
        store = os.environ[constants.BACKEND_STORE_URI_ENV_VAR]
        root = os.environ[constants.ARTIFACT_ROOT_ENV_VAR]
        initialize_backend_stores(batched(store), store, root)
        keep_to_own_files(os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR])
        logins = OneAtATime()
        begin_with_training(app)
        runs: Any = _get_tracking_store()  # the one that was opened above
        serve_writable(app, runs.engine, _get_artifact_repo_mlflow_artifacts)
        settings = load_settings()
        keep_days = settings.keep_deleted_days
        serve_erasing(app, runs, _get_artifact_repo_mlflow_artifacts, keep_days)
        compare_for_strangers_too(auth.store)
        confine()
        _let_people_in(settings, logins)
        logins.before(app)
        served = create_app(app)
        logins.after(app)
        return served


def main() -> None:
    """Serve until told to stop.

    Raises
    ------
    SettingsError
        If a setting it needs is missing.
    """
    store = _setting("MLFLOW_BACKEND_STORE_URI")
    # Read when MLflow was imported, where the administrator's password may not have been set.
    auth.auth_config = read_auth_config()
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: store,
        constants.REGISTRY_STORE_URI_ENV_VAR: store,
        constants.ARTIFACT_ROOT_ENV_VAR: resolve_default_artifact_root(True, "", store),
        constants.ARTIFACTS_DESTINATION_ENV_VAR: _behind_server(
            _setting("MLFLOW_ARTIFACTS_DESTINATION")
        ),
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        # Variables that `mlflow server` sets for its workers: that they serve ASGI, and the id of
        # the start.
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_SERVER_BOOT_ID": secrets.token_hex(16),
    }
    # Once, before the workers, for two that create the tables of users at the same time would
    # collide. In a process of its own, so that no worker inherits its connection.
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as once:
        once.submit(_make_accounts).result()
    # The fork server has imported Airflow, which gives the logger a handler; Gunicorn adds its own.
    logging.getLogger("gunicorn.error").handlers.clear()
    _Server(
        {
            "bind": f"{_setting('MLFLOW_HOST')}:{_setting('MLFLOW_PORT')}",
            "workers": int(_setting("MLFLOW_WORKERS")),
            "worker_class": "uvicorn_worker.UvicornWorker",
            "timeout": 120,  # seconds; a worker that hangs longer is replaced
            "graceful_timeout": 15,
            "proc_name": "mlflow",
            # Its path is one for each user: it would take away the socket of another stack or
            # Gunicorn.
            "control_socket_disable": True,
        }
    ).run()


def _let_people_in(settings: Settings, logins: OneAtATime) -> None:
    """Serve logins by an identity provider, where the settings name one."""
    provider = provider_of(settings)
    if provider is None:
        return
    from tradewind.registry.server import login  # with authlib, which nobody needs otherwise

    auth.auth_config = auth.auth_config._replace(authorization_function=login.AUTHENTICATE)
    login.serve_login(app, provider, settings.mlflow_page, logins)


def _make_accounts() -> None:
    bootstrap_admin_user()
    make_accounts(auth.store)


def _behind_server(destination: str) -> str:
    in_s3 = destination.startswith("s3://")
    return SCHEME + destination.removeprefix("s3") if in_s3 else destination


def _setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SettingsError(f"{name} is not set: the MLflow server does not guess it")
    return value


if __name__ == "__main__":
    main()
