"""MLflow's tracking store with batches of our own, found by MLflow by its scheme.

An entry point ``mlflow.tracking_store``. MLflow's clients load all of those, too, and want none:
so this module imports nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.registry.server.batches import BatchedStore

__all__ = ["batched", "open_store"]

SCHEME = "batched-postgresql"
_PLAIN = "postgresql+psycopg2"


def batched(address: str) -> str:
    """Return the address by which the server finds our store instead of its own."""
    scheme, colon, rest = address.partition(":")
    return f"{SCHEME}{colon}{rest}" if scheme == _PLAIN else address


def open_store(store_uri: str, artifact_uri: str) -> "BatchedStore":
    """Return the store at an address, as MLflow asks for it.

    Parameters
    ----------
    store_uri : str
        With our scheme.
    artifact_uri : str
        Where artifacts of experiments without a place of their own go.
    """
    from tradewind.registry.server.batches import BatchedStore

    return BatchedStore(store_uri.replace(SCHEME, _PLAIN, 1), artifact_uri)
