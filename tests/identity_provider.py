"""A real identity provider, on a port of its own, that can be told to misbehave.

oidc-provider-mock asks for no PKCE and keeps every rule else: here it refuses a code without the
verifier of its challenge, and gives out whatever token a test makes of the sound one.
"""

import base64
import hashlib
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx
import werkzeug.serving
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.tls import Authority

Claims = dict[str, Any]


@dataclass
class IdentityProvider:
    """The provider, and what it does to the next tokens."""

    url: str
    trusted: ssl.SSLContext | bool = True
    forge: Callable[[Claims, RSAKey], str] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    description: Any = ...
    _challenges: dict[str, str] = field(default_factory=dict)

    def knows(self, subject: str, **claims: Any) -> None:
        """Give somebody these claims, for all logins from now on."""
        named = {"preferred_username": subject, "email": f"{subject}@example.org", **claims}
        answer = httpx.put(
            f"{self.url}/users/{subject}", json=named, trust_env=False, verify=self.trusted
        )
        assert answer.is_success, answer.text

    def agree(self, asked: str, subject: str) -> str:
        """Log somebody in who was sent here; return the address to go back to."""
        answer = httpx.post(asked, data={"sub": subject}, trust_env=False, verify=self.trusted)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def deny(self, asked: str) -> str:
        """Let somebody say no; return the address to go back to."""
        answer = httpx.post(asked, data={"action": "deny"}, trust_env=False)
        return answer.headers["location"]

    def before(self) -> flask.typing.ResponseReturnValue | None:
        request = flask.request
        if request.path != "/oauth2/token":
            return None
        challenge = self._challenges.pop(request.form["code"], None)
        verifier = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
        if challenge != base64.urlsafe_b64encode(verifier).rstrip(b"=").decode():
            return {"error": "invalid_grant", "error_description": "PKCE"}, 400
        return None

    def after(self, response: flask.Response) -> flask.Response:
        request = flask.request
        if request.path == "/oauth2/authorize" and "Location" in response.headers:
            assert request.args["code_challenge_method"] == "S256"
            back = parse_qs(urlsplit(response.headers["Location"]).query)
            for code in back.get("code", []):
                self._challenges[code] = request.args["code_challenge"]
        if request.path.endswith("openid-configuration"):
            told = {**response.get_json(), **self.metadata}
            response = flask.jsonify(told if self.description is ... else self.description)
        if request.path == "/oauth2/token" and response.status_code == 200 and self.forge:
            key = RSAKey.import_key(flask.g.oidc_provider_mock_storage.jwk.as_dict(is_private=True))
            answer = response.get_json()
            claims = jwt.decode(answer["id_token"], key).claims
            answer["id_token"] = self.forge(dict(claims), key)
            response = flask.jsonify(answer)
        return response


@contextmanager
def running_provider(
    host: str = "localhost", authority: Authority | None = None
) -> Iterator[IdentityProvider]:
    """Serve a provider in a thread until the block ends; with TLS, if somebody signs for that."""
    import authlib.deprecate  # noqa: F401 - puts a filter of its own before others

    with warnings.catch_warnings(action="ignore"):  # of authlib, about what the provider uses
        import oidc_provider_mock

    app = oidc_provider_mock.app()
    tls = None if authority is None else (str(authority.certificate), str(authority.key))
    server = werkzeug.serving.make_server(host, 0, app, threaded=True, ssl_context=tls)
    provider = IdentityProvider(f"{'https' if tls else 'http'}://{host}:{server.server_port}")
    if authority is not None:
        provider.trusted = ssl.create_default_context(cafile=authority.ca)
    app.before_request(provider.before)
    app.after_request(provider.after)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
