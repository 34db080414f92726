"""What is wrong with a specification, for its author: place, value, what is allowed.

pydantic's own words are about its models ("Input tag 'macd' found using 'kind'"). These are about
the file: they name the field as the file has it, the value that was found, and what to write.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from tradewind.specs.strict_yaml import Path, Written, quoted
from tradewind.specs.words import (
    Type,
    allowed,
    fields_of,
    kinds,
    member,
    models_in,
    names_in,
    options_of,
    unseen,
)
from tradewind.suggestions import did_you_mean

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["Problem", "problems"]

_WHOLE = "(whole file)"
_KEY = "[key]"  # the end of pydantic's location of a mapping's key
_SHOWN = 60  # characters of a value that are shown
_OWN_WORDS: Final = {"value_error", "assertion_error"}
# For a list with a fault inside, or for an alternative to a list.
_FOLLOWS: Final = {"too_short", "too_long", "literal_error"}


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes
    ----------
    field : str
        Its place in the file, such as ``features.0.return.window``.
    line : int or None
        Line in the file; None where the file has no such line.
    message : str
    """

    field: str
    line: int | None
    message: str


@dataclass(frozen=True)
class _Place:
    """The meaning of pydantic's location: a path in the file, and the model's type there.

    `other` says that it belongs to an alternative that was not meant, `key` that it belongs to the
    key of a mapping and not to the value.
    """

    path: Path
    means: Type
    owner: type[BaseModel] | None
    other: bool = False
    key: bool = False


def problems(
    error: ValidationError,
    model: type[BaseModel] | None,
    fields: object,
    written: Mapping[Path, Written],
    *,
    at: Path = (),
    most: int | None = None,
) -> list[Problem]:
    """Return the problems, each once, in the order of the model's fields.

    Parameters
    ----------
    error : ValidationError
    model : type, optional
        What refused; without it known names cannot be listed.
    fields : object
        What it was given.
    written : mapping of Path to Written
        Lines and texts of the values in the file.
    at : Path
        Where `fields` stands in the file.
    most : int, optional
        How many to return at most; all if not given.
    """
    found: dict[tuple[Path, str], Problem] = {}
    details = error.errors()[:most]
    places = [_place(one["loc"], model, fields) for one in details]
    at_fault = [place.path for place in places]
    for one, place in zip(details, places, strict=True):
        inside = any(
            len(p) > len(place.path) and p[: len(place.path)] == place.path for p in at_fault
        )
        if place.other or (one["type"] in _FOLLOWS and inside):
            continue  # it only follows from another one
        message = _message(one, place, model, written.get((*at, *place.path)))
        extra = str(one.get("ctx", {}).get("field") or "")
        path = _written_part((*at, *place.path, *(extra.split(".") if extra else ())), written)
        problem = Problem(_dotted(path) or _WHOLE, _line(path, written), message)
        found.setdefault((path, message), problem)
    # Each alternative of a value refuses it; one of them may be the one that was meant.
    return [
        problem
        for (path, message), problem in found.items()
        if not any(
            other != message and path == where and other.startswith(message)
            for where, other in found
        )
    ]


def _written_part(path: Path, written: Mapping[Path, Written]) -> Path:
    """Return the part of a path that exists in the file: a text has no fields."""
    for end in range(1, len(path)):
        found = written.get(path[:end])
        if found is not None and found.text:
            return path[:end]
    return path


def _line(path: Path, written: Mapping[Path, Written]) -> int | None:
    """Return the line of a value, or of the innermost value around it."""
    path = tuple(int(p) if isinstance(p, str) and p.isdigit() else p for p in path)
    for end in range(len(path), 0, -1):
        if (found := written.get(path[:end])) is not None:
            return found.line
    return None


def _place(loc: Sequence[str | int], model: type[BaseModel] | None, fields: object) -> _Place:
    """Follow a location through the model and the file at once.

    pydantic's location has names of alternatives, which are no levels of the file.
    """
    place = _Place((), model, None)
    value = fields
    names: Type = None
    for part in loc:
        named = options_of(place.means)
        by_kind = kinds(place.means)
        if part == _KEY:
            place = _Place(place.path, names, None, place.other, key=True)
            continue
        names = names_in(place.means)
        if str(part) in by_kind and not isinstance(part, int):
            # The kind of a feature is a key of the file, that of a model is not.
            is_key = isinstance(value, Mapping) and part in value and "kind" not in value
            path = (*place.path, part) if is_key else place.path
            value = value[part] if is_key and isinstance(value, Mapping) else value
            place = _Place(path, by_kind[str(part)], by_kind[str(part)], place.other)
            continue
        field_owner = next((each for each in named if part in fields_of(each)), None)
        is_label = field_owner is None and not (isinstance(value, Mapping) and part in value)
        label_of_one = len(named) == 1 and is_label and place.means is not named[0]
        if (len(named) > 1 or label_of_one) and not by_kind:
            if not isinstance(value, Mapping):
                continue  # it is none of the alternatives
            meant = _meant(named, value)
            if label_of_one and meant.__name__ not in str(part):
                place = replace(place, other=True)
                continue
            chosen = next((each for each in named if each.__name__ in str(part)), meant)
            place = _Place(place.path, chosen, chosen, place.other or chosen is not meant)
            continue
        if field_owner is None and member(place.means, part) is None and not named:
            continue  # an alternative of a plain value, such as `int`
        inner: Type = member(place.means, part)
        owner = named[0] if named else place.owner
        if field_owner is not None:
            field = fields_of(field_owner)[str(part)]
            inner = _annotated(field.annotation, field.metadata)
        place = _Place((*place.path, part), inner, owner, place.other)
        value = _inside(value, part)
    return place


def _annotated(annotation: Type, metadata: Sequence[Any]) -> Type:
    from typing import Annotated

    return Annotated[annotation, *metadata] if metadata else annotation


def _meant(models: Sequence[type[BaseModel]], value: object) -> type[BaseModel]:
    """Return the alternative that has the most of a value's keys."""
    keys = list(map(str, value)) if isinstance(value, Mapping) else []

    def known(model: type[BaseModel]) -> int:
        alike = (did_you_mean(key, fields_of(model)).startswith("Did") for key in keys)
        return sum(alike)

    return max(models, key=known)


def _inside(value: object, part: str | int) -> object:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, Sequence) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _message(
    one: "ErrorDetails", place: _Place, model: type[BaseModel] | None, written: Written | None
) -> str:
    kind, context = one["type"], one.get("ctx", {})
    if kind in _OWN_WORDS:
        return str(context.get("error") or one["msg"])
    if "field" in context:
        return one["msg"]  # also our own messages, which pydantic has filled in
    if kind == "extra_forbidden":
        return _unknown(place, model)
    if kind in {"union_tag_invalid", "literal_error"}:
        return _no_such(one, place, written)
    told = {
        "missing": f"is missing; it must be {allowed(place.means)}",
        "union_tag_not_found": f"has no kind; name one of {', '.join(kinds(place.means))}",
        "finite_number": f"must be a number, not {_shown(one['input'], written)}",
    }
    if place.key:
        return f"the name {_wrong_value(one, place, None)}"
    return told.get(kind) or _wrong_value(one, place, written)


def _unknown(place: _Place, model: type[BaseModel] | None) -> str:
    name = str(place.path[-1])
    if place.owner is None:
        return "unknown field"
    known = [each for each in fields_of(place.owner) if each != "kind" or "kind" in place.path]
    help_on = did_you_mean(name, known, otherwise="Known are")
    if model is not None and not help_on.startswith("Did"):
        elsewhere = next((e for e in _elsewhere(name, model) if e != _dotted(place.path)), None)
        help_on = f"Did you mean {elsewhere}?" if elsewhere else help_on
    return f"unknown field. {help_on}"


def _dotted(path: Path) -> str:
    return ".".join(str(part) or "''" for part in path)


def _elsewhere(name: str, model: type[BaseModel]) -> Iterator[str]:
    """Yield where else a specification has a field of a name."""
    if name in fields_of(model):
        yield name
    for outer, inner in models_in(model):
        if name in fields_of(inner):
            yield f"{outer}.{name}"


def _no_such(one: "ErrorDetails", place: _Place, written: Written | None) -> str:
    by_kind = kinds(place.means)
    if by_kind:
        tag = str(one.get("ctx", {}).get("tag", ""))
        tag = {"None": "null", "True": "true", "False": "false"}.get(tag, tag)
        noun = "feature" if "features" in place.path or "of" in place.path else "kind"
        return f"there is no {noun} {tag!r}. {_either(tag, list(by_kind))}"
    help_on = _close(one, place) or _folded(one["input"], place)
    return f"must be {allowed(place.means)}, {_found(one['input'], written)}{help_on}"


def _folded(value: object, place: _Place) -> str:
    """Return how to write a text where a mapping with one field is also allowed."""
    for model in options_of(place.means):
        if isinstance(value, str) and value and len(fields_of(model)) == 1:
            return f": write {{{next(iter(fields_of(model)))}: {value}}}"
    return ""


def _either(tag: str, known: list[str]) -> str:
    said = did_you_mean(tag, known)
    return said if said.startswith("There") else f"{said} There are: {', '.join(known)}."


def _close(one: "ErrorDetails", place: _Place) -> str:
    known = re.split(r",? or |, ", allowed(place.means).removeprefix("one of "))
    said = did_you_mean(str(one["input"]), known)
    return f". {said}" if said.startswith("Did") else ""


def _wrong_value(one: "ErrorDetails", place: _Place, written: Written | None) -> str:
    value = one["input"]
    by_kind = kinds(place.means)
    if by_kind and isinstance(value, str):
        such = did_you_mean(value, by_kind)
        kind = such.removeprefix("Did you mean ").rstrip("?") if such.startswith("Did") else "..."
        return f"must be a mapping such as {{kind: {kind}}}, not {_shown(value, written)}"
    wanted = allowed(place.means)
    if one["type"] == "string_type" and wanted.startswith("text"):
        wanted = "text"  # however long
    hint = "" if _is_nothing(value, written) else _hint(one, place, written)
    return f"must be {wanted}, {_found(value, written)}{hint}"


def _is_nothing(value: object, written: Written | None) -> bool:
    return value is None and (written is None or not written.text)


def _found(value: object, written: Written | None) -> str:
    nothing = _is_nothing(value, written)
    return "but has no value" if nothing else f"not {_shown(value, written)}"


def _hint(one: "ErrorDetails", place: _Place, written: Written | None) -> str:
    """Return what to write instead, where a value does not mean what it looks like."""
    value, kind = one["input"], one["type"]
    wanted = allowed(place.means)
    plain = written.text if written is not None and not written.quoted else None
    if kind == "string_type" and plain and "number" not in wanted:
        return f", which YAML takes for {_taken_for(value)}: write it in quotes: {quoted(plain)}"
    if isinstance(value, str) and "number" in wanted and (number := _number(value)):
        return f": write {number}" if plain else f": write it without quotes: {number}"
    if isinstance(value, float) and kind.startswith("int") and value.is_integer():
        return f": write {int(value)}"
    if wanted.startswith("a list"):
        return _list_hint(plain or value, wanted)
    if isinstance(value, str) and wanted.startswith("true or false"):
        return ": write true or false"
    return ""


def _taken_for(value: object) -> str:
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else "a number"


def _list_hint(value: object, wanted: str) -> str:
    if isinstance(value, Mapping):
        return ": begin each entry with `- `"
    single = (
        wanted.startswith("a list of texts")
        and ", 2 " not in wanted
        and isinstance(value, str | int | float)
    )
    return f": write [{value}]" if single else ""


def _number(text: str) -> str | None:
    """Return a number as YAML writes it, if a text is one."""
    text = text.replace("_", "")
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return f"{number:.0f}" if text.strip().lstrip("+-").isdecimal() else str(number)


def _shown(value: object, written: Written | None) -> str:
    """Return a value as its author wrote it, and what YAML reads from that."""
    if value is None:
        return written.text if written is not None and written.text else "nothing"
    if isinstance(value, Mapping):
        return f"a mapping ({_short(', '.join(map(str, value)))})" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, str):
        return unseen(value) or quoted(_short(value))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return _short(written.text if written is not None and written.text is not None else text)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
