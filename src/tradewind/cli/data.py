"""Sources of bars."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tradewind.cli.shared import Json, Source, app, print_json, settings_of_folder

data_app = typer.Typer(no_args_is_help=True, help="Look at sources of bars, and store what is new.")
app.add_typer(data_app, name="data")


@data_app.command("sources")
def data_sources(*, as_json: Json = False) -> None:
    """List the sources of bars."""
    from tradewind import display
    from tradewind.desk import data

    found = data.sources(settings_of_folder())
    print_json(found) if as_json else display.sources(found)


@data_app.command("ingest")
def data_ingest(source: Source, *, as_json: Json = False) -> None:
    """Store what is new in a source, through Airflow, once its bars have passed every rule."""
    from tradewind import display
    from tradewind.desk import data

    if as_json:
        print_json(data.ingest(settings_of_folder(), source, on_note=display.note))
        return
    with display.tasks("ingesting") as progress:
        counts = data.ingest(settings_of_folder(), source, progress, on_note=display.note)
    typer.echo(", ".join(f"{count} {what}" for what, count in counts.items()))


@data_app.command("validate")
def data_validate(
    source: Source,
    symbols: Annotated[list[str] | None, typer.Argument(help="All, if none is named.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Say what is wrong or odd about a source's bars. Exit code 1 if anything is wrong."""
    from tradewind import display
    from tradewind.desk import data

    found = data.validate(settings_of_folder(), source, symbols or ())
    print_json(found) if as_json else display.findings(found)
    raise typer.Exit(1 if any(each.severity == "error" for each in found) else 0)


@data_app.command("actions")
def data_actions(
    source: Source,
    symbols: Annotated[list[str] | None, typer.Argument(help="All, if none is named.")] = None,
    *,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First ex-date shown.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the splits, dividends and other corporate actions that a source tells."""
    from tradewind import display
    from tradewind.desk import data

    first = None if since is None else since.date()
    found = data.actions(settings_of_folder(), source, symbols or (), since=first)
    print_json(found) if as_json else display.actions(found)


@data_app.command("stored")
def data_stored(*, as_json: Json = False) -> None:
    """List what is stored of each source: symbols, sessions, bars."""
    from tradewind import display
    from tradewind.desk import data

    found = data.stored(settings_of_folder())
    print_json(found) if as_json else display.stored(found)


@data_app.command("snapshots")
def data_snapshots(*, as_json: Json = False) -> None:
    """List the snapshots of stored bars that something was trained or judged on, newest first."""
    from tradewind import display
    from tradewind.desk import data

    found = data.snapshots(settings_of_folder())
    print_json(found) if as_json else display.snapshots(found)


@data_app.command("show")
def data_show(
    source: Source,
    symbol: Annotated[str, typer.Argument(help="One of those that are stored.")],
    *,
    plot: Annotated[
        Path | None, typer.Option(help="Draw it into this file: .png, .svg or .pdf.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what is stored of a symbol: since when, how fresh, its actions, what was revised."""
    from tradewind import display
    from tradewind.desk import stored_bars

    found = stored_bars.show(settings_of_folder(), source, symbol, plot=plot)
    print_json(found) if as_json else display.shown(found)


@data_app.command("compare")
def data_compare(
    one: Source,
    other: Source,
    symbols: Annotated[list[str] | None, typer.Argument(help="Common ones, if none.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Hold what is stored of two sources against each other. Exit code 1 if they differ."""
    from tradewind import display
    from tradewind.desk import stored_bars

    found = stored_bars.compare(settings_of_folder(), one, other, symbols or ())
    print_json(found) if as_json else display.differences(one, other, found)
    raise typer.Exit(1 if any(each.first for each in found) else 0)


@data_app.command("doctor")
def data_doctor(*, as_json: Json = False) -> None:
    """Say of each source what is stored, how fresh it is and what changed. 1 if one is behind."""
    from tradewind import display
    from tradewind.desk import stored_bars

    found = stored_bars.diagnose(settings_of_folder())
    print_json(found) if as_json else display.checks(found)
    raise typer.Exit(0 if all(check.ok for check in found) else 1)
