"""A strict YAML reader for files written by hand.

Only plain data: no tags, no aliases, no key twice. A value without quotes means what it looks like,
as in YAML 1.2: only `true` and `false` are booleans (the ticker ON is a ticker), ``1e-3`` is a
number, ``010`` is not eight. Dates stay text for the model to parse.
"""

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

__all__ = ["Path", "Written", "parse", "quoted", "where"]

Path = tuple[str | int, ...]
"""The way from the top of a document to a value: keys, and positions in lists from zero on."""

_NUMBER = r"[-+]?(?:0|[1-9][0-9]{0,15})"
_PLAIN = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": _NUMBER,
    "float": rf"{_NUMBER}(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9]+|[-+]?\.inf|\.nan",
}
# PostgreSQL stores no text with NUL in it, and half of a surrogate pair cannot be stored at all.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
# A single one may be the separator of a CSV file.
_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_DEEPEST = 50


@dataclass(frozen=True)
class Written:
    """Where a value is in its document, and how it is written.

    Attributes
    ----------
    line : int
        Line of its key, or of the item of a list; the first is 1.
    text : str or None
        The text of a scalar, without its quotes; None for lists and mappings.
    quoted : bool
    """

    line: int
    text: str | None
    quoted: bool


def quoted(text: str) -> str:
    """Return a text in quotes, as YAML writes it."""
    return "'" + text.replace("'", "''") + "'"


def _refusal(reason: str, at: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    mark: Any = at.start_mark  # the stubs know two kinds of marks
    return yaml.MarkedYAMLError(problem=reason, problem_mark=mark)


class _StrictLoader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - filled below

    def __init__(self, text: str, most: int | None = None) -> None:
        super().__init__(text)
        self._most = most
        self._count = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._count += 1
        if self._most is not None and self._count > self._most:
            raise _refusal(f"more than {self._most} values; leave some out", event)
        if self._depth > _DEEPEST:
            raise _refusal(f"nested too deeply: more than {_DEEPEST} levels", event)
        if isinstance(event, yaml.ScalarEvent) and (sign := _unprintable(event.value)):
            raise _refusal(f"a text holds {sign}, which belongs into none: take it out", event)
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(
                "aliases are not allowed; put a text that begins with * in quotes", event
            )
        if event.tag not in {None, "!"}:
            raise _refusal("tags are not allowed; put a text that begins with ! in quotes", event)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                reason = f"key {key!r} is not text"
                if isinstance(key_node, yaml.ScalarNode):
                    reason += f": write it in quotes: {quoted(key_node.value)}"
                raise _refusal(reason, key_node)
            if key in seen:
                first = f"first in line {seen[key]}"
                raise _refusal(f"key {key!r} is there twice, {first}: take one out", key_node)
            seen[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)


def _unprintable(text: str) -> str:
    """Return the first forbidden character of a text, as YAML writes it; empty if there is none."""
    found = _NO_TEXT.search(text) or (_CONTROL.search(text) if len(text) > 1 else None)
    if found is None:
        return ""
    number = ord(found[0])
    return f'"\\x{number:02x}"' if number < 256 else f'"\\u{number:04x}"'  # noqa: PLR2004


for _name, _pattern in _PLAIN.items():
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), None
    )


def parse(text: str, *, most: int | None = None) -> object:
    """Parse one YAML document.

    Parameters
    ----------
    text : str
        The document.
    most : int, optional
        Values, with keys, that it may hold at most: each takes a tenth of a millisecond to read.

    Returns
    -------
    object
        Dictionaries, lists, text, numbers, booleans and None; None for an empty document.

    Raises
    ------
    yaml.YAMLError
        If it is not YAML, repeats a key, uses tags or aliases, is nested beyond reason, holds more
        values, or a text with a control character: only a single one may stand for itself, but NUL.
    """
    loader = _StrictLoader(text, most)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def where(text: str) -> dict[Path, Written]:
    """Return line and text of each value of a document that `parse` reads without an error."""
    loader = _StrictLoader(text)
    try:
        root = loader.get_single_node()
    finally:
        loader.dispose()
    return {} if root is None else dict(_walk(root, (), root))


def _walk(node: yaml.Node, path: Path, at: yaml.Node) -> Iterator[tuple[Path, Written]]:
    scalar = isinstance(node, yaml.ScalarNode)
    mark: Any = at.start_mark
    yield path, Written(mark.line + 1, node.value if scalar else None, _is_quoted(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _walk(value, (*path, str(key.value)), key)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _walk(value, (*path, position), value)


def _is_quoted(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is not None
