"""Lists of the front door: the columns that each shows of its members.

`tradewind.display` shows them on a terminal, with rich, which a notebook may lack. Nothing is
loaded here: a column reads what a member has.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from tradewind.desk.shown import Column, Right, Rows

if TYPE_CHECKING:
    from tradewind.desk.model_version import ModelVersion
    from tradewind.market.sources.source import SourceSpec
    from tradewind.registry.version_info import ModelSummary
    from tradewind.research.strategy.strategy import Strategy
    from tradewind.trading.book.views import Day, Fill, Order, Position

__all__ = [
    "fills",
    "models",
    "orders",
    "pnl",
    "positions",
    "sources",
    "strategies",
    "versions",
]

_AMOUNTS: Final = "Amounts are in the currency of the prices."


def sources(members: "Iterable[SourceSpec]") -> "Rows[SourceSpec]":
    """Show sources of bars."""
    head = tuple(map(Column, ("source", "kind", "calendar", "schedule", "description")))
    return Rows(
        members,
        head,
        lambda each: (
            each.name, each.kind, each.calendar, each.schedule or "by hand", each.description,
        ),
        "There is no source: put a file into sources/",
    )  # fmt: skip


def strategies(members: "Iterable[Strategy]") -> "Rows[Strategy]":
    """Show strategies."""
    return Rows(
        members,
        (Column("strategy"), Column("source"), Right("symbols"), Column("model"),
         Column("execution"), Column("description")),
        lambda each: (
            each.name, each.universe.source, f"{len(each.universe.symbols):,}", each.model.title,
            each.execution, each.description,
        ),
        "There is no strategy: put a file into strategies/",
    )  # fmt: skip


def models(members: "Iterable[ModelSummary]") -> "Rows[ModelSummary]":
    """Show registered models."""
    return Rows(
        members,
        (Column("model"), Right("latest version"), Right("champion"), Column("latest, in words")),
        lambda each: (
            each.name,
            str(each.latest.version) if each.latest else "",
            str(each.aliases.get("champion", "")),
            each.latest.verdict if each.latest else "",
        ),
        "No model is registered yet: desk.train(NAME) trains one",
    )


def versions(members: "Iterable[ModelVersion]", name: str) -> "Rows[ModelVersion]":
    """Show versions of a model."""
    judged = {None: "not judged", True: "passed", False: "refused"}
    return Rows(
        members,
        (Right("version"), Column("aliases"), Column("gate"), Column("registered, UTC"),
         Column("in words")),
        lambda each: (
            str(each.version), ", ".join(each.aliases), judged[each.passed],
            f"{each.info.created:%Y-%m-%d %H:%M}", each.info.verdict,
        ),
        f"{name} has no version yet: desk.train({name!r}) trains one",
    )  # fmt: skip


def positions(members: "Iterable[Position]") -> "Rows[Position]":
    """Show what is held."""
    return Rows(
        members,
        (Column("account"), Column("at the close of"), Column("symbol"), Right("shares"),
         Right("price"), Right("value"), Right("weight, of equity")),
        lambda each: (
            each.account, str(each.session), each.symbol, f"{each.shares:,}",
            f"{each.price.normalize():f}", f"{each.value:,}", f"{each.weight:+.2%}",
        ),
        "Nothing is held.",
        _AMOUNTS,
    )  # fmt: skip


def orders(members: "Iterable[Order]") -> "Rows[Order]":
    """Show orders, and what became of each."""
    return Rows(
        members,
        (Column("account"), Column("for the open of"), Column("symbol"), Right("shares"),
         Right("filled"), Column("state"), Column("why")),
        lambda each: (
            each.account, str(each.session), each.symbol, f"{each.shares:+,}",
            f"{each.filled:+,}", each.state, "; ".join(each.reasons),
        ),
        "There is no order.",
    )  # fmt: skip


def fills(members: "Iterable[Fill]") -> "Rows[Fill]":
    """Show trades."""
    return Rows(
        members,
        (Column("account"), Column("session"), Column("symbol"), Right("shares"),
         Right("price"), Right("commission"), Right("slippage")),
        lambda each: (
            each.account, str(each.session), each.symbol, f"{each.shares:+,}",
            f"{each.price.normalize():f}", f"{each.commission:,}", f"{each.slippage:,}",
        ),
        "There is no fill.",
        _AMOUNTS,
    )  # fmt: skip


def pnl(members: "Iterable[Day]") -> "Rows[Day]":
    """Show each session's profit."""
    return Rows(
        members,
        (Column("account"), Column("session"),
         *map(Right, ("cash", "positions", "equity", "profit", "costs"))),
        lambda each: (
            each.account, str(each.session), f"{each.cash:,}", f"{each.positions:,}",
            f"{each.equity:,}", f"{each.profit:+,}", f"{each.costs:,}",
        ),
        "No session was settled yet.",
        _AMOUNTS,
    )  # fmt: skip
