"""The trading book."""

import getpass
from datetime import datetime
from typing import Annotated

import typer

from tradewind.cli.shared import By, Json, app, print_json, settings_of_folder, warn

trading_app = typer.Typer(no_args_is_help=True, help="Look at the trading book, and stop it.")
app.add_typer(trading_app, name="trading")

Account = Annotated[str | None, typer.Argument(help="The strategy's name; all, if not given.")]

Since = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First session shown.")]

Why = Annotated[str, typer.Option("--reason", help="Why; for those who wonder.")]


@trading_app.command("accounts")
def trading_accounts(*, as_json: Json = False) -> None:
    """List the accounts: equity, whether they are halted, and orders that were refused."""
    from tradewind import display
    from tradewind.desk import trading

    found = trading.accounts(settings_of_folder())
    print_json(found) if as_json else display.accounts(found)


@trading_app.command("orders")
def trading_orders(account: Account = None, *, since: Since = None, as_json: Json = False) -> None:
    """List orders, and what became of each."""
    from tradewind import display
    from tradewind.desk import trading

    settings = settings_of_folder()
    found = trading.orders(settings, account, since.date() if since else None)
    print_json(found) if as_json else display.orders(found)
    for said in () if as_json else trading.old_bars(settings, account):
        warn(said)


@trading_app.command("explain")
def trading_explain(
    order: Annotated[str, typer.Argument(help="Its client_order_id.")], *, as_json: Json = False
) -> None:
    """Show how an order came to its size: signal, weight, equity, close, rounding."""
    from tradewind import display
    from tradewind.desk import trading

    found = trading.explain(settings_of_folder(), order)
    print_json(found) if as_json else display.explanation(found)


@trading_app.command("fills")
def trading_fills(account: Account = None, *, since: Since = None, as_json: Json = False) -> None:
    """List trades."""
    from tradewind import display
    from tradewind.desk import trading

    found = trading.fills(settings_of_folder(), account, since.date() if since else None)
    print_json(found) if as_json else display.fills(found)


@trading_app.command("positions")
def trading_positions(account: Account = None, *, as_json: Json = False) -> None:
    """List what is held, valued at the last close."""
    from tradewind import display
    from tradewind.desk import trading

    found = trading.positions(settings_of_folder(), account)
    print_json(found) if as_json else display.positions(found)


@trading_app.command("pnl")
def trading_pnl(account: Account = None, *, as_json: Json = False) -> None:
    """List each session's profit and loss."""
    from tradewind import display
    from tradewind.desk import trading

    found = trading.pnl(settings_of_folder(), account)
    print_json(found) if as_json else display.pnl(found)


@trading_app.command("halt")
def trading_halt(account: Account = None, *, reason: Why, by: By = None) -> None:
    """Let no further order leave, of one account or of any. It holds within a second."""
    from tradewind.desk import trading

    trading.halt(settings_of_folder(), account, reason=reason, by=by or getpass.getuser())
    typer.echo(f"no order of {account or 'any account'} leaves until `tradewind trading resume`")


@trading_app.command("resume")
def trading_resume(account: Account = None, *, reason: Why, by: By = None) -> None:
    """Take a halt off: an account's, or the one of all."""
    from tradewind.desk import trading

    trading.resume(settings_of_folder(), account, reason=reason, by=by or getpass.getuser())
    typer.echo(f"orders of {account or 'accounts that are not halted themselves'} leave again")


@trading_app.command("reconcile")
def trading_reconcile(account: Account = None, *, as_json: Json = False) -> None:
    """Hold the book against the broker's records. Exit code 1 if anything differs."""
    from tradewind import display
    from tradewind.desk import trading

    found = trading.reconcile(settings_of_folder(), account)
    print_json(found) if as_json else display.reconciled(found)
    raise typer.Exit(1 if any(each.difference for each in found) else 0)
