"""Who somebody is, and what role that person has, by the claims of the identity provider."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tradewind.errors import LoginError
from tradewind.oidc.provider import Provider
from tradewind.roles import REFUSED, highest

__all__ = ["MARK", "Person", "claimed", "person_of"]

MARK: Final = "oidc:"
"""Begins what stands in the place of a password where the identity provider lets somebody in.

It is the hash of no password, so no password lets that person in.
"""

_LONGEST: Final = 200


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody whom the provider has let in.

    Attributes
    ----------
    name : str
        What the account is called, and what others see.
    mark : str
        The same for the same person at each login, whatever the name, and no other's.
    role : str
        One of `tradewind.roles.ROLES`.
    first_name, last_name, email : str
        For others to see; empty where the provider does not say.
    """

    name: str
    mark: str
    role: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""


def person_of(claims: Mapping[str, Any], provider: Provider) -> Person:
    """Return whom the claims of a token are about; the token has been verified.

    Raises
    ------
    LoginError
        If the claims have no usable name, or no group of theirs has a role.
    """
    name = claimed(claims, provider.name_claim)
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _LONGEST:
        raise LoginError(
            f"The identity provider does not say your {provider.name_claim!r}, by which people are "
            "named here. An administrator names another claim in TRADEWIND_OIDC_NAME_CLAIM, or a "
            "scope that it needs in TRADEWIND_OIDC_SCOPES."
        )
    if provider.name_claim == "email" and claims.get("email_verified") is False:
        raise LoginError(f"The identity provider has not verified that {name} is yours.")
    return Person(
        name=name,
        mark=_mark(provider.issuer, str(claims["sub"])),
        role=_role(name, claims, provider),
        first_name=_text(claims, "given_name"),
        last_name=_text(claims, "family_name"),
        email=_text(claims, "email"),
    )


def claimed(claims: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - JSON
    """Return a claim by its name, which may have dots in it, or lead into another by them."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _role(name: str, claims: Mapping[str, Any], provider: Provider) -> str:
    said = claimed(claims, provider.role_claim)
    groups = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    groups = [each for each in groups if isinstance(each, str)]
    role = highest([provider.groups[each] for each in groups if each in provider.groups])
    if role is None and provider.others != REFUSED:
        role = provider.others
    if role is None:
        told = f"says {', '.join(groups)[:_LONGEST]}" if groups else "says none"
        raise LoginError(
            f"{name} is known to the identity provider, and is in no group that may come in here: "
            f"the claim {provider.role_claim!r} {told}. An administrator gives groups their roles "
            "in TRADEWIND_OIDC_ROLES."
        )
    return role


def _mark(issuer: str, subject: str) -> str:
    # Of both, since a subject is unique to its issuer. NUL is in neither.
    return MARK + hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value[:_LONGEST] if isinstance(value, str) and value.isprintable() else ""
