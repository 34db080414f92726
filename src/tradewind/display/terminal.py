"""The terminal that everything is shown on, or the log."""

from rich.console import Console

from tradewind.display.tables import Grid

__all__ = ["console", "in_one_piece", "table_or"]

console = Console()


def in_one_piece(line: str, *, style: str | None = None) -> None:
    """Print a line unbroken, so that a terminal can make a link of an address or a file."""
    console.print(line, markup=False, highlight=False, soft_wrap=True, style=style)


def table_or(table: Grid, nothing: str) -> None:
    """Print a table, or what is to be said where it has no row."""
    table.print(console) if table else console.print(nothing)
