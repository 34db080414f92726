"""MLflow's page with a real identity provider: who comes in, as what; programs as before."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import flask
import httpx
import pytest
from flask.sessions import SecureCookieSessionInterface

from tests.identity_provider import IdentityProvider, running_provider
from tests.support import free_ports, wait_until

START = 120.0  # seconds, on however busy a machine
ADMIN = ("admin", "a password of a test")
WORKER = ("tradewind", "a password of workers")
READER = ("reader", "a password of readers")
KEY = "a key of a test"
SECRET = "told to nobody"
CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
COOKIE = "tradewind_mlflow"
API = "/api/2.0/mlflow"
ROLES = "lookers=viewer,quants=researcher,desk=trader,ops=admin"
LOGINS = f"""[mlflow]
default_permission = READ
database_uri = sqlite:///users.db
admin_username = {ADMIN[0]}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""


@pytest.fixture(scope="module")
def idp() -> Iterator[IdentityProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def page(idp: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("mlflow")
    (home / "client-secret").write_text(SECRET)
    (home / "client-secret").chmod(0o600)
    (home / "logins.ini").write_text(LOGINS)
    port = str(free_ports(1)[0])
    address = f"http://localhost:{port}"
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": "sqlite:///runs.db",
        "MLFLOW_ARTIFACTS_DESTINATION": (home / "artifacts").as_uri(),
        "MLFLOW_HOST": "127.0.0.1",
        "MLFLOW_PORT": port,
        "MLFLOW_WORKERS": "1",
        "MLFLOW_AUTH_CONFIG_PATH": str(home / "logins.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_WORKER_PASSWORD": WORKER[1],
        "MLFLOW_READER_PASSWORD": READER[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": KEY,
        "MLFLOW_SERVER_ALLOWED_HOSTS": "localhost:*,127.0.0.1:*",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": address,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "TRADEWIND_HOME": str(home),
        "TRADEWIND_MLFLOW_PORT": port,
        "TRADEWIND_OIDC_ISSUER": idp.url,
        "TRADEWIND_OIDC_CLIENT_ID": "desk",
        "TRADEWIND_OIDC_CLIENT_SECRET_FILE": "client-secret",
        "TRADEWIND_OIDC_ROLES": ROLES,
    }
    log = home / "log"
    with log.open("w") as output:
        served = subprocess.Popen(
            [sys.executable, "-m", "tradewind.registry.server.serve"],
            env=environment, cwd=home, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            wait_until(lambda: _answers(address, served), START, of=log.read_text)
            yield address
        finally:
            served.terminate()
            served.wait(30)
    assert SECRET not in log.read_text()


def _answers(address: str, served: "subprocess.Popen[bytes]") -> bool:
    assert served.poll() is None
    try:
        return httpx.get(f"{address}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def browser(page: str) -> Iterator[httpx.Client]:
    with new_browser(page) as client:
        yield client


def new_browser(page: str) -> httpx.Client:
    return httpx.Client(base_url=page, trust_env=False, headers={"Accept": CHROMIUM})


def log_in(
    browser: httpx.Client, idp: IdentityProvider, subject: str, asked: str = "/"
) -> httpx.Response:
    begun = browser.get("/login/oidc", params={"next": asked})
    return browser.get(idp.agree(begun.headers["location"], subject))


@contextmanager
def as_one_of(
    idp: IdentityProvider, page: str, subject: str, *groups: str
) -> Iterator[httpx.Client]:
    idp.knows(subject, groups=list(groups))
    with new_browser(page) as browser:
        answer = log_in(browser, idp, subject)
        assert answer.status_code == 302, answer.text
        yield browser


def make(client: httpx.Client, name: str, **options: Any) -> httpx.Response:
    return client.post(f"{API}/experiments/create", json={"name": name}, **options)


def test_programs_keep_their_passwords(browser: httpx.Client) -> None:
    program = {"Accept": "*/*"}
    asked = f"{API}/experiments/get?experiment_id=0"
    refused = browser.get(asked, headers=program)
    assert (refused.status_code, refused.headers["www-authenticate"][:5]) == (401, "Basic")
    for login in (ADMIN, WORKER, READER):
        assert browser.get(asked, headers=program, auth=login).is_success
    assert browser.get(asked, headers=program, auth=(WORKER[0], "wrong")).status_code == 401
    assert make(browser, "of a worker", auth=WORKER).is_success
    # What a page asks for must not make the browser open a window of its own.
    of_page = browser.get(asked, headers=program | {"Sec-Fetch-Mode": "cors"})
    assert of_page.status_code == 401
    assert "www-authenticate" not in of_page.headers


def test_a_browser_comes_in_by_the_provider(browser: httpx.Client, idp: IdentityProvider) -> None:
    idp.knows("alice", groups=["quants"])
    assert browser.get("/").headers["location"] == "/login"
    assert browser.get("/x?y=1").headers["location"] == "/login?next=%2Fx%3Fy%3D1"
    answer = log_in(browser, idp, "alice", "/#/experiments/1")
    assert (answer.status_code, answer.headers["location"]) == (302, "/#/experiments/1")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Log out" in browser.get("/").text
    assert browser.get(f"{API}/users/current").json()["user"]["username"] == "alice"
    there = httpx.URL(browser.get("/logout").headers["location"])
    assert str(there).startswith(f"{idp.url}/oauth2/end_session?")
    assert there.params["client_id"] == "desk"
    assert there.params["post_logout_redirect_uri"] == f"{browser.base_url}/login"
    assert browser.get("/").headers["location"] == "/login"
    assert browser.get("/logout").headers["location"] == "/login"


def test_roles_are_those_of_now(page: str, idp: IdentityProvider) -> None:
    with as_one_of(idp, page, "bob", "lookers") as viewer:
        assert viewer.get(f"{API}/experiments/get?experiment_id=0").is_success
        assert make(viewer, "of a viewer").status_code == 403
        assert viewer.get(f"{API}/users/list").status_code == 403
    with as_one_of(idp, page, "bob", "quants") as researcher:
        mine = make(researcher, "of bob").json()["experiment_id"]
        changed = {"experiment_id": mine, "new_name": "of bob, too"}
        assert researcher.post(f"{API}/experiments/update", json=changed).is_success
        others = {"experiment_id": "0", "new_name": "mine"}
        assert researcher.post(f"{API}/experiments/update", json=others).status_code == 403
    with as_one_of(idp, page, "bob", "ops") as admin:
        assert admin.get(f"{API}/users/list").is_success
    with as_one_of(idp, page, "bob", "desk", "lookers") as trader:
        assert trader.get(f"{API}/experiments/get?experiment_id=0").is_success
        assert trader.post(f"{API}/experiments/delete", json=others).status_code == 403
        assert make(trader, "of a trader").is_success


def test_who_is_in_no_group_gets_a_page_that_says_so(
    browser: httpx.Client, idp: IdentityProvider
) -> None:
    idp.knows("mallory", groups=["cleaners"])
    answer = log_in(browser, idp, "mallory")
    assert (answer.status_code, "says cleaners" in answer.text) == (403, True)
    assert browser.get("/").headers["location"] == "/login"


@pytest.mark.parametrize("name", ["admin", "tradewind", "reader"])
def test_nobody_becomes_another_account_by_its_name(
    browser: httpx.Client, idp: IdentityProvider, name: str
) -> None:
    idp.knows("eve", preferred_username=name, groups=["ops"])
    answer = log_in(browser, idp, "eve")
    assert (answer.status_code, "not yours" in answer.text) == (403, True)
    users = browser.get(f"{API}/users/list", auth=ADMIN).json()["users"]
    assert {each["username"] for each in users if each["is_admin"]} >= {"admin"}
    assert not any(
        each["is_admin"] for each in users if each["username"] in {"reader", "tradewind"}
    )


def test_a_password_opens_the_page_too(browser: httpx.Client) -> None:
    form = {"username": ADMIN[0], "password": ADMIN[1], "next": "https://example.com/"}
    wrong = browser.post("/login", data=form | {"password": "wrong"})
    assert (wrong.status_code, "Wrong username" in wrong.text) == (401, True)
    elsewhere = browser.post("/login", data=form, headers={"Origin": "https://example.com"})
    assert (elsewhere.status_code, "set-cookie" in elsewhere.headers) == (403, False)
    answer = browser.post("/login", data=form)
    assert (answer.status_code, answer.headers["location"]) == (302, "/")
    assert browser.get(f"{API}/users/list").is_success


def test_a_session_is_no_longer_than_its_account_and_its_day(
    page: str, idp: IdentityProvider
) -> None:
    with as_one_of(idp, page, "carol", "quants") as browser:
        sealed = SecureCookieSessionInterface()
        app = flask.Flask("forger")
        app.secret_key = KEY
        serializer = sealed.get_signing_serializer(app)
        assert serializer is not None
        session = serializer.loads(browser.cookies[COOKIE])
        assert session.keys() == {"user", "until", "key", "by_provider"}
        asked = f"{API}/users/current"
        for changed in ({"until": int(time.time()) - 1}, {"user": "admin"}, {"key": "x"}):
            forged = {"Cookie": f"{COOKIE}={serializer.dumps(session | changed)}"}
            answer = httpx.get(page + asked, headers=forged, trust_env=False)
            assert answer.status_code == 401, changed
        assert browser.get(asked).is_success
        gone = {"username": "carol"}
        assert browser.request("DELETE", f"{API}/users/delete", json=gone, auth=ADMIN).is_success
        assert browser.get(asked).status_code == 302


def test_the_provider_lets_in_and_no_password(page: str, idp: IdentityProvider) -> None:
    with as_one_of(idp, page, "dave", "quants") as browser:
        new = {"username": "dave", "password": ADMIN[1], "current_password": "oidc:"}
        assert not browser.patch(f"{API}/users/update-password", json=new).is_success
        for password in ("", "oidc:", ADMIN[1]):
            asked = f"{page}{API}/experiments/get?experiment_id=0"
            assert httpx.get(asked, auth=("dave", password), trust_env=False).status_code == 401
        assert browser.get("/ajax-api/3.0/mlflow/assistant/config").status_code == 403


def test_under_another_name_a_login_begins_at_the_page_itself(browser: httpx.Client) -> None:
    answer = browser.get("/login/oidc", headers={"Host": "127.0.0.1:1"})
    assert answer.headers["location"].startswith(f"{browser.base_url}/login/oidc")
