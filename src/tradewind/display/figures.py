"""Tables of metrics: the name that files and programs use, what it is in words, and the figure."""

from collections.abc import Iterable, Mapping

from tradewind.display.tables import Grid, Number, Words
from tradewind.research.words import METRICS, words_of

__all__ = ["metric_table"]


def metric_table(
    metrics: Mapping[str, Iterable[float | None]], *columns: str, title: str, caption: str = ""
) -> Grid:
    """Return a table with a row for each metric, in the order in which they are read.

    Parameters
    ----------
    metrics : mapping
        Of each metric its figures, one a column; None stays empty.
    *columns : str
        What the figures are of.
    title, caption : str
        Lines above and below.
    """
    table = Grid(
        "walk-forward metric",
        Words("in words"),
        *map(Number, columns),
        title=title,
        caption=caption,
    )
    order = {name: place for place, name in enumerate(METRICS)}
    for name in sorted(metrics, key=lambda name: (order.get(name, len(order)), name)):
        words, written = words_of(name)
        figures = ("" if value is None else written(value) for value in metrics[name])
        table.add(name, words, *figures)
    return table
