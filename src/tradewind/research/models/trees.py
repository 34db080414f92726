"""Gradient-boosted trees by LightGBM, the same bit for bit with any number of cores.

References
----------
Ke et al. (2017), LightGBM: A Highly Efficient Gradient Boosting Decision Tree. Burges (2010), From
RankNet to LambdaRank to LambdaMART.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import FitError
from tradewind.research.models._bins import Bins
from tradewind.research.models.rows import GRADES, grade, matrix, session_sizes
from tradewind.research.models.stopping import head_and_tail, told
from tradewind.research.models.threads import threads_limited_to
from tradewind.research.models.weights import row_weights
from tradewind.research.strategy.models import LightGbm
from tradewind.research.strategy.strategy import Strategy

if TYPE_CHECKING:
    import lightgbm

__all__ = [
    "FLAVOUR", "LEARNS", "PACKAGES", "fit", "importance", "learnt", "predict", "rounds", "share",
]  # fmt: skip

FLAVOUR: Final = "lightgbm"
PACKAGES: Final = ("lightgbm", "numpy", "pandas")
LEARNS: Final = True


def share() -> Bins:
    """Return what fits on the same rows share: rows that are binned once."""
    return Bins()


def fit(
    rows: pl.DataFrame,
    strategy: Strategy,
    parameters: LightGbm,
    *,
    num_threads: int,
    shared: Bins | None,
) -> "lightgbm.Booster":
    """Grow trees by least squares or by lambdarank.

    One line of a model's text depends on `shared`, and so its hash; predictions do not.

    Raises
    ------
    FitError
        If LightGBM refuses the parameters, such as a fraction of the rows that leaves none.
    """
    # Imported here: its OpenMP threads must not exist before a worker forks.
    import lightgbm

    settings: dict[str, Any] = {
        "objective": parameters.objective,
        "learning_rate": parameters.learning_rate,
        "num_leaves": parameters.num_leaves,
        "min_data_in_leaf": parameters.min_data_in_leaf,
        "feature_fraction": parameters.feature_fraction,
        "bagging_fraction": parameters.bagging_fraction,
        "bagging_freq": int(parameters.bagging_fraction < 1.0),
        "lambda_l2": parameters.lambda_l2,
        "seed": strategy.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": num_threads,
        "verbosity": -1,
    }
    if parameters.objective == "lambdarank":
        # The gain of a grade is its number, and every pair of a session counts: for a portfolio
        # that is long and short, the worst symbol matters as much as the best.
        settings["label_gain"] = list(range(GRADES))
        settings["lambdarank_truncation_level"] = int(session_sizes(rows).max())
    booster: lightgbm.Booster

    def make(settings: Mapping[str, Any]) -> "lightgbm.Dataset":
        return _tree_rows(rows.sort("session", "symbol"), strategy, parameters, settings)

    with threads_limited_to(num_threads):
        try:
            rounds = _rounds_to_take(rows, strategy, parameters, settings)
            if shared is None:
                data = make(settings)
            else:
                data, settings = shared.binned(settings, make)
            booster = lightgbm.train(
                settings,
                data,
                num_boost_round=rounds,
                # Else LightGBM writes the model as text and reads it again to release the rows,
                # which are kept here.
                keep_training_booster=shared is not None,
            )
        except lightgbm.basic.LightGBMError as error:
            raise FitError(
                f"strategy {strategy.name}: LightGBM cannot fit {rows.height} rows with "
                f"{parameters!r}: {' '.join(str(error).split())}; change the model's parameters"
            ) from error
    return booster


def predict(
    model: "lightgbm.Booster", rows: pl.DataFrame, strategy: Strategy, *, num_threads: int
) -> NDArray[np.float64]:
    """Return one prediction a row, shape (n_rows,)."""
    with threads_limited_to(num_threads):
        return np.asarray(model.predict(matrix(rows, strategy)), dtype=np.float64)


def importance(model: "lightgbm.Booster") -> Sequence[float]:
    """Return how much splits on each feature reduced the loss, in all (gain)."""
    gains: Sequence[float] = model.feature_importance(importance_type="gain").tolist()
    return gains


def rounds(model: "lightgbm.Booster") -> int:
    """Return how many rounds of boosting it has."""
    return model.current_iteration()


def learnt(model: "lightgbm.Booster") -> Iterator[bytes]:
    """Yield LightGBM's own text, without the line that says on how many cores it was grown."""
    for line in model.model_to_string().splitlines(keepends=True):
        if not line.startswith("[num_threads:"):
            yield line.encode()


def _rounds_to_take(
    rows: pl.DataFrame, strategy: Strategy, parameters: LightGbm, settings: Mapping[str, Any]
) -> int:
    """Return the rounds of the file, or as many of them as the newest sessions are better for."""
    import lightgbm

    if parameters.early_stopping is None:
        return parameters.rounds
    head, tail = head_and_tail(rows.sort("session", "symbol"), parameters.early_stopping, strategy)
    judged = {**settings, "metric": "l2"}
    if parameters.objective == "lambdarank":
        # The order of all of a session's symbols counts, not that of the first few.
        whole = int(session_sizes(rows).max())
        judged |= {"metric": "ndcg", "eval_at": [whole]}
    known = _tree_rows(head, strategy, parameters, judged)
    asked = _tree_rows(tail, strategy, parameters, judged, reference=known)
    stop = lightgbm.early_stopping(parameters.early_stopping.rounds, verbose=False)
    found = lightgbm.train(
        judged, known, num_boost_round=parameters.rounds, valid_sets=[asked], callbacks=[stop]
    )
    return told(found.best_iteration, parameters.rounds, tail)


def _tree_rows(
    rows: pl.DataFrame,
    strategy: Strategy,
    parameters: LightGbm,
    settings: Mapping[str, Any],
    *,
    reference: "lightgbm.Dataset | None" = None,
) -> "lightgbm.Dataset":
    """Return rows sorted by session as LightGBM needs them, not binned yet."""
    import lightgbm

    ranked = settings["objective"] == "lambdarank"
    labels = rows.select(grade()).to_series() if ranked else rows.get_column("label")
    return lightgbm.Dataset(
        matrix(rows, strategy),
        labels.to_numpy(),
        # Rows that only judge count alike.
        weight=row_weights(rows, parameters.weights) if reference is None else None,
        group=session_sizes(rows) if ranked else None,
        feature_name=list(strategy.feature_names),
        params=dict(settings),
        reference=reference,
    )
