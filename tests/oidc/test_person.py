"""Who somebody is by the claims of a token."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from tradewind.errors import LoginError
from tradewind.oidc.person import person_of
from tradewind.oidc.provider import Provider

PROVIDER = Provider(
    issuer="https://login.example.com", client_id="desk", client_secret="x",
    groups={"quants": "researcher", "desk": "trader", "ops": "admin"},
)  # fmt: skip
CLAIMS = {"sub": "1", "preferred_username": "alice", "groups": ["all", "desk", "quants"]}


def test_of_several_roles_the_one_that_may_most_counts() -> None:
    assert person_of(CLAIMS, PROVIDER).role == "trader"


def test_the_mark_is_one_subjects_at_one_issuer() -> None:
    mark = person_of(CLAIMS, PROVIDER).mark
    assert person_of(CLAIMS | {"preferred_username": "alicia"}, PROVIDER).mark == mark
    assert person_of(CLAIMS | {"sub": "2"}, PROVIDER).mark != mark
    assert person_of(CLAIMS, replace(PROVIDER, issuer="https://other.example.com")).mark != mark


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("https://example.com/roles", {"https://example.com/roles": ["ops"]}),
        ("realm_access.roles", {"realm_access": {"roles": ["ops"]}}),
        ("role", {"role": "ops"}),
    ],
)
def test_groups_are_found_where_providers_put_them(claim: str, claims: dict[str, Any]) -> None:
    found = person_of(CLAIMS | claims, replace(PROVIDER, role_claim=claim))
    assert found.role == "admin"


@pytest.mark.parametrize("groups", [None, [], ["Ops"], "ops,quants", {"ops": 1}, [{"x": "ops"}], 1])
def test_what_is_no_group_with_a_role_is_refused(groups: object) -> None:
    with pytest.raises(LoginError, match="in no group"):
        person_of(CLAIMS | {"groups": groups}, PROVIDER)
    as_viewer = person_of(CLAIMS | {"groups": groups}, replace(PROVIDER, others="viewer"))
    assert as_viewer.role == "viewer"


@pytest.mark.parametrize("name", [None, "", 7, "a\nb", "x" * 201, ["alice"]])
def test_who_has_no_usable_name_is_refused(name: object) -> None:
    with pytest.raises(LoginError, match="TRADEWIND_OIDC_NAME_CLAIM"):
        person_of(CLAIMS | {"preferred_username": name}, PROVIDER)


def test_an_address_that_the_provider_has_not_verified_is_nobodys_name() -> None:
    by_email = replace(PROVIDER, name_claim="email")
    claims = CLAIMS | {"email": "alice@example.com", "email_verified": True}
    assert person_of(claims, by_email).name == "alice@example.com"
    with pytest.raises(LoginError, match="not verified"):
        person_of(claims | {"email_verified": False}, by_email)


def test_commands_and_settings_load_no_client_of_a_provider() -> None:
    look = "import sys, tradewind.stack.lifecycle, tradewind.stack.services, tradewind.cli; "
    done = subprocess.run(
        [sys.executable, "-c", look + "print('authlib' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False"
