"""Moving in with a team's own PostgreSQL, Redis and object store: look first, touch when told to.

`adopt` asks each service what it is and has, with the login of whoever has the rights there, and
says what is ready, what has to be done, and what is in the way. What has to be done it prints as
that service's own commands, or does it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tradewind.endpoints import ObjectStore, PostgresServer, RedisServer
from tradewind.host.proxies import spare_this_machine
from tradewind.settings import Settings
from tradewind.stack.adoption import objects, postgres, redis
from tradewind.stack.adoption.findings import Adoption, Finding, Part, in_words
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import Secrets, ensure_secrets, save_secrets
from tradewind.stack.servers import object_store, postgres_server, redis_server
from tradewind.stack.theirs import lacks_ca

__all__ = ["LOGINS", "Adoption", "Finding", "Services", "adopt", "in_words", "move_in"]

LOGINS = (
    "ADOPT_POSTGRES_LOGIN",
    "ADOPT_REDIS_LOGIN",
    "ADOPT_OBJECTS_LOGIN",
    "ADOPT_SENTINEL_LOGIN",
)
"""Variables with the logins for this one command, as ``user:password``."""


@dataclass(frozen=True)
class Services:
    """Those of a team's services that are to be used; None for the stack's own.

    Attributes
    ----------
    postgres, redis, objects
    own_data : Path
        Where a PostgreSQL of the stack's own would have its data.
    access_list : str
        Text of ``config/users.acl.template``.
    """

    postgres: PostgresServer | None
    redis: RedisServer | None
    objects: ObjectStore | None
    own_data: Path
    access_list: str


def adopt(settings: Settings, logins: Mapping[str, str], *, apply: bool = False) -> Adoption:
    """Look at the team's services that the settings name, and make ready what is not.

    Parameters
    ----------
    settings : Settings
    logins : mapping of str to str
        By a name of `LOGINS`: who may make roles and databases in PostgreSQL, users in Redis,
        the key and secret of the object store, and the login of the sentinels of Redis.
    apply : bool
        Whether to do what has to be done; else nothing stays changed anywhere: what is written to
        see that it can be is deleted again.

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
    found, secrets = move_in(
        Services(
            postgres_server(settings) if settings.postgres_url else None,
            redis_server(settings, secrets) if settings.redis_url else None,
            object_store(settings),
            layout.postgres_dir / "data",
            settings.config_file("users.acl.template").read_text(),
        ),
        secrets,
        logins,
        apply=apply,
    )
    if apply:
        save_secrets(layout, secrets)
    return found


def move_in(
    services: Services, secrets: Secrets, logins: Mapping[str, str], *, apply: bool
) -> tuple[Adoption, Secrets]:
    """Do as `adopt` does, with secrets that are kept elsewhere.

    Returns
    -------
    Adoption
    Secrets
        With the logins that our services are to use there.
    """
    given = [logins.get(name, "") for name in LOGINS]
    parts: list[Part] = []
    if (server := services.postgres) is not None:
        part = _untrusted("postgres", server)
        if part is None:
            part = postgres.adopt(server, secrets, given[0], services.own_data, apply=apply)
        parts.append(part)
    if (broker := services.redis) is not None:
        part = _untrusted("redis", broker)
        if part is None:
            part, secrets = redis.adopt(
                broker, secrets, given[1], services.access_list, given[3], apply=apply
            )
        parts.append(part)
    if (store := services.objects) is not None:
        part = _untrusted("objects", store)
        if part is None:
            part, secrets = objects.adopt(store, secrets, given[2], apply=apply)
        parts.append(part)
    return Adoption(tuple(parts)), secrets


def _untrusted(name: str, where: PostgresServer | RedisServer | ObjectStore) -> Part | None:
    """Return what is found of a service whose CA's file is none; nothing else can be asked then."""
    problem = lacks_ca(where)
    if not problem:
        return None
    part = Part(name, str(where))
    part.note("CA", "in the way", problem)
    return part
