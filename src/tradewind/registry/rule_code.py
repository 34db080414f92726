"""Code of a rule's model, as MLflow keeps it: copied into the model, run when it is loaded.

It stands alone, so that ``mlflow.pyfunc.load_model`` needs no tradewind. Nothing imports it.
"""

from typing import Any

import numpy as np
import pandas as pd  # noqa: TID253 - only MLflow runs this
from mlflow.models import set_model  # noqa: TID253
from mlflow.pyfunc.model import PythonModel  # noqa: TID253
from numpy.typing import NDArray


class RuleModel(PythonModel):
    """Predicts the only column of its input."""

    def predict(  # type: ignore[override]  # MLflow leaves the context out if not asked for
        self,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow's signature
    ) -> NDArray[np.float64]:
        """Return one prediction a row of `model_input`, shape (n_rows,)."""
        [column] = model_input.to_numpy(dtype=np.float64).T
        return np.array(column)


set_model(RuleModel())
