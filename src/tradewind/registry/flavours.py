"""Models of each kind in MLflow: saved in the flavour that is native to it, never pickled.

=============  =======================================  =========================================
kind           flavour                                  what is in the registry
=============  =======================================  =========================================
lightgbm       ``mlflow.lightgbm``                      LightGBM's own text format
ridge          ``mlflow.sklearn``, format ``skops``     parameters, and names of types to make
ma_crossover   ``mlflow.pyfunc``, model from code       twenty lines of Python, and a feature
=============  =======================================  =========================================

Each can also be loaded with ``mlflow.pyfunc.load_model``, without tradewind.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, assert_never

from tradewind.errors import RegistryError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.models.model import ModelInfo

    from tradewind.research.models.model import Predictor

__all__ = ["Kind", "load_model", "log_model", "packages"]

Kind = Literal["lightgbm", "ridge", "ma_crossover"]
_RULE_CODE = Path(__file__).with_name("rule_code.py")


def packages(kind: Kind) -> tuple[str, ...]:
    """Return the names of the packages that loading and asking a model takes, beside MLflow."""
    match kind:
        case "lightgbm":
            return ("lightgbm", "numpy", "pandas")
        case "ridge":
            return ("numpy", "pandas", "scikit-learn", "skops")
        case "ma_crossover":
            return ("numpy", "pandas")
        case _:
            assert_never(kind)


def log_model(
    model: "Predictor",
    *,
    name: str,
    signature: "ModelSignature",
    input_example: "pd.DataFrame",
    pip_requirements: Sequence[str],
) -> "ModelInfo":
    """Log a model to the active run.

    Parameters
    ----------
    model : Predictor
        As returned by `tradewind.research.models.model.fit`.
    name : str
        Of the logged model within its run.
    signature : ModelSignature
        Columns of its input, and its output.
    input_example : DataFrame of shape (n_rows, n_features)
    pip_requirements : sequence of str
        What loading it takes. Given, since inferring them takes MLflow 12 s.

    Raises
    ------
    MlflowException
        If MLflow refuses or is out of reach.
    """
    from tradewind.research.models.model import Rule

    common: dict[str, Any] = {
        "name": name,
        "signature": signature,
        "input_example": input_example,
        "pip_requirements": list(pip_requirements),
    }
    info: ModelInfo
    if isinstance(model, Rule):
        import mlflow.pyfunc

        config = {"feature": model.feature}
        info = mlflow.pyfunc.log_model(python_model=str(_RULE_CODE), model_config=config, **common)
    elif hasattr(model, "named_steps"):
        import mlflow.sklearn

        _import_skops()
        # An empty list: types that skops knows to be harmless, and no others.
        info = mlflow.sklearn.log_model(
            model, serialization_format="skops", skops_trusted_types=[], **common
        )
    else:
        import mlflow.lightgbm

        info = mlflow.lightgbm.log_model(model, **common)
    return info


def load_model(uri: str, kind: Kind) -> "Predictor":
    """Load a model that `log_model` logged.

    Parameters
    ----------
    uri : str
        Such as ``models:/momentum/3``.
    kind : {"lightgbm", "ridge", "ma_crossover"}
        Of the strategy that it was trained by.

    Returns
    -------
    Predictor
        Predicts what the logged model did, bit for bit.

    Raises
    ------
    RegistryError
        If the model is of another kind, or holds what may not be loaded.
    MlflowException
        If MLflow knows no such model or is out of reach.
    """
    match kind:
        case "lightgbm":
            return _load_lightgbm(uri)
        case "ridge":
            return _load_ridge(uri)
        case "ma_crossover":
            return _load_rule(uri)
        case _:
            assert_never(kind)


# Each into a folder of our own: MLflow leaves its own behind, which fills the memory that /tmp is
# in a container.


def _load_lightgbm(uri: str) -> "Predictor":
    import mlflow.lightgbm

    with TemporaryDirectory(prefix="tradewind-") as folder:
        model: Predictor = mlflow.lightgbm.load_model(uri, dst_path=folder)
    return model


def _load_ridge(uri: str) -> "Predictor":
    from mlflow.artifacts import download_artifacts

    skops_io = _import_skops()
    with TemporaryDirectory(prefix="tradewind-") as folder:
        # Not mlflow.sklearn.load_model: it would unpickle, or make the types a model asks for, if
        # somebody changed the model to say so.
        file = Path(download_artifacts(uri, dst_path=folder)) / "model.skops"
        if not file.is_file():
            raise RegistryError(f"{uri} holds no {file.name}; it is no ridge. Train it again")
        try:
            model: Predictor = skops_io.load(file, trusted=[])
        except skops_io.exceptions.UntrustedTypesFoundException as error:
            raise RegistryError(
                f"{uri} holds types that no ridge has: {error}. Somebody changed it; train it again"
            ) from error
    return model


def _load_rule(uri: str) -> "Predictor":
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    from tradewind.research.models.model import Rule

    with TemporaryDirectory(prefix="tradewind-") as folder:
        about = Model.load(download_artifacts(uri, dst_path=folder))
    # What it predicts needs no code from the registry, only which feature.
    config = about.flavors.get("python_function", {}).get("config") or {}
    if "feature" not in config:
        raise RegistryError(f"{uri} names no feature; it is no rule. Train it again")
    return Rule(config["feature"])


def _import_skops() -> Any:  # noqa: ANN401 - skops has no types
    # At import it asks every module that is loaded for each function of SciPy; old names of
    # Airflow answer that with a warning, which a task's log would show as an error.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import skops.io
        import skops.io.exceptions
    return skops.io
