"""Airflow's login page with a real identity provider: who comes in, as what, and who does not."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.identity_provider import IdentityProvider, running_provider
from tests.support import free_ports, wait_until

PASSWORD = "a password of a test"
SECRET = "told to nobody"
START = 120.0  # seconds, on however busy a machine


@pytest.fixture(scope="module")
def idp() -> Iterator[IdentityProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def database(home: Path) -> Path:
    return home / "airflow.db"


@pytest.fixture(scope="module")
def page(idp: IdentityProvider, home: Path, database: Path) -> Iterator[str]:
    (home / "client-secret").write_text(f"{SECRET}\n")
    (home / "client-secret").chmod(0o600)
    port = free_ports(1)[0]
    address = f"http://localhost:{port}"
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
        ),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__FAB__CONFIG_FILE": str(webserver_config_file()),
        "TRADEWIND_HOME": str(home),
        "TRADEWIND_OIDC_ISSUER": idp.url,
        "TRADEWIND_OIDC_CLIENT_ID": "desk",
        "TRADEWIND_OIDC_CLIENT_SECRET_FILE": "client-secret",
        "TRADEWIND_OIDC_ROLES": "quants=researcher,traders=trader,ops=admin",
    }
    command = [sys.executable, "-m", "tests.orchestration.login_page", str(port), PASSWORD]
    log = home / "log"
    with log.open("w") as output:
        served = subprocess.Popen(
            command, env=environment, cwd=Path(__file__).parents[2],
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            wait_until(lambda: _answers(address, served), START, of=log.read_text)
            yield address
        finally:
            served.terminate()
            served.wait(30)
    assert SECRET not in log.read_text()


def webserver_config_file() -> Path:
    return Path(__file__).parents[2] / "src/tradewind/orchestration/runtime/webserver_config.py"


def _answers(address: str, served: "subprocess.Popen[bytes]") -> bool:
    assert served.poll() is None
    try:
        return httpx.get(f"{address}/auth/login/", trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def browser(page: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page, trust_env=False) as client:
        yield client


def log_in(browser: httpx.Client, idp: IdentityProvider, subject: str) -> httpx.Response:
    asked = browser.get("/auth/login/oidc?next=/dags").headers["location"]
    return browser.get(idp.agree(asked, subject))


def token(browser: httpx.Client, password: str = PASSWORD) -> httpx.Response:
    return browser.post("/auth/token", json={"username": "admin", "password": password})


def roles(database: Path, name: str) -> list[str]:
    """The roles of an account, by Airflow's own tables; none if there is no such account."""
    with closing(sqlite3.connect(database)) as opened:
        found = opened.execute(
            "SELECT ab_role.name FROM ab_user JOIN ab_user_role ON user_id = ab_user.id "
            "JOIN ab_role ON ab_role.id = role_id WHERE username = ?", (name,)
        )  # fmt: skip
        return [row[0] for row in found]


def test_somebody_comes_in_with_the_role_of_now(
    browser: httpx.Client, idp: IdentityProvider, database: Path
) -> None:
    idp.knows("carol", groups=["quants", "traders"])
    answer = log_in(browser, idp, "carol")
    assert (answer.status_code, answer.headers["location"]) == (302, f"{browser.base_url}/dags")
    cookies = answer.headers.get_list("set-cookie")
    assert len(cookies) == 2
    for cookie in cookies:
        assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert any(cookie.startswith("_token=") for cookie in cookies)
    assert roles(database, "carol") == ["Trader"]
    for groups, role in ((["quants"], "Researcher"), (["ops", "quants"], "Admin")):
        idp.knows("carol", groups=groups)
        with httpx.Client(base_url=browser.base_url, trust_env=False) as again:
            assert log_in(again, idp, "carol").status_code == 302
        assert roles(database, "carol") == [role]


def test_a_logout_is_one_at_the_provider_too(browser: httpx.Client, idp: IdentityProvider) -> None:
    idp.knows("heidi", groups=["quants"])
    log_in(browser, idp, "heidi")
    assert "_token" in browser.cookies
    there = httpx.URL(browser.get("/auth/logout").headers["location"])
    assert str(there).startswith(f"{idp.url}/oauth2/end_session?")
    assert there.params["client_id"] == "desk"
    assert there.params["post_logout_redirect_uri"] == f"{browser.base_url}/auth/login/"
    assert "_token" not in browser.cookies
    assert "session" not in browser.cookies
    # Who has come in by a password, or not at all, has no login there to end.
    assert browser.get("/auth/logout").headers["location"].endswith("/auth/login/")


@pytest.mark.usefixtures("page")
def test_an_administrator_still_makes_accounts(database: Path) -> None:
    with closing(sqlite3.connect(database)) as opened:
        rights = opened.execute(
            "SELECT ab_permission.name FROM ab_role "
            "JOIN ab_permission_view_role ON role_id = ab_role.id "
            "JOIN ab_permission_view ON ab_permission_view.id = permission_view_id "
            "JOIN ab_permission ON ab_permission.id = permission_id "
            "JOIN ab_view_menu ON ab_view_menu.id = view_menu_id "
            "WHERE ab_role.name = 'Admin' AND ab_view_menu.name = 'Users'"
        )
        assert {"can_create", "can_edit", "can_delete"} <= {row[0] for row in rights}


def test_who_is_in_no_group_gets_a_page_that_says_so(
    browser: httpx.Client, idp: IdentityProvider, database: Path
) -> None:
    idp.knows("mallory", groups=["cleaners"])
    answer = log_in(browser, idp, "mallory")
    assert answer.status_code == 403
    assert "says cleaners" in answer.text
    assert "_token" not in browser.cookies
    assert roles(database, "mallory") == []


def test_nobody_becomes_the_administrator_by_the_name(
    browser: httpx.Client, idp: IdentityProvider, database: Path
) -> None:
    idp.knows("eve", preferred_username="admin", groups=["quants"])
    answer = log_in(browser, idp, "eve")
    assert (answer.status_code, "not yours" in answer.text) == (403, True)
    assert roles(database, "admin") == ["Admin"]


def test_a_name_that_is_given_to_another_does_not_give_the_account(
    browser: httpx.Client, idp: IdentityProvider, database: Path
) -> None:
    idp.knows("dave", groups=["quants"])
    assert log_in(browser, idp, "dave").status_code == 302
    idp.knows("dave-2", preferred_username="dave", groups=["ops"])
    with httpx.Client(base_url=browser.base_url, trust_env=False) as other:
        assert log_in(other, idp, "dave-2").status_code == 403
    assert roles(database, "dave") == ["Researcher"]


def test_passwords_come_in_as_before(browser: httpx.Client, idp: IdentityProvider) -> None:
    assert token(browser).status_code == 201
    assert token(browser, "another").status_code == 401
    idp.knows("frank", groups=["quants"])
    assert log_in(browser, idp, "frank").status_code == 302
    for password in ("", "frank", "oidc:"):
        login = {"username": "frank", "password": password}
        assert not browser.post("/auth/token", json=login).is_success
    with httpx.Client(base_url=browser.base_url, trust_env=False) as other:
        form = other.get("/auth/login/").text
        csrf = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
        assert csrf
        sent = {"username": "admin", "password": PASSWORD, "csrf_token": csrf[1]}
        unasked = other.post("/auth/login/", data=sent | {"csrf_token": "x"})
        assert unasked.status_code == 400
        answer = other.post("/auth/login/?next=https://example.com/", data=sent)
        assert answer.status_code == 302
        assert answer.headers["location"].startswith(("/", str(browser.base_url)))
        assert "_token" in other.cookies


def test_the_provider_lets_in_and_no_password_that_one_sets_oneself(
    browser: httpx.Client, idp: IdentityProvider
) -> None:
    idp.knows("grace", groups=["quants"])
    assert log_in(browser, idp, "grace").status_code == 302
    path = "/auth/resetmypassword/form"
    csrf = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', browser.get(path).text)
    assert csrf
    new = {"password": PASSWORD, "conf_password": PASSWORD, "csrf_token": csrf[1]}
    assert browser.post(path, data=new).status_code in {200, 302}
    login = {"username": "grace", "password": PASSWORD}
    assert browser.post("/auth/token", json=login).status_code == 401


def test_under_another_name_a_login_begins_at_the_page_itself(browser: httpx.Client) -> None:
    answer = browser.get("/auth/login/oidc", headers={"Host": "127.0.0.1:1"})
    assert answer.headers["location"].startswith(f"{browser.base_url}/auth/login/oidc")
