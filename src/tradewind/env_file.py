"""The file ``.env``: each variable with its value and line, and what nobody could mean refused."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from tradewind.errors import SettingsError
from tradewind.specs.plain_files import read_plain

__all__ = ["Variable", "read_env"]

_MOST: Final = 64 * 1024
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_NAME: Final = re.compile(r"(?:export +)?[A-Z][A-Z0-9_]{2,59}\b")


@dataclass(frozen=True)
class Variable:
    """A variable as a file has it; a value of None: there is no ``=``."""

    value: str | None
    line: int


def read_env(path: Path) -> dict[str, Variable]:
    """Return the variables of a file; none if there is no such file.

    Raises
    ------
    SettingsError
        If it is no plain file or cannot be read, is no UTF-8 text, or a line is no
        ``NAME=value``; the message names file and line.
    """
    text = _text(path)
    lines: dict[str, int] = {}
    for binding in parse_stream(io.StringIO(text)):
        written = binding.original.string
        blank = written[: len(written) - len(written.lstrip())]  # lines before it belong to it
        line = binding.original.line + blank.count("\n")
        if binding.error:
            raise SettingsError(
                f"{path}:{line}: must be NAME=value, a line each{_named(written)}; a remark begins "
                "with #"
            )
        if binding.key is None:
            continue
        if binding.key in lines:
            raise SettingsError(
                f"{path}:{line}: {binding.key} is there twice, first in line "
                f"{lines[binding.key]}: take one out"
            )
        lines[binding.key] = line
    values = dotenv_values(stream=io.StringIO(text))
    return {name: Variable(values[name], line) for name, line in lines.items()}


def _text(path: Path) -> str:
    try:
        content = read_plain(path, _MOST)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
        return ""
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read: {error.strerror or error}. Settings stand there, a line "
            "each; mend it, or take it away"
        ) from error
    if content.startswith(_UTF16) or b"\0" in content:
        line = content.split(b"\0")[0].count(b"\n") + 1
        raise SettingsError(
            f"{path}:{line}: holds zero bytes, as UTF-16 does; save the file as UTF-8"
        )
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise SettingsError(
            f"{path}:{line}: no UTF-8 text: byte 0x{byte:02x}, which is "
            f"{bytes([byte]).decode('latin-1')!r} in Latin-1; save the file as UTF-8"
        ) from error


def _named(text: str) -> str:
    """Tell the name that a line begins with; the rest may be a secret."""
    found = _NAME.match(text.lstrip())
    return f", not {found[0]!r} and no =" if found else ""
