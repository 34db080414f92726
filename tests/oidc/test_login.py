"""A login by a real provider: whom it lets in, and which tokens do not count."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import pytest
from authlib.integrations.flask_client import OAuth
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.test import TestResponse

from tests.identity_provider import Claims, IdentityProvider, running_provider
from tests.tls import make_authority
from tradewind.errors import IdentityProviderError, LoginError
from tradewind.oidc.login import begin, client_arguments, end, finish
from tradewind.oidc.provider import SKEW, Provider

BACK = "http://localhost/back"


@pytest.fixture(scope="module")
def served() -> Iterator[IdentityProvider]:
    with running_provider() as provider:
        provider.knows("alice", groups=["quants", "all"])
        yield provider


@pytest.fixture
def idp(served: IdentityProvider) -> Iterator[IdentityProvider]:
    yield served
    served.forge = None
    served.metadata = {}
    served.description = ...


@pytest.fixture
def provider(idp: IdentityProvider) -> Provider:
    return Provider(
        issuer=idp.url, client_id="desk", client_secret="secret", groups={"quants": "researcher"}
    )


def page(provider: Provider) -> FlaskClient:
    """A browser at an application with a login and nothing else."""
    app = flask.Flask("page")
    app.secret_key = "a key of a test"
    client = OAuth(app).register("idp", **client_arguments(provider))

    @app.get("/end")
    def ended() -> Any:
        return end(client, BACK) or "here alone"

    @app.get("/begin")
    def begun() -> Any:
        try:
            return begin(client, BACK)
        except IdentityProviderError as error:
            return str(error), 503

    @app.get("/back")
    def back() -> Any:
        try:
            return vars(finish(client, provider))
        except IdentityProviderError as error:
            return str(error), 503
        except LoginError as error:
            return str(error), 403

    return app.test_client()


def log_in(idp: IdentityProvider, provider: Provider, subject: str = "alice") -> TestResponse:
    browser = page(provider)
    asked = browser.get("/begin").headers["location"]
    return browser.get(idp.agree(asked, subject))


def test_somebody_comes_in_with_the_role_of_a_group(
    idp: IdentityProvider, provider: Provider
) -> None:
    answer = log_in(idp, provider)
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    assert (answer.json["name"], answer.json["role"]) == ("alice", "researcher")


def test_the_request_has_state_nonce_and_pkce(provider: Provider) -> None:
    asked = parse_qs(urlsplit(page(provider).get("/begin").headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    assert asked["redirect_uri"] == [BACK]


def _none(claims: Claims, _: RSAKey) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
    ) + "."  # fmt: skip


def _changed(**changes: Any) -> Callable[[Claims, RSAKey], str]:
    def forge(claims: Claims, key: RSAKey) -> str:
        claims = {name: each for name, each in (claims | changes).items() if each is not None}
        return jwt.encode({"alg": "RS256"}, claims, key)

    return forge


def _with_secret(claims: Claims, _: RSAKey) -> str:
    from joserfc.jwk import OctKey

    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key("secret" * 8))


def _of_another_key(claims: Claims, _: RSAKey) -> str:
    return jwt.encode({"alg": "RS256"}, claims, RSAKey.generate_key(2048))


FORGED = {
    "alg none": _none,
    "another's key": _of_another_key,
    "the secret as key": _with_secret,
    "another audience": _changed(aud="other"),
    "another audience that names us": _changed(aud="other", azp="desk"),
    "no audience": _changed(aud=None),
    "another issuer": _changed(iss="https://login.example.com"),
    "no issuer": _changed(iss=None),
    "run out": _changed(exp=int(time.time()) - SKEW - 60),
    "no end": _changed(exp=None),
    "of a time to come": _changed(iat=int(time.time()) + SKEW + 3600),
    "another login's": _changed(nonce="other"),
    "no nonce": _changed(nonce=None),
    "no token": lambda _claims, _key: "",
    "nobody": _changed(sub=None),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_token_that_does_not_count_lets_nobody_in(
    idp: IdentityProvider, provider: Provider, forged: str
) -> None:
    idp.forge = FORGED[forged]
    # A provider that claims to use them is believed no more.
    idp.metadata = {"id_token_signing_alg_values_supported": ["RS256", "HS256", "none"]}
    answer = log_in(idp, provider)
    assert answer.status_code == 403, answer.text
    assert "does not count" in answer.text or "no ID token" in answer.text


@pytest.mark.parametrize("seconds", [SKEW - 30, 30 - SKEW])
def test_clocks_may_differ_a_little(
    idp: IdentityProvider, provider: Provider, seconds: int
) -> None:
    now = int(time.time()) + seconds
    idp.forge = _changed(iat=now, exp=now + 3600 if seconds > 0 else now)
    assert log_in(idp, provider).status_code == 200


def test_a_login_that_was_not_begun_here_is_refused(
    idp: IdentityProvider, provider: Provider
) -> None:
    asked = page(provider).get("/begin").headers["location"]
    back = idp.agree(asked, "alice")
    answer = page(provider).get(back)  # in another browser
    assert (answer.status_code, "begin again" in answer.text) == (403, True)


def test_a_code_is_good_for_one_login(idp: IdentityProvider, provider: Provider) -> None:
    browser = page(provider)
    back = idp.agree(browser.get("/begin").headers["location"], "alice")
    assert [browser.get(back).status_code for _ in range(2)] == [200, 403]


def test_who_says_no_at_the_provider_is_told_so(idp: IdentityProvider, provider: Provider) -> None:
    browser = page(provider)
    answer = browser.get(idp.deny(browser.get("/begin").headers["location"]))
    assert (answer.status_code, "access_denied" in answer.text) == (403, True)


def test_words_of_who_sent_somebody_here_are_not_shown(provider: Provider) -> None:
    answer = page(provider).get("/back?error=call+us+now&error_description=0800-EVIL")
    assert answer.status_code == 403
    assert "call us" not in answer.text
    assert "EVIL" not in answer.text


def test_somebody_in_no_group_is_refused_with_the_groups_there_are(
    idp: IdentityProvider, provider: Provider
) -> None:
    answer = log_in(idp, replace(provider, groups={"ops": "admin"}))
    assert answer.status_code == 403
    assert "says quants, all" in answer.text
    as_viewer = log_in(idp, replace(provider, groups={"ops": "admin"}, others="viewer"))
    assert as_viewer.json is not None
    assert as_viewer.json["role"] == "viewer"


def test_claims_that_the_token_lacks_come_from_userinfo(
    idp: IdentityProvider, provider: Provider
) -> None:
    idp.forge = _changed(groups=None, preferred_username=None)
    answer = log_in(idp, provider)
    assert answer.json is not None
    assert (answer.json["name"], answer.json["role"]) == ("alice", "researcher")
    idp.forge = _changed(groups=None, sub="somebody")
    assert "somebody else" in log_in(idp, provider).text


def test_a_provider_that_is_away_or_another_is_told_so(
    idp: IdentityProvider, provider: Provider
) -> None:
    gone = page(replace(provider, issuer="http://localhost:9"))
    assert gone.get("/begin").status_code == 503
    idp.metadata = {"issuer": "https://login.example.com"}
    browser = page(provider)
    answer = browser.get("/begin")
    assert (answer.status_code, "letter for letter" in answer.text) == (503, True)
    idp.metadata = {}
    assert browser.get("/begin").status_code == 302  # it is asked again


def test_a_logout_leads_to_the_provider_that_takes_one(
    provider: Provider, idp: IdentityProvider
) -> None:
    there = urlsplit(page(provider).get("/end").headers["location"])
    assert there.path == "/oauth2/end_session"
    assert parse_qs(there.query)["post_logout_redirect_uri"] == [BACK]
    idp.metadata = {"end_session_endpoint": None}
    assert page(provider).get("/end").text == "here alone"
    away = replace(provider, issuer="http://localhost:9")
    assert page(away).get("/end").text == "here alone"


@pytest.mark.parametrize("description", [None, [], [1], "x", 5])
def test_an_answer_that_describes_no_provider_stops_no_logout(
    provider: Provider, idp: IdentityProvider, description: Any
) -> None:
    idp.description = description
    assert page(provider).get("/end").text == "here alone"
    answer = page(provider).get("/begin")
    assert answer.status_code == 503


@pytest.mark.parametrize(
    "metadata",
    [
        {"end_session_endpoint": 5},
        {"token_endpoint": ["https://login.example.com"]},
        {"id_token_signing_alg_values_supported": [None]},
        {"token_endpoint_auth_methods_supported": 7},
    ],
)
def test_a_description_of_other_kinds_stops_no_logout(
    provider: Provider, idp: IdentityProvider, metadata: dict[str, Any]
) -> None:
    idp.metadata = metadata
    assert page(provider).get("/end").text == "here alone"
    answer = page(provider).get("/begin")
    assert (answer.status_code, next(iter(metadata)) in answer.text) == (503, True)


def test_a_provider_with_a_ca_of_its_own_is_believed_by_its_file(tmp_path: Path) -> None:
    authority, another = make_authority(tmp_path / "a"), make_authority(tmp_path / "b")
    with running_provider("127.0.0.1", authority) as idp:
        idp.knows("alice", groups=["quants"])
        told = Provider(
            issuer=idp.url, client_id="desk", client_secret="secret",
            groups={"quants": "researcher"}, ca_file=str(authority.ca),
        )  # fmt: skip
        browser = page(told)
        asked = browser.get("/begin").headers["location"]
        assert asked.startswith(idp.url)
        assert browser.get(idp.agree(asked, "alice")).status_code == 200
        stranger = page(replace(told, ca_file=str(another.ca))).get("/begin")
        assert (stranger.status_code, "cannot be reached" in stranger.text) == (503, True)
