"""Workspaces: the folders that strategies and sources are written in."""

from pathlib import Path
from typing import Annotated

import typer

from tradewind.cli.shared import Json, app, print_json, settings_of_folder


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(help="Where; it is made if it is not there.", show_default="here")
    ] = Path(),
    *,
    as_json: Json = False,
) -> None:
    """Make a workspace: a folder with a strategy that works, its source, a test and settings.

    A folder that has such files already is left as it is.
    """
    from tradewind import display
    from tradewind.desk.workspace import make_workspace

    made = make_workspace(folder)
    print_json(made) if as_json else display.workspace(made, Path.cwd())


@app.command()
def containers(*, as_json: Json = False) -> None:
    """Write compose.yaml, and what its images are built from, as this version has them.

    `tradewind init` does so, too; this is for after an upgrade. A file that you changed is never
    written over: nothing is written then, and the file named.
    """
    from tradewind import display
    from tradewind.desk.containers import write_containers

    home = settings_of_folder().home
    files = write_containers(home)
    print_json({"folder": home, "files": files}) if as_json else display.containers(home, files)
