"""Folders of YAML files, one specification a file, read so that one bad file hides no other.

Strategies and sources are kept so. Problems are reported as compilers do, one line each:
``strategies/mine.yaml:7: walk_forward.train: must be a whole number of at least 1, not 0``.
"""

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.reader import ReaderError

from tradewind.errors import TradewindError
from tradewind.specs.plain_files import read_plain
from tradewind.specs.strict_yaml import Path as Place
from tradewind.specs.strict_yaml import Written, parse, where
from tradewind.suggestions import did_you_mean

__all__ = ["SpecReader", "located", "refusal", "spec_files"]

_MAX_BYTES: Final = 64 * 1024
_MAX_VALUES: Final = 10_000
_ANY_BYTES: Final = 16 * 1024 * 1024
_MOST: Final = 50  # problems of one file that are reported
_SUFFIXES: Final = (".yaml", ".yml")


def spec_files(directory: Path) -> list[Path]:
    """Return the files of a directory that should be specifications, sorted.

    Raises
    ------
    OSError
        If there is no such directory.
    """
    return sorted(file for file in directory.iterdir() if file.suffix in _SUFFIXES)


def refusal(
    place: Path | str,
    error: ValidationError,
    model: type[BaseModel] | None,
    fields: object,
    *,
    at: tuple[str, ...] = (),
) -> str:
    """Return what is wrong with a part of a specification, a line a problem.

    Parameters
    ----------
    place : Path or str
        The file, whose lines are named; or, without a file, a name for messages.
    error : ValidationError
    model : type, optional
        The model that refused; without it, known names cannot be listed.
    fields : object
        The data it was given.
    at : tuple of str
        Fields that lead to that part, such as ``("options",)``.
    """
    from tradewind.specs.problems import problems  # only needed for what is wrong

    written = _written(place) if isinstance(place, Path) else {}
    # Each problem takes some milliseconds to word, and nobody mends thousands one by one.
    found = problems(error, model, fields, written, at=at, most=_MOST)
    more = error.error_count() > _MOST
    return _lines(place, [(one.line, f"{one.field}: {one.message}") for one in found], more=more)


def located(file: Path, *field: str | int) -> str:
    """Return a file and the line of one of its fields, such as ``sources/mine.yaml:2``."""
    found = _written(file).get(field)
    return str(file) if found is None else f"{file}:{found.line}"


def _written(file: Path) -> dict[Place, Written]:
    """Return line and text of each value of a file; nothing if it has changed meanwhile."""
    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        return where(read_plain(file, _ANY_BYTES).decode("utf-8-sig"))
    return {}


def _lines(
    place: Path | str, problems: "list[tuple[int | None, str]]", *, more: bool = False
) -> str:
    """Return problems a line each, in the order of the file's lines."""
    told = sorted(problems, key=lambda problem: problem[0] or 0)
    lines = [f"{place}{f':{line}' if line else ''}: {text}" for line, text in told]
    return "\n".join([*lines, *([f"{place}: and more problems"] if more else [])])


Model = TypeVar("Model", bound=BaseModel)
Error = TypeVar("Error", bound=TradewindError)


class SpecReader(Generic[Model, Error]):
    """Reads the files of one folder into models of one kind.

    Parameters
    ----------
    model : type
        A pydantic model with a field `name`, which must equal the file's stem. It finds the
        file's absolute path in the context of its validation, as ``"file"``, beside what each
        method is given as `context`.
    error : type
        What is raised about a file.
    noun : str
        What a file holds, such as ``"strategy"``.
    nouns : str
        Its plural.
    max_bytes, max_values : int
        A longer file is refused unread, and one with more values before they are checked: it would
        delay every reader of the folder.
    """

    def __init__(
        self,
        model: type[Model],
        error: type[Error],
        *,
        noun: str,
        nouns: str,
        max_bytes: int = _MAX_BYTES,
        max_values: int = _MAX_VALUES,
    ) -> None:
        self._model, self._error, self._noun, self._nouns = model, error, noun, nouns
        self._max_bytes, self._max_values = max_bytes, max_values

    def file(self, path: Path, *, context: Mapping[str, Any] | None = None) -> Model:
        """Read one file.

        Raises
        ------
        TradewindError
            Of the kind given, if the file cannot be read, is no YAML mapping, or breaks a rule of
            the model; the message names the file and every field at fault with the reason.
        """
        try:
            fields = parse(text := self._text(path), most=self._max_values)
        except yaml.YAMLError as error:
            raise self._error(f"{path}:{_broken_yaml(error, self._noun)}") from error
        if fields is None:
            raise self._error(
                f"{path}: the file is empty; copy a shipped {self._noun} to start from"
            )
        if not isinstance(fields, dict):
            kind = "list" if isinstance(fields, list) else "single value"
            raise self._error(f"{path}:1: must hold `field: value` lines, but holds a {kind}")
        named = fields.get("name")
        misnamed = ""
        if isinstance(named, str) and named != path.stem:
            reason = f"name: {named!r} must equal the file's name, {path.stem!r}"
            misnamed = _lines(path, [(where(text)[("name",)].line, reason)])
        try:
            known = {**(context or {}), "file": path.absolute()}
            spec = self._model.model_validate(fields, context=known)
        except ValidationError as error:
            found = refusal(path, error, self._model, fields)
            raise self._error("\n".join(filter(None, [misnamed, found]))) from error
        if misnamed:
            raise self._error(misnamed)
        return spec

    def find(
        self, directory: Path, name: str, *, context: Mapping[str, Any] | None = None
    ) -> Model:
        """Return the model in the file of this name, reading no other file.

        Raises
        ------
        TradewindError
            Of the kind given, if there is no such file, or it is wrong.
        """
        in_it = name and Path(name).name == name  # and leads to no other directory
        files = [directory / f"{name}{suffix}" for suffix in _SUFFIXES] if in_it else []
        there = [file for file in files if os.path.lexists(file)]
        for number, file in enumerate(there, 1):
            try:
                return self.file(file, context=context)
            except self._error:
                if number == len(there):
                    raise
        try:  # the folder is listed only now: of thousands of files, one is asked for
            known = spec_files(directory)
        except OSError as error:
            raise self._error(f"{directory}: no directory of {self._nouns}: {error}") from error
        help_on = did_you_mean(name, (file.stem for file in known))
        raise self._error(f"no {self._noun} named {name!r} in {directory}. {help_on}")

    def folder(
        self,
        directory: Path,
        *,
        wanted: Callable[[Path], bool] = lambda _: True,
        context: Mapping[str, Any] | None = None,
    ) -> tuple[dict[str, Model], dict[Path, Error]]:
        """Read the ``*.yaml`` and ``*.yml`` files of a directory; subdirectories are not searched.

        Parameters
        ----------
        directory : Path
        wanted : callable, optional
            Tells which files to read; all if not given.
        context : mapping, optional
            Given to the model's validation.

        Returns
        -------
        specs : dict of str to Model
            By name, in the order of the names.
        errors : dict of Path to Error
            Why each of the other files was refused.

        Raises
        ------
        TradewindError
            Of the kind given, if there is no such directory.
        """
        try:
            files = spec_files(directory)
        except OSError as error:
            raise self._error(f"{directory}: no directory of {self._nouns}: {error}") from error
        specs: dict[str, Model] = {}
        errors: dict[Path, Error] = {}
        for file in filter(wanted, files):
            try:
                spec = self.file(file, context=context)
            except self._error as error:
                errors[file] = error
                continue
            if _name(spec) in specs:
                errors[file] = self._error(
                    f"{file}: name: {_name(spec)!r} is taken by another file"
                )
            else:
                specs[_name(spec)] = spec
        return specs, errors

    def _text(self, path: Path) -> str:
        try:
            content = read_plain(path, self._max_bytes)
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno == errno.EFBIG:
                raise self._error(f"{path}: {reason}; no {self._noun} is") from error
            raise self._error(f"{path}: cannot be read: {reason}") from error
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise self._error(
                f"{path}: not UTF-8 text: byte {error.start} is invalid (line {line}); save the "
                "file as UTF-8"
            ) from error


def _name(spec: BaseModel) -> str:
    return str(spec.model_dump(include={"name"})["name"])


_YAML = {  # the parser's messages, in words about the file
    "found character '\\t'": "a tab; YAML is indented with spaces",
    "mapping values are not allowed here": "a second `: ` in one line; put the text in quotes, or "
    "begin a new line",
    "found another document": "a second document begins here; a file holds one {noun}, without ---",
    "<block end>": "this line stands further left or right than those before it",
    "could not find expected ':'": "no `field: value`; a colon is missing",
    "expected the node content": "a value is missing here, or a bracket before it is not closed",
    "expected ',' or ']'": "a comma or the closing ] is missing before this",
    "expected ',' or '}'": "a comma or the closing }} is missing before this",
    "while scanning a quoted scalar": "the closing quote of a text is missing",
    "found character '%'": "a text that begins with % must stand in quotes",
    "found character '@'": "a text that begins with @ must stand in quotes",
    "found character '`'": "a text that begins with ` must stand in quotes",
}


def _broken_yaml(error: yaml.YAMLError, noun: str) -> str:
    """Return `3:5: reason`, to follow a path and a colon."""
    if isinstance(error, ReaderError):
        code = ord(error.character) if isinstance(error.character, str) else error.character
        return f" unacceptable character #x{code:04x} at position {error.position}: take it out"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " " + " ".join(str(error).split())
    said = " ".join(part for part in (error.context, error.problem) if part)
    reason = next((words for what, words in _YAML.items() if what in said), None)
    mark = error.problem_mark
    if reason is not None and error.context_mark is not None and "missing" in reason:
        mark = error.context_mark  # where the bracket, the quote or the key stands
    place = f"{mark.line + 1}:{mark.column + 1}"
    return f"{place}: {said if reason is None else reason.format(noun=noun)}"
