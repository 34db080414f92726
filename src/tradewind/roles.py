"""The roles of people on both pages, and which groups of an identity provider have them."""

from collections.abc import Mapping
from typing import Final

from tradewind.suggestions import did_you_mean

__all__ = ["OTHERS", "REFUSED", "ROLES", "highest", "read_groups"]

ROLES: Final = ("viewer", "researcher", "trader", "admin")
"""Each may what those before it may, and more."""

REFUSED: Final = "refused"
OTHERS: Final = (REFUSED, "viewer")
"""What becomes of somebody in no group that has a role."""


def read_groups(text: str) -> Mapping[str, str]:
    """Return the role of each group that ``quants=researcher,ops=admin`` names.

    A group may have spaces and ``=`` in it, for the last ``=`` counts, and no comma.

    Raises
    ------
    ValueError
        Which begins with what the text must be.
    """
    found: dict[str, str] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        group, equals, role = (part.strip() for part in pair.rpartition("="))
        if not equals or not group:
            raise ValueError(
                "must be groups with their roles, such as quants=researcher,ops=admin, not "
                f"{pair[:100]!r}"
            )
        if role not in ROLES:
            help_on = did_you_mean(role, ROLES, otherwise="There are")
            raise ValueError(f"gives the group {group!r} a role {role!r}, which is none. {help_on}")
        if found.setdefault(group, role) != role:
            raise ValueError(f"gives the group {group!r} two roles: {found[group]} and {role}")
    return found


def highest(roles: "list[str]") -> str | None:
    """Return the role of several that may most; none of none."""
    return max(roles, key=ROLES.index, default=None)
