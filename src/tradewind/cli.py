"""The command ``tradewind``: each command parses, calls and shows, and has no logic of its own."""

import json
import os
import sys
from typing import Annotated, Any

import typer

from tradewind.errors import TradewindError

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def up(
    *, detach: Annotated[bool, typer.Option(help="Return when all is healthy.")] = False
) -> None:
    """Start the stack and stay with it until Ctrl-C, or, with --detach, leave it running."""
    from tradewind import display
    from tradewind.stack import lifecycle

    settings = _settings()
    with display.starting() as progress:
        if detach:
            lifecycle.detach(settings, progress)
        else:
            lifecycle.run(settings, progress)
    if detach:
        display.status(lifecycle.status(settings))


@app.command()
def down() -> None:
    """Stop the stack; its data stays."""
    from tradewind.stack import lifecycle

    typer.echo("stopped" if lifecycle.down(_settings()) else "nothing was running")


@app.command()
def status(*, as_json: Json = False) -> None:
    """Show each service: state, pid, memory, address. Exit code 1 unless all are healthy."""
    from tradewind.stack import lifecycle

    found = lifecycle.status(_settings())
    if as_json:
        _print_json(found)
    else:
        from tradewind import display

        display.status(found)
    raise typer.Exit(0 if found["healthy"] else 1)


@app.command()
def logs(
    service: str,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as it grows.")] = False,
) -> None:
    """Print the log of a service."""
    from tradewind.errors import StackError
    from tradewind.stack.layout import Layout

    layout = Layout(_settings().state)
    path = layout.service_log(service)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in layout.logs_dir.glob("*.log")))
        raise StackError(
            f"no log of {service!r} in {layout.logs_dir}. There are: {known or 'none'}"
        )
    os.execvp("tail", ["tail", "-n", "100", *(["-F"] if follow else []), str(path)])  # noqa: S606 - a list, no shell


@app.command()
def credentials(*, as_json: Json = False) -> None:
    """Print the addresses and logins of the web pages."""
    from tradewind import display
    from tradewind.stack import lifecycle
    from tradewind.stack.layout import Layout
    from tradewind.stack.secrets import load_secrets

    settings = _settings()
    found = lifecycle.credentials(settings, load_secrets(Layout(settings.state)))
    _print_json(found) if as_json else display.credentials(found)


def _settings() -> Any:  # noqa: ANN401 - typed where it is used; importing it costs every command
    from tradewind.settings import load_settings

    return load_settings()


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))


def main() -> None:
    """Run the command line; an error of ours is a message, never a traceback."""
    try:
        app()
    except TradewindError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(1)
