"""Somebody logs in to both pages of the running stack by an identity provider."""

import httpx

from tests.identity_provider import IdentityProvider
from tests.stack.conftest import Stack


def test_one_login_each_opens_both_pages_as_a_researcher(
    stack: Stack, identity_provider: IdentityProvider
) -> None:
    identity_provider.knows("alice", groups=["quants"])
    pages = stack.json("credentials")
    with httpx.Client(base_url=pages["airflow"]["address"], timeout=60) as browser:
        assert browser.get("/api/v2/dags").status_code == 401
        asked = browser.get("/auth/login/oidc").headers["location"]
        assert browser.get(identity_provider.agree(asked, "alice")).status_code == 302
        assert browser.get("/api/v2/dags").is_success
        made = browser.post("/api/v2/variables", json={"key": "x", "value": "y"})
        assert made.status_code == 403
        browser.get("/auth/logout")
        assert browser.get("/api/v2/dags").status_code == 401
    with httpx.Client(base_url=pages["mlflow"]["address"], timeout=60) as browser:
        asked = browser.get("/login/oidc").headers["location"]
        assert browser.get(identity_provider.agree(asked, "alice")).status_code == 302
        user = browser.get("/api/2.0/mlflow/users/current").json()["user"]
        assert (user["username"], user["is_admin"]) == ("alice", False)
    [check] = [each for each in stack.json("doctor") if each["name"] == "identity provider"]
    assert check["problem"] == ""
    for address in (pages["airflow"]["address"], pages["mlflow"]["address"]):
        assert f"{address}/" in check["note"]
