"""The trading book."""

from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING

from rich.markup import escape

from tradewind.display import terminal
from tradewind.display.tables import Grid, Number, Words

if TYPE_CHECKING:
    from tradewind.desk.trading import Reconciled
    from tradewind.trading.book.halts import Halt
    from tradewind.trading.book.standing import Accounts
    from tradewind.trading.book.views import Day, Fill, Order, Position
    from tradewind.trading.explanation import Explanation

__all__ = [
    "accounts",
    "explanation",
    "fills",
    "orders",
    "pnl",
    "positions",
    "reconciled",
]


def orders(found: "Sequence[Order]") -> None:
    """Print orders, and what became of each."""
    table = Grid(
        "account", "for the open of", "symbol", Number("shares"), Number("filled"), "state",
        Words("why"), grouped=True,
    )  # fmt: skip
    for each in found:
        table.add(
            each.account, str(each.session), escape(each.symbol), f"{each.shares:+,}",
            f"{each.filled:+,}", each.state, escape("; ".join(each.reasons)),
        )  # fmt: skip
    terminal.table_or(table, "no orders yet")


def explanation(found: "Explanation") -> None:
    """Print how an order came to its size, a step a line."""
    one = found
    own = ", ".join(f"{each:g}" for each in one.tranches)
    mean = f" = mean of {own}" if own else ""
    if one.is_left:
        mean = f": it has no bar of {one.signal_session}, and is left; sessions wanted {own}"
    lots = f", in lots of {one.lot_size}" if one.lot_size > 1 else ""
    steps = {
        "order": f"{one.client_order_id} of {one.account}: {one.state}",
        "decided": f"after {one.signal_session} by version {one.model_version}",
        "for the open of": str(one.trade_session),
        "weight": f"{one.weight:f}{mean}",
        "equity": f"{one.equity:,.2f} at the close of {one.settled}, {one.cash:,.2f} of it cash",
        "set aside": f"{one.set_aside:,.2f} for costs of {one.cost_bps:f} bps",
        "close": f"{one.close.normalize():f}",
        "wanted": f"{one.wanted:,.4f} shares, rounded to {one.whole:,}{lots}",
        "held": f"{one.held:,}",
        "shares": f"{one.target:,} - {one.held:,} = {one.shares:+,} of {one.symbol}",
        "why": "; ".join(one.reasons),
    }
    for name, said in steps.items():
        if said:
            terminal.console.print(
                f"{name:<16} {said}", markup=False, highlight=False, soft_wrap=True
            )


def fills(found: "Sequence[Fill]") -> None:
    """Print trades."""
    table = Grid(
        "account",
        "session",
        "symbol",
        *map(Number, ("shares", "price", "commission", "slippage")),
        grouped=True,
    )
    for each in found:
        table.add(
            each.account, str(each.session), escape(each.symbol), f"{each.shares:+,}",
            f"{each.price.normalize():f}", f"{each.commission:,}", f"{each.slippage:,}",
        )  # fmt: skip
    terminal.table_or(table, "no fills yet")


def positions(found: "Sequence[Position]") -> None:
    """Print what is held at the last close."""
    table = Grid(
        "account",
        "at the close of",
        "symbol",
        *map(Number, ("shares", "price", "value", "weight")),
        grouped=True,
    )
    for each in found:
        table.add(
            each.account, str(each.session), escape(each.symbol), f"{each.shares:,}",
            f"{each.price.normalize():f}", f"{each.value:,}", f"{each.weight:+.2%}",
        )  # fmt: skip
    terminal.table_or(table, "no positions")


def accounts(found: "Accounts") -> None:
    """Print how all accounts stand, and why orders of theirs did not leave."""
    table = Grid("account", "orders go", "settled to", *map(Number, ("equity", "profit")), "halted")
    for each in found.accounts:
        table.add(
            each.account, each.execution, str(each.session or "-"),
            "-" if each.equity is None else f"{each.equity:,}",
            "-" if each.profit is None else f"{each.profit:+,}",
            escape(_halted(each.halt)),
        )  # fmt: skip
    terminal.table_or(table, "no accounts yet")
    if found.halt is not None:
        terminal.in_one_piece(f"all accounts are halted: {_halted(found.halt)}")
    for each in found.accounts:
        for order in each.refused:
            terminal.in_one_piece(
                f"{each.account}: {order.shares:+,} {order.symbol} for the open of {order.session} "
                f"{order.state}: {'; '.join(order.reasons)}"
            )


def _halted(halt: "Halt | None") -> str:
    if halt is None:
        return ""
    at = f"{halt.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{halt.reason} (by {halt.by or 'nobody knows whom'}, {at})"


def pnl(found: "Sequence[Day]") -> None:
    """Print each session's profit and loss."""
    table = Grid(
        "account",
        "session",
        *map(Number, ("cash", "positions", "equity", "profit", "costs")),
        grouped=True,
    )
    for each in found:
        colour = "red" if each.profit < 0 else "green" if each.profit > 0 else "dim"
        table.add(
            each.account, str(each.session), f"{each.cash:,}", f"{each.positions:,}",
            f"{each.equity:,}", f"[{colour}]{each.profit:+,}[/]", f"{each.costs:,}",
        )  # fmt: skip
    terminal.table_or(table, "no sessions yet")


def reconciled(found: "Sequence[Reconciled]") -> None:
    """Print how accounts compare with their broker."""
    for each in found:
        if each.difference:
            terminal.console.print(f"[red]differs[/]  {each.account}: {escape(each.difference)}")
            continue
        counts = ", ".join(f"{each.compared[what]} {what}" for what in _COMPARED)
        terminal.console.print(f"[green]agrees[/]   {each.account}: {counts}")
    if not found:
        terminal.console.print("no account has been opened yet")


_COMPARED = ("orders", "fills", "positions")
