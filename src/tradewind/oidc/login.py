"""A login by the identity provider in a Flask application, which both pages have: authlib's client.

The authorization code flow with PKCE, state and nonce. A token counts if the provider's key signed
it, with an asymmetric algorithm, for this client, at this issuer, now and for this login.
"""

import logging
import re
import time
from typing import Any, Final

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client.errors import MismatchingStateError
from authlib.integrations.flask_client import FlaskOAuth2App
from authlib.integrations.requests_client import OAuth2Session
from flask import Response, redirect
from joserfc.errors import JoseError
from requests import RequestException

from tradewind.errors import IdentityProviderError, LoginError
from tradewind.oidc.person import Person, claimed, person_of
from tradewind.oidc.provider import SKEW, Provider, check_metadata, discovery

__all__ = ["Client", "begin", "client_arguments", "end", "finish"]

log = logging.getLogger(__name__)

_TIMEOUT: Final = 10.0  # seconds for one answer of the provider
_CODE: Final = re.compile(r"[A-Za-z_]{1,40}")
_KEPT: Final = 3600.0
# Not HS256, whose key would be the client's secret, and not none.
_ASYMMETRIC: Final = ("RS", "PS", "ES", "Ed")


class _Session(OAuth2Session):  # type: ignore[misc] # authlib ships no types
    """requests' session, with which the file of a CA counts whatever the environment says.

    Its own gives way to ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE``.
    """

    def request(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        options.setdefault("verify", self.verify)
        return super().request(*arguments, **options)


class Client(FlaskOAuth2App):  # type: ignore[misc] # authlib ships no types
    """authlib's client, which takes no description of another issuer, and no weak signature.

    Attributes
    ----------
    issuer : str
        As the setting names it.
    """

    client_cls = _Session

    def __init__(self, *arguments: Any, issuer: str, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **options)
        self.issuer = issuer

    def load_server_metadata(self) -> dict[str, Any]:
        """Return what the provider says of itself, with its keys, which it is asked once an hour.

        A key that it has withdrawn must not count for as long as this process lives.
        """
        known: dict[str, Any] = self.server_metadata
        if time.time() - known.get("_loaded_at", 0.0) < _KEPT:
            return known
        for name in ("_loaded_at", "jwks"):
            known.pop(name, None)
        try:
            super().load_server_metadata()
            check_metadata(self.issuer, known)
        except (IdentityProviderError, TypeError) as error:
            known.pop("_loaded_at", None)  # so that it is asked again
            if isinstance(error, TypeError):  # authlib takes for granted that it is a mapping
                check_metadata(self.issuer, None)
            raise
        algorithms = known.get("id_token_signing_alg_values_supported") or ["RS256"]
        known["id_token_signing_alg_values_supported"] = [
            each for each in algorithms if each.startswith(_ASYMMETRIC)
        ]
        ways = known.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" not in ways:
            way = "client_secret_post"
            self.client_kwargs["token_endpoint_auth_method"] = way
        return known


def client_arguments(provider: Provider) -> dict[str, Any]:
    """Return what authlib's ``OAuth.register`` is told of the provider."""
    client_kwargs: dict[str, Any] = {
        "scope": provider.scopes,
        "code_challenge_method": "S256",
        "default_timeout": _TIMEOUT,
    }
    if provider.ca_file:
        client_kwargs["verify"] = provider.ca_file
    return {
        "client_cls": Client,
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
        "server_metadata_url": discovery(provider.issuer),
        "client_kwargs": client_kwargs,
        "issuer": provider.issuer,
    }


def begin(client: Client, redirect_uri: str) -> Response:
    """Return the redirect to the provider; the session remembers what was asked.

    Raises
    ------
    IdentityProviderError
        If the provider is out of reach or another.
    """
    try:
        redirect: Response = client.authorize_redirect(redirect_uri)
    except (RequestException, ValueError) as error:
        raise _away(client, error) from error
    return redirect


def finish(client: Client, provider: Provider) -> Person:
    """Return who comes back from the provider with the current request.

    Raises
    ------
    LoginError
        If it is not the login that was begun, the provider refused, the token does not count, or
        the person has no role.
    IdentityProviderError
        If the provider is out of reach.
    """
    try:
        token = client.authorize_access_token(
            claims_options={
                "iss": {"essential": True, "value": provider.issuer},
                "aud": {"essential": True, "value": provider.client_id},
            },
            leeway=SKEW,
        )
        claims = token.get("userinfo")
        if not claims:
            raise LoginError("The identity provider sent no ID token.")
        claims = _completed(client, provider, token, dict(claims))
    except RequestException as error:
        raise _away(client, error) from error
    except MismatchingStateError as error:
        raise LoginError(
            "This login was begun in another browser, under another address, or more than an hour "
            "ago: begin again."
        ) from error
    except (AuthlibBaseError, JoseError, ValueError, KeyError, TypeError) as error:
        log.warning("a login by the identity provider was refused: %r", error)
        # A code alone: the words beside it may come from whoever sent somebody here.
        code = str(getattr(error, "error", "") or type(error).__name__)
        said = code if _CODE.fullmatch(code) else "an error that has no name"
        raise LoginError(
            f"The identity provider's answer does not count ({said}). The log of this page's "
            "server says more."
        ) from error
    return person_of(claims, provider)


def end(client: Client, back: str) -> Response | None:
    """Return the redirect that ends the login at the provider; None where that cannot be asked for.

    No token is kept that would tell the provider who asks, so it may ask the person first.

    Parameters
    ----------
    client : Client
    back : str
        Where the provider is to send the person afterwards.
    """
    try:
        if not client.load_server_metadata().get("end_session_endpoint"):
            return None
        address = client.create_logout_url(back, client_id=client.client_id)["url"]
    except (RequestException, ValueError, IdentityProviderError) as error:
        log.warning("the login at the identity provider goes on: %s", error)
        return None
    answer: Response = redirect(address)  # type: ignore[assignment] # of Flask, not of werkzeug
    return answer


def _completed(
    client: Client, provider: Provider, token: dict[str, Any], claims: dict[str, Any]
) -> dict[str, Any]:
    """Return the claims with those that the provider keeps for its userinfo endpoint."""
    wanted = (provider.name_claim, provider.role_claim)
    complete = all(claimed(claims, name) is not None for name in wanted)
    if complete or not client.load_server_metadata().get("userinfo_endpoint"):
        return claims
    more = dict(client.userinfo(token=token))
    if more.get("sub") != claims["sub"]:  # as OpenID Connect Core 5.3.2 asks
        raise LoginError("The identity provider told of somebody else.")
    return more | claims


def _away(client: Client, error: Exception) -> IdentityProviderError:
    log.warning("the identity provider is out of reach: %s", error)
    return IdentityProviderError(
        "The identity provider cannot be reached now. An account with a password still comes in; "
        f"`tradewind doctor` says what is wrong with {client.issuer}."
    )
