"""The kill switch: while it is on, no order leaves. It is read before every single order."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from tradewind.errors import TradingError, TradingHaltedError
from tradewind.trading.book.database import database_errors
from tradewind.trading.book.outbox import record
from tradewind.trading.book.schema import accounts, halts

__all__ = [
    "Halt",
    "halt",
    "halt_reason",
    "halts_now",
    "is_halted_by_name",
    "refuse_if_halted",
    "resume",
]

_LONGEST: Final = 1000


@dataclass(frozen=True)
class Halt:
    """A halt that holds.

    Attributes
    ----------
    reason : str
    by : str
        Who said so; empty where that is not known.
    at : datetime
        With a time zone.
    """

    reason: str
    by: str
    at: datetime


def halt(engine: sa.Engine, account: str | None, reason: str, by: str) -> None:
    """Let no further order leave, of one account or of any.

    Orders that a broker already has are not taken back.

    Parameters
    ----------
    engine : Engine
    account : str or None
        None for all accounts, also those that are opened later.
    reason : str
        Shown wherever the halt is.
    by : str
        Who halts: a person, or the part of the system that does.

    Raises
    ------
    TradingError
        If there is no such account, the reason is empty or too long, or the database refuses.
    """
    if not reason.strip():
        raise TradingError("say why trading is halted: whoever resumes it must know")
    _switch(engine, account, reason, by, halted=True)


def resume(engine: sa.Engine, account: str | None, reason: str, by: str) -> None:
    """Take a halt off: the one of an account, or, with None, the one of all accounts.

    Each is taken off by itself: an account that was halted stays so when all are resumed.
    Orders that could not leave do so when they are submitted again before their session.

    Raises
    ------
    TradingError
        If there is no such account, the reason is empty or too long, or the database refuses.
    """
    if not reason.strip():
        raise TradingError("say why trading may go on")
    _switch(engine, account, reason, by, halted=False)


def halt_reason(connection: sa.Connection, account: str) -> str | None:
    """Return why no order of an account may leave; None if they may."""
    for one, named in ((account, f"{account} is"), (None, "all accounts are")):
        if (reason := _given(connection, one)) is not None:
            return f"{named} halted: {reason}"
    return None


def halts_now(connection: sa.Connection) -> dict[str | None, Halt]:
    """Return the halts that hold, by account; the one of all accounts under None."""
    newest = sa.select(sa.func.max(halts.c.id)).group_by(halts.c.account).correlate(None)
    held = connection.execute(sa.select(halts).where(halts.c.id.in_(newest), halts.c.halted))
    return {row.account: Halt(row.reason, row.said_by, row.created_at) for row in held}


def is_halted_by_name(connection: sa.Connection, account: str) -> bool:
    """Return whether an account stays halted when the halt of all accounts is taken off."""
    return _given(connection, account) is not None


def refuse_if_halted(connection: sa.Connection, account: str) -> None:
    """Raise if no order of an account may leave.

    Raises
    ------
    TradingHaltedError
        With the reason that was given.
    """
    reason = halt_reason(connection, account)
    if reason is not None:
        raise TradingHaltedError(
            f"{reason}. No further order leaves; take it off with `tradewind trading resume`, then "
            "submit again"
        )


def _given(connection: sa.Connection, account: str | None) -> str | None:
    """Return the reason of the halt of one account, or of all of them; None without such a halt."""
    mine = halts.c.account.is_(None) if account is None else halts.c.account == account
    query = sa.select(halts.c.halted, halts.c.reason).where(mine).order_by(halts.c.id.desc())
    newest = connection.execute(query.limit(1)).one_or_none()
    return str(newest.reason) if newest is not None and newest.halted else None


def _switch(engine: sa.Engine, account: str | None, reason: str, by: str, *, halted: bool) -> None:
    if len(reason) > _LONGEST or "\0" in reason:
        raise TradingError(
            f"a reason has at most {_LONGEST} characters, none of them the character 0"
        )
    kind = "halt" if halted else "resume"
    with database_errors(f"writing down a {kind}"), engine.begin() as connection:
        if account is not None:
            known = set(connection.execute(sa.select(accounts.c.account).distinct()).scalars())
            if account not in known:
                names = ", ".join(sorted(known)) or "none"
                raise TradingError(f"there is no account {account}; there are: {names}")
        row = {"account": account, "halted": halted, "reason": reason, "said_by": by}
        connection.execute(sa.insert(halts), row)
        record(connection, kind, account, {"reason": reason, "by": by})
