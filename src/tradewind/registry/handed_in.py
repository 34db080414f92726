"""Models whose predictions were handed in, in MLflow: a table, with its SHA-256."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from tradewind.errors import RegistryError

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

    from tradewind.research.models.external import HandedIn
    from tradewind.research.strategy.models import ModelFields

__all__ = ["load_handed_in", "log_handed_in"]

_LOADER: Final = Path(__file__).with_name("predictions_code.py")
_FOLDER: Final = "predictions"
_TABLE: Final = "predictions.parquet"
_ABOUT: Final = "about.json"


def log_handed_in(model: "HandedIn", common: dict[str, Any]) -> "ModelInfo":
    """Log predictions that were handed in; see `flavours.log_model`."""
    import mlflow.pyfunc

    with TemporaryDirectory(prefix="tradewind-") as name:
        folder = Path(name, _FOLDER)
        folder.mkdir()
        model.table.write_parquet(folder / _TABLE)
        (folder / _ABOUT).write_text(json.dumps({"sha256": model.sha256}) + "\n")
        info: ModelInfo = mlflow.pyfunc.log_model(
            python_model=str(_LOADER), artifacts={_FOLDER: str(folder)}, **common
        )
    return info


def load_handed_in(uri: str, _: "ModelFields") -> "HandedIn":
    """Load predictions that `log_handed_in` has logged.

    Raises
    ------
    RegistryError
        If there are none, or they are not those that were logged.
    """
    import polars as pl
    from mlflow.artifacts import download_artifacts

    from tradewind.research.models.external import HandedIn

    with TemporaryDirectory(prefix="tradewind-") as name:
        folder = Path(download_artifacts(uri, dst_path=name), "artifacts", _FOLDER)
        if not (folder / _ABOUT).is_file():
            raise RegistryError(f"{uri} holds no predictions; hand them in again")
        about = json.loads((folder / _ABOUT).read_bytes())
        try:
            found = HandedIn(pl.read_parquet(folder / _TABLE))
            same = found.sha256 == about["sha256"]
        except (OSError, pl.exceptions.PolarsError):
            same = False
    if not same:
        raise RegistryError(
            f"{uri}: {_TABLE} is not what was handed in. Somebody changed it; hand it in again"
        )
    return found
