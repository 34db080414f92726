"""A team's services, seen from containers: is it well, and what is to do there.

``python -m tradewind.stack.containers.existing postgres`` (``redis``, ``objects``) asks the service
how it is, again and again, and writes what it said to a file for the health check: a process that
imports its client for each question would take more than the question. With ``adopt`` in the place
of the name it is `tradewind.stack.adoption` on the services that the environment names.
"""

import os
import sys
import time
from pathlib import Path
from typing import NoReturn

from tradewind.errors import TradewindError
from tradewind.stack import theirs
from tradewind.stack.adoption import LOGINS, Services, in_words, move_in
from tradewind.stack.containers.handout import keep_logins, read_share, servers
from tradewind.stack.probes import Probe, ProbeFailure

__all__ = ["main"]

_SECRETS = Path("/run/secrets")
_SAID = Path("/tmp/said")  # noqa: S108 - the container's own; what docker/probe reads
_AGAIN, _WELL = 3, 10  # seconds until the next question
_ACCESS_LIST = Path("/etc/tradewind/users.acl.template")


def _probe(name: str) -> Probe:
    secrets = read_share(_SECRETS, f"existing-{name}")
    where = servers(dict(os.environ), secrets)
    if name == "postgres":
        return theirs.probe_postgres(where.postgres, secrets)
    if name == "redis":
        return theirs.probe_redis(where.redis, secrets)
    if where.objects is None:
        raise ProbeFailure("TRADEWIND_OBJECTS_URL names no bucket")
    return theirs.probe_objects(where.objects, secrets)


def _watch(name: str) -> NoReturn:
    probe = _probe(name)
    while True:
        said = ""
        try:
            probe(time.time())
        except ProbeFailure as failure:
            said = f"{failure}; docker compose run --rm adopt\n"
        new = _SAID.with_suffix(".new")
        new.write_text(said)
        new.replace(_SAID)
        time.sleep(_AGAIN if said else _WELL)


def _adopt(arguments: list[str]) -> int:
    secrets = read_share(_SECRETS, "adopt")
    where = servers(dict(os.environ), secrets)
    found, secrets = move_in(
        Services(
            where.postgres if where.postgres.theirs else None,
            where.redis if where.redis.theirs else None,
            where.objects,
            _SECRETS / "nowhere",  # the volume of a PostgreSQL of ours is not seen from here
            _ACCESS_LIST.read_text(),
        ),
        secrets,
        {name: os.environ.get(name, "") for name in LOGINS},
        apply="--apply" in arguments,
    )
    if "--apply" in arguments:
        keep_logins(_SECRETS, secrets)
    sys.stdout.writelines(f"{line}\n" for _, line in in_words(found))
    return 0 if found.ready else 1


def main(arguments: list[str]) -> int:
    """Do what is named first, and return the exit code."""
    known = ("postgres", "redis", "objects", "adopt")
    if not arguments or arguments[0] not in known:
        sys.stderr.write(f"error: name one of {', '.join(known)}\n")
        return 2
    try:
        if arguments[0] == "adopt":
            return _adopt(arguments[1:])
        _watch(arguments[0])
    except TradewindError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
