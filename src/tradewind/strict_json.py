"""JSON that every reader takes: no NaN, no infinity, dates as ISO 8601 has them.

Python writes ``NaN`` and ``Infinity``, which are no JSON: jq, JavaScript, PostgreSQL and MLflow's
page refuse them. A figure that is not defined is ``null`` here.
"""

import json
import math
from collections.abc import Callable, Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

__all__ = ["dumps", "plain"]


def dumps(value: object, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """Return a value as strict JSON.

    Raises
    ------
    TypeError
        If it holds what `plain` knows no JSON for.
    """
    return json.dumps(plain(value), indent=indent, sort_keys=sort_keys, allow_nan=False)


def plain(value: Any) -> Any:  # noqa: ANN401 - any value of ours in, any JSON out
    """Return a value as JSON has it: mappings, lists, text, finite numbers, booleans and None.

    NaN and infinity become None; dates and times text in ISO 8601; decimals text with all their
    digits, for money is exact; durations seconds; sets lists in order. Scalars and arrays of numpy
    and polars become numbers and lists, dataclasses and pydantic's models mappings.

    Raises
    ------
    TypeError
        If there is no such form.
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | str | int | float):
        return _scalar(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Set):
        return sorted((plain(each) for each in value), key=lambda each: (str(type(each)), each))
    return _converted(value)


def _scalar(value: str | float | None) -> str | float | None:
    """Return a scalar as its own type, which a subclass such as numpy's is turned into."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return str(value)
    return value if value is None or isinstance(value, bool) else int(value)


def _key(key: Any) -> str:  # noqa: ANN401
    """Return a mapping's key as text: JSON has no other."""
    written = plain(key)
    if isinstance(written, str):
        return written
    if isinstance(written, dict | list):
        raise TypeError(f"a key of type {type(key).__name__} has no form in JSON: {key!r}")
    return json.dumps(written)


def _converted(value: Any) -> Any:  # noqa: ANN401
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    # Of pydantic, polars and numpy, which are not imported here: they cost more than most commands.
    if callable(getattr(value, "model_dump", None)) and not isinstance(value, type):
        return plain(value.model_dump(by_alias=True))  # as files write it: from, and not from_
    for method in ("to_dicts", "to_list", "tolist"):
        if callable(getattr(value, method, None)) and not isinstance(value, type):
            return plain(getattr(value, method)())
    raise TypeError(f"a value of type {type(value).__name__} has no form in JSON: {value!r}")


_CONVERSIONS: Final[tuple[tuple[Any, Callable[[Any], object]], ...]] = (
    ((date, time), lambda value: value.isoformat()),
    (timedelta, timedelta.total_seconds),
    (Decimal, lambda value: format(value, "f") if value.is_finite() else None),
    ((PurePath, UUID), str),
)
