"""What lies in the past for an account: the one place that says whether an open is still to come.

Three things can show that an open has passed, and each is checked: the session up to which the
account is settled, its quotes, and the clock. A replay does not check the clock: there the last
session of the bars is the present.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tradewind.errors import TradingError
from tradewind.trading.book.accounts import last_settled, read_account
from tradewind.trading.book.schema import openings, quotes

__all__ = ["Present", "read_present", "store_openings"]


@dataclass(frozen=True)
class Present:
    """What has happened already, as far as an account knows.

    Attributes
    ----------
    account : str
    settled, quoted : date or None
        The last session that the account was settled for, and the last that it has quotes of.
    opens : mapping of date to datetime
        When the exchange opens, by session: those after each session that signals were decided on.
    now : datetime or None
        With a time zone; None on a replay.
    """

    account: str
    settled: date | None
    quoted: date | None
    opens: Mapping[date, datetime]
    now: datetime | None

    def over(self, session: date) -> str:
        """Return why an order for a session's open comes too late; empty if it does not."""
        if self.settled is not None and session <= self.settled:
            return f"the open of {session} is over: {self.account} is settled up to {self.settled}"
        if self.quoted is not None and session <= self.quoted:
            return f"the open of {session} is over: its bars are known up to {self.quoted}"
        if self.now is None:
            return ""
        if session not in self.opens:
            return f"{session} is no session of which {self.account} knows when it opens"
        if self.now >= self.opens[session]:
            return (
                f"the open of {session} is over: it was at {self.opens[session]:%Y-%m-%d %H:%M %Z},"
                f" and it is {self.now:%Y-%m-%d %H:%M %Z}"
            )
        return ""

    def next_open(self, after: date) -> date:
        """Return the first session after one whose open is still to come.

        Raises
        ------
        TradingError
            If none is known.
        """
        for session in sorted(self.opens):
            if session > after and not self.over(session):
                return session
        raise TradingError(
            f"{self.account} knows no open after {after} that is still to come: run "
            f"execute_{self.account} from its task `quote` on, which tells it of the next"
        )

    def missed(self, signal: date, trade: date) -> int:
        """Return how many opens lie between a signal's session and the one it is traded in."""
        return sum(signal < session < trade for session in self.opens)


def read_present(connection: sa.Connection, account: str, now: datetime) -> Present:
    """Return what lies in the past for an account.

    Parameters
    ----------
    connection : Connection
    account : str
    now : datetime
        With a time zone; not used on a replay.

    Raises
    ------
    TradingError
        If the account is not open, has no stored opens of the exchange, or `now` has no time zone.
    """
    if now.tzinfo is None:
        raise TradingError(f"{now} has no time zone; say datetime.now(UTC) or the like")
    replay = read_account(connection, account).execution == "replay"
    known = sa.select(openings.c.session, openings.c.opens_at).where(openings.c.account == account)
    opens = {row.session: row.opens_at for row in connection.execute(known)}
    if not replay and not opens:  # such as an account that older code opened
        raise TradingError(
            f"{account} was never told when the exchange opens, so nobody can say whether an order "
            f"of it comes in time: run execute_{account} from its task `quote` on"
        )
    last = sa.select(sa.func.max(quotes.c.session)).where(quotes.c.account == account)
    return Present(
        account,
        last_settled(connection, account),
        connection.execute(last).scalar(),
        opens,
        None if replay else now,
    )


def store_openings(connection: sa.Connection, account: str, opens: Mapping[date, datetime]) -> None:
    """Store when the exchange opens; opens that are stored already stay as they are."""
    rows = [
        {"account": account, "session": session, "opens_at": at} for session, at in opens.items()
    ]
    if rows:
        connection.execute(insert(openings).on_conflict_do_nothing(), rows)
