"""What of a restore is done on services that a team runs: nothing there is moved or started."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Final

from tradewind.endpoints import APPLICATIONS, RedisServer
from tradewind.errors import BackupError
from tradewind.settings import Settings
from tradewind.stack import theirs
from tradewind.stack.backup.system import System
from tradewind.stack.layout import writing
from tradewind.stack.probes import Probe, ProbeFailure
from tradewind.stack.secrets import Secrets
from tradewind.stack.servers import object_store, postgres_server, redis_server

__all__ = [
    "WITHHELD", "as_secrets", "filled", "forget_queues", "secrets_that_open",
    "set_databases_aside",
]  # fmt: skip

_BATCH: Final = 1000  # keys
WITHHELD: Final = ("postgres_superuser", "redis_")
"""Secrets that a backup of containers lacks: they open stores, and belong to no data."""


def secrets_that_open(
    settings: Settings, here: Mapping[str, str], restored: Mapping[str, str]
) -> dict[str, str]:
    """Return the secrets of a backup, with those that open the team's services.

    They are the ones that the system has, if it has moved in there already, or else the backup's.
    Names are the backup's: those that a newer version has besides, its next start makes.

    Parameters
    ----------
    here, restored : mapping
        Secrets by name, of this system (empty if it has none) and of the backup.

    Raises
    ------
    BackupError
        If neither opens a service.
    """
    withheld = {n: each for n, each in asdict(Secrets()).items() if n.startswith(WITHHELD)}
    found = withheld | dict(restored)
    choices = [each for each in (here, restored) if each]
    if settings.postgres_url:
        server = postgres_server(settings)
        found = _opening("postgres_", found, choices, lambda s: theirs.probe_postgres(server, s))
    if settings.redis_url:
        found = _opening(
            "redis_", found, choices, lambda s: theirs.probe_redis(redis_server(settings, s), s)
        )
    store = object_store(settings)
    if store is not None:
        found = _opening("objects_", found, choices, lambda s: theirs.probe_objects(store, s))
    return found


def as_secrets(of: Mapping[str, str]) -> Secrets:
    """Return secrets by their names of this version, new ones where they have none."""
    names = {each.name for each in fields(Secrets)}
    return Secrets(**{name: value for name, value in of.items() if name in names})


def _opening(
    kind: str,
    found: dict[str, str],
    choices: list[Mapping[str, str]],
    probe: Callable[[Secrets], Probe],
) -> dict[str, str]:
    refused = ""
    for choice in choices:
        chosen = found | {name: value for name, value in choice.items() if name.startswith(kind)}
        try:
            probe(as_secrets(chosen))(0.0)
        except ProbeFailure as failure:
            refused = refused or str(failure)
        else:
            return chosen
    raise BackupError(
        f"the team's service does not let us in, with the secrets here or the backup's: {refused}. "
        "`tradewind adopt --apply` moves in there; then restore"
    )


def filled(settings: Settings, system: System) -> list[str]:
    """Return what of ours there is on a team's services already.

    Raises
    ------
    BackupError
        If there is what is not ours among it.
    """
    found = []
    if settings.postgres_url:
        server = postgres_server(settings)
        system.databases.refuse_strangers()
        found += [f"database {server.name(name)}" for name in system.databases.filled()]
    if object_store(settings) is not None and system.trees["artifacts"].paths():
        found.append(str(system.trees["artifacts"]))
    return found


def set_databases_aside(system: System, folder: Path) -> None:
    """Dump into a folder what is in the databases, all of it before any is written over.

    What is there by now was dumped by a restore that was interrupted after it.
    """
    with system.databases.one_moment() as snapshots:
        for name, snapshot in snapshots.items():
            path = folder / f"{name}.dump"
            if path.exists():
                continue
            new = path.with_suffix(".new")
            with writing(path):
                folder.mkdir(mode=0o700, exist_ok=True)
                with new.open("wb") as file:
                    new.chmod(0o600)
                    system.databases.dump(snapshot, file)
                new.replace(path)


def forget_queues(broker: RedisServer, secrets: Secrets) -> None:
    """Remove what waits in our databases of a team's Redis, by the prefixes that are ours.

    It is of another moment than what is restored; what that waits for is sent again.
    """
    for application in APPLICATIONS:
        login = broker.user(application, getattr(secrets, f"redis_{application}"))
        with theirs.redis_client(broker, login, broker.number(application)) as client:
            keys: list[str] = []
            for key in client.scan_iter(match=f"{application}:*", count=_BATCH):
                keys.append(key)
                if len(keys) == _BATCH:
                    client.unlink(*keys)
                    keys.clear()
            if keys:
                client.unlink(*keys)
