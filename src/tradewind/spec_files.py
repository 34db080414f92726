"""Folders of YAML files, one thing a file, read so that one bad file hides no other.

Strategies and sources are kept so. What is wrong is told by file, field and reason.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tradewind.errors import TradewindError
from tradewind.strict_yaml import parse

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["SpecReader", "field_of", "spec_files"]

_MAX_BYTES: Final = 64 * 1024
_SUFFIXES: Final = (".yaml", ".yml")


def spec_files(directory: Path) -> list[Path]:
    """Return the files of a directory that should be specifications, sorted.

    Raises
    ------
    OSError
        If there is no such directory.
    """
    return sorted(file for file in directory.iterdir() if file.suffix in _SUFFIXES)


def field_of(problem: "ErrorDetails") -> str:
    """Return the dotted path of the field a problem is about, such as ``features.0.window``."""
    parts = [str(part) for part in problem["loc"]]
    extra = problem.get("ctx", {}).get("field")
    return ".".join([*parts, extra] if extra else parts) or "(whole file)"


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
    field : callable
        Names the field that one of pydantic's problems is about.
    """

    def __init__(
        self,
        model: type[Model],
        error: type[Error],
        *,
        noun: str,
        nouns: str,
        field: "Callable[[ErrorDetails], str]" = field_of,
    ) -> None:
        self._model, self._error, self._noun, self._nouns = model, error, noun, nouns
        self._field = field

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
            raise self._error(f"{path}: {_one_line(error)}") from error
        except RecursionError as error:
            raise self._error(f"{path}: nested too deeply for a {self._noun}") from error
        if fields is None:
            raise self._error(
                f"{path}: the file is empty; copy a shipped {self._noun} to start from"
            )
        if not isinstance(fields, dict):
            raise self._error(
                f"{path}: must hold `field: value` lines, but holds a {type(fields).__name__}"
            )
        try:
            spec = self._model.model_validate(fields, context={"file": path.absolute()})
        except ValidationError as error:
            problems = [f"\n  {self._field(one)}: {one['msg']}" for one in error.errors()]
            raise self._error(f"{path}:{''.join(problems)}") from error
        if _name(spec) != path.stem:
            raise self._error(
                f"{path}:\n  name: {_name(spec)!r} must equal the file's name, {path.stem!r}"
            )
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
                    f"{file}:\n  name: {_name(spec)!r} is taken by another file"
                )
            else:
                specs[_name(spec)] = spec
        return specs, errors

    def _text(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise self._error(f"{path}: cannot be read: {error.strerror or error}") from error
        if len(content) > _MAX_BYTES:
            raise self._error(f"{path}: larger than {_MAX_BYTES // 1024} KiB; no {self._noun} is")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self._error(f"{path}: not UTF-8 text: byte {error.start} is invalid") from error


def _name(spec: BaseModel) -> str:
    return str(spec.model_dump(include={"name"})["name"])


def _one_line(error: yaml.YAMLError) -> str:
    """Return `line 3, column 5: reason`."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        return f"line {mark.line + 1}, column {mark.column + 1}: {reason}"
    return " ".join(str(error).split())
