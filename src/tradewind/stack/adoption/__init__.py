"""Moving in with a team's own PostgreSQL, Redis and object store: look first, touch when told to.

`adopt` asks each service what it is and has, with the login of whoever has the rights there, and
says what is ready, what has to be done, and what is in the way. What has to be done it prints as
that service's own commands, or does it.
"""

import os
from collections.abc import Mapping

from tradewind.host.proxies import spare_this_machine
from tradewind.settings import Settings
from tradewind.stack.adoption import objects, postgres, redis
from tradewind.stack.adoption.findings import Adoption, Finding
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import ensure_secrets, save_secrets
from tradewind.stack.servers import object_store, postgres_server, redis_server

__all__ = ["LOGINS", "Adoption", "Finding", "adopt"]

LOGINS = ("ADOPT_POSTGRES_LOGIN", "ADOPT_REDIS_LOGIN", "ADOPT_OBJECTS_LOGIN")
"""Variables with the logins for this one command, as ``user:password``."""


def adopt(settings: Settings, logins: Mapping[str, str], *, apply: bool = False) -> Adoption:
    """Look at the team's services that the settings name, and make ready what is not.

    Parameters
    ----------
    settings : Settings
    logins : mapping of str to str
        By a name of `LOGINS`: who may make roles and databases in PostgreSQL, users in Redis, and
        the key and secret of the object store.
    apply : bool
        Whether to do what has to be done; else nothing is changed anywhere.

    Returns
    -------
    Adoption
        Asked again after it was applied, nothing is left to do.

    Raises
    ------
    StackError
        If the state directory cannot be written.
    SecretsError
        If the secrets cannot be read.
    """
    spare_this_machine(os.environ)
    layout = Layout(settings.state)
    layout.create()
    secrets = ensure_secrets(layout)
    given = [logins.get(name, "") for name in LOGINS]
    parts = []
    if settings.postgres_url:
        server = postgres_server(settings)
        parts.append(postgres.adopt(server, secrets, given[0], layout, apply=apply))
    if settings.redis_url:
        template = (settings.config_dir / "users.acl.template").read_text()
        broker = redis_server(settings, secrets)
        part, secrets = redis.adopt(broker, secrets, given[1], template, apply=apply)
        parts.append(part)
    store = object_store(settings)
    if store is not None:
        part, secrets = objects.adopt(store, secrets, given[2], apply=apply)
        parts.append(part)
    if apply:
        save_secrets(layout, secrets)
    return Adoption(tuple(parts))
