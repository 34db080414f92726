"""Folders of YAML files, one thing a file, read so that one bad file hides no other.

Strategies and sources are kept so. What is wrong is told as compilers tell it, a line each:
``strategies/mine.yaml:7: walk_forward.train: must be a whole number of at least 1, not 0``.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tradewind.errors import TradewindError
from tradewind.strict_yaml import parse, where

__all__ = ["SpecReader", "located", "refusal", "spec_files"]

_MAX_BYTES: Final = 64 * 1024
_MOST: Final = 50  # problems of one file that are told
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
        The file, whose lines are named; or, where there is none, what to call it.
    error : ValidationError
    model : type, optional
        What refused; without it known names cannot be listed.
    fields : object
        What it was given.
    at : tuple of str
        Fields that lead to that part, such as ``("options",)``.
    """
    from tradewind.spec_problems import problems  # only needed for what is wrong

    written = {}
    if isinstance(place, Path):
        with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):  # it has changed meanwhile
            written = where(place.read_text("utf-8-sig"))
    found = problems(error, model, fields, written, at=at)
    return _lines(place, [(one.line, f"{one.field}: {one.message}") for one in found])


def located(file: Path, *field: str | int) -> str:
    """Return a file and the line of one of its fields, such as ``sources/mine.yaml:2``."""
    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):  # it has changed meanwhile
        found = where(file.read_text("utf-8-sig")).get(field)
        if found is not None:
            return f"{file}:{found.line}"
    return str(file)


def _lines(place: Path | str, problems: "list[tuple[int | None, str]]") -> str:
    """Return problems a line each, in the order of the file's lines."""
    told = sorted(problems, key=lambda problem: problem[0] or 0)
    lines = [f"{place}{f':{line}' if line else ''}: {text}" for line, text in told[:_MOST]]
    more = len(told) - _MOST
    return "\n".join([*lines, *([f"{place}: and {more} more problems"] if more > 0 else [])])


Model = TypeVar("Model", bound=BaseModel)
Error = TypeVar("Error", bound=TradewindError)


class SpecReader(Generic[Model, Error]):
    """Reads the files of one folder into models of one kind.

    Parameters
    ----------
    model : type
        A pydantic model with a field `name`, which must equal the file's stem. It finds the
        file's absolute path in the context of its validation, as ``"file"``.
    error : type
        What is raised about a file.
    noun : str
        What a file holds, such as ``"strategy"``.
    nouns : str
        More than one of it.
    max_bytes : int
        A longer file is refused unread.
    """

    def __init__(
        self,
        model: type[Model],
        error: type[Error],
        *,
        noun: str,
        nouns: str,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        self._model, self._error, self._noun, self._nouns = model, error, noun, nouns
        self._max_bytes = max_bytes

    def file(self, path: Path) -> Model:
        """Read one file.

        Raises
        ------
        TradewindError
            Of the kind given, if the file cannot be read, is no YAML mapping, or breaks a rule of
            the model; the message names the file and every field at fault with the reason.
        """
        try:
            fields = parse(self._text(path))
        except yaml.YAMLError as error:
            raise self._error(f"{path}:{_broken_yaml(error, self._noun)}") from error
        except RecursionError as error:
            raise self._error(f"{path}: nested too deeply for a {self._noun}") from error
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
            misnamed = _lines(path, [(where(self._text(path))[("name",)].line, reason)])
        try:
            spec = self._model.model_validate(fields, context={"file": path.absolute()})
        except ValidationError as error:
            found = refusal(path, error, self._model, fields)
            raise self._error("\n".join(filter(None, [misnamed, found]))) from error
        if misnamed:
            raise self._error(misnamed)
        return spec

    def named(self, directory: Path, name: str) -> Model | None:
        """Return what a file of a directory says that is named so; None if there is no such."""
        if Path(name).name != name:  # it is in no other directory
            return None
        for suffix in _SUFFIXES:
            with suppress(self._error):
                return self.file(directory / f"{name}{suffix}")
        return None

    def folder(
        self, directory: Path, *, wanted: Callable[[Path], bool] = lambda _: True
    ) -> tuple[dict[str, Model], dict[Path, Error]]:
        """Read the ``*.yaml`` and ``*.yml`` files of a directory; subdirectories are not searched.

        Parameters
        ----------
        directory : Path
        wanted : callable, optional
            Tells which files to read; all if not given.

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
                spec = self.file(file)
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
            with path.open("rb") as file:
                content = file.read(self._max_bytes + 1)
        except OSError as error:
            raise self._error(f"{path}: cannot be read: {error.strerror or error}") from error
        if len(content) > self._max_bytes:
            limit = self._max_bytes // 1024
            raise self._error(f"{path}: larger than {limit} KiB; no {self._noun} is")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self._error(f"{path}: not UTF-8 text: byte {error.start} is invalid") from error


def _name(spec: BaseModel) -> str:
    return str(spec.model_dump(include={"name"})["name"])


_YAML = {  # what the parser says, in words about the file
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
    """Return `3:5: reason`, which goes on where a path and a colon stand."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " " + " ".join(str(error).split())
    said = " ".join(part for part in (error.context, error.problem) if part)
    reason = next((words for what, words in _YAML.items() if what in said), None)
    mark = error.problem_mark
    if reason is not None and error.context_mark is not None and "missing" in reason:
        mark = error.context_mark  # where the bracket, the quote or the key stands
    place = f"{mark.line + 1}:{mark.column + 1}"
    return f"{place}: {said if reason is None else reason.format(noun=noun)}"
