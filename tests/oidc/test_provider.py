"""What is known of an identity provider before anybody logs in."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.identity_provider import IdentityProvider, running_provider
from tradewind.errors import SecretsError, SettingsError
from tradewind.oidc.provider import after_logout, provider_of, redirects, same_host
from tradewind.roles import read_groups
from tradewind.settings import Settings
from tradewind.stack.identity import identity_provider


@pytest.fixture(scope="module")
def idp() -> Iterator[IdentityProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def settings(idp: IdentityProvider, tmp_path: Path) -> Settings:
    secret = tmp_path / "client secret"
    secret.write_text(" told to nobody\n")
    secret.chmod(0o600)
    return Settings(
        home=tmp_path, oidc_issuer=idp.url, oidc_client_id="desk",
        oidc_client_secret_file=secret.name, oidc_roles="quants=researcher",
    )  # fmt: skip


def test_the_secret_is_read_from_its_file_and_shown_to_nobody(settings: Settings) -> None:
    provider = provider_of(settings)
    assert provider is not None
    assert provider.client_secret == "told to nobody"
    assert "told to nobody" not in f"{provider} {settings} {settings.as_environment()}"
    assert provider_of(Settings(home=settings.home)) is None


@pytest.mark.parametrize(
    ("mode", "text", "message"),
    [
        (0o640, "x", "chmod 600 '.*client secret'"),
        (0o600, " \n", "is empty"),
        (0o600, None, "No such"),
    ],
)
def test_a_secret_that_others_read_or_that_is_none_is_refused(
    settings: Settings, mode: int, text: str | None, message: str
) -> None:
    path = settings.home / "client secret"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
        path.chmod(mode)
    with pytest.raises(SecretsError, match=message):
        provider_of(settings)
    found = identity_provider(settings)
    assert found is not None
    assert not found.ok


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"oidc_client_id": None}, "needs TRADEWIND_OIDC_CLIENT_ID"),
        ({"oidc_client_secret_file": None}, "CLIENT_SECRET_FILE beside it"),
        ({"oidc_roles": ""}, "lets nobody in"),
        ({"oidc_issuer": None}, "TRADEWIND_OIDC_ISSUER is not set"),
        ({"oidc_issuer": "http://login.example.com"}, "https://login.example.com"),
        ({"oidc_issuer": "https://login.example.com/?x"}, "as its tokens have it"),
        ({"oidc_roles": "quants=reseacher"}, "Did you mean researcher"),
        ({"oidc_roles": "quants"}, "quants=researcher"),
        ({"oidc_roles": "a=admin,a=viewer"}, "two roles"),
        ({"oidc_others": "researcher"}, "refused or viewer"),
        ({"oidc_scopes": "profile"}, "openid"),
        ({"oidc_role_claim": ""}, "name of a claim"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    settings: Settings, changed: dict[str, str | None], message: str
) -> None:
    given = {name: getattr(settings, name) for name in Settings.__dataclass_fields__}
    with pytest.raises(SettingsError, match=message):
        Settings(**{**given, "market_store": "", **changed})


@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot be read: No such file"), ("x", "holds no certificate")]
)
def test_a_file_of_a_ca_that_is_none_is_told_with_its_setting(
    settings: Settings, text: str | None, message: str
) -> None:
    if text is not None:
        (settings.home / "ca.pem").write_text(text)
    given = replace(settings, oidc_ca_file="ca.pem")
    found = identity_provider(given)
    assert found is not None
    assert found.problem.startswith(f"TRADEWIND_OIDC_CA_FILE: {settings.home / 'ca.pem'} {message}")
    with pytest.raises(SettingsError, match=message):
        provider_of(given)


def test_groups_may_have_spaces_and_equals_signs() -> None:
    assert read_groups(" the desk = trader, cn=ops=admin ,") == {
        "the desk": "trader",
        "cn=ops": "admin",
    }


def test_the_doctor_asks_the_provider_and_says_where_people_come_back(
    settings: Settings, idp: IdentityProvider
) -> None:
    found = identity_provider(settings)
    assert found is not None
    assert found.ok
    pages = "http://localhost:8080", "http://localhost:5500"
    for address in (*redirects(*pages).values(), *after_logout(*pages).values()):
        assert address in found.note
    idp.metadata = {"issuer": "https://login.example.com"}
    other = identity_provider(settings)
    idp.metadata = {"jwks_uri": None}
    lacking = identity_provider(settings)
    idp.metadata = {}
    assert other is not None
    assert "letter for letter" in other.problem
    assert lacking is not None
    assert "jwks_uri" in lacking.problem
    assert identity_provider(Settings(home=settings.home)) is None


@pytest.mark.parametrize(
    ("page", "host", "same"),
    [
        ("http://localhost:8080", "localhost:8080", True),
        ("http://localhost:8080", "127.0.0.1:8080", False),
        ("https://desk.example.com", "desk.example.com:443", True),
        ("https://Desk.example.com:8443/", "desk.example.com:8443", True),
        ("https://desk.example.com", "desk.example.com:8443", False),
    ],
)
def test_a_login_begins_where_people_come_back(page: str, host: str, *, same: bool) -> None:
    assert same_host(page, host) == same
