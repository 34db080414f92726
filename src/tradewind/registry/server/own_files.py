"""MLflow's server opens the files of its own store, and no others.

Whoever may make an experiment says where its files are, and a trace says it by a tag: a folder of
the server's machine, if they like. The server would read from it for them, and write, with its own
rights; and a link in it leads to the server's environment, in which are the passwords of all.
"""

# ruff: noqa: TID253 - loaded by MLflow's server

from functools import wraps
from typing import Final
from urllib.parse import unquote, urlsplit

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.artifact import artifact_repository_registry as registry

from tradewind.foreign import ForeignNames

__all__ = ["FOREIGN", "keep_to_own_files"]

_ENFORCE: Final = "enforce_server_artifact_uri_host_policy"
FOREIGN: Final = (
    ForeignNames(
        "mlflow",
        (
            f"mlflow.store.artifact.artifact_repository_registry:{_ENFORCE}",
            "mlflow.store.artifact.artifact_repository_registry:"
            "ArtifactRepositoryRegistry.get_artifact_repository",
        ),
        "have the server open no files but those of its own store",
        "MLflow's server does not start",
    ),
)
_INDIRECT: Final = ("mlflow-artifacts", "models", "runs")
"""What leads to the store, or to another address that is looked at."""


def keep_to_own_files(destination: str) -> None:
    """Have this process open no repository of files outside of its own store.

    Parameters
    ----------
    destination : str
        Where MLflow keeps its files: a path or an address.
    """
    enforce = getattr(registry, _ENFORCE)
    root = destination.rstrip("/")

    @wraps(enforce)
    def only_own(address: str) -> None:
        enforce(address)
        path = unquote(unquote(address))
        own = address == root or address.startswith(f"{root}/")
        leads_out = ".." in path.replace("\\", "/").split("/")
        if leads_out or not (own or urlsplit(address).scheme in _INDIRECT):
            raise MlflowException(
                f"this server opens files of its own store alone, not {address}: make the "
                "experiment without artifact_location",
                INVALID_PARAMETER_VALUE,
            )

    setattr(registry, _ENFORCE, only_own)
