"""Records of specifications that were checked when they were made, read by their types alone.

A release may tighten what a file can say. Earlier records must stay readable, whatever today's
ranges are. So a record is read by the schema of its model, without bounds of values and without
checks that only refuse. Both are found in the schema, so that a new bound or check needs no change
here.
"""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic_core import SchemaValidator
from pydantic_core.core_schema import CoreConfig, no_info_after_validator_function

__all__ = ["read_record"]

Model = TypeVar("Model", bound=BaseModel)
Schema = Any
"""A schema of pydantic-core, or a part of one."""

_BOUNDS: Final = frozenset({"ge", "gt", "le", "lt", "min_length", "max_length", "pattern"})
# Mappings by names of fields or kinds; a field may have the name of a bound.
_BY_NAME: Final = frozenset({"fields", "choices"})


def read_record(model: type[Model], content: str | bytes) -> Model:
    """Read a model's JSON, as this release or an earlier one has written it.

    Parameters
    ----------
    model : type
        Its checks after validation may only refuse, and must change nothing.
    content : str or bytes

    Raises
    ------
    ValidationError
        If a field is missing, unknown, or of another type.
    """
    found: Model = _reader(model).validate_json(content)
    return found


@cache
def _reader(model: type[BaseModel]) -> SchemaValidator:
    config = CoreConfig(title=model.__name__)
    if (extra := model.model_config.get("extra")) is not None:
        config["extra_fields_behavior"] = extra
    if (infinite := model.model_config.get("allow_inf_nan")) is not None:
        config["allow_inf_nan"] = infinite
    return SchemaValidator(_by_types(TypeAdapter(model).core_schema), config)


def _by_types(part: Schema) -> Schema:
    """Return a part of a schema without bounds and checks that refuse values of the right type."""
    if isinstance(part, list):
        return [_by_types(each) for each in part]
    if not isinstance(part, Mapping):
        return part
    kind = part.get("type")
    if kind == "function-after":
        return _named(_by_types(part["schema"]), part)
    if kind == "model":  # pydantic-core would use the class's own validator
        made = partial(_made, part["cls"])
        schema = no_info_after_validator_function(made, _by_types(part["schema"]))
        return _named(schema, part)
    return {
        key: {name: _by_types(each) for name, each in value.items()}
        if key in _BY_NAME and isinstance(value, Mapping)
        else _by_types(value)
        for key, value in part.items()
        if key not in _BOUNDS and key != "metadata"
    }


def _named(schema: Schema, before: Schema) -> Schema:
    """Return a schema under the name by which others refer to the original."""
    return {**schema, "ref": before["ref"]} if "ref" in before else schema


def _made(
    model: type[BaseModel], found: tuple[dict[str, Any], dict[str, Any] | None, set[str]]
) -> BaseModel:
    fields, _, said = found
    return model.model_construct(said, **fields)
