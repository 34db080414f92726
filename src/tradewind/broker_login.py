"""The login of a real broker: a secret that a user brings, for trading workers alone.

It stands in ``TRADEWIND_BROKER_LOGIN`` in the environment, or as ``broker_login`` in the secrets
file, and not in `.env`: tasks can read that file, and what authors of strategies write runs in
them. It is not in `tradewind.settings.Settings`, which is shown, logged and handed to every
service.
"""

import os
from typing import Final

from tradewind.errors import SecretsError, SettingsError

__all__ = ["LOGIN", "find_login"]

LOGIN: Final = "TRADEWIND_BROKER_LOGIN"


def find_login() -> str | None:
    """Return the login, from the environment or the secrets file; None if nobody has given one."""
    return os.environ.get(LOGIN) or _kept()


def _kept() -> str | None:
    """Return the login in the secrets file; None where it may not be read, or is not there."""
    from tradewind.settings import load_settings
    from tradewind.stack.layout import Layout
    from tradewind.stack.secrets import load_secrets

    try:
        return load_secrets(Layout(load_settings().state)).broker_login or None
    except (SecretsError, SettingsError):
        return None
