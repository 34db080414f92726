"""What an estimator of any library has learnt, as bytes that are the same for the same model.

Gradient boosting has formats of its own, which are taken without what says when, and on how many
cores, it was trained. Everything else is followed through its state, as pickle would follow it,
down to numbers and arrays.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from tradewind.research.strategy.estimator_classes import THREADS

__all__ = ["content_of"]

Content = Iterator[bytes]

# Of no say in what is predicted: cores, and how long a search for parameters took.
_NOT_LEARNT: Final = THREADS | {"cv_results_", "refit_time_"}


def content_of(value: Any, within: tuple[int, ...] = ()) -> Content:  # noqa: ANN401
    """Yield the content of a fitted estimator.

    Parameters
    ----------
    value
        An estimator, or a part of one.
    within : tuple of int
        Identities of what it is a part of: where one comes again, it is not followed.
    """
    if id(value) in within:
        yield f"above {len(within) - within.index(id(value))}\n".encode()
        return
    inner = (*within, id(value))
    native = _native(value)
    if native is not None:
        yield f"{type(value).__name__}\n".encode()
        yield from native(value)
    elif value is None or isinstance(value, bool | int | str | bytes | bytearray | float):
        yield _plain(value)
    elif isinstance(value, np.generic) and not value.dtype.names and value.dtype != object:
        yield from content_of(value.item(), within)  # as files have it
    elif isinstance(value, np.ndarray):
        yield from _array(value, inner)
    elif isinstance(value, Mapping):
        yield from _mapping(value, inner)
    elif isinstance(value, list | tuple):
        yield f"{type(value).__name__} {len(value)}\n".encode()
        for item in value:
            yield from content_of(item, inner)
    elif isinstance(value, set | frozenset):
        yield f"set {len(value)}\n".encode()
        yield from sorted(b"".join(content_of(item, inner)) for item in value)
    elif isinstance(value, type) or hasattr(value, "__qualname__"):
        yield f"{value.__module__}.{value.__qualname__}\n".encode()
    else:
        yield from _object(value, inner)


def _plain(value: object) -> bytes:
    if isinstance(value, float):
        return b"float " + struct.pack("<d", value)
    return f"{type(value).__name__} {value!r}\n".encode()


def _array(array: "np.ndarray[Any, Any]", inner: tuple[int, ...]) -> Content:
    yield f"array {array.dtype.str} {array.shape}\n".encode()
    if array.dtype.names:  # not its bytes as they are: nobody sets those between fields
        for name in array.dtype.names:
            yield name.encode()
            yield from _array(array[name], inner)
    elif array.dtype == object:
        for item in array.ravel():
            yield from content_of(item, inner)
    else:
        yield np.ascontiguousarray(array).tobytes()


def _mapping(value: Mapping[Any, Any], inner: tuple[int, ...]) -> Content:
    items = {b"".join(content_of(key, inner)): key for key in value if key not in _NOT_LEARNT}
    yield f"mapping {len(items)}\n".encode()
    for name, key in sorted(items.items()):
        yield name
        yield from content_of(value[key], inner)


def _object(value: Any, inner: tuple[int, ...]) -> Content:  # noqa: ANN401
    kind = type(value)
    yield f"object {kind.__module__}.{kind.__qualname__}\n".encode()
    try:
        reduced = value.__reduce_ex__(4)
    except TypeError:  # it could not be pickled
        yield from content_of(vars(value), inner)
        return
    if isinstance(reduced, str):
        yield reduced.encode()
        return
    _, arguments, *rest = reduced
    yield from content_of(arguments, inner)
    state, items, pairs = (*rest, None, None, None)[:3]
    yield from content_of(state, inner)
    yield from content_of(None if items is None else list(items), inner)
    yield from content_of(None if pairs is None else dict(pairs), inner)


# What follows is asked by the name of a class's package, so that none is imported that is not used.


def _native(value: object) -> Callable[[Any], Content] | None:
    top = type(value).__module__.partition(".")[0]  # a stranger's subclass may know more
    for each in type(value).__mro__:
        found = _NATIVE.get((top, each.__name__))
        if found is not None:
            return found if _is_fitted(value) else None
    return None


def _is_fitted(value: Any) -> bool:  # noqa: ANN401
    """Tell whether a model has learnt anything: a committee keeps those that it was made of."""
    asked = getattr(value, "__sklearn_is_fitted__", None) or getattr(value, "is_fitted", None)
    return True if asked is None else bool(asked())


def _xgboost_model(model: Any) -> Content:  # noqa: ANN401
    yield from content_of(getattr(model, "n_classes_", None))
    yield from _xgboost_booster(model.get_booster())


def _xgboost_booster(booster: Any) -> Content:  # noqa: ANN401
    yield bytes(booster.save_raw("ubj"))


def _lightgbm_model(model: Any) -> Content:  # noqa: ANN401
    yield from content_of(getattr(model, "_classes", None))
    yield from _lightgbm_booster(model.booster_)


def _lightgbm_booster(booster: Any) -> Content:  # noqa: ANN401
    for line in booster.model_to_string().splitlines(keepends=True):
        if not line.startswith("[num_threads:"):
            yield line.encode()


def _catboost_model(model: Any) -> Content:  # noqa: ANN401
    with TemporaryDirectory(prefix="tradewind-") as folder:
        file = Path(folder) / "model.json"
        model.save_model(str(file), format="json")
        content = json.loads(file.read_text("utf-8"))
    content.pop("model_info", None)  # when and by which settings
    yield json.dumps(content, sort_keys=True).encode()


def _neighbours(tree: Any) -> Content:  # noqa: ANN401
    for array in tree.get_arrays():  # it counts how often it is asked, too
        yield from _array(np.asarray(array), ())


def _generator(generator: Any) -> Content:  # noqa: ANN401
    bits = getattr(generator, "bit_generator", None)
    yield from content_of(generator.get_state() if bits is None else bits.state)


_NATIVE: Final[Mapping[tuple[str, str], Callable[[Any], Content]]] = {
    ("xgboost", "XGBModel"): _xgboost_model,
    ("xgboost", "Booster"): _xgboost_booster,
    ("lightgbm", "LGBMModel"): _lightgbm_model,
    ("lightgbm", "Booster"): _lightgbm_booster,
    ("catboost", "CatBoost"): _catboost_model,
    ("sklearn", "BallTree"): _neighbours,
    ("sklearn", "KDTree"): _neighbours,
    ("numpy", "Generator"): _generator,
    ("numpy", "RandomState"): _generator,
}
