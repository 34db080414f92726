"""How old bars are: sessions of the exchange that have closed since the last one they hold."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from tradewind.errors import MarketDataError
from tradewind.market.calendar import closes_between, next_session, opens_between
from tradewind.market.sessions import SessionCalendar

__all__ = ["coming_opens", "said_of_age", "sessions_behind"]


def sessions_behind(calendar: str | SessionCalendar, session: date, now: datetime) -> int:
    """Return how many sessions have closed after one.

    Parameters
    ----------
    calendar : str or SessionCalendar
        Name in exchange_calendars, or a source's calendar.
    session : date
        The last session of some bars, or the one that signals were decided on.
    now : datetime
        With a time zone.

    Returns
    -------
    int
        Zero where the session is the exchange's last complete one, or still to come.

    Raises
    ------
    MarketDataError
        If there is no such calendar, it does not cover that time, or `now` lacks a zone.
    """
    if now.tzinfo is None:
        raise MarketDataError(f"{now} has no time zone; say datetime.now(UTC) or the like")
    moment = now.astimezone(UTC)
    if moment.date() <= session:
        return 0
    closes = closes_between(calendar, session + timedelta(days=1), moment.date())
    return closes.filter(pl.col("event_time") <= moment).height


def said_of_age(behind: int, session: date, calendar: str | SessionCalendar) -> str:
    """Return the age of bars in words; empty where they are not old."""
    if behind == 0:
        return ""
    sessions = "1 session" if behind == 1 else f"{behind:,} sessions"
    return f"the bars end on {session}, {sessions} of {calendar} ago"


def coming_opens(
    calendar: str | SessionCalendar, after: date, now: datetime | date
) -> dict[date, datetime]:
    """Return the sessions after one, with their opens, up to the first that is still to come.

    Parameters
    ----------
    calendar : str or SessionCalendar
        Name in exchange_calendars, or a source's calendar.
    after : date
        The session that signals were decided on.
    now : datetime or date
        The present: a moment with a time zone, or a session that is over.

    Returns
    -------
    dict of date to datetime
        By session, in order; the last opens after `now`, all others do not.

    Raises
    ------
    MarketDataError
        If there is no such calendar, or it does not cover that time.
    """
    clock = now.astimezone(UTC) if isinstance(now, datetime) else None
    day = now if clock is None else clock.date()
    last = next_session(calendar, max(after, day))
    found = _opens(calendar, after + timedelta(days=1), last)
    if clock is not None:
        # Some sessions open on the evening before, by the clock of UTC.
        while found[last] <= clock:
            last = next_session(calendar, last)
            found |= _opens(calendar, last, last)
        first = min(session for session, opens_at in found.items() if opens_at > clock)
        found = {session: at for session, at in found.items() if session <= first}
    return found


def _opens(calendar: str | SessionCalendar, first: date, last: date) -> dict[date, datetime]:
    return dict(opens_between(calendar, first, last).select("session", "opens_at").iter_rows())
