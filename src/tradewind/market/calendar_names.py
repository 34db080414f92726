"""Names of exchanges' calendars, told from others without the seconds that importing them takes.

Airflow reads the files that hold such names again and again. What this list lacks is asked of
exchange_calendars itself, which may know more by now; a test holds the list to the installed one.
"""

from typing import Final

from tradewind.suggestions import did_you_mean

__all__ = ["NAMES", "why_no_calendar"]

NAMES: Final = frozenset(
    {
        "24/5", "24/7", "AIXK", "ARCX", "ASEX", "ASX", "BATS", "BMF", "BSE", "BVB", "BVMF", "CBOT",
        "CFE", "CME", "CMES", "COMEX", "FWB", "HKEX", "ICE", "ICEUS", "IEPA", "JKT", "JPX", "LSE",
        "LUXSE", "NASDAQ", "NYFE", "NYMEX", "NYSE", "OOTC", "OSE", "SIX", "SSE", "TASE", "TSX",
        "XAMS", "XASE", "XASX", "XBDA", "XBEL", "XBKK", "XBOG", "XBOM", "XBRA", "XBRU", "XBSE",
        "XBUD", "XBUE", "XCBF", "XCSE", "XCYS", "XDUB", "XDUS", "XEEE", "XETR", "XEUR", "XFRA",
        "XHAM", "XHEL", "XHKG", "XICE", "XIDX", "XIST", "XJSE", "XKAR", "XKLS", "XKRX", "XLIM",
        "XLIS", "XLIT", "XLJU", "XLON", "XLUX", "XMAD", "XMEX", "XMIL", "XMOS", "XNAS", "XNYS",
        "XNZE", "XOSL", "XPAR", "XPHS", "XPRA", "XRIS", "XSAU", "XSES", "XSGO", "XSHG", "XSTO",
        "XSTU", "XSWX", "XTAE", "XTAI", "XTAL", "XTKS", "XTSE", "XTSX", "XWAR", "XWBO", "XZAG",
        "us_futures",
    }
)  # fmt: skip
"""What exchange_calendars knows, aliases among them."""


def why_no_calendar(name: str) -> str:
    """Return what is wrong with the name of a calendar; empty for one that there is."""
    if name in NAMES or name in _installed():
        return ""
    help_on = did_you_mean(name, sorted(NAMES))
    if not help_on.startswith("Did"):
        help_on = "Use a name of exchange_calendars, such as XNYS (New York), XLON or 24/7"
    return f"there is no exchange calendar {name[:50]!r}. {help_on}"


def _installed() -> frozenset[str]:
    try:
        from exchange_calendars import get_calendar_names
    except ModuleNotFoundError:  # as where orders are sent, and nothing is computed
        return frozenset()
    return frozenset(get_calendar_names())
