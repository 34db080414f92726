"""Airflow's page where people log in by an identity provider, and accounts with a password, too.

FAB has either the one or the other on its page, and no words for why somebody is refused.
`tradewind.orchestration.runtime.webserver_config` puts this in its place. The address at which
programs exchange a password for a token (``/auth/token``) stays FAB's own.
"""

import logging
from pathlib import Path
from typing import Any, Final

from airflow.api_fastapi.app import get_cookie_path
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.providers.common.compat.sdk import conf
from airflow.providers.fab.auth_manager.models import Role, User
from airflow.providers.fab.auth_manager.security_manager.override import (
    FabAirflowSecurityManagerOverride,
)
from airflow.providers.fab.auth_manager.views.auth_oauth import CustomAuthOAuthView
from airflow.providers.fab.auth_manager.views.user import CustomUserDBModelView
from airflow.providers.fab.auth_manager.views.user_edit import CustomResetMyPasswordView
from airflow.providers.fab.www.views import get_safe_url, redirect
from flask import current_app, flash, g, make_response, request, session
from flask import redirect as to
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import no_cache
from flask_appbuilder.security.forms import LoginForm_db
from flask_login import login_user, logout_user
from sqlalchemy import select

from tradewind.errors import IdentityProviderError, LoginError
from tradewind.foreign import ForeignNames
from tradewind.oidc.login import begin, end, finish
from tradewind.oidc.person import MARK, Person
from tradewind.oidc.provider import AFTER_LOGOUT, CALLBACKS, same_host

__all__ = ["FOREIGN", "NAME", "LoginView", "PeopleManager"]

_FAB: Final = "airflow.providers.fab.auth_manager"
_MANAGER: Final = f"{_FAB}.security_manager.override:FabAirflowSecurityManagerOverride"

FOREIGN: Final = (
    ForeignNames(
        "apache-airflow-providers-fab",
        (
            f"{_FAB}.views.auth_oauth:CustomAuthOAuthView",
            f"{_FAB}.views.user:CustomUserDBModelView",
            f"{_FAB}.views.user_edit:CustomResetMyPasswordView",
            "airflow.providers.fab.www.views:get_safe_url",
            "airflow.providers.fab.www.views:redirect",
            "flask_appbuilder.security.forms:LoginForm_db",
            *(
                f"{_MANAGER}.{name}"
                for name in (
                    "_reset_user_permissions_cache", "_rotate_session_id", "add_user",
                    "auth_user_db", "authoauthview", "find_role", "find_user", "oauth_remotes",
                    "resetmypasswordview", "update_user_auth_stat", "useroauthmodelview",
                )
            ),
        ),
        "let people in by an identity provider, beside accounts with a password",
        "Airflow's web server does not start where TRADEWIND_OIDC_ISSUER is set",
    ),
)  # fmt: skip

NAME: Final = "oidc"
"""What FAB calls the provider; it is part of the address that people come back to."""

_NEXT: Final = "tradewind_next"
_BY_PROVIDER: Final = "tradewind_by_provider"

log = logging.getLogger(__name__)


class LoginView(CustomAuthOAuthView):
    """The page on which somebody logs in, the way to the provider, and the way back."""

    template_folder = str(Path(__file__).with_name("templates"))
    login_template = "tradewind/login.html"

    @expose("/login/", methods=["GET", "POST"])
    @expose(f"/login/<any({NAME}):provider>", methods=["GET"])
    @no_cache
    def login(self, provider: str = "") -> Any:  # noqa: ANN401 - what Flask takes for an answer
        """Show the page, take a password, or go to the provider."""
        if g.user is not None and g.user.is_authenticated:
            return redirect(self.appbuilder.get_url_for_index)
        page = conf.get("api", "base_url")
        if not same_host(page, request.host):
            query = request.query_string.decode()
            return redirect(f"{self.appbuilder.get_url_for_login}{provider}?{query}")
        asked = request.args.get("next", "")
        if provider:
            session[_NEXT] = asked
            try:
                return begin(self._client(), page.rstrip("/") + CALLBACKS["airflow"])
            except LoginError as error:
                return self._page(LoginForm_db(), error)
        form = LoginForm_db()
        if form.validate_on_submit():
            user = self.appbuilder.sm.auth_user_db(form.username.data, form.password.data)
            if user:
                return self._enter(user, asked)
            flash(str(self.invalid_login_message), "warning")
        return self._page(form)

    @expose(f"/oauth-authorized/{NAME}")
    @no_cache
    def oauth_authorized(self) -> Any:  # noqa: ANN401
        """Let somebody in who comes back from the provider, or say why not."""
        asked = session.pop(_NEXT, "")
        try:
            person = finish(self._client(), current_app.config["TRADEWIND_PROVIDER"])
            user = self.appbuilder.sm.account_of(person)
        except LoginError as error:
            return self._page(LoginForm_db(), error)
        session[_BY_PROVIDER] = True
        return self._enter(user, asked)

    @expose("/logout/")
    @no_cache
    def logout(self) -> Any:  # noqa: ANN401
        """End the login here, and that at the provider where it let somebody in."""
        by_provider = session.pop(_BY_PROVIDER, False)
        page = conf.get("api", "base_url").rstrip("/")
        there = end(self._client(), page + AFTER_LOGOUT["airflow"]) if by_provider else None
        logout_user()
        session.clear()
        answer = there or make_response(to(self.appbuilder.get_url_for_login))
        secure = page.startswith("https://")
        answer.delete_cookie(
            COOKIE_NAME_JWT_TOKEN, path=get_cookie_path(), secure=secure, httponly=True
        )
        return answer

    def _client(self) -> Any:  # noqa: ANN401 - authlib ships no types
        return self.appbuilder.sm.oauth_remotes[NAME]

    def _enter(self, user: User, asked: str) -> Any:  # noqa: ANN401
        login_user(user)
        return redirect(get_safe_url(asked))  # with the cookie of Airflow's own pages

    def _page(self, form: LoginForm_db, error: LoginError | None = None) -> Any:  # noqa: ANN401
        status = 200
        if error is not None:
            status = 503 if isinstance(error, IdentityProviderError) else 403
        shown = self.render_template(
            self.login_template, title=self.title, form=form, problem=str(error or ""),
            begin=f"{self.appbuilder.get_url_for_login}{NAME}",
            asked=request.args.get("next", ""), appbuilder=self.appbuilder,
        )  # fmt: skip
        return shown, status


class OwnPasswordView(CustomResetMyPasswordView):
    """Where somebody changes a password: not who has none."""

    def form_post(self, form: Any) -> Any:  # noqa: ANN401
        """Refuse whom the provider lets in: a password would outlive what it says of them."""
        if str(g.user.password).startswith(MARK):
            flash("The identity provider lets you in: there is no password here.", "warning")
            return None
        return super().form_post(form)


class PeopleManager(FabAirflowSecurityManagerOverride):
    """FAB's manager of accounts, with those of people whom the provider lets in."""

    authoauthview = LoginView
    # FAB's own for providers lets no administrator make an account, and takes that right away.
    useroauthmodelview = CustomUserDBModelView
    resetmypasswordview = OwnPasswordView

    def account_of(self, person: Person) -> User:
        """Return the account of a person, made at the first login, with the role of now.

        Raises
        ------
        LoginError
            If somebody else's account has the name, the account is switched off, or Airflow lacks
            the role.
        """
        role = self.find_role(person.role.title())
        if role is None:
            raise LoginError(
                f"Airflow has no role {person.role.title()}. An administrator starts the stack "
                "again, which makes it."
            )
        marked = select(User).where(User.password == person.mark)
        user: User | None = self.session.scalars(marked).first()
        if user is None:
            user = self._made(person, role)
        elif not user.is_active:
            raise LoginError(f"The account {user.username} is switched off here.")
        if [each.name for each in user.roles] != [role.name]:
            log.info("%s has the role %s by the identity provider", user.username, role.name)
            user.roles = [role]
        self._rotate_session_id()
        self.update_user_auth_stat(user)
        self._reset_user_permissions_cache(user)
        return user

    def _made(self, person: Person, role: Role) -> User:
        if self.find_user(username=person.name) is not None:
            raise LoginError(
                f"An account {person.name} is here already, and it is not yours: it has a "
                "password, or was another person's. An administrator deletes or renames it "
                "(Security, List Users)."
            )
        taken = not person.email or self.find_user(email=person.email) is not None
        made: User = self.add_user(
            person.name,
            person.first_name,
            person.last_name,
            # Each account needs one of its own; nothing is sent there.
            f"{person.mark.removeprefix(MARK)}@login.invalid" if taken else person.email,
            [role],
            hashed_password=person.mark,
        )
        return made
