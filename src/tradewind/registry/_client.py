"""The connection to MLflow, and its failures in tradewind's own words."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tradewind.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"


def connect() -> "MlflowClient":
    """Return a client of the server that the environment names.

    Raises
    ------
    RegistryError
        If it names none: MLflow would silently make a database in the current directory.
    """
    tracking_uri()
    from mlflow import MlflowClient

    return MlflowClient()


def tracking_uri() -> str:
    """Return the address of MLflow, or raise `RegistryError` if none is set."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise RegistryError(
            "MLFLOW_TRACKING_URI is not set, so there is no MLflow to talk to. Services of the "
            "stack have it set; elsewhere set it, MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD as `tradewind credentials` prints them"
        )
    return uri


def experiment(client: "MlflowClient", name: str) -> str:
    """Return the id of an experiment, made or restored where needed; MLflow's errors pass."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        made = client.get_experiment_by_name(name)  # by another worker, a moment ago
        if made is None:
            raise
        return str(made.experiment_id)


@contextmanager
def mlflow_errors(doing: str, *, missing: str | None = None) -> Iterator[None]:
    """Turn MLflow's errors into `RegistryError`.

    Parameters
    ----------
    doing : str
        What is being attempted, to be read after "while".
    missing : str, optional
        What to say when MLflow does not know what it is asked for, and how to mend it.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    try:
        yield
    except MlflowException as error:
        if missing is not None and error.error_code == NOT_FOUND:
            raise RegistryError(missing) from error
        raise RegistryError(
            f"MLflow at {tracking_uri()}, while {doing}: {error.message}. If it is out of reach, "
            "see `tradewind status`; if it refuses the login, see `tradewind credentials`"
        ) from error
    except RequestException as error:
        raise RegistryError(
            f"MLflow at {tracking_uri()} is out of reach while {doing}: {error}. "
            "See `tradewind status` and `tradewind logs mlflow`"
        ) from error
