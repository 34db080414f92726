"""What all commands share: the application, options, settings, and what is printed for programs."""

from typing import Annotated, Any

import typer

__all__ = [
    "By", "Json", "Model", "Reason", "Source", "Strategy", "Version",
    "app", "print_json", "settings_of_folder", "warn",
]  # fmt: skip

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes around the help cost more time than all else of it
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Reason = Annotated[str, typer.Option(help="Why; is kept in the model's history.")]
Source = Annotated[str, typer.Argument(help="Name of a file in sources/.")]
Strategy = Annotated[str, typer.Argument(help="Name of a file in strategies/.")]
Model = Annotated[str, typer.Argument(help="The model's: that of its strategy.")]
Version = Annotated[int, typer.Argument(help="A number, as `tradewind models show` has it.")]
By = Annotated[str | None, typer.Option(help="Who says so; your login name if not given.")]


def _version(*, wanted: bool) -> None:
    if wanted:
        from tradewind import __version__

        typer.echo(f"tradewind {__version__}")
        raise typer.Exit


@app.callback()
def tradewind(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Trading research: bars, trainings, models, signals and orders."""


def warn(said: str) -> None:
    """Print a warning beside what was asked for, and nothing if there is none."""
    if said:
        typer.secho(f"warning: {said}", fg=typer.colors.YELLOW, err=True)


def settings_of_folder() -> Any:  # noqa: ANN401 - typed where it is used; importing it costs every command
    """Return the settings of the folder that the command is run in, or of its workspace."""
    from tradewind.settings import load_settings

    return load_settings()


def print_json(value: object) -> None:
    """Print JSON for programs."""
    from tradewind.strict_json import dumps

    typer.echo(dumps(value, indent=2))
