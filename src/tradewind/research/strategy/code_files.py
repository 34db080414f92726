"""Checks that code of the user's own exists, without running its file.

Airflow reads strategy files again and again, in a process that they share. Code that ends this
process, or never returns, would stop the others. So the file's code is parsed and not run.
"""

import ast
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from tradewind.specs.plain_files import read_plain

__all__ = ["file_of", "read_code", "why_no_code", "why_no_module"]

Wanted = Literal["function", "class"]

_MOST: Final = 1024 * 1024
_IS_NONE: Final[dict[Wanted, dict[type[ast.AST], str]]] = {
    "function": {
        ast.ClassDef: "a class", ast.AsyncFunctionDef: "async", ast.Constant: "a value",
    },
    "class": {
        ast.FunctionDef: "a function", ast.AsyncFunctionDef: "a function",
        ast.Constant: "a value",
    },
}  # fmt: skip


def file_of(module: str, directory: Path) -> Path:
    """Return the path of a module's file, if it is beside the strategy files."""
    return directory.joinpath(*module.split(".")).with_suffix(".py")


def read_code(path: Path) -> bytes:
    """Return the content of a file of features.

    Raises
    ------
    OSError
        If it is no plain file, cannot be read, or is larger than a MiB.
    """
    return read_plain(path, _MOST)


def why_no_code(code: str, directory: Path, *, wanted: Wanted = "function") -> str:
    """Return why a strategy file cannot name a function or class; empty where only a run can tell.

    Parameters
    ----------
    code : str
        As ``module:name``.
    directory : Path
        Of the strategy files.
    wanted : {"function", "class"}
    """
    module, _, name = code.partition(":")
    path = file_of(module, directory)
    if not os.path.lexists(path):
        return why_no_module(module, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the code's style
            tree = ast.parse(read_code(path), str(path))
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or error}"
    except SyntaxError as error:
        return f"{path}:{error.lineno or 1}: no Python: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes; nested without end
        return f"{path}: no Python: {error or 'nested too deeply'}"
    return _why_not_in(tree, name, path, wanted)


def why_no_module(module: str, beside: Path) -> str:
    """Return why an installed module cannot be named; empty where only its import can tell."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return f"{top} is part of Python and holds none of your code; write it into {beside}"
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        found = None
    if found:
        return ""
    return f"there is no {beside}, and no installed module {top} (PYTHONPATH is not looked at)"


def _why_not_in(tree: ast.Module, name: str, path: Path, wanted: Wanted) -> str:
    bound = list(_bindings(tree.body))
    if any(each in {"*", "__getattr__"} for each, _ in bound):
        return ""
    meant = [node for each, node in bound if each == name]
    if not meant:
        return f"{path} has no {wanted} {name}"
    is_none = _IS_NONE[wanted]
    if not all(isinstance(node, tuple(is_none)) for node in meant):
        return ""
    line = getattr(meant[-1], "lineno", 1)
    return f"{path}:{line}: {name} is {is_none[type(meant[-1])]}, not a {wanted}"


def _bindings(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Yield the names that statements of a module bind, with what they are bound to."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield (alias.asname or alias.name).partition(".")[0], node
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For | ast.With):
            value = getattr(node, "value", None) or node
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    yield inner.id, value
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            inside = getattr(node, block, [])
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _bindings([*inside])
