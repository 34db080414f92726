"""MLflow's tracking store with batches of our own, found by MLflow by its scheme.

An entry point ``mlflow.tracking_store``. MLflow's clients load all such entry points, too, but need
none: so this module imports nothing that takes time.
"""

from typing import TYPE_CHECKING, Final

from tradewind.foreign import ForeignNames

if TYPE_CHECKING:
    from tradewind.registry.server.batches import BatchedStore

__all__ = ["FOREIGN", "batched", "open_store"]

_STORE: Final = "mlflow.store.tracking.sqlalchemy_store:SqlAlchemyStore"
_TABLES: Final = "mlflow.store.tracking.dbmodels.models"
_METRIC: Final = ("is_nan", "key", "run_uuid", "step", "timestamp", "value")

FOREIGN: Final = (
    ForeignNames(
        "mlflow",
        (
            *(
                f"mlflow.utils.validation:{name}"
                for name in (
                    "_validate_batch_log_data", "_validate_batch_log_limits",
                    "_validate_param_keys_unique", "_validate_run_id",
                )
            ),
            *(
                f"{_STORE}.{name}"
                for name in (
                    "ManagedSessionMaker", "_check_run_is_active", "_get_run", "log_batch",
                    "sanitize_metric_value",
                )
            ),
            *(f"{_TABLES}:{table}.{name}" for table in ("SqlLatestMetric", "SqlMetric")
              for name in _METRIC),
            *(f"{_TABLES}:SqlParam.{name}" for name in ("key", "run_uuid", "value")),
        ),
        "write a batch of metrics and parameters in one transaction",
        "MLflow's own store writes it, more slowly",
    ),
)  # fmt: skip

SCHEME = "batched-postgresql"
_PLAIN = "postgresql+psycopg2"


def batched(address: str) -> str:
    """Return the address of our store, or MLflow's own if ours cannot work."""
    scheme, colon, rest = address.partition(":")
    ours = scheme == _PLAIN and all(names.usable() for names in FOREIGN)
    return f"{SCHEME}{colon}{rest}" if ours else address


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
