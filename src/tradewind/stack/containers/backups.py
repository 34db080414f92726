"""Backups of the containers: ``docker compose run --rm backup``, ``restore`` and ``backups``.

The words after it are those of the command line: ``--keep``, ``--backup``, ``--json``.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tradewind.endpoints import DATABASES
from tradewind.errors import BackupError, TradewindError
from tradewind.stack.backup import kept
from tradewind.stack.backup.databases import Databases, Login
from tradewind.stack.backup.elsewhere import as_secrets, forget_queues
from tradewind.stack.backup.encryption import public_keys, read_key
from tradewind.stack.backup.make import make_backup
from tradewind.stack.backup.places import Directory, Place, place_of
from tradewind.stack.backup.restore import checked, restore_databases, restore_tree
from tradewind.stack.backup.summary import Summary, listed, summarised
from tradewind.stack.backup.system import System
from tradewind.stack.backup.trees import MARKET, Folder, Objects, Tree, Words
from tradewind.stack.containers.handout import SHARE, files, servers
from tradewind.stack.postgres import program
from tradewind.stack.servers import Servers
from tradewind.strict_json import dumps

__all__ = ["main"]

SECRETS: Final = Path("/run/secrets/backup")
STATE: Final = Path("/var/lib/tradewind")
LOGS: Final = Path("/var/log/airflow")
BACKUPS: Final = Path("/backups")
KEY: Final = Path("/run/backup-key")


def contained() -> tuple[System, Servers]:
    """Return what there is to back up of the containers, and where their stores are."""
    try:
        text = (SECRETS / SHARE).read_bytes()
    except OSError as error:
        raise BackupError(
            f"{SECRETS / SHARE} cannot be read by user {os.geteuid()}: has the service `secrets` "
            "run? docker compose up --detach"
        ) from error
    secrets = as_secrets(json.loads(text))
    where = servers(dict(os.environ), secrets)
    trees: dict[str, Tree] = {
        "secrets": Words({SHARE: text}, _leave_for_the_next_start),
        "artifacts": Objects.at(*files(secrets, where.objects)),
        "market": Folder(STATE / "market", MARKET, mode=0o664),
        "logs": Folder(LOGS / "tasks", mode=0o664),
    }
    logins = {
        name: Login.at(where.postgres, name, getattr(secrets, f"postgres_{name}"))
        for name in DATABASES
    }
    return System(Databases(logins, program), trees), where


def _leave_for_the_next_start(name: str, content: bytes) -> None:
    """Leave the backup's secrets for `secrets`, which alone may write those of all services."""
    if name != SHARE:  # of the stack without containers
        return
    new = SECRETS / ".restored.json"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(SECRETS / "restored.json")


def _place() -> Place:
    to = os.environ.get("TRADEWIND_BACKUP_TO", "")
    if not to:
        return Directory(BACKUPS, group=True)  # a restore is of the group
    if not to.startswith("s3://"):
        raise BackupError(
            f"TRADEWIND_BACKUP_TO is {to!r}, and a container sees no directory of that name: set "
            "BACKUP_DIR to it, and TRADEWIND_BACKUP_TO to nothing or s3://bucket/prefix"
        )
    return place_of(to, BACKUPS)


def back_up(words: argparse.Namespace) -> Summary:
    """Make a backup, and leave as many as are to be kept."""
    made = make_backup(
        contained()[0], _place(), keep=words.keep,
        encrypt_to=public_keys(os.environ.get("TRADEWIND_BACKUP_ENCRYPT_TO", "")),
    )  # fmt: skip
    return summarised(made.backup, made.contents, removed=made.removed)


def restore(words: argparse.Namespace) -> Summary:
    """Restore a backup into empty databases, an empty bucket and an empty volume.

    The databases come last, each as a whole: until then nothing refers to what was restored.
    """
    os.umask(0o002)  # tasks of the same group write beside what is restored
    system, where = contained()
    backup = kept.find(_place(), words.backup)
    taken = [f"database {where.postgres.name(name)}" for name in system.databases.filled()]
    taken += [str(system.trees[name]) for name in ("artifacts", "market") if _foreign(system, name)]
    if taken:
        raise BackupError(
            f"there is data in {', '.join(taken)}, and a restore writes over none. `docker compose "
            "down --volumes` removes all data of the stack's own stores; of a team's, name another "
            "prefix or bucket in .env and `docker compose run --rm adopt --apply`; then restore"
        )
    secret = read_key(KEY) if backup.manifest.encrypted_to else None
    whole = checked(backup, secret)
    _mark().write_text(backup.name)
    if where.redis.theirs:
        forget_queues(where.redis, as_secrets(json.loads((SECRETS / SHARE).read_bytes())))
    for name, tree in system.trees.items():
        if name in whole.contents.files:
            restore_tree(tree, name, whole)
    restore_databases(system, whole)
    _mark().unlink()
    return summarised(backup, whole.contents)


def _mark() -> Path:
    """File that is there while a restore goes on: what an interrupted one wrote is no data."""
    return STATE / "restoring"


def _foreign(system: System, name: str) -> bool:
    return not _mark().exists() and bool(system.trees[name].paths())


def list_backups(_: argparse.Namespace) -> list[object]:
    """List the backups, oldest first."""
    return [listed(each) for each in kept.backups(_place())]


COMMANDS: dict[str, Callable[[argparse.Namespace], object]] = {
    "backup": back_up,
    "restore": restore,
    "backups": list_backups,
}


def main(arguments: Sequence[str]) -> int:
    """Run the command that is named; print what it did as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(prog="docker compose run --rm", add_help=True)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "--keep", type=int, default=int(os.environ.get("TRADEWIND_BACKUP_KEEP") or "7"),
        help="leave as many of the backups there",
    )  # fmt: skip
    parser.add_argument("--backup", metavar="NAME", help="which to restore; else the newest")
    words = parser.parse_args(arguments)
    try:
        found = COMMANDS[words.command](words)
    except TradewindError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
