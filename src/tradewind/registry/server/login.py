"""MLflow's page where people log in by an identity provider; programs keep their passwords.

A request with a password is MLflow's own affair, as before. A browser without one has a session: a
cookie, signed with MLflow's key, that names an account until the end of a working day. It ends
before where the account is deleted, or its password changed.
"""

# ruff: noqa: TID253 - loaded by MLflow's server

import hashlib
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from authlib.integrations.flask_client import OAuth
from flask import Flask, Response, make_response, redirect, render_template_string, request, session
from mlflow.exceptions import MlflowException
from mlflow.server import auth
from werkzeug.datastructures import Authorization

from tradewind.errors import IdentityProviderError, LoginError
from tradewind.foreign import ForeignNames
from tradewind.oidc.login import Client, begin, client_arguments, end, finish
from tradewind.oidc.provider import (
    AFTER_LOGOUT,
    CALLBACKS,
    SESSION_SECONDS,
    Provider,
    same_host,
)
from tradewind.registry.server.logins import OneAtATime
from tradewind.registry.server.people import account_of

__all__ = ["AUTHENTICATE", "FOREIGN", "LOGIN", "LOGOUT", "authenticate", "serve_login"]

FOREIGN: Final = (
    ForeignNames(
        "mlflow",
        (
            "mlflow.server.auth:_authenticate_cached",
            "mlflow.server.auth:authenticate_request_basic_auth",
            "mlflow.server.auth:make_basic_auth_response",
            "mlflow.server.auth:store",
        ),
        "give browsers a session, by an identity provider or a password",
        "MLflow's server does not start where TRADEWIND_OIDC_ISSUER is set",
    ),
)

AUTHENTICATE: Final = f"{__name__}:authenticate"
"""What MLflow is told as its ``authorization_function``."""

LOGIN: Final = "/login"
LOGOUT: Final = "/logout"
_BEGIN: Final = "/login/oidc"
# Airflow's cookie has Flask's own name, and browsers do not tell the ports of a name apart.
_COOKIE: Final = "tradewind_mlflow"
_TEMPLATE: Final = Path(__file__).with_name("templates") / "login.html"
_LINK: Final = (
    f'<a href="{LOGOUT}" style="position:fixed;left:44px;bottom:3px;z-index:9;'
    'font:12px system-ui">Log out</a></body>'
)


def serve_login(app: Flask, provider: Provider, page: str, logins: OneAtATime) -> None:
    """Answer at the addresses of a login, ahead of what asks each request for one.

    Parameters
    ----------
    app : Flask
        MLflow's, with the view that shows its page.
    provider : Provider
    page : str
        Address of MLflow for a browser.
    logins : OneAtATime
        Whose turns a password takes.
    """
    app.config.update(
        SESSION_COOKIE_NAME=_COOKIE,
        SESSION_COOKIE_SECURE=page.startswith("https://"),
        SESSION_COOKIE_HTTPONLY=True,
        # Lax: not sent with a change that another site asks for, but on the way back from the
        # provider.
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.before_request(_Pages(app, provider, page, logins).answer)
    shown = app.view_functions["serve"]

    def with_link() -> Response:
        answer = make_response(shown())
        if "user" in session and answer.mimetype == "text/html":
            answer.set_data(answer.get_data(as_text=True).replace("</body>", _LINK, 1))
        return answer

    app.view_functions["serve"] = with_link


def authenticate() -> Authorization | Response:
    """Return who asks, by a password or a session, as MLflow's own function does; else an answer.

    That is the way to the login for a page, and for all else that there is none.
    """
    if request.authorization is not None:
        found: Authorization | Response = auth.authenticate_request_basic_auth()
        return found
    name = _of_session()
    if name is not None:
        return Authorization("basic", {"username": name, "password": ""})
    if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
        return _to_login(request.full_path.rstrip("?"))
    refused: Response = auth.make_basic_auth_response()
    if "Sec-Fetch-Mode" in request.headers:  # a browser would ask for a password in its own window
        del refused.headers["WWW-Authenticate"]
    return refused


class _Pages:
    """What is shown, and done, on the way in and out."""

    def __init__(self, app: Flask, provider: Provider, page: str, logins: OneAtATime) -> None:
        self._client: Client = OAuth(app).register("oidc", **client_arguments(provider))
        self._provider, self._page, self._logins = provider, page.rstrip("/"), logins
        self._answers = {
            ("GET", LOGIN): self._show,
            ("POST", LOGIN): self._take_password,
            ("GET", _BEGIN): self._begin,
            ("GET", CALLBACKS["mlflow"]): self._come_back,
            ("GET", LOGOUT): self._leave,
        }

    def answer(self) -> Response | None:
        """Return the answer at one of these addresses; nothing at any other."""
        answer = self._answers.get((request.method, request.path))
        if answer is None:
            return None
        if not same_host(self._page, request.host) and request.path in {LOGIN, _BEGIN}:
            return _redirect(f"{self._page}{request.full_path}")
        response = answer()
        response.headers["Cache-Control"] = "no-store"
        return response

    def _show(self, problem: str = "", status: int = HTTPStatus.OK) -> Response:
        shown = render_template_string(
            _TEMPLATE.read_text("utf-8"), problem=problem, begin=_BEGIN,
            asked=_inside(request.values.get("next", "")), opened=request.method == "POST",
        )  # fmt: skip
        return make_response(shown, status)

    def _take_password(self) -> Response:
        site = urlsplit(request.headers.get("Origin", self._page))
        if site.scheme != urlsplit(self._page).scheme or not same_host(self._page, site.netloc):
            # Else another site could log somebody in as somebody else.
            return self._show(f"Log in on this page, not from {site.netloc}.", HTTPStatus.FORBIDDEN)
        name, password = (request.form.get(each, "") for each in ("username", "password"))
        with self._logins.turn():
            user = auth._authenticate_cached(name, password)  # noqa: SLF001 - also for strangers
        if user is None:
            return self._show("Wrong username or password.", HTTPStatus.UNAUTHORIZED)
        return _enter(name, request.form.get("next", ""))

    def _begin(self) -> Response:
        session.clear()
        session["next"] = request.args.get("next", "")
        try:
            return begin(self._client, self._page + CALLBACKS["mlflow"])
        except LoginError as error:
            return self._refuse(error)

    def _come_back(self) -> Response:
        try:
            name = account_of(auth.store, finish(self._client, self._provider))
        except LoginError as error:
            return self._refuse(error)
        return _enter(name, session.get("next", ""), by_provider=True)

    def _leave(self) -> Response:
        by_provider = session.get("by_provider", False)
        session.clear()
        there = end(self._client, self._page + AFTER_LOGOUT["mlflow"]) if by_provider else None
        return there or _redirect(LOGIN)

    def _refuse(self, error: LoginError) -> Response:
        away = isinstance(error, IdentityProviderError)
        return self._show(
            str(error), HTTPStatus.SERVICE_UNAVAILABLE if away else HTTPStatus.FORBIDDEN
        )


def _enter(name: str, asked: str, *, by_provider: bool = False) -> Response:
    session.clear()
    session["by_provider"] = by_provider
    session["user"], session["until"] = name, int(time.time()) + SESSION_SECONDS
    session["key"] = _key(auth.store.get_user(name))
    return _redirect(_inside(asked))


def _of_session() -> str | None:
    """Return whom the session names, if that account is still what it was."""
    name = session.get("user")
    if name is None or time.time() >= session.get("until", 0):
        return None
    try:
        user = auth.store.get_user(name)
    except MlflowException:  # deleted
        return None
    return str(name) if session.get("key") == _key(user) else None


def _key(user: Any) -> str:  # noqa: ANN401 - MLflow ships no types
    """Return what changes with an account's password, and with the account."""
    text = f"{user.id} {user.password_hash}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _to_login(asked: str) -> Response:
    return _redirect(f"{LOGIN}?{urlencode({'next': asked})}" if asked != "/" else LOGIN)


def _inside(asked: str) -> str:
    """Return an address of this page, whatever was asked for."""
    leads_out = not asked.startswith("/") or asked.startswith("//") or "\\" in asked
    return "/" if leads_out or not asked.isprintable() else asked


def _redirect(address: str) -> Response:
    return make_response(redirect(address))
