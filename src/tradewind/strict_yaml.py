"""A YAML reader that takes nothing for granted in a file written by hand.

Only plain data: no tags, no aliases, no key twice. What is written without quotes means
what it looks like, as in YAML 1.2: only `true` and `false` are booleans (the ticker ON is a
ticker), ``1e-3`` is a number, ``010`` is not eight. Dates stay text for the model to parse.
"""

import re
from collections.abc import Hashable
from typing import Any

import yaml

__all__ = ["parse"]

_NUMBER = r"[-+]?(?:0|[1-9][0-9]{0,15})"
_PLAIN = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": _NUMBER,
    "float": rf"{_NUMBER}(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9]+|[-+]?\.inf|\.nan",
}


def _refusal(reason: str, at: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    mark: Any = at.start_mark  # the stubs know two kinds of marks
    return yaml.MarkedYAMLError(problem=reason, problem_mark=mark)


class _StrictLoader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - filled below

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refusal("aliases are not allowed", event)
        if event.tag not in {None, "!"}:
            raise _refusal("tags are not allowed", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _refusal(f"key {key!r} is not text", key_node)
            if key in seen:
                raise _refusal(f"key {key!r} is there twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)


for _name, _pattern in _PLAIN.items():
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), None
    )


def parse(text: str) -> object:
    """Parse one YAML document.

    Parameters
    ----------
    text : str
        The document.

    Returns
    -------
    object
        Dictionaries, lists, text, numbers, booleans and None; None for an empty document.

    Raises
    ------
    yaml.YAMLError
        If it is not YAML, repeats a key, or uses tags or aliases.
    RecursionError
        If it is nested beyond reason.
    """
    return yaml.load(text, Loader=_StrictLoader)  # noqa: S506
