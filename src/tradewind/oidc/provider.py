"""The identity provider, as the settings and the file with the client's secret name it."""

import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tradewind.errors import IdentityProviderError, SecretsError, SettingsError
from tradewind.host.certificates import ca_problem
from tradewind.roles import read_groups
from tradewind.settings import Settings

__all__ = [
    "AFTER_LOGOUT",
    "CALLBACKS",
    "SESSION_SECONDS",
    "SKEW",
    "Provider",
    "after_logout",
    "check_metadata",
    "discovery",
    "provider_of",
    "redirects",
    "same_host",
]

SESSION_SECONDS: Final = 12 * 3600
"""A working day: then somebody logs in again, and roles are read again."""

SKEW: Final = 120
"""Seconds by which the provider's clock and ours may differ."""

CALLBACKS: Final = {"airflow": "/auth/oauth-authorized/oidc", "mlflow": "/login/authorized"}
"""Where the provider sends people back to, below the address of each page."""

AFTER_LOGOUT: Final = {"airflow": "/auth/login/", "mlflow": "/login"}
"""Where it sends them after they have logged out there, too, below the address of each page."""

_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_MORE_ENDPOINTS: Final = ("userinfo_endpoint", "end_session_endpoint")
_LISTS: Final = ("id_token_signing_alg_values_supported", "token_endpoint_auth_methods_supported")


@dataclass(frozen=True, kw_only=True)
class Provider:
    """What both pages know of the identity provider.

    Attributes
    ----------
    issuer, client_id, client_secret : str
    groups : mapping of str to str
        The role of each group that has one.
    role_claim, name_claim, others, scopes : str
        As the settings have them.
    ca_file : str or None
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    groups: Mapping[str, str]
    role_claim: str = "groups"
    name_claim: str = "preferred_username"
    others: str = "refused"
    scopes: str = "openid profile email"
    ca_file: str | None = None


def provider_of(settings: Settings) -> Provider | None:
    """Return the provider that the settings name; none if people log in with passwords alone.

    Raises
    ------
    SecretsError
        If the file with the client's secret is missing, empty, or can be read by others.
    SettingsError
        If the file of the provider's CA holds none.
    """
    if not (settings.oidc_issuer and settings.oidc_client_id and settings.oidc_client_secret_file):
        return None  # all or none, by the rules of settings
    ca_file = _ca_file(settings)
    return Provider(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=_client_secret(settings.home / settings.oidc_client_secret_file),
        groups=read_groups(settings.oidc_roles),
        role_claim=settings.oidc_role_claim,
        name_claim=settings.oidc_name_claim,
        others=settings.oidc_others,
        scopes=settings.oidc_scopes,
        ca_file=ca_file,
    )


def _ca_file(settings: Settings) -> str | None:
    if not settings.oidc_ca_file:
        return None
    path = settings.home / settings.oidc_ca_file
    if problem := ca_problem(path):
        raise SettingsError(
            f"TRADEWIND_OIDC_CA_FILE: {path} {problem}. Put the certificate of the CA that signed "
            "the identity provider's there, or name the file that has it"
        )
    return str(path)


def discovery(issuer: str) -> str:
    """Return the address at which a provider describes itself."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def redirects(airflow_page: str, mlflow_page: str) -> dict[str, str]:
    """Return the addresses that the client must be registered with, by page."""
    return _below(CALLBACKS, airflow_page, mlflow_page)


def after_logout(airflow_page: str, mlflow_page: str) -> dict[str, str]:
    """Return the addresses that it must be registered with for after a logout, by page."""
    return _below(AFTER_LOGOUT, airflow_page, mlflow_page)


def _below(paths: Mapping[str, str], airflow_page: str, mlflow_page: str) -> dict[str, str]:
    pages = {"airflow": airflow_page, "mlflow": mlflow_page}
    return {page: address.rstrip("/") + paths[page] for page, address in pages.items()}


def same_host(page: str, host: str) -> bool:
    """Tell whether a request was for a page's address, by its header ``Host``.

    The provider sends people back to that one address, so that a login must begin there: under
    another its cookie would be missing.
    """
    site = urlsplit(page)
    asked = urlsplit(f"{site.scheme}://{host}")
    usual = {"http": 80, "https": 443}.get(site.scheme)
    return (site.hostname, site.port or usual) == (asked.hostname, asked.port or usual)


def check_metadata(issuer: str, metadata: object) -> None:
    """Check what a provider says of itself.

    Raises
    ------
    IdentityProviderError
        If it is another issuer's, or lacks an address that a login needs.
    """
    if not isinstance(metadata, Mapping):
        raise IdentityProviderError(f"{discovery(issuer)} is no description of a provider")
    if metadata.get("issuer") != issuer:
        raise IdentityProviderError(
            f"{discovery(issuer)} is of the issuer {metadata.get('issuer')!r}: "
            "TRADEWIND_OIDC_ISSUER must be the same, letter for letter"
        )
    if lacking := [name for name in _ENDPOINTS if not metadata.get(name)]:
        raise IdentityProviderError(f"{discovery(issuer)} does not say {', '.join(lacking)}")
    for name in (*_ENDPOINTS, *_MORE_ENDPOINTS):
        if not isinstance(metadata.get(name) or "", str):
            raise IdentityProviderError(f"{discovery(issuer)}: {name} is no text")
    for name in _LISTS:
        named = metadata.get(name) or []
        if not (isinstance(named, list) and all(isinstance(each, str) for each in named)):
            raise IdentityProviderError(f"{discovery(issuer)}: {name} is no list of texts")


def _client_secret(path: Path) -> str:
    name = f"TRADEWIND_OIDC_CLIENT_SECRET_FILE: {path}"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsError(f"{name} cannot be read: {error}") from error
    if mode & 0o077:
        raise SecretsError(
            f"{name} can be read by others (mode {mode:04o}): chmod 600 {shlex.quote(str(path))}"
        )
    if not secret:
        raise SecretsError(f"{name} is empty: write the client's secret into it")
    return secret
