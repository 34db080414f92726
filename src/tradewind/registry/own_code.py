"""Loads a model of somebody's own code, as MLflow keeps it: copied into the model.

It stands alone, so that ``mlflow.pyfunc.load_model`` needs no tradewind. Nothing imports it.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID253 - only MLflow runs this
import polars as pl
from mlflow.models import set_model  # noqa: TID253
from mlflow.pyfunc.model import PythonModel  # noqa: TID253
from numpy.typing import NDArray


class OwnModel(PythonModel):
    """Predicts as the class or the function that is kept with it does."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401 - MLflow's
        """Run the code, and load what it has saved."""
        folder = Path(context.artifacts["own"])
        about = json.loads((folder / "about.json").read_text())
        module, _, name = about["name"].partition(":")
        path = folder / "code" / f"{module.replace('.', '/')}.py"
        spec = importlib.util.spec_from_file_location(f"own_{about['sha256']}", path)
        assert spec is not None  # noqa: S101 - for the type checker
        assert spec.loader is not None  # noqa: S101
        made = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = made
        spec.loader.exec_module(made)
        found = getattr(made, name)
        self._parameters = about["parameters"]
        if (folder / "saved").is_dir():
            self._predict, self._parameters = found.load(folder / "saved").predict, {}
        else:
            self._predict = found

    def predict(  # type: ignore[override]  # MLflow leaves the context out if not asked for
        self,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow's signature
    ) -> NDArray[np.float64]:
        """Return one prediction a row of `model_input`, shape (n_rows,)."""
        plain = model_input.drop(columns="history", errors="ignore")
        rows = pl.from_pandas(plain).with_columns(pl.col("session").cast(pl.Date))
        if "history" in model_input:
            seen = np.array(model_input["history"].tolist(), dtype=np.float64)
            rows = rows.with_columns(pl.Series("history", seen))
        found = np.empty(rows.height)
        # As in training: one session at a time, sorted by symbol.
        ordered = rows.with_row_index("at").sort("session", "symbol")
        for part in ordered.partition_by("session", maintain_order=True):
            asked = part.drop("at")
            found[part["at"].to_numpy()] = self._predict(asked, **self._parameters)
        return found


set_model(OwnModel())
