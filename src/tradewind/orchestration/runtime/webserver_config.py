"""Flask's settings of Airflow's page where people log in by an identity provider.

Airflow's web server runs this file (``AIRFLOW__FAB__CONFIG_FILE``) and takes the names in capitals.
"""

from airflow.providers.common.compat.sdk import conf
from flask_appbuilder.const import AUTH_OAUTH

from tradewind.errors import SettingsError
from tradewind.oidc.login import client_arguments
from tradewind.oidc.provider import provider_of
from tradewind.orchestration.runtime.login import NAME, PeopleManager
from tradewind.settings import load_settings

_provider = provider_of(load_settings())
if _provider is None:
    raise SettingsError(
        "AIRFLOW__FAB__CONFIG_FILE asks for an identity provider, and TRADEWIND_OIDC_ISSUER names "
        "none"
    )

# As Airflow has them by default.
WTF_CSRF_ENABLED = True
WTF_CSRF_TIME_LIMIT = None

AUTH_TYPE = AUTH_OAUTH
AUTH_USER_REGISTRATION = False  # an account is made by `PeopleManager`, at the first login
OAUTH_PROVIDERS = [{"name": NAME, "remote_app": client_arguments(_provider)}]
SECURITY_MANAGER_CLASS = PeopleManager
TRADEWIND_PROVIDER = _provider

# The way back from the provider is a request from another site: Strict would leave the cookie out.
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = conf.get("api", "base_url", fallback="").startswith("https://")
