"""Linear regression on standardised features, by scikit-learn.

References
----------
Hoerl and Kennard (1970), Ridge Regression: Biased Estimation for Nonorthogonal Problems.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.research.models.rows import matrix
from tradewind.research.models.threads import threads_limited_to
from tradewind.research.models.weights import row_weights
from tradewind.research.strategy.models import Ridge
from tradewind.research.strategy.strategy import Strategy

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["FLAVOUR", "LEARNS", "PACKAGES", "fit", "importance", "learnt", "predict", "share"]

FLAVOUR: Final = "skops"
PACKAGES: Final = ("numpy", "pandas", "scikit-learn", "skops")
LEARNS: Final = True


def share() -> None:
    """Return nothing: fits share nothing."""


def fit(
    rows: pl.DataFrame,
    strategy: Strategy,
    parameters: Ridge,
    *,
    num_threads: int,  # noqa: ARG001 - one core is enough
    shared: None,  # noqa: ARG001
) -> "Pipeline":
    """Standardise the features, then fit the weights."""
    from sklearn.linear_model import Ridge as SklearnRidge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("ridge", SklearnRidge(alpha=parameters.alpha, solver="cholesky")),
        ]
    )
    rows = rows.sort("session", "symbol")
    # One core: BLAS would add up in another order on several, and the sums are short.
    with threads_limited_to(1):
        pipeline.fit(
            matrix(rows, strategy),
            rows.get_column("label").to_numpy(),
            ridge__sample_weight=row_weights(rows, parameters.weights),
        )
    # The columns of a table are checked, as LightGBM does it.
    pipeline["scale"].feature_names_in_ = np.array(strategy.feature_names, dtype=object)
    return pipeline


def predict(
    model: Any,  # noqa: ANN401 - scikit-learn has no types
    rows: pl.DataFrame,
    strategy: Strategy,
    *,
    num_threads: int,  # noqa: ARG001
) -> NDArray[np.float64]:
    """Return one prediction a row, shape (n_rows,)."""
    scaler, ridge = model.named_steps["scale"], model.named_steps["ridge"]
    # Not Pipeline.predict: BLAS rounds a row differently in a batch of another length, but a
    # prediction made alone must equal the one made in training. Sums along each row are always
    # the same.
    scaled = (matrix(rows, strategy) - scaler.mean_) / scaler.scale_
    linear: NDArray[np.float64] = (scaled * ridge.coef_).sum(axis=1) + ridge.intercept_
    return linear


def importance(model: Any) -> Sequence[float]:  # noqa: ANN401
    """Return the size of each weight on standardised features, in units of the label."""
    sizes: Sequence[float] = np.abs(model.named_steps["ridge"].coef_).tolist()
    return sizes


def learnt(model: Any) -> Iterator[bytes]:  # noqa: ANN401
    """Yield means, scales, weights and intercept, to the bit."""
    scaler, ridge = model.named_steps["scale"], model.named_steps["ridge"]
    numbers = {
        "mean": scaler.mean_,
        "scale": scaler.scale_,
        "weights": ridge.coef_,
        "intercept": ridge.intercept_,
    }
    for name, found in numbers.items():
        array = np.asarray(found, dtype="<f8")
        yield f"{name} {array.shape}\n".encode() + array.tobytes()
