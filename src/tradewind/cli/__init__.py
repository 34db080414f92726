"""The command ``tradewind``: each command parses, calls and shows, and has no logic of its own."""

import sys

import typer

# They add their commands to the application, which lists them in this order.
# isort: off
from tradewind.cli import (  # noqa: F401
    workspace,
    stack,
    backup,
    research,
    new,
    models,
    data,
    trading,
    housekeeping,
)

# isort: on
from tradewind.cli.shared import app
from tradewind.errors import TradewindError
from tradewind.host.utf8 import ensure_utf8

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; an error of ours is a message, never a traceback."""
    ensure_utf8()
    try:
        app()
    except TradewindError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(1)
