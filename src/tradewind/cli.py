"""The command ``tradewind``: each command parses, calls and shows, and has no logic of its own."""

import getpass
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tradewind.errors import TradewindError
from tradewind.host.utf8 import ensure_utf8

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes around the help cost more time than all else of it
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Reason = Annotated[str, typer.Option(help="Why; is kept in the model's history.")]
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
    from tradewind.stack.layout import Layout

    path = Layout(_settings().state).kept_log(service)
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
    set_password(_settings(), page, chosen)
    typer.echo(f"set on {page}'s page and in the secrets; tradewind credentials prints it")
    if page == "mlflow":
        typer.echo("tradewind down and tradewind up --detach: trainings log in with it, too")


@app.command()
def doctor(*, as_json: Json = False) -> None:
    """Say what is wrong and how to mend it. Exit code 1 if anything is."""
    from tradewind import display
    from tradewind.desk.data import check_bars
    from tradewind.desk.registry import check_models
    from tradewind.desk.training import check_files
    from tradewind.stack.doctor import diagnose

    settings = _settings()
    checks = [
        *diagnose(settings), *check_models(settings), *check_files(settings), *check_bars(settings),
    ]  # fmt: skip
    _print_json(checks) if as_json else display.checks(checks)
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


@app.command()
def train(
    strategy: str,
    *,
    wait: Annotated[bool, typer.Option(help="Wait for the end, showing each task.")] = False,
) -> None:
    """Train a strategy through Airflow and register its model."""
    from tradewind import display
    from tradewind.desk import registry, training

    settings = _settings()
    typer.echo(training.announcement(settings, strategy), err=True)
    if wait:
        with display.tasks() as progress:
            training.train(settings, strategy, progress, on_note=display.note)
        display.versions(registry.versions(settings, strategy)[:1], page=settings.mlflow_page)
    else:
        typer.echo(training.trigger(settings, strategy))


models_app = typer.Typer(no_args_is_help=True, help="Look at registered models, and promote them.")
app.add_typer(models_app, name="models")


@models_app.command("list")
def models_list(*, as_json: Json = False) -> None:
    """List the registered models."""
    from tradewind import display
    from tradewind.desk import registry

    found = registry.models(_settings())
    _print_json(found) if as_json else display.models(found)


@models_app.command("show")
def models_show(name: str, *, as_json: Json = False) -> None:
    """Show the versions of a model, newest first: their evidence, and what the gate said."""
    from tradewind import display
    from tradewind.desk import registry

    settings = _settings()
    found = registry.versions(settings, name)
    _print_json(found) if as_json else display.versions(found, page=settings.mlflow_page)


@models_app.command("compare")
def models_compare(name: str, version_a: int, version_b: int, *, as_json: Json = False) -> None:
    """Show two versions side by side, and whether one is really better."""
    from tradewind import display
    from tradewind.desk import registry

    found = registry.compare(_settings(), name, version_a, version_b)
    _print_json(found) if as_json else display.comparison(found)


@models_app.command("promote")
def models_promote(
    name: str,
    version: int,
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
        _settings(), name, version, reason=reason, by=by or getpass.getuser(), override=override
    )
    display.promotion(name, done.promotion, told=done.told)


@models_app.command("rollback")
def models_rollback(name: str, *, reason: Reason, by: By = None) -> None:
    """Make the former champion the champion again."""
    from tradewind import display
    from tradewind.desk import registry

    done = registry.rollback(_settings(), name, reason=reason, by=by or getpass.getuser())
    display.promotion(name, done.promotion, told=done.told)


@app.command()
def reproduce(name: str, version: int, *, as_json: Json = False) -> None:
    """Train a version once more and compare. Exit code 1 unless all is identical."""
    from tradewind import display
    from tradewind.desk import registry

    found = registry.reproduce(_settings(), name, version)
    _print_json(found) if as_json else display.reproduction(found)
    raise typer.Exit(0 if found.identical else 1)


@app.command()
def predict(
    strategy: str,
    *,
    alias: Annotated[str, typer.Option(help="Which version: champion or challenger.")] = "champion",
    as_json: Json = False,
) -> None:
    """Predict the last session with a model fetched from the registry."""
    from tradewind import display
    from tradewind.desk import registry, research

    settings = _settings()
    found = registry.predict(settings, strategy, alias)
    _warn(research.age_of(settings, strategy, found.session, datetime.now(UTC)))
    _print_json(found) if as_json else display.forecast(found)


@app.command()
def tearsheet(
    strategy: str,
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

    found = tear_sheets.save(_settings(), strategy, version, output)
    opened = webbrowser.open(found.file.as_uri()) if open_it else None
    _print_json(found) if as_json else display.tear_sheet(found, opened=opened)


app.command("report", hidden=True)(tearsheet)  # the name that others look for

data_app = typer.Typer(no_args_is_help=True, help="Look at sources of bars, and store what is new.")
app.add_typer(data_app, name="data")


@data_app.command("sources")
def data_sources(*, as_json: Json = False) -> None:
    """List the sources of bars."""
    from tradewind import display
    from tradewind.desk import data

    found = data.sources(_settings())
    _print_json(found) if as_json else display.sources(found)


@data_app.command("ingest")
def data_ingest(source: str, *, as_json: Json = False) -> None:
    """Store what is new in a source, through Airflow, once its bars have passed every rule."""
    from tradewind import display
    from tradewind.desk import data

    if as_json:
        _print_json(data.ingest(_settings(), source, on_note=display.note))
        return
    with display.tasks("ingesting") as progress:
        counts = data.ingest(_settings(), source, progress, on_note=display.note)
    typer.echo(", ".join(f"{count} {what}" for what, count in counts.items()))


@data_app.command("validate")
def data_validate(
    source: str,
    symbols: Annotated[list[str] | None, typer.Argument(help="All, if none is named.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Say what is wrong or odd about a source's bars. Exit code 1 if anything is wrong."""
    from tradewind import display
    from tradewind.desk import data

    found = data.validate(_settings(), source, symbols or ())
    _print_json(found) if as_json else display.findings(found)
    raise typer.Exit(1 if any(each.severity == "error" for each in found) else 0)


@data_app.command("stored")
def data_stored(*, as_json: Json = False) -> None:
    """List what is stored of each source: symbols, sessions, bars."""
    from tradewind import display
    from tradewind.desk import data

    found = data.stored(_settings())
    _print_json(found) if as_json else display.stored(found)


@data_app.command("snapshots")
def data_snapshots(*, as_json: Json = False) -> None:
    """List the snapshots of stored bars that something was trained or judged on, newest first."""
    from tradewind import display
    from tradewind.desk import data

    found = data.snapshots(_settings())
    _print_json(found) if as_json else display.snapshots(found)


@app.command()
def backtest(strategy: str, *, as_json: Json = False) -> None:
    """Judge a strategy as its file is now; nothing is registered, but the trial is counted."""
    from tradewind import display
    from tradewind.desk import research

    if as_json:
        _print_json(research.backtest(_settings(), strategy))
        return
    with display.counting("folds") as progress:
        found = research.backtest(_settings(), strategy, progress)
    display.backtest(found)


@app.command()
def signals(
    strategy: str,
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

    settings = _settings()
    found = research.signals(settings, strategy, session.date() if session else None)
    _print_json(found) if as_json else display.signals(strategy, found)
    if found is None:
        raise typer.Exit(3)
    if session is None:
        _warn(research.age_of(settings, strategy, found.session, datetime.now(UTC)))


trading_app = typer.Typer(no_args_is_help=True, help="Look at the trading book, and stop it.")
app.add_typer(trading_app, name="trading")
Account = Annotated[str | None, typer.Argument(help="The strategy's name; all, if not given.")]
Since = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First session shown.")]
Why = Annotated[str, typer.Option("--reason", help="Why; for those who wonder.")]


@trading_app.command("orders")
def trading_orders(account: Account = None, *, since: Since = None, as_json: Json = False) -> None:
    """List orders, and what became of each."""
    from tradewind import display
    from tradewind.desk import trading

    settings = _settings()
    found = trading.orders(settings, account, since.date() if since else None)
    _print_json(found) if as_json else display.orders(found)
    for said in () if as_json else trading.old_bars(settings, account):
        _warn(said)


@trading_app.command("explain")
def trading_explain(
    order: Annotated[str, typer.Argument(help="Its client_order_id.")], *, as_json: Json = False
) -> None:
    """Show how an order came to its size: signal, weight, equity, close, rounding."""
    from tradewind import display
    from tradewind.desk import trading

    found = trading.explain(_settings(), order)
    _print_json(found) if as_json else display.explanation(found)


@trading_app.command("fills")
def trading_fills(account: Account = None, *, since: Since = None, as_json: Json = False) -> None:
    """List trades."""
    from tradewind import display
    from tradewind.desk import trading

    found = trading.fills(_settings(), account, since.date() if since else None)
    _print_json(found) if as_json else display.fills(found)


@trading_app.command("positions")
def trading_positions(account: Account = None, *, as_json: Json = False) -> None:
    """List what is held, valued at the last close."""
    from tradewind import display
    from tradewind.desk import trading

    found = trading.positions(_settings(), account)
    _print_json(found) if as_json else display.positions(found)


@trading_app.command("pnl")
def trading_pnl(account: Account = None, *, as_json: Json = False) -> None:
    """List each session's profit and loss."""
    from tradewind import display
    from tradewind.desk import trading

    found = trading.pnl(_settings(), account)
    _print_json(found) if as_json else display.pnl(found)


@trading_app.command("halt")
def trading_halt(account: Account = None, *, reason: Why) -> None:
    """Let no further order leave, of one account or of any. It holds within a second."""
    from tradewind.desk import trading

    trading.halt(_settings(), account, reason=reason)
    typer.echo(f"no order of {account or 'any account'} leaves until `tradewind trading resume`")


@trading_app.command("resume")
def trading_resume(account: Account = None, *, reason: Why) -> None:
    """Take a halt off: an account's, or the one of all."""
    from tradewind.desk import trading

    trading.resume(_settings(), account, reason=reason)
    typer.echo(f"orders of {account or 'accounts that are not halted themselves'} leave again")


@trading_app.command("reconcile")
def trading_reconcile(account: Account = None, *, as_json: Json = False) -> None:
    """Hold the book against the broker's records. Exit code 1 if anything differs."""
    from tradewind import display
    from tradewind.desk import trading

    found = trading.reconcile(_settings(), account)
    _print_json(found) if as_json else display.reconciled(found)
    raise typer.Exit(1 if any(each.difference for each in found) else 0)


@app.command()
def demo(strategy: str = "momentum") -> None:
    """Start the stack, train, register, hear the gate, retrieve, and show the result."""
    from tradewind import display
    from tradewind.desk import registry, training
    from tradewind.stack import lifecycle
    from tradewind.stack.layout import Layout
    from tradewind.stack.secrets import load_secrets

    settings = _settings()
    with display.stopwatch("start"), display.starting() as starting:
        lifecycle.detach(settings, starting)
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


def _warn(said: str) -> None:
    """Print a warning beside what was asked for, and nothing if there is none."""
    if said:
        typer.secho(f"warning: {said}", fg=typer.colors.YELLOW, err=True)


def _settings() -> Any:  # noqa: ANN401 - typed where it is used; importing it costs every command
    from tradewind.settings import load_settings

    return load_settings()


def _print_json(value: object) -> None:
    from tradewind.strict_json import dumps

    typer.echo(dumps(value, indent=2))


def main() -> None:
    """Run the command line; an error of ours is a message, never a traceback."""
    ensure_utf8()
    try:
        app()
    except TradewindError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(1)
