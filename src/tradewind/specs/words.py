"""Says in words what a field of a specification may hold: "a whole number from 1 to 252"."""

import types
import typing
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types as at
from pydantic import BaseModel
from pydantic.fields import FieldInfo

__all__ = [
    "Type",
    "allowed",
    "fields_of",
    "kinds",
    "member",
    "models_in",
    "names_in",
    "options_of",
    "unseen",
]

Type = Any
"""A type as pydantic's fields are annotated with it."""

NAME: Final = r"^[a-z][a-z0-9_]*$"
_PATTERNS: Final = {
    NAME: "lower-case letters a to z, digits and _, a letter first",
    r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$": "module:function, such as my_features:gap",
    r"^[A-Za-z_][\w.]*:[A-Za-z_][\w]*$": "module:Class, such as my_models:Mine",
    r"^[A-Za-z_][\w.]*:[A-Z_a-z]\w*$": "module:Class, such as xgboost:XGBRegressor",
}
_PLAIN: Final = {
    bool: "true or false", int: "a whole number", float: "a number", str: "text",
    date: "a date such as 2012-01-31", time: "a time such as 13:30", type(None): "null",
    dict: "a mapping",
}  # fmt: skip
_PLURAL: Final = {
    str: " of texts", int: " of whole numbers", float: " of numbers",
    date: " of dates such as 2012-01-31",
}  # fmt: skip


def allowed(annotation: Type, metadata: Sequence[Any] = ()) -> str:
    """Return in words what a type allows.

    Parameters
    ----------
    annotation : type
    metadata : sequence, optional
        Bounds beside the type, as in pydantic's `FieldInfo.metadata`.
    """
    base, bounds = _bare(annotation)
    bounds = [*bounds, *_flat(metadata)]
    if by_kind := kinds(base):
        return f"a mapping whose kind is one of {', '.join(by_kind)}"
    if _is_union(base):
        return _either([allowed(one, bounds) for one in get_args(base)])
    origin = _origin(base)
    if origin in _CONTAINERS:
        return _CONTAINERS[origin](base, bounds)
    if base is str:
        return _text(bounds)
    if isinstance(base, type) and issubclass(base, BaseModel):
        return f"a mapping of {', '.join(fields_of(base))}"
    range_ = _range(bounds) if base in {int, float, date} else ""
    return _PLAIN.get(base, str(getattr(base, "__name__", base))) + range_


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by the names that a file has: ``from``, not ``from_``."""
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else name: field
        for name, field in model.model_fields.items()
    }


def kinds(annotation: Type) -> dict[str, type[BaseModel]]:
    """Return the models of a union by their field `kind`."""
    base, _ = _bare(annotation)
    found: dict[str, type[BaseModel]] = {}
    for model in options_of(base):
        kind = model.model_fields.get("kind")
        if kind is not None and _origin(kind.annotation) is Literal:
            found.update(dict.fromkeys(map(str, get_args(kind.annotation)), model))
    return found if _is_union(base) else {}


def options_of(annotation: Type) -> list[type[BaseModel]]:
    """Return the models that a type is, or is one of."""
    base, _ = _bare(annotation)
    if isinstance(base, type) and issubclass(base, BaseModel):
        return [base]
    if _is_union(base):
        return [model for one in get_args(base) for model in options_of(one)]
    return []


def models_in(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield each field of a model that is a model itself, with that model."""
    for name, field in fields_of(model).items():
        for inner in options_of(field.annotation):
            yield name, inner


def member(annotation: Type, position: str | int) -> Type:
    """Return the type of an item of a list, or of a value of a mapping; None if there is none."""
    base, _ = _bare(annotation)
    if _is_union(base):
        found = (member(one, position) for one in get_args(base))
        return next((each for each in found if each is not None), None)
    inner = get_args(base)
    if _origin(base) in {tuple, list} and isinstance(position, int):
        return inner[0]
    if _origin(base) in {dict, Mapping} and isinstance(position, str):
        return inner[1]
    return None


def names_in(annotation: Type) -> Type:
    """Return the type of a mapping's keys; None for any other type."""
    base, _ = _bare(annotation)
    if _is_union(base):
        return next((found for one in get_args(base) if (found := names_in(one)) is not None), None)
    return get_args(base)[0] if _origin(base) in {dict, Mapping} else None


def _bare(annotation: Type) -> tuple[Type, list[Any]]:
    """Return a type without its `Annotated`, and the annotations."""
    if _origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        base, bounds = _bare(inner)
        return base, [*bounds, *_flat(metadata)]
    return annotation, []


def _flat(metadata: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for one in metadata:
        found += one.metadata if isinstance(one, FieldInfo) else [one]
    return found


def _is_union(base: Type) -> bool:
    return _origin(base) in {Union, types.UnionType, typing.Union}


def _bound(bounds: Iterable[Any], kind: type, name: str) -> Any:  # noqa: ANN401
    return next((getattr(one, name) for one in bounds if isinstance(one, kind)), None)


def _range(bounds: Sequence[Any]) -> str:
    least, most = _bound(bounds, at.Ge, "ge"), _bound(bounds, at.Le, "le")
    above, below = _bound(bounds, at.Gt, "gt"), _bound(bounds, at.Lt, "lt")
    if least is not None and most is not None:
        begin = "," if isinstance(least, date) else ""  # after the example
        return f"{begin} from {_figure(least)} to {_figure(most)}"
    said = [
        f"{words} {_figure(bound)}"
        for words, bound in (
            ("at least", least), ("above", above), ("at most", most), ("below", below)
        )
        if bound is not None
    ]  # fmt: skip
    return f", {' and '.join(said)}" if said else ""


def _figure(bound: float | date) -> str:
    if not isinstance(bound, float):
        return str(bound)
    return f"{Decimal(repr(bound)):f}".removesuffix(".0")


def _text(bounds: Sequence[Any]) -> str:
    pattern = next((p for one in bounds if (p := getattr(one, "pattern", None))), None)
    least, most = _bound(bounds, at.MinLen, "min_length"), _bound(bounds, at.MaxLen, "max_length")
    least = least or next((n for one in bounds if (n := getattr(one, "min_length", None))), None)
    most = most or next((n for one in bounds if (n := getattr(one, "max_length", None))), None)
    if pattern is not None:
        said = _PATTERNS.get(pattern, f"text like {pattern}")
    elif least == most == 1:
        return "one character"
    else:
        said = "text that is not empty" if least and not most else "text"
    if said == "text" and least and most:
        return f"text of {least} to {most} characters"
    return f"{said}, {most} characters at most" if most else said


def _list(base: Type, bounds: Sequence[Any]) -> str:
    least = _bound(bounds, at.MinLen, "min_length")
    inner, _ = _bare(get_args(base)[0])
    of = _PLURAL.get(inner, "")
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        of = f" of mappings of {', '.join(fields_of(inner))}"
    most = _bound(bounds, at.MaxLen, "max_length")
    if most:
        return f"a list{of}, " + (f"{least} to {most}" if least else f"{most} at most")
    return f"a list{of}" + (f", {least} or more" if least else "")


def _one_of(base: Type, _: Sequence[Any]) -> str:
    values = [_literal(value) for value in get_args(base)]
    return values[0] if len(values) == 1 else f"one of {', '.join(values)}"


def _literal(value: object) -> str:
    if isinstance(value, str) and (unseen(value) or not any(map(str.isalnum, value))):
        return unseen(value) or repr(value)
    return str(value)


def unseen(text: str) -> str:
    """Return how to write a character that looks like a space or like nothing, and its name.

    Empty for any other text.
    """
    if len(text) != 1 or text == " " or (text.isprintable() and not text.isspace()):
        return ""
    number, name = ord(text), unicodedata.name(text, "").lower()
    plain = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}  # YAML's, too
    escaped = plain.get(text) or (f"\\u{number:04x}" if number < 1 << 16 else f"\\U{number:08x}")
    return f'"{escaped}" ({name})' if name else f'"{escaped}"'


def _either(words: Sequence[str]) -> str:
    """Return alternatives, each said once; a whole number is a number."""
    distinct = list(dict.fromkeys(words))
    if "a number" in distinct and "a whole number" in distinct:
        distinct.remove("a whole number")
    if len(distinct) == 1:
        return distinct[0]
    *first, last = distinct
    if any("," in one for one in first):  # more commas would hide where one begins
        said = [f"{one}," if "," in one else one for one in first]
        return " or ".join([*said, last])
    return f"{', '.join(first)} or {last}"


def _origin(annotation: Type) -> Any:  # noqa: ANN401 - the stubs know but a few of them
    return get_origin(annotation)


_CONTAINERS: Final[dict[Any, Callable[[Type, Sequence[Any]], str]]] = {
    Literal: _one_of, tuple: _list, list: _list, dict: lambda *_: "a mapping",
}  # fmt: skip
