"""Models in MLflow: saved in the flavour that is native to each kind, never pickled.

=============  =======================================  =========================================
flavour        MLflow's                                 what is in the registry
=============  =======================================  =========================================
lightgbm       ``mlflow.lightgbm``                      LightGBM's own text format
skops          ``mlflow.sklearn``, format ``skops``     parameters, and names of types to make
rule           ``mlflow.pyfunc``, model from code       twenty lines of Python, and a feature
files          ``mlflow.pyfunc``, model from code       code of the desk's own, and its files
predictions    ``mlflow.pyfunc``, model from code       a table of what was handed in
estimator      `tradewind.registry.estimator_flavour`   what suits the class
=============  =======================================  =========================================

Each can also be loaded with ``mlflow.pyfunc.load_model``, without tradewind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from tradewind.errors import RegistryError
from tradewind.registry.handed_in import load_handed_in, log_handed_in
from tradewind.registry.own_files import load_own, log_own
from tradewind.registry.skops_files import import_skops

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.models.model import ModelInfo

    from tradewind.research.models.model import FittedModel
    from tradewind.research.strategy.models import ModelFields

__all__ = ["load_model", "log_model", "packages"]

_RULE_CODE = Path(__file__).with_name("rule_code.py")


def packages(fields: "ModelFields") -> tuple[str, ...]:
    """Return the names of the packages that loading and asking a model takes, beside MLflow."""
    from tradewind.research.models.model import code_of

    found = code_of(fields).PACKAGES
    return found(fields) if callable(found) else found


def log_model(
    model: "FittedModel",
    *,
    name: str,
    signature: "ModelSignature",
    input_example: "pd.DataFrame",
    pip_requirements: Sequence[str],
) -> "ModelInfo":
    """Log a model to the active run.

    Parameters
    ----------
    model : FittedModel
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
    RegistryError
        If the kind names no flavour that there is.
    MlflowException
        If MLflow refuses or is out of reach.
    """
    common: dict[str, Any] = {
        "name": name,
        "signature": signature,
        "input_example": input_example,
        "pip_requirements": list(pip_requirements),
    }
    return _flavour(model.fields).log(model.native, common)


def load_model(uri: str, fields: "ModelFields") -> "FittedModel":
    """Load a model that `log_model` logged.

    Parameters
    ----------
    uri : str
        Such as ``models:/momentum/3``.
    fields : ModelFields
        Of the strategy that it was trained by.

    Returns
    -------
    FittedModel
        Predicts what the logged model did, bit for bit.

    Raises
    ------
    RegistryError
        If the model is of another kind, or holds what may not be loaded; or the kind names no
        flavour that there is.
    MlflowException
        If MLflow knows no such model or is out of reach.
    """
    from tradewind.research.models.model import FittedModel

    return FittedModel(fields, _flavour(fields).load(uri, fields))


@dataclass(frozen=True)
class _Flavour:
    """How what a kind's library makes is logged, and loaded again."""

    log: "Callable[[Any, dict[str, Any]], ModelInfo]"
    load: "Callable[[str, ModelFields], Any]"


def _flavour(fields: "ModelFields") -> _Flavour:
    from tradewind.research.models.model import code_of

    name = code_of(fields).FLAVOUR
    if name not in _FLAVOURS:
        raise RegistryError(
            f"the model {fields.kind} is to be kept as {name!r}. There are: {', '.join(_FLAVOURS)}"
        )
    found = _FLAVOURS[name]
    return found if isinstance(found, _Flavour) else found(fields)


def _log_lightgbm(model: Any, common: dict[str, Any]) -> "ModelInfo":  # noqa: ANN401
    import mlflow.lightgbm

    info: ModelInfo = mlflow.lightgbm.log_model(model, **common)
    return info


def _log_skops(model: Any, common: dict[str, Any]) -> "ModelInfo":  # noqa: ANN401
    import mlflow.sklearn

    import_skops()
    # An empty list: types that skops knows to be harmless, and no others.
    info: ModelInfo = mlflow.sklearn.log_model(
        model, serialization_format="skops", skops_trusted_types=[], **common
    )
    return info


def _log_rule(model: Any, common: dict[str, Any]) -> "ModelInfo":  # noqa: ANN401
    import mlflow.pyfunc

    config = {"feature": model.feature}
    info: ModelInfo = mlflow.pyfunc.log_model(
        python_model=str(_RULE_CODE), model_config=config, **common
    )
    return info


# Each into a folder of our own: MLflow leaves its own behind, which fills the memory that /tmp is
# in a container.


def _load_lightgbm(uri: str, _: "ModelFields") -> Any:  # noqa: ANN401 - a lightgbm.Booster
    import mlflow.lightgbm

    with TemporaryDirectory(prefix="tradewind-") as folder:
        return mlflow.lightgbm.load_model(uri, dst_path=folder)


def _load_skops(uri: str, _: "ModelFields") -> Any:  # noqa: ANN401 - a sklearn.pipeline.Pipeline
    from mlflow.artifacts import download_artifacts

    skops_io = import_skops()
    with TemporaryDirectory(prefix="tradewind-") as folder:
        # Not mlflow.sklearn.load_model: it would unpickle, or make the types a model asks for, if
        # somebody changed the model to say so.
        file = Path(download_artifacts(uri, dst_path=folder)) / "model.skops"
        if not file.is_file():
            raise RegistryError(f"{uri} holds no {file.name}; it is no ridge. Train it again")
        try:
            return skops_io.load(file, trusted=[])
        except skops_io.exceptions.UntrustedTypesFoundException as error:
            raise RegistryError(
                f"{uri} holds types that no ridge has: {error}. Somebody changed it; train it again"
            ) from error


def _load_rule(uri: str, _: "ModelFields") -> Any:  # noqa: ANN401 - a Rule
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    from tradewind.research.models.crossover import Rule

    with TemporaryDirectory(prefix="tradewind-") as folder:
        about = Model.load(download_artifacts(uri, dst_path=folder))
    # What it predicts needs no code from the registry, only which feature.
    config = about.flavors.get("python_function", {}).get("config") or {}
    if "feature" not in config:
        raise RegistryError(f"{uri} names no feature; it is no rule. Train it again")
    return Rule(config["feature"])


def _of_estimators(fields: "ModelFields") -> _Flavour:
    from tradewind.registry.estimator_flavour import estimator_flavour
    from tradewind.research.strategy.estimators import Estimator

    if not isinstance(fields, Estimator):
        raise RegistryError(f"the model {fields.kind} names no class, as estimators do")
    log, load = estimator_flavour(fields)
    return _Flavour(log, lambda uri, _: load(uri))


# Some depend on what the strategy says of its model.
_FLAVOURS: Final[dict[str, "_Flavour | Callable[[ModelFields], _Flavour]"]] = {
    "lightgbm": _Flavour(_log_lightgbm, _load_lightgbm),
    "skops": _Flavour(_log_skops, _load_skops),
    "rule": _Flavour(_log_rule, _load_rule),
    "files": _Flavour(log_own, load_own),
    "predictions": _Flavour(log_handed_in, load_handed_in),
    "estimator": _of_estimators,
}
