"""What the reference's pages have from the code itself: commands, and settings.

A page says where, with a comment such as ``<!-- settings: written by `make docs` -->``.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from tradewind.cli import app
from tradewind.setting_rules import read_setting
from tradewind.settings import FIELDS, Settings, variable

CHECKOUT = Path(__file__).parents[1]
PLACE = re.compile(r"^<!-- (\S+): written by `make docs` -->$", re.MULTILINE)
# Texts that are refused where anything is, with what would be right.
REFUSED = ("?", "", "ftp://x")
# Read from nowhere: where the checkout is, and what services are told by the stack.
UNREAD = {"home", "database_url"}
TYPES = {
    "str": "text",
    "int": "a whole number",
    "path": "a file",
    "datetime": "a date such as 2012-01-31",
}


def filled(markdown: str) -> str:
    """Return a page with what it asks for.

    Raises
    ------
    KeyError
        If it asks for what there is not.
    """
    return PLACE.sub(lambda found: PARTS[found[1]](), markdown)


def commands() -> str:
    """Return a section for each command: how it is written, what it does, what it takes."""
    root = get_command(app)
    return "\n\n".join(_sections(root, _context(root, "tradewind")))


def settings() -> str:
    """Return a table of all settings.

    Raises
    ------
    ValueError
        If one is not described.
    """
    said = _described(inspect.getdoc(Settings) or "")
    lines = []
    for name, each in FIELDS.items():
        if name in UNREAD:
            continue
        if name not in said:
            raise ValueError(f"say in the docstring of Settings what {name} is")
        default = f"`{each.default}`" if each.default not in {None, ""} else "none"
        lines.append((f"`{variable(name)}`", default, _allowed(name, each.type), said[name]))
    return _table(("setting", "default", "allowed", "meaning"), lines)


def env_example() -> str:
    """Return the file that lists what can be set, as it is."""
    return f"```ini\n{(CHECKOUT / '.env.example').read_text('utf-8').rstrip()}\n```"


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "settings": settings,
    ".env.example": env_example,
}


# Commands are Click's in one release of Typer and its own in the next: nothing here asks whose.
def _context(command: Any, name: str, parent: Any = None) -> Any:
    return command.context_class(command, info_name=name, parent=parent)


def _sections(command: Any, context: Any) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield _section(command, context)
        return
    for name, each in inner.items():
        if not each.hidden:  # another name of one that is not
            yield from _sections(each, _context(each, name, context))


def _section(command: Any, context: Any) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])

    rows = [
        (f"`{_names(each)}`", _default(each), _type(each), getattr(each, "help", "") or "")
        for each in command.get_params(context)
        if each.name != "help"
    ]
    table = _table(("", "default", "allowed", "meaning"), rows) if rows else ""
    parts = (f"## {context.command_path}", f"    {usage}", inspect.cleandoc(command.help or ""))
    return "\n\n".join(part for part in (*parts, table) if part)


def _names(each: Any) -> str:
    if each.param_type_name == "argument":
        return str(each.name)
    return ", ".join([*each.opts, *each.secondary_opts])


def _default(each: Any) -> str:
    if each.required:
        return "required"
    if isinstance(each.default, bool) or each.default is None:
        return "none" if each.default is None else "no"
    return f"`{each.default}`"


def _type(each: Any) -> str:
    if each.param_type_name == "option" and each.is_flag:
        return "given or not"
    if each.type.name == "choice":
        return f"one of {', '.join(map(str, each.type.choices))}"
    name = TYPES[each.type.name]
    return f"{name}, any number of times" if each.nargs == -1 else name


def _described(docstring: str) -> dict[str, str]:
    """Return what a docstring in numpydoc's form says of attributes, by name."""
    _, _, attributes = docstring.partition("Attributes\n----------\n")
    found = {}
    for part in re.split(r"\n(?=\S)", attributes):
        head, _, text = part.partition("\n")
        names = head.partition(" : ")[0].split(", ")
        found.update(dict.fromkeys(names, " ".join(text.split()).replace("``", "`")))
    return found


def _allowed(name: str, kind: object) -> str:
    """Return what a setting may be, as the error that refuses it has it."""
    for text in REFUSED:
        try:
            read_setting(name, text, CHECKOUT)
        except ValueError as error:
            return str(error).removeprefix("must be ").partition(", not ")[0]
    return getattr(kind, "__name__", str(kind))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines
    )
