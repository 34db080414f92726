"""Where tasks find what they store in, as the settings of their worker say."""

from tradewind.errors import SettingsError
from tradewind.settings import Settings

__all__ = ["ledger_url"]


def ledger_url(settings: Settings) -> str:
    """Return the address of the database with the ledger of trials and the signals.

    Raises
    ------
    SettingsError
        If it is not set.
    """
    if settings.database_url is None:
        raise SettingsError(
            "TRADEWIND_DATABASE_URL is not set, so there is no ledger of trials, and without it "
            "no statistic can be believed. Services of the stack have it set"
        )
    return settings.database_url
