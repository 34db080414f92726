"""Whether people can log in by the identity provider that the settings name."""

import os
import time
from email.utils import parsedate_to_datetime

from tradewind.errors import TradewindError
from tradewind.host.proxies import spare_this_machine
from tradewind.oidc.provider import (
    SKEW,
    after_logout,
    check_metadata,
    discovery,
    provider_of,
    redirects,
)
from tradewind.settings import Settings
from tradewind.stack.checks import Check

__all__ = ["identity_provider"]

NAME = "identity provider"
_TIMEOUT = 10.0  # seconds
_STILL = "meanwhile accounts with a password log in (tradewind credentials)"


def identity_provider(settings: Settings) -> Check | None:
    """Ask the provider for its description, as a login does; none if there is no provider.

    The note of a sound one says which addresses its client must be registered with.
    """
    try:
        provider = provider_of(settings)
    except TradewindError as error:
        return Check(NAME, str(error), "see the message")
    if provider is None:
        return None
    import ssl

    import httpx

    spare_this_machine(os.environ)
    address = discovery(provider.issuer)
    try:
        trusted = ssl.create_default_context(cafile=provider.ca_file)
        answer = httpx.get(address, timeout=_TIMEOUT, verify=trusted, follow_redirects=True)
        answer.raise_for_status()
        described = answer.json()
        check_metadata(provider.issuer, described)
    except (httpx.HTTPError, OSError, ValueError) as error:
        return Check(NAME, f"{address}: {error or type(error).__name__}", f"mend it; {_STILL}")
    except TradewindError as error:
        return Check(NAME, str(error), f"mend the setting; {_STILL}")
    said = answer.headers.get("date")
    ahead = parsedate_to_datetime(said).timestamp() - time.time() if said else 0.0
    if abs(ahead) > SKEW:
        return Check(
            NAME,
            f"its clock and this machine's differ by {abs(ahead):.0f} s, so that its tokens do not "
            "count yet, or no longer",
            f"set the clock that is wrong (NTP); {_STILL}",
        )
    pages = settings.airflow_page, settings.mlflow_page
    note = f"its client {provider.client_id} is to be sent back to "
    note += " and ".join(redirects(*pages).values())
    if described.get("end_session_endpoint"):
        note += f", and after a logout to {' and '.join(after_logout(*pages).values())}"
    return Check(NAME, note=note)
