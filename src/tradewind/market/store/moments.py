"""When something became known, as the store keeps it: in UTC."""

from datetime import UTC, datetime

from tradewind.errors import StoreError

__all__ = ["utc"]


def utc(moment: datetime, name: str) -> datetime:
    """Return a time in UTC.

    Parameters
    ----------
    moment : datetime
        With a time zone.
    name : str
        What it is called where it was given, for the message.

    Raises
    ------
    StoreError
        If it has no time zone.
    """
    if moment.tzinfo is None:
        raise StoreError(f"{name} {moment.isoformat()} has no time zone; add one, such as UTC")
    return moment.astimezone(UTC)
