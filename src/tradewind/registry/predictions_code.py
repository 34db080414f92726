"""Code of a model whose predictions were handed in, as MLflow keeps it: copied into the model.

It stands alone, so that ``mlflow.pyfunc.load_model`` needs no tradewind. Nothing imports it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID253 - only MLflow runs this
import polars as pl
from mlflow.models import set_model  # noqa: TID253
from mlflow.pyfunc.model import PythonModel  # noqa: TID253
from numpy.typing import NDArray


class HandedIn(PythonModel):
    """Predicts what was handed in for a symbol and session, and NaN where nothing was."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401 - MLflow's
        """Read the table."""
        self._table = pl.read_parquet(Path(context.artifacts["predictions"], "predictions.parquet"))

    def predict(  # type: ignore[override]  # MLflow leaves the context out if not asked for
        self,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow's signature
    ) -> NDArray[np.float64]:
        """Return one prediction a row of `model_input`, shape (n_rows,)."""
        asked = pl.from_pandas(model_input).with_columns(pl.col("session").cast(pl.Date))
        found = asked.join(self._table, on=["symbol", "session"], how="left", maintain_order="left")
        return found.get_column("prediction").fill_null(float("nan")).to_numpy()


set_model(HandedIn())
