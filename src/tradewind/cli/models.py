"""Registered models: look, promote, reproduce, predict."""

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tradewind.cli.shared import (
    By,
    Json,
    Model,
    Reason,
    Strategy,
    Version,
    app,
    print_json,
    settings_of_folder,
    warn,
)

models_app = typer.Typer(no_args_is_help=True, help="Look at registered models, and promote them.")
app.add_typer(models_app, name="models")


@models_app.command("list")
def models_list(*, as_json: Json = False) -> None:
    """List the registered models."""
    from tradewind import display
    from tradewind.desk import registry

    found = registry.models(settings_of_folder())
    print_json(found) if as_json else display.models(found)


@models_app.command("show")
def models_show(name: Model, *, as_json: Json = False) -> None:
    """Show the versions of a model, newest first: their evidence, and what the gate said."""
    from tradewind import display
    from tradewind.desk import registry

    settings = settings_of_folder()
    found = registry.versions(settings, name)
    print_json(found) if as_json else display.versions(found, page=settings.mlflow_page)


@models_app.command("compare")
def models_compare(
    name: Model, version_a: Version, version_b: Version, *, as_json: Json = False
) -> None:
    """Show two versions side by side, and whether one is really better."""
    from tradewind import display
    from tradewind.desk import registry

    found = registry.compare(settings_of_folder(), name, version_a, version_b)
    print_json(found) if as_json else display.comparison(found)


@models_app.command("promote")
def models_promote(
    name: Model,
    version: Version,
    *,
    reason: Reason,
    override: Annotated[
        str | None, typer.Option(help="Why, although the gate refused it; is kept, too.")
    ] = None,
    by: By = None,
) -> None:
    """Make a version the champion."""
    from tradewind import display
    from tradewind.desk import registry

    done = registry.promote(
        settings_of_folder(),
        name,
        version,
        reason=reason,
        by=by or getpass.getuser(),
        override=override,
    )
    display.promotion(name, done.promotion, told=done.told)


@models_app.command("rollback")
def models_rollback(name: Model, *, reason: Reason, by: By = None) -> None:
    """Make the former champion the champion again."""
    from tradewind import display
    from tradewind.desk import registry

    done = registry.rollback(settings_of_folder(), name, reason=reason, by=by or getpass.getuser())
    display.promotion(name, done.promotion, told=done.told)


@app.command()
def reproduce(name: Model, version: Version, *, as_json: Json = False) -> None:
    """Train a version once more and compare. Exit code 1 unless all is identical."""
    from tradewind import display
    from tradewind.desk import registry

    found = registry.reproduce(settings_of_folder(), name, version)
    print_json(found) if as_json else display.reproduction(found)
    raise typer.Exit(0 if found.identical else 1)


@app.command()
def predict(
    strategy: Strategy,
    *,
    alias: Annotated[str, typer.Option(help="Which version: champion or challenger.")] = "champion",
    as_json: Json = False,
) -> None:
    """Predict the last session with a model fetched from the registry."""
    from tradewind import display
    from tradewind.desk import registry, research

    settings = settings_of_folder()
    found = registry.predict(settings, strategy, alias)
    warn(research.age_of(settings, strategy, found.session, datetime.now(UTC)))
    print_json(found) if as_json else display.forecast(found)


@app.command()
def tearsheet(
    strategy: Strategy,
    version: Annotated[int | None, typer.Argument(help="The newest, if not given.")] = None,
    *,
    output: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Save a version's tear sheet, and say where it is."""
    import webbrowser

    from tradewind import display
    from tradewind.desk import tear_sheets

    found = tear_sheets.save(settings_of_folder(), strategy, version, output)
    opened = webbrowser.open(found.file.as_uri()) if open_it else None
    print_json(found) if as_json else display.tear_sheet(found, opened=opened)


app.command("report", hidden=True)(tearsheet)  # the name that others look for
