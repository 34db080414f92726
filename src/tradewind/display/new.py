"""Files that a desk begins with."""

from typing import TYPE_CHECKING

from tradewind.display import terminal

if TYPE_CHECKING:
    from tradewind.desk.new import Begun

__all__ = ["begun"]

_NEXT = {
    "strategy": "tradewind backtest {name}",
    "source": "tradewind data validate {name}",
    "model": 'in a strategy: model: {{kind: custom, class: "{name}:..."}}',
    "broker": "the head of the file says how it is installed",
}


def begun(found: "Begun") -> None:
    """Print what was written, and what comes next."""
    for file in found.files:
        terminal.in_one_piece(f"wrote {file}")
    terminal.in_one_piece(f"try it: pytest {found.files[-1]}   # in {found.folder}")
    terminal.in_one_piece(f"then: {_NEXT[found.kind].format(name=found.name)}")
