"""Files to begin with: strategies, sources, models and brokers of the desk's own."""

from enum import StrEnum
from typing import Annotated

import typer

from tradewind.cli.shared import Json, app, print_json, settings_of_folder


class What(StrEnum):
    """What is written."""

    STRATEGY = "strategy"
    SOURCE = "source"
    MODEL = "model"
    BROKER = "broker"


@app.command()
def new(
    what: Annotated[What, typer.Argument(help="What is written.")],
    name: Annotated[str, typer.Argument(help="Lower case letters, digits and _.")],
    *,
    as_json: Json = False,
) -> None:
    """Write a file to begin with, which works, and a test for it. No file is written over."""
    from tradewind.desk.new import begin
    from tradewind.display.new import begun

    found = begin(settings_of_folder(), what.value, name)
    print_json(found) if as_json else begun(found)
