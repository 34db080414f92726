"""Strategies: train, judge, see what they want to hold."""

import getpass
from datetime import UTC, datetime
from typing import Annotated

import typer

from tradewind.cli.shared import Json, Strategy, app, print_json, settings_of_folder, warn


@app.command()
def train(
    strategy: Strategy,
    *,
    wait: Annotated[bool, typer.Option(help="Wait for the end, showing each task.")] = False,
) -> None:
    """Train a strategy through Airflow and register its model."""
    from tradewind import display
    from tradewind.desk import registry, training

    settings = settings_of_folder()
    typer.echo(training.announcement(settings, strategy), err=True)
    if wait:
        with display.tasks() as progress:
            training.train(settings, strategy, progress, on_note=display.note)
        display.versions(registry.versions(settings, strategy)[:1], page=settings.mlflow_page)
    else:
        typer.echo(training.trigger(settings, strategy))


@app.command()
def backtest(strategy: Strategy, *, as_json: Json = False) -> None:
    """Judge a strategy as its file is now; nothing is registered, but the trial is counted."""
    from tradewind import display
    from tradewind.desk import research

    if as_json:
        print_json(research.backtest(settings_of_folder(), strategy))
        return
    with display.counting("folds") as progress:
        found = research.backtest(settings_of_folder(), strategy, progress)
    display.backtest(found)


@app.command()
def signals(
    strategy: Strategy,
    *,
    session: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Those decided after that session."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what the champion wants to hold at the next open. Exit code 3 if there are none yet."""
    from tradewind import display
    from tradewind.desk import research

    settings = settings_of_folder()
    found = research.signals(settings, strategy, session.date() if session else None)
    print_json(found) if as_json else display.signals(strategy, found)
    if found is None:
        raise typer.Exit(3)
    if session is None:
        warn(research.age_of(settings, strategy, found.session, datetime.now(UTC)))


@app.command()
def demo(
    strategy: Annotated[str, typer.Option(help="Name of a file in strategies/.")] = "momentum",
) -> None:
    """Start the stack, train, register, hear the gate, retrieve, and show the result."""
    from tradewind import display
    from tradewind.desk import registry, training
    from tradewind.stack import lifecycle
    from tradewind.stack.layout import Layout
    from tradewind.stack.secrets import load_secrets

    settings = settings_of_folder()
    with display.stopwatch("start"), display.starting() as starting:
        lifecycle.detach(settings, starting, on_line=display.said)
    typer.echo(training.announcement(settings, strategy))
    with display.stopwatch("training"), display.tasks() as progress:
        training.train(settings, strategy, progress, on_note=display.note)
    [newest, *_] = found = registry.versions(settings, strategy)
    display.versions([newest], page=settings.mlflow_page)
    if not any("champion" in version.aliases for version in found):
        display.passed_over()
        done = registry.promote(
            settings, strategy, newest.version, reason="demo", by=getpass.getuser(),
            override="demo: so that what follows a champion can be seen",
        )  # fmt: skip
        display.promotion(strategy, done.promotion, told=done.told)
    display.forecast(registry.predict(settings, strategy))
    display.credentials(
        lifecycle.credentials(settings, load_secrets(Layout(settings.state))),
    )
