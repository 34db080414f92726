"""Tables that never cut a figure or a date, however narrow the terminal is.

A column of words is folded. Where the columns of figures, dates and names do not fit beside each
other, each row becomes a block of lines instead. In a pipe or a log, which is no terminal, a table
is as wide as it has to be, with one line for each row, for programs that search it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["Grid", "Number", "Words"]

_LEAST_WORDS: Final = 16  # characters; a column of words is not folded to less
_GAP: Final = 3  # characters between two columns


class Number(str):
    """Name of a column of figures: set flush right, never cut."""

    __slots__ = ()


class Words(str):
    """Name of a column of words: folded where there is no room."""

    __slots__ = ()


@dataclass(frozen=True)
class _Column:
    name: str
    natural: int
    """Characters of its longest cell."""
    least: int
    """Characters it needs."""


class Grid:
    """Rows of cells below the names of their columns.

    Parameters
    ----------
    *columns : str
        Names; a plain text names a column that is never cut, such as dates or names.
    title, caption : str
        Lines above and below, which may have markup, too.
    grouped : bool
        Whether rows with the same first cell, which follow each other, may be a table of their own,
        titled by that cell, where the columns do not fit beside each other.
    """

    def __init__(
        self, *columns: str, title: str = "", caption: str = "", grouped: bool = False
    ) -> None:
        self._names, self._title, self._caption = columns, title, caption
        self._grouped = grouped
        self._rows: list[tuple[str, ...]] = []

    def add(self, *cells: str) -> None:
        """Add a row; a cell may have rich's markup in it."""
        if len(cells) != len(self._names):
            raise ValueError(f"{len(cells)} cells for {len(self._names)} columns: {cells}")
        self._rows.append(cells)

    def __bool__(self) -> bool:
        """Whether it has any row."""
        return bool(self._rows)

    def print(self, console: Console) -> None:
        """Print it as wide as fits, else as blocks."""
        if self._title:
            console.print(f"[bold]{self._title}[/]", highlight=False, soft_wrap=True)
        if not console.is_terminal and "COLUMNS" not in os.environ:
            width = max(console.width, self._width([column.natural for column in self._columns()]))
            Console(file=console.file, width=width, color_system=None).print(self._table())
        elif self.fits(console):
            console.print(self._table())
        elif self._grouped and all(each.fits(console) for each in self._groups()):
            for group in self._groups():
                group.print(console)
        else:
            console.print(self._blocks())
        if self._caption:
            console.print(f"[dim]{self._caption}[/]", highlight=False, soft_wrap=True)

    def fits(self, console: Console) -> bool:
        """Tell whether it is narrow enough to be printed as it is."""
        return self._width([column.least for column in self._columns()]) <= console.width

    def _width(self, columns: Sequence[int]) -> int:
        return sum(columns) + _GAP * (len(columns) - 1)

    def _columns(self) -> list[_Column]:
        return [self._column(number) for number in range(len(self._names))]

    def _column(self, number: int) -> _Column:
        name = self._names[number]
        cells = [Text.from_markup(row[number]).plain for row in self._rows]
        lines = [line for cell in (name, *cells) for line in cell.splitlines() or [""]]
        natural = max(map(cell_len, lines))
        least = min(natural, _LEAST_WORDS) if isinstance(name, Words) else natural
        return _Column(name, natural, least)

    def _groups(self) -> "list[Grid]":
        groups = []
        for first, rows in groupby(self._rows, key=lambda row: row[0]):
            group = Grid(*self._names[1:], title=f"{self._names[0]} {first}")
            for row in rows:
                group.add(*row[1:])
            groups.append(group)
        return groups

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for column in self._columns():
            words = isinstance(column.name, Words)
            table.add_column(
                column.name,
                justify="right" if isinstance(column.name, Number) else "left",
                no_wrap=not words,
                overflow="fold",
                min_width=column.least,
            )
        for row in self._rows:
            table.add_row(*row)
        return table

    def _blocks(self) -> RenderableType:
        parts: list[RenderableType] = []
        for row in self._rows:
            block = Table.grid(padding=(0, 2, 0, 0))
            block.add_column(no_wrap=True, style="bold")
            block.add_column(overflow="fold")
            for name, cell in zip(self._names, row, strict=True):
                if cell:
                    block.add_row(name, cell)
            parts += [block, Text()]
        return Group(*parts)
