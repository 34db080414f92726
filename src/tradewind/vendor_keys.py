"""Keys of vendors of bars: secrets that a user brings, and no settings.

The key of a kind of source stands in ``TRADEWIND_<KIND>_KEY``, in the environment or in `.env`;
that of a kind that ships may also stand in the secrets file, as ``<kind>_key``. Only workers are
given them. None is in `tradewind.settings.Settings`, which is shown, logged and handed to every
service.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tradewind.env_file import read_env
from tradewind.errors import SecretsError, SettingsError

__all__ = ["KINDS", "find_key", "given_keys", "is_key", "key_variable"]

KINDS: Final = "tradewind.sources"
"""The group of entry points that kinds of sources are found in."""

_NAME: Final = re.compile(r"TRADEWIND_([A-Z][A-Z0-9_]*)_KEY")


def key_variable(kind: str) -> str:
    """Return the variable that has the key of a kind of source."""
    return f"TRADEWIND_{kind.upper()}_KEY"


def is_key(name: str) -> bool:
    """Tell whether a variable has the key of a kind of source that is installed."""
    found = _NAME.fullmatch(name)
    if found is None:
        return False
    from importlib.metadata import entry_points

    return found[1].lower() in {entry.name for entry in entry_points(group=KINDS)}


def given_keys(home: Path) -> dict[str, str]:
    """Return the keys in the environment, and those in the file `.env` of a checkout, by variable.

    Raises
    ------
    SettingsError
        If that file cannot be read.
    """
    written = {name: each.value for name, each in read_env(home / ".env").items()}
    found: dict[str, str | None] = {**written, **os.environ}
    return {name: value for name, value in found.items() if value and is_key(name)}


def find_key(kind: str, home: Path) -> str | None:
    """Return the key of a kind of source, or None if nobody has given one.

    Parameters
    ----------
    kind : str
    home : Path
        The checkout.

    Raises
    ------
    SettingsError
        If the file `.env` cannot be read.
    """
    name = key_variable(kind)
    return os.environ.get(name) or given_keys(home).get(name) or _kept(home).get(name)


def _kept(home: Path) -> Mapping[str, str]:
    """Return the keys in the secrets file; none where it may not be read, as in a task."""
    from tradewind.settings import load_settings
    from tradewind.stack.layout import Layout
    from tradewind.stack.secrets import load_secrets, vendor_keys

    try:
        return vendor_keys(load_secrets(Layout(load_settings(home=home).state)))
    except (SecretsError, SettingsError):
        return {}
