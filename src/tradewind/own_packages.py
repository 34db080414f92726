"""Packages of the desk's own: what ``requirements.txt`` of the workspace asks for, and has.

One file, as pip reads it. The packages that tradewind runs with are no matter of it: it is refused
where it asks for other versions of those.
"""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tradewind.errors import RequirementsError
from tradewind.specs.plain_files import read_plain

__all__ = [
    "FILE", "Line", "check_requirements", "hash_of_installed", "packages_of_tradewind",
    "requirements", "unmet",
]  # fmt: skip

FILE: Final = "requirements.txt"
_MOST: Final = 256 * 1024
_OURS: Final = "tradewind[local]"
_LOGIN: Final = re.compile(r"(?<=://)[^\s/@]*@")
_COMMENT: Final = re.compile(r"(^|\s)#.*$")
# What another file says could change without a word here.
_OTHER_FILE: Final = re.compile(r"(-r|-c|--requirement|--constraint)\b")


@dataclass(frozen=True, slots=True)
class Line:
    """A line that says something.

    Attributes
    ----------
    number : int
        Of its first line in the file, where it goes on over several.
    text : str
        Without remarks.
    """

    number: int
    text: str

    @property
    def requirement(self) -> Requirement | None:
        """What it asks for by name; None for an option, a path or a bare address."""
        try:
            return Requirement(self.text)
        except InvalidRequirement:
            return None

    @property
    def told(self) -> str:
        """The line for messages: who has the login of an index should be told to nobody."""
        return _LOGIN.sub("***@", self.text)

    @property
    def wanted_here(self) -> Requirement | None:
        """What it asks for by name on this machine, by this Python."""
        wanted = self.requirement
        return wanted if wanted and (wanted.marker is None or wanted.marker.evaluate()) else None


def requirements(home: Path) -> tuple[Line, ...]:
    """Return the lines of a workspace's file; none if there is no such file.

    Raises
    ------
    RequirementsError
        If it is no plain file, cannot be read, or is no UTF-8 text.
    """
    path = home / FILE
    try:
        text = read_plain(path, _MOST).decode("utf-8-sig")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequirementsError(f"{path}: cannot be read: {reason}. Save it as UTF-8") from error
    found: list[Line] = []
    begun: Line | None = None
    for number, written in enumerate(text.splitlines(), 1):
        part = _COMMENT.sub("", written).strip()
        line = Line(number, part) if begun is None else Line(begun.number, f"{begun.text} {part}")
        goes_on = line.text.endswith("\\")
        begun = Line(line.number, line.text[:-1].strip()) if goes_on else None
        if not goes_on and line.text:
            found.append(line)
    return (*found, *([begun] if begun is not None and begun.text else []))


def check_requirements(home: Path, lines: Iterable[Line], ours: dict[str, str]) -> None:
    """Refuse lines of a workspace's file that cannot be meant.

    Parameters
    ----------
    home : Path
    lines : iterable of Line
        As `requirements` returns them.
    ours : dict of str to str
        Versions that must stay, as of `packages_of_tradewind`.

    Raises
    ------
    RequirementsError
        If a line names another file of requirements, or asks for another version of a package
        that tradewind runs with; the message names both.
    """
    problems = [
        f"{home / FILE}:{each.number}: {why}" for each in lines if (why := _why(each, ours))
    ]
    if problems:
        raise RequirementsError("\n".join(problems))


def _why(line: Line, ours: dict[str, str]) -> str:
    if _OTHER_FILE.match(line.text):
        return f"{line.told}: names another file, whose changes nobody would see: write them here"
    wanted = line.wanted_here
    if wanted is None:
        return ""
    version = ours.get(canonicalize_name(wanted.name))
    if version is None or (
        wanted.url is None and wanted.specifier.contains(version, prereleases=True)
    ):
        return ""
    return (
        f"{line.told}: tradewind runs with {wanted.name} {version} here, and both cannot be had: "
        "ask for a version that this one is in, or leave the line out"
    )


def packages_of_tradewind() -> dict[str, str]:
    """Return the versions of all packages that tradewind needs, by name, as they are installed."""
    found = _closure([Requirement(_OURS)])
    return {name: version for name, version in found.items() if version}


def hash_of_installed(home: Path) -> str | None:
    """Return the SHA-256 of what is installed of the workspace's requirements; None if it has none.

    It is that of the lines ``name==version``, sorted by name, of what the file names and of all
    that those packages need, then of the lines that name a path or an address, as they are.

    Raises
    ------
    RequirementsError
        If the file cannot be read.
    """
    lines = requirements(home)
    if not lines:
        return None
    packages = _closure(wanted for each in lines if (wanted := each.wanted_here))
    told = [f"{name}=={version}" for name, version in sorted(packages.items())]
    told += [each.text for each in lines if each.requirement is None]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def unmet(home: Path) -> list[str]:
    """Return what is not as the workspace's file asks, a sentence a line.

    Raises
    ------
    RequirementsError
        If the file cannot be read.
    """
    found = []
    for line in requirements(home):
        wanted = line.wanted_here
        if wanted is None:
            continue
        try:
            there = distribution(wanted.name).version
        except PackageNotFoundError:
            found.append(f"{home / FILE}:{line.number}: {line.told}: is not installed")
            continue
        if not wanted.specifier.contains(there, prereleases=True):
            found.append(f"{home / FILE}:{line.number}: {line.told}: {there} is installed")
    return found


def _closure(roots: Iterable[Requirement]) -> dict[str, str]:
    """Return what some requirements need, by name, with the version; empty if it is not there."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = list(roots)
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras} - {each for known, each in seen if known == name}:
            seen.add((name, extra))
            try:
                installed = distribution(name)
            except PackageNotFoundError:
                found[name] = ""
                continue
            found[name] = installed.version
            for text in installed.requires or ():
                with suppress(InvalidRequirement):  # of an old package, which pip has let pass
                    needed = Requirement(text)
                    if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                        waiting.append(needed)
    return found
