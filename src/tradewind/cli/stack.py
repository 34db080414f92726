"""The stack: start, stop, look, mend."""

import os
from typing import Annotated

import typer

from tradewind.cli.shared import Json, app, print_json, settings_of_folder


@app.command()
def up(
    *,
    detach: Annotated[bool, typer.Option(help="Return when all is healthy.")] = False,
    install: Annotated[
        bool, typer.Option(help="First install what requirements.txt asks for, if it changed.")
    ] = True,
) -> None:
    """Start the stack and stay with it until Ctrl-C, or, with --detach, leave it running."""
    from tradewind import display
    from tradewind.stack import lifecycle

    settings = settings_of_folder()
    with display.starting() as progress:
        if detach:
            lifecycle.detach(settings, progress, install=install, on_line=display.said)
        else:
            lifecycle.run(settings, progress, install=install, on_line=display.said)
    if detach:
        display.status(lifecycle.status(settings))


@app.command()
def down() -> None:
    """Stop the stack; its data stays."""
    from tradewind.stack import lifecycle

    typer.echo("stopped" if lifecycle.down(settings_of_folder()) else "nothing was running")


@app.command()
def status(*, as_json: Json = False) -> None:
    """Show each service, and the disk. Exit code 1 unless all services are healthy."""
    from tradewind.desk.disk import disk_usage
    from tradewind.stack import lifecycle

    settings = settings_of_folder()
    found, space = lifecycle.status(settings), disk_usage(settings)
    if as_json:
        print_json(found | {"disk": space})
    else:
        from tradewind import display

        display.status(found)
        display.disk_in_short(space)
    raise typer.Exit(0 if found["healthy"] else 1)


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help="As `tradewind status` names it.")],
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as it grows.")] = False,
) -> None:
    """Print the log of a service."""
    from tradewind.stack.layout import Layout

    path = Layout(settings_of_folder().state).kept_log(service)
    os.execvp("tail", ["tail", "-n", "100", *(["-F"] if follow else []), str(path)])  # noqa: S606 - a list, no shell


@app.command()
def credentials(*, as_json: Json = False) -> None:
    """Print the addresses and logins of the web pages."""
    from tradewind import display
    from tradewind.stack import lifecycle
    from tradewind.stack.layout import Layout
    from tradewind.stack.secrets import load_secrets

    settings = settings_of_folder()
    found = lifecycle.credentials(settings, load_secrets(Layout(settings.state)))
    print_json(found) if as_json else display.credentials(found)


@app.command()
def password(
    page: Annotated[str, typer.Argument(help="airflow or mlflow.")],
    *,
    ask: Annotated[bool, typer.Option("--ask", help="Ask for it; else one is made.")] = False,
) -> None:
    """Set the password of admin on a page: where it was changed there, or is lost."""
    from tradewind.stack.passwords import PAGES, set_password

    if page not in PAGES:
        raise typer.BadParameter(f"{page!r} is no page; there are {' and '.join(PAGES)}")
    chosen = typer.prompt("Password", hide_input=True, confirmation_prompt=True) if ask else None
    set_password(settings_of_folder(), page, chosen)
    typer.echo(f"set on {page}'s page and in the secrets; tradewind credentials prints it")
    if page == "mlflow":
        typer.echo("tradewind down and tradewind up --detach: trainings log in with it, too")


@app.command()
def adopt(
    *,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do what is to do; else only look.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at the team's own PostgreSQL, Redis and bucket, and move in.

    They are those of TRADEWIND_POSTGRES_URL, TRADEWIND_REDIS_URL and TRADEWIND_OBJECTS_URL. Logins
    are given in the environment of this one command: ADOPT_POSTGRES_LOGIN, ADOPT_REDIS_LOGIN,
    ADOPT_OBJECTS_LOGIN and ADOPT_SENTINEL_LOGIN, each as user:password.
    Exit code 1 unless all is ready.
    """
    from tradewind import display
    from tradewind.stack import adoption

    logins = {name: os.environ.get(name, "") for name in adoption.LOGINS}
    found = adoption.adopt(settings_of_folder(), logins, apply=apply)
    print_json(found) if as_json else display.adoption(found)
    raise typer.Exit(0 if found.ready else 1)


@app.command()
def doctor(*, as_json: Json = False) -> None:
    """Say what is wrong and how to mend it. Exit code 1 if anything is."""
    from tradewind import display
    from tradewind.desk.data import check_bars
    from tradewind.desk.disk import check_disk
    from tradewind.desk.registry import check_models
    from tradewind.desk.trading import check_broker
    from tradewind.desk.training import check_files
    from tradewind.stack.doctor import diagnose

    settings = settings_of_folder()
    checks = [
        *diagnose(settings), *check_disk(settings), *check_models(settings),
        *check_files(settings), *check_bars(settings), *check_broker(settings),
    ]  # fmt: skip
    print_json(checks) if as_json else display.checks(checks)
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)
