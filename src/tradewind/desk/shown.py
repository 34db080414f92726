"""What results are shown as: a table, in Jupyter as HTML and elsewhere as text."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Column", "Right", "Rows", "Shown", "Table"]

T = TypeVar("T")


class Column(str):
    """Name of a column of words."""

    __slots__ = ()


class Right(Column):
    """Name of a column of figures: set flush right."""

    __slots__ = ()


@dataclass(frozen=True)
class Table:
    """Cells below the names of their columns.

    Attributes
    ----------
    head : tuple of Column
    rows : tuple of tuple of str
    title, note : str
        Lines above and below.
    """

    head: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    note: str = ""

    def as_html(self) -> str:
        """Return it as HTML; what stands in cells is shown as text, whatever it holds."""
        names = "".join(f"<th{_side(name)}>{escape(name)}</th>" for name in self.head)
        lines = "".join(
            "<tr>"
            + "".join(
                f"<td{_side(name)}>{escape(cell)}</td>"
                for name, cell in zip(self.head, row, strict=True)
            )
            + "</tr>"
            for row in self.rows
        )
        title = f"<p><b>{escape(self.title)}</b></p>" if self.title else ""
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        table = f"<table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table>"
        return title + (table if self.rows else "") + note

    def as_text(self) -> str:
        """Return it as lines of text, each as wide as it has to be."""
        rows = [self.head, *self.rows]
        widths = [max(len(row[place]) for row in rows) for place in range(len(self.head))]
        lines = [
            "  ".join(
                cell.rjust(width) if isinstance(name, Right) else cell.ljust(width)
                for name, cell, width in zip(self.head, row, widths, strict=True)
            ).rstrip()
            for row in rows
        ]
        shown = [self.title, *(lines if self.rows else ()), self.note]
        # A space that does not break is one for a browser; a terminal may not know it.
        return "\n".join(line for line in shown if line).replace("\u00a0", " ")


class Shown:
    """Shows itself as a table: in Jupyter as HTML, where it is printed as text."""

    def table(self) -> Table:
        """Return what is shown."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.table().as_text()

    def _repr_html_(self) -> str:
        return self.table().as_html()


class Rows(tuple[T, ...], Shown):
    """A tuple that shows itself as a table, a row a member.

    Parameters
    ----------
    members : iterable
    head : tuple of Column
    cells : callable
        Returns the cells of a member.
    nothing : str
        Shown where there is no member.
    note : str
        Shown below them where there are.
    """

    shown: Table

    def __new__(
        cls,
        members: Iterable[T],
        head: tuple[Column, ...],
        cells: Callable[[T], tuple[str, ...]],
        nothing: str,
        note: str = "",
    ) -> Self:
        """Make it; a tuple is complete before it could be filled."""
        made = super().__new__(cls, members)
        made.shown = Table(head, tuple(map(cells, made)), note=note if made else nothing)
        return made

    def table(self) -> Table:
        """Return what is shown."""
        return self.shown

    def frame(self) -> "pl.DataFrame":
        """Return a polars frame, a row a member and a column a field; amounts stay decimal.

        Of members that are dataclasses: orders, fills, positions and sessions of the book.
        """
        import polars as pl

        rows = [{each.name: getattr(one, each.name) for each in fields(one)} for one in self]  # type: ignore[arg-type]
        return pl.DataFrame(rows, infer_schema_length=None)

    __repr__ = Shown.__str__


def _side(name: Column) -> str:
    return f' style="text-align: {"right" if isinstance(name, Right) else "left"}"'
