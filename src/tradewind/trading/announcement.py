"""What a training may lead to, in words, said before it does.

Read with every DAG file, so it imports nothing but the standard library.
"""

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from tradewind.research.strategy.strategy import Strategy

__all__ = ["consequences", "where_orders_go"]


def consequences(strategy: "Strategy", broker: str | None = None) -> str:
    """Return what a version of a strategy will do that passes its gate.

    Parameters
    ----------
    strategy : Strategy
    broker : str, optional
        What ``TRADEWIND_BROKER`` says, where that is known.
    """
    if strategy.leaks:
        return "No version is ever promoted, and nothing is traded (allow_leakage: true)."
    promotion = strategy.gate.promotion
    who = "by itself" if promotion == "automatic" else "when a person approves it on Airflow's page"
    return (
        f"A version that passes its gate becomes the champion {who} (gate: promotion: {promotion})."
        f" {where_orders_go(strategy, broker)}"
    )


def where_orders_go(strategy: "Strategy", broker: str | None = None) -> str:
    """Return where the champion's signals lead to; see `consequences`."""
    name, execution = strategy.name, strategy.execution
    said = f"(execution: {execution})"
    if execution == "off":
        return f"Its signals are made, and no order leaves {said}."
    if execution == "replay":
        return (
            f"Its signals become orders on paper, account {name}, at once and after new bars, as "
            f"if the last session of the bars were today {said}."
        )
    if execution == "paper":
        return (
            f"Its signals become orders on paper, account {name}, at once and after new bars, for "
            f"opens that are still to come {said}."
        )
    if broker == "paper":
        return f"TRADEWIND_BROKER names no real broker, so every order is refused {said}."
    return (
        f"Its signals become REAL ORDERS at {_described(broker, name)}, at once and after new bars "
        f"{said}."
    )


def _described(broker: str | None, name: str) -> str:
    """Return which broker and account, without anything secret that its address may hold."""
    if broker is None:
        return f"the broker that TRADEWIND_BROKER names, account {name}"
    parts = urlsplit(broker)
    account = parse_qs(parts.query).get(f"account.{name}", [name])[0]
    host = parts.netloc.rpartition("@")[2]
    where = f" at {host}" if host else ""
    return f"the broker {parts.scheme or broker}{where}, account {account}"
