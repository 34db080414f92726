"""Accounts in a broker's address: ``account.NAME=CODE`` for each of ours."""

from collections.abc import Mapping
from typing import Final

__all__ = ["ACCOUNT", "named_accounts", "other_options"]

ACCOUNT: Final = "account."


def named_accounts(asked: Mapping[str, str]) -> dict[str, str]:
    """Return the broker's account for each of ours, in the order of our names.

    No two share one, for positions there do not say to which of ours they belong.

    Raises
    ------
    ValueError
        If none is named, a name or a code is empty, or two share one.
    """
    found = {
        name.removeprefix(ACCOUNT): code
        for name, code in sorted(asked.items())
        if name.startswith(ACCOUNT)
    }
    if not found or not all(found) or not all(found.values()):
        raise ValueError("no account is named")
    if len(set(found.values())) < len(found):
        raise ValueError("two accounts share one at the broker")
    return found


def other_options(asked: Mapping[str, str]) -> dict[str, str]:
    """Return the options that name no account."""
    return {name: value for name, value in asked.items() if not name.startswith(ACCOUNT)}
