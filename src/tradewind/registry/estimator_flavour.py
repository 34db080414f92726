"""Estimators of any library in MLflow: in the library's own format, by skops, or as a pickle.

=====================  ==================================  ======================================
the file's class       MLflow's flavour                    what is in the registry
=====================  ==================================  ======================================
one of XGBoost's       ``mlflow.xgboost``                  XGBoost's own format (UBJSON)
one of CatBoost's      ``mlflow.catboost``                 CatBoost's own format
any other              ``mlflow.sklearn``, ``skops``       its state, and names of types to make
``pickle: accept``     ``mlflow.sklearn``, cloudpickle     code, which runs when it is loaded
=====================  ==================================  ======================================

A model is loaded into the class that the strategy names, whatever the registry's file says of it.
"""

import importlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from zipfile import ZipFile

from tradewind.errors import RegistryError
from tradewind.registry.skops_files import import_skops
from tradewind.research.strategy.estimator_classes import Refusal, find_class

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

    from tradewind.research.strategy.estimators import Estimator

__all__ = ["estimator_flavour"]

Log = Callable[[Any, dict[str, Any]], "ModelInfo"]
Load = Callable[[str], Any]

_ALWAYS: Final = frozenset({"numpy", "scipy", "sklearn"})
_PLAIN: Final = frozenset({"collections.OrderedDict"})
# Made by a call with whatever arguments the file has. No estimator needs that.
_CALLS: Final = "ConstructorFromReduceNode"
_SKOPS, _PICKLE, _XGBOOST, _CATBOOST = "model.skops", "model.pkl", "model.ubj", "model.cb"


def estimator_flavour(fields: "Estimator") -> tuple[Log, Load]:
    """Return how the estimators of a strategy's model are logged, and loaded again.

    Parameters
    ----------
    fields : Estimator

    Raises
    ------
    RegistryError
        If its class is not installed here.
    """
    if fields.pickled:
        return _log_pickle, lambda uri: _load_pickle(uri, fields)
    found = _class(fields)
    # A stranger's subclass may have learnt more than these formats can say.
    top = found.__module__.partition(".")[0]
    names = {each.__name__ for each in found.__mro__}
    if top == "xgboost" and "XGBModel" in names:
        return _log_xgboost, lambda uri: _load_native(uri, fields, _XGBOOST)
    if top == "catboost" and "CatBoost" in names:
        return _log_catboost, lambda uri: _load_native(uri, fields, _CATBOOST)
    return (
        lambda model, common: _log_skops(model, common, fields),
        lambda uri: _load_skops(uri, fields),
    )


def _class(fields: "Estimator") -> type[Any]:
    try:
        return find_class(fields.class_)
    except Refusal as error:
        raise RegistryError(f"a model of the class {fields.class_}: {error}") from error


def _log_xgboost(model: Any, common: dict[str, Any]) -> "ModelInfo":  # noqa: ANN401
    import mlflow.xgboost

    info: ModelInfo = mlflow.xgboost.log_model(model, model_format="ubj", **common)
    return info


def _log_catboost(model: Any, common: dict[str, Any]) -> "ModelInfo":  # noqa: ANN401
    import mlflow.catboost

    info: ModelInfo = mlflow.catboost.log_model(model, **common)
    return info


def _log_skops(
    model: Any,  # noqa: ANN401
    common: dict[str, Any],
    fields: "Estimator",
) -> "ModelInfo":
    import mlflow.sklearn

    what = f"a fitted {fields.class_}"
    accept = "write `pickle: accept` into the model to keep it as a pickle, which runs its code"
    skops_io = import_skops()
    try:
        content = skops_io.dumps(model)
    except Exception as error:  # whatever a part of it has no state to write of
        said = " ".join(str(error).split())
        raise RegistryError(
            f"{what} cannot be kept without a pickle: {type(error).__name__}: {said}; {accept}"
        ) from error
    types, refused = _types(io.BytesIO(content), fields)
    if refused:
        raise RegistryError(
            f"{what} holds what is no type of the strategy's packages: {', '.join(refused)}; "
            f"{accept}"
        )
    info: ModelInfo = mlflow.sklearn.log_model(
        model, serialization_format="skops", skops_trusted_types=types, **common
    )
    return info


def _log_pickle(model: Any, common: dict[str, Any]) -> "ModelInfo":  # noqa: ANN401
    import mlflow.sklearn

    # It warns of pickles, whose file has said that it accepts one; a task's log would call that an
    # error.
    log = logging.getLogger("mlflow.sklearn")
    before, log.disabled = log.disabled, True
    try:
        info: ModelInfo = mlflow.sklearn.log_model(
            model, serialization_format="cloudpickle", **common
        )
    finally:
        log.disabled = before
    return info


def _load_native(uri: str, fields: "Estimator", name: str) -> Any:  # noqa: ANN401
    # Not MLflow's own way: it would make whatever class its file names.
    model = _class(fields)()
    with TemporaryDirectory(prefix="tradewind-") as folder:
        file = _file(uri, folder, name, fields)
        try:
            model.load_model(str(file), **({"format": "cbm"} if name == _CATBOOST else {}))
        except Exception as error:  # each library has its own
            said = " ".join(str(error).split())
            raise RegistryError(
                f"{uri} cannot be read as {fields.class_}: {said}. Train it again"
            ) from error
    return model


def _load_skops(uri: str, fields: "Estimator") -> Any:  # noqa: ANN401
    skops_io = import_skops()
    with TemporaryDirectory(prefix="tradewind-") as folder:
        # Not mlflow.sklearn.load_model: it would make the types that a model itself asks for.
        file = _file(uri, folder, _SKOPS, fields)
        types, refused = _types(file, fields)
        if refused:
            raise RegistryError(
                f"{uri} holds what no {fields.class_} has: {', '.join(refused)}. Somebody changed "
                "it; train it again"
            )
        found = skops_io.load(file, trusted=types)
    if not isinstance(found, _class(fields)):
        raise RegistryError(f"{uri} is no {fields.class_}. Somebody changed it; train it again")
    return found


def _load_pickle(uri: str, fields: "Estimator") -> Any:  # noqa: ANN401
    import cloudpickle

    with TemporaryDirectory(prefix="tradewind-") as folder:
        file = _file(uri, folder, _PICKLE, fields)
        with file.open("rb") as content:
            return cloudpickle.load(content)


def _file(uri: str, folder: str, name: str, fields: "Estimator") -> Path:
    """Fetch a model into a folder of our own: MLflow would leave its own behind."""
    from mlflow.artifacts import download_artifacts

    file = Path(download_artifacts(uri, dst_path=folder)) / name
    if not file.is_file():
        raise RegistryError(f"{uri} holds no {name}; it is no {fields.class_}. Train it again")
    return file


def _types(file: Path | io.BytesIO, fields: "Estimator") -> tuple[list[str], list[str]]:
    """Return the types that a file asks for beside harmless ones: those to make, and the others.

    Classes of the strategy's packages are made from their state. Functions are not, nor is anything
    that would be called with what stands in the file.
    """
    if isinstance(file, Path):
        asked = import_skops().get_untrusted_types(file=file)
    else:
        asked = import_skops().get_untrusted_types(data=file.getvalue())
    with ZipFile(file) as parts:
        called = set(_called(json.loads(parts.read("schema.json"))))
    tops = _ALWAYS | {*fields.tops}
    refused = [name for name in asked if name in called or not _is_class_of(name, tops)]
    return [name for name in asked if name not in refused], refused


def _called(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("__loader__") == _CALLS:
            yield f"{node.get('__module__')}.{node.get('__class__')}"
        for inner in node.values():
            yield from _called(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _called(inner)


def _is_class_of(name: str, tops: frozenset[str]) -> bool:
    if name in _PLAIN:
        return True
    module, _, attribute = name.rpartition(".")
    parts = module.split(".")
    if parts[0] not in tops or any(part.strip("_").startswith("test") for part in parts):
        return False
    try:
        return isinstance(getattr(importlib.import_module(module), attribute, None), type)
    except Exception:  # noqa: BLE001 - there is no such module
        return False
