"""Backups of the local stack, of one that runs or of one that is down."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from tradewind.endpoints import DATABASES, ObjectStore
from tradewind.errors import BackupError, ServiceFailedError
from tradewind.host.proxies import spare_this_machine
from tradewind.settings import Settings
from tradewind.stack import minio, postgres
from tradewind.stack.backup.databases import Databases, Login
from tradewind.stack.backup.elsewhere import (
    as_secrets,
    filled,
    forget_queues,
    secrets_that_open,
    set_databases_aside,
)
from tradewind.stack.backup.kept import Backup, find
from tradewind.stack.backup.make import Made, make_backup
from tradewind.stack.backup.places import place_of
from tradewind.stack.backup.restore import (
    Checked,
    Restored,
    checked,
    restore_databases,
    restore_tree,
    texts,
)
from tradewind.stack.backup.system import System
from tradewind.stack.backup.trees import MARKET, Folder, Objects, Tree
from tradewind.stack.half_restored import MARK, half_restored, refuse_half_restored
from tradewind.stack.layout import Layout, write_atomically, writing
from tradewind.stack.leftovers import clear_leftovers, only_supervisor
from tradewind.stack.ports import require_free
from tradewind.stack.secrets import Secrets, load_secrets
from tradewind.stack.servers import object_store, postgres_server, redis_server
from tradewind.stack.service import Service
from tradewind.stack.services import services
from tradewind.stack.state import read_state
from tradewind.stack.supervisor import Supervisor

__all__ = ["back_up", "local_system", "restore"]

Progress = Callable[[str, int, int], None]
_T = TypeVar("_T")
# What is needed to read and write databases and files: Airflow and MLflow are not.
_STORES: Final = ("postgres", "databases", "minio", "minio-buckets", "objects")
# What a state directory has that a restore brings back, or that belongs to what it brings back.
_DATA: Final = ("postgres", "redis", "artifacts", "minio")
_OURS: Final = ("secrets.json", "artifact-store")


def local_system(settings: Settings, secrets: Secrets) -> System:
    """Return what there is to back up of the local stack.

    Bars that are kept in an object store are not of it: that has backups of its own.
    """
    layout = Layout(settings.state)
    trees: dict[str, Tree] = {
        "secrets": Folder(layout.root, only=_OURS, mode=0o600),
        "artifacts": _artifacts(settings, layout, secrets),
    }
    if "://" not in settings.market_store:
        trees["market"] = Folder(Path(settings.market_store), MARKET)
    trees["logs"] = Folder(layout.logs_dir / "tasks")
    server = postgres_server(settings)
    logins = {
        name: Login.at(server, name, getattr(secrets, f"postgres_{name}")) for name in DATABASES
    }
    return System(Databases(logins, postgres.program), trees)


def _artifacts(settings: Settings, layout: Layout, secrets: Secrets) -> Tree:
    store = object_store(settings)
    if store is not None:
        key, _, secret = secrets.objects_login.partition(":")
        return Objects.at(store, (key, secret))
    if not minio.is_used(layout):
        return Folder(layout.artifacts_dir)
    own = ObjectStore(f"http://127.0.0.1:{settings.minio_port}", minio.BUCKET)
    return Objects.at(own, (minio.USER, secrets.minio_root))


def _kept_secrets(layout: Layout) -> Secrets:
    """Return the secrets as they are kept, those of an earlier version among them.

    A newer version adds secrets when it starts, and not before: a backup ahead of an upgrade has to
    bring the earlier version back.
    """
    try:
        return as_secrets(json.loads(layout.secrets_file.read_text()))
    except (OSError, ValueError, AttributeError):
        return load_secrets(layout)  # which says what is wrong


def back_up(
    settings: Settings,
    to: str,
    *,
    keep: int | None = None,
    encrypt_to: Sequence[str] = (),
    progress: Progress = lambda *_: None,
) -> Made:
    """Back the local stack up, whether it runs or not.

    Parameters
    ----------
    to : str
        A directory (a relative one starts at the workspace), or s3://bucket/prefix.
    keep, encrypt_to, progress
        As of `make_backup`.

    Raises
    ------
    BackupError, StackError
        If it cannot be made; backups of before are as they were.
    """
    layout = Layout(settings.state)
    refuse_half_restored(layout)
    place = place_of(to, settings.home)
    secrets = _kept_secrets(layout)

    def work() -> Made:
        spare_this_machine(os.environ)
        return make_backup(
            local_system(settings, secrets), place, keep=keep, encrypt_to=encrypt_to,
            progress=progress,
        )  # fmt: skip

    state = read_state(layout)
    if state is not None and state.supervised():
        return work()
    layout.create()
    with only_supervisor(layout):
        return _with_stores(settings, layout, secrets, work)


def restore(
    settings: Settings,
    of: str,
    *,
    name: str | None = None,
    key: str | None = None,
    replace: bool = False,
    progress: Progress = lambda *_: None,
) -> Restored:
    """Restore a backup into a local stack that has no data, or in the place of its data.

    Parameters
    ----------
    of : str
        Where backups are kept.
    name : str, optional
        Of a backup; the newest, if not given.
    key : str, optional
        Private key of age.
    replace : bool
        Whether data that there is may be set aside, into a folder of the state directory.

    Raises
    ------
    BackupError
        If the backup is damaged, or there is data here; nothing was changed then. Otherwise nothing
        starts here until a restore has come to its end.
    """
    layout = Layout(settings.state)
    backup = find(place_of(of, settings.home), name)
    _refuse_running(layout)
    if not (replace or half_restored(layout)):
        _refuse_data(settings, layout, [])  # before all of a backup is read
    whole = checked(backup, key, progress)
    if "market" in whole.contents.files and "://" in settings.market_store:
        raise BackupError(
            "the backup has bars, and TRADEWIND_MARKET_STORE says that they are kept in a bucket: "
            "unset it, restore, and copy them there"
        )
    spare_this_machine(os.environ)
    kept = texts("secrets", whole)
    here = asdict(_kept_secrets(layout)) if layout.secrets_file.exists() else {}
    opening = secrets_that_open(settings, here, json.loads(kept["secrets.json"]))
    secrets = as_secrets(opening)
    layout.create()
    with only_supervisor(layout):
        clear_leftovers(layout)
        interrupted = _goes_on(settings, layout)
        taken = [] if interrupted else filled(settings, local_system(settings, secrets))
        if not (replace or interrupted):
            _refuse_data(settings, layout, taken)
        aside = _clear_the_way(settings, layout, backup, interrupted=interrupted, taken=bool(taken))
        layout.create()
        write_atomically(layout.secrets_file, json.dumps(opening, indent=2))
        _choose_store(settings, layout, kept.get("artifact-store", b"").decode())
        _restore_all(settings, layout, secrets, whole, aside)
        (layout.root / MARK).unlink()
    return Restored(backup, whole.contents, str(aside) if aside else None)


def _into(settings: Settings) -> list[str]:
    """Return where data is restored to, as the settings say it."""
    store = object_store(settings)
    found = [settings.market_store, f"PostgreSQL of {settings.postgres_url or 'the stack'}"]
    return found + ([f"{store.endpoint} {store.destination}"] if store else [])


def _goes_on(settings: Settings, layout: Layout) -> bool:
    """Return whether a restore was interrupted, whose half is written over.

    Raises
    ------
    BackupError
        If that half is elsewhere: what is in the places of now may be data.
    """
    if not half_restored(layout):
        return False
    before, now = json.loads((layout.root / MARK).read_text())["into"], _into(settings)
    if before != now:
        raise BackupError(
            f"a restore into {', '.join(before)} was interrupted, and the settings name "
            f"{', '.join(now)}: set them as they were, and restore again"
        )
    return True


def _choose_store(settings: Settings, layout: Layout, kept: str) -> None:
    """Note where MLflow's files are kept, as before; where the settings say it, a start does."""
    record = layout.root / "artifact-store"
    told = settings.artifact_store != "auto" or object_store(settings) is not None
    if told or kept not in {"directory", "minio"}:
        record.unlink(missing_ok=True)
    else:
        write_atomically(record, kept)


def _restore_all(
    settings: Settings, layout: Layout, secrets: Secrets, of: Checked, aside: Path | None
) -> None:
    def work() -> None:
        system = local_system(settings, secrets)
        if settings.postgres_url and aside is not None:
            set_databases_aside(system, aside)
        if settings.redis_url:
            forget_queues(redis_server(settings, secrets), secrets)
        restore_databases(system, of)
        for name, tree in system.trees.items():
            if name in of.contents.files and name != "secrets":
                restore_tree(tree, name, of)

    _with_stores(settings, layout, secrets, work)


# --- What is in the way, and where it goes


def _refuse_running(layout: Layout) -> None:
    state = read_state(layout)
    if state is not None and state.supervised():
        raise BackupError("the stack is running: `tradewind down`, then restore")


def _refuse_data(settings: Settings, layout: Layout, taken: Sequence[str]) -> None:
    """Refuse to write over data, that of a team's services (`taken`) included."""
    found = [*map(str, _data(settings, layout)), *taken]
    if found:
        raise BackupError(
            f"there is data in {', '.join(found[:3])}, and a restore writes over none. Set "
            "TRADEWIND_STATE_DIR to another folder, and of a team's services name another prefix "
            "or bucket; or say --replace, which sets it aside"
        )


def _data(settings: Settings, layout: Layout) -> list[Path]:
    """Return what there is that a restore would write over."""
    found = [layout.root / name for name in _DATA]
    if "://" not in settings.market_store:
        found.append(Path(settings.market_store))
    return [path for path in found if path.is_file() or (path.is_dir() and any(path.iterdir()))]


def _clear_the_way(
    settings: Settings, layout: Layout, backup: Backup, *, interrupted: bool, taken: bool
) -> Path | None:
    """Note that a restore begins, and set aside what is there; return the folder it is in then.

    The note is written before anything moves. What an interrupted restore has written is removed,
    for all of it is in the backup; what it has set aside stays there. Secrets are never away: they
    may be all that opens a team's services.
    """
    mark = layout.root / MARK
    if interrupted:
        aside: str | None = json.loads(mark.read_text())["set_aside"]
    else:
        there = taken or _data(settings, layout) or layout.secrets_file.exists()
        aside = f"replaced-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}" if there else None
        note = {
            "backup": f"{backup.place}/{backup.name}", "set_aside": aside, "into": _into(settings),
        }  # fmt: skip
        write_atomically(mark, json.dumps(note))
    if aside is None:
        _remove(_data(settings, layout))
        return None
    folder = layout.root / aside
    moved = folder / "README"
    if moved.exists():
        _remove(_data(settings, layout))
    else:
        _set_aside(_data(settings, layout), folder)
        write_atomically(moved, "What was here before a restore.\n")
    return folder


def _remove(paths: list[Path]) -> None:
    with writing(paths[0] if paths else Path()):
        for path in paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _set_aside(paths: list[Path], folder: Path) -> None:
    with writing(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        for name in _OURS:
            if (folder.parent / name).exists():
                shutil.copy2(folder.parent / name, folder / name)
        for path in paths:
            # Within its own disk, so that it moves in one step.
            inside = path.parent == folder.parent
            path.rename(folder / path.name if inside else f"{path}.{folder.name}")


# --- Stores without the rest


def _with_stores(
    settings: Settings, layout: Layout, secrets: Secrets, work: Callable[[], _T]
) -> _T:
    """Run the stores alone while something works on them. To be called by the lock's holder."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def do() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
            raise

    stores = [each for each in services(settings, layout, secrets) if each.name in _STORES]
    names = tuple(each.name for each in stores)
    for service in stores:
        for port in service.ports:
            require_free(port, service.name)
    step = Service("backup", [], needs=names, prepare=do)
    supervisor = Supervisor(
        [*stores, step], layout, start_timeout=settings.start_timeout,
        on_change=lambda state: supervisor.stop() if state.all_healthy() else None,
    )  # fmt: skip
    try:
        asyncio.run(_supervised(supervisor))
    except ServiceFailedError:
        if errors:  # as it was raised, not as the end of a service
            raise errors[0] from None
        raise
    if not results:
        raise BackupError("it was interrupted: run it again")
    return results[0]


async def _supervised(supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, supervisor.stop)
    await supervisor.run()
