"""What is old, and what takes disk space."""

from dataclasses import asdict
from typing import Annotated

import typer

from tradewind.cli.shared import Json, app, print_json, settings_of_folder


@app.command()
def housekeeping(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove now what is old; Airflow does so each night."""
    from tradewind import display
    from tradewind.desk.housekeeping import housekeep

    settings = settings_of_folder()
    if as_json:
        done = housekeep(settings, dry_run=dry_run, on_note=display.note)
        print_json({part: asdict(each) for part, each in done.items()})
        return
    with display.tasks("tidying up") as progress:
        done = housekeep(settings, progress, dry_run=dry_run, on_note=display.note)
    display.removed(done, dry_run=dry_run)


@app.command()
def disk(*, as_json: Json = False) -> None:
    """Show what takes disk space and how fast it grows, as measured each night."""
    from tradewind.desk.disk import disk_usage

    found = disk_usage(settings_of_folder())
    if as_json:
        print_json(asdict(found))
    else:
        from tradewind import display

        display.disk(found)
