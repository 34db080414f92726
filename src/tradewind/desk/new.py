"""A strategy, a source, a model or a broker to begin with: a file that works, and a test for it."""

import re
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final, Literal, get_args

from tradewind.errors import NewFileError
from tradewind.host.new_files import write_new
from tradewind.settings import Settings

__all__ = ["KINDS", "Begun", "Kind", "begin"]

Kind = Literal["strategy", "source", "model", "broker"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")
# By kind: the templates, and where each goes.
_FILES: Final[dict[Kind, dict[str, str]]] = {
    "strategy": {"strategy.yaml": "strategies/$name.yaml"},
    "source": {
        "source.yaml": "sources/$name.yaml",
        "source_AAA.csv": "sources/$name/AAA.csv",
        "source_BBB.csv": "sources/$name/BBB.csv",
    },
    "model": {"model.py": "strategies/$name.py"},
    "broker": {"broker.py": "brokers/$name.py"},
}
_TEST: Final = "tests/test_${name}_$kind.py"
_CODE: Final = frozenset({"model", "broker"})


@dataclass(frozen=True)
class Begun:
    """What was written.

    Attributes
    ----------
    kind, name : str
    folder : Path
        The desk's home.
    files : tuple of str
        As paths from it; the last is the test.
    """

    kind: Kind
    name: str
    folder: Path
    files: tuple[str, ...]


def begin(settings: Settings, kind: Kind, name: str) -> Begun:
    """Write a file that works, and a test that passes at once: all of it or nothing.

    Parameters
    ----------
    settings : Settings
    kind : {"strategy", "source", "model", "broker"}
    name : str
        Lower case letters, digits and underscores: as the names of strategies and sources.

    Raises
    ------
    NewFileError
        If the name cannot be one, a file is there already, or one cannot be written.
    """
    _refuse_name(kind, name)
    values = {"name": name, "Name": _class_name(name), "kind": kind}
    targets = {**_FILES[kind], f"{kind}_test.py": _TEST}
    texts = {
        Template(target).substitute(values): Template(_template(source)).substitute(values)
        for source, target in targets.items()
    }
    _write(settings.home, texts)
    return Begun(kind, name, settings.home, tuple(texts))


def _refuse_name(kind: Kind, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NewFileError(
            f"{name!r} is no name of a {kind}: lower case letters, digits and _, a letter first, "
            "50 characters at most"
        )
    if kind in _CODE and name in sys.stdlib_module_names:
        raise NewFileError(f"{name} is a module of Python's own; choose another name")


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _template(source: str) -> str:
    folder = resources.files("tradewind.desk") / "templates"
    return (folder / f"{source}.txt").read_text(encoding="utf-8")


def _write(home: Path, texts: dict[str, str]) -> None:
    try:
        write_new(home, {target: text.encode() for target, text in texts.items()})
    except FileExistsError as error:
        raise NewFileError(
            f"{error.filename} is there already: nothing was written. Choose another name"
        ) from error
    except OSError as error:
        raise NewFileError(
            f"{error.filename} cannot be written: {error.strerror}. Nothing was left"
        ) from error
