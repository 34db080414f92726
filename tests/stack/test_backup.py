"""Backups of a real PostgreSQL and of files, and what is refused of them."""

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, Any

import psycopg2
import pytest

from tests.postgres import RunningPostgres, running_postgres
from tests.support import wait_until
from tradewind.errors import BackupError
from tradewind.stack.backup import kept
from tradewind.stack.backup.archive import pack, unpack
from tradewind.stack.backup.databases import Databases, Login
from tradewind.stack.backup.encryption import make_key, public_keys, read_key
from tradewind.stack.backup.kept import Backup
from tradewind.stack.backup.make import Made, make_backup
from tradewind.stack.backup.manifest import Contents, Manifest, name_of, refuse_newer
from tradewind.stack.backup.places import Directory
from tradewind.stack.backup.restore import checked, restore_databases, restore_tree
from tradewind.stack.backup.streams import hash_of
from tradewind.stack.backup.system import System
from tradewind.stack.backup.trees import MARKET, Folder
from tradewind.stack.postgres import program

COUNTED = "SELECT count(*) FROM steps"
NAMES = ("airflow", "mlflow", "tradewind")
FILES = {
    "1/models/m-1/artifacts/MLmodel": b"flavors: {}\n",
    "1/run/artifacts/gate.json": b"{}",
    "1/run/artifacts/ein Bericht ä.html": bytes(range(256)) * 5000,
    "1/empty": b"",
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningPostgres]]:
    """Two clusters: one to back up, one to restore into."""
    root = tmp_path_factory.mktemp("servers")
    with running_postgres(root / "from") as source, running_postgres(root / "into") as empty:
        for name in NAMES:
            run(
                source.url_of(name),
                "CREATE TABLE kept AS "
                "SELECT n, 'it''s; \\ ä' AS said FROM generate_series(1, 1000) n",
                'CREATE SCHEMA "Mixed"; CREATE TABLE "Mixed"."Case" (id serial PRIMARY KEY)',
            )
        run(
            source.url_of("mlflow"),
            "CREATE TABLE runs (run_uuid text, artifact_uri text)",
            "CREATE TABLE model_versions (name text, version int, storage_location text, "
            "source text, run_id text)",
            "INSERT INTO runs VALUES ('r', 'mlflow-artifacts:/1/run/artifacts')",
            "INSERT INTO model_versions VALUES "
            "('whole', 1, 'mlflow-artifacts:/1/models/m-1/artifacts', 'models:/m-1', 'r'), "
            "('erased', 2, 'mlflow-artifacts:/1/models/m-2/artifacts', 'models:/m-2', 'r')",
        )
        yield {"from": source, "into": empty}


def run(url: str, *statements: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def login(url: str) -> Login:
    parts = psycopg2.extensions.parse_dsn(url.replace("+psycopg2", ""))
    words = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD",
             "dbname": "DATABASE"}  # fmt: skip
    return Login({f"PG{words[key]}": value for key, value in parts.items()})


def system(server: RunningPostgres, folder: Path) -> System:
    logins = {name: login(server.url_of(name)) for name in NAMES}
    return System(Databases(logins, program), {"artifacts": Folder(folder)})


@dataclass(frozen=True)
class Setting:
    source: System
    place: Directory
    folder: Path
    key: str
    public: tuple[str, ...]

    def made(self, **options: Any) -> Made:
        return make_backup(self.source, self.place, **options)

    def path(self, made: Made, part: str) -> Path:
        return self.folder / made.backup.name / part


@pytest.fixture
def setting(servers: dict[str, RunningPostgres], tmp_path: Path) -> Setting:
    for path, content in FILES.items():
        (tmp_path / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / path).write_bytes(content)
    public = make_key(tmp_path / "key")
    place = Directory(tmp_path / "backups")
    return Setting(
        system(servers["from"], tmp_path / "files"), place, tmp_path / "backups",
        read_key(tmp_path / "key"), public_keys(public),
    )  # fmt: skip


@pytest.fixture(scope="module")
def made_once(
    servers: dict[str, RunningPostgres], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Made, str]:
    """An encrypted backup to take copies of: what is damaged is damaged in a copy."""
    folder = tmp_path_factory.mktemp("once")
    (folder / "files").mkdir()
    (folder / "files" / "model").write_bytes(bytes(200_000))
    public = make_key(folder / "key")
    made = make_backup(
        system(servers["from"], folder / "files"), Directory(folder / "backups"),
        encrypt_to=public_keys(public),
    )  # fmt: skip
    return folder / "backups", made, read_key(folder / "key")


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_was_backed_up_is_restored(
    setting: Setting, servers: dict[str, RunningPostgres], tmp_path: Path, *, encrypted: bool
) -> None:
    made = setting.made(encrypt_to=setting.public if encrypted else ())
    assert kept.backups(setting.place) == [made.backup]
    secret = setting.key if encrypted else None
    found = kept.find(setting.place, None)
    whole = checked(found, secret)
    contents = whole.contents
    assert contents == made.contents
    assert [f"{v.model} {v.version}" for v in contents.incomplete()] == ["erased 2"]
    assert {each.folders for each in contents.registered} == {
        ("1/models/m-1/artifacts", "1/run/artifacts"), ("1/models/m-2/artifacts", "1/run/artifacts")
    }  # fmt: skip

    into = system(servers["into"], tmp_path / "restored")
    for _ in range(2):  # as after a restore that was interrupted
        restore_databases(into, whole)
        restore_tree(into.trees["artifacts"], "artifacts", whole)
    for path, content in FILES.items():
        assert (tmp_path / "restored" / path).read_bytes() == content
    for name in NAMES:
        url = servers["into"].url_of(name)
        assert run(url, "SELECT count(*), sum(n), min(said) FROM kept") == [
            (1000, 500500, "it's; \\ ä")
        ]
        # As the role that owns it, which goes on counting where it was.
        assert run(url, 'INSERT INTO "Mixed"."Case" DEFAULT VALUES RETURNING id') == [(1,)]


class Breaking(io.BytesIO):
    """A stream that a key, or the disk, refuses to go on with."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(min(size or 0, 1000))
        if not data:
            raise BackupError("it is damaged")
        return data


@pytest.mark.parametrize("kind", [Breaking, io.BytesIO])
def test_a_restore_that_breaks_off_leaves_the_database_as_it_was(
    setting: Setting, servers: dict[str, RunningPostgres], tmp_path: Path, kind: type[io.BytesIO]
) -> None:
    made = setting.made()
    whole = setting.path(made, "tradewind.dump").read_bytes()
    databases = system(servers["into"], tmp_path).databases
    databases.restore("tradewind", io.BytesIO(whole))
    url = servers["into"].url_of("tradewind")
    run(url, "INSERT INTO kept VALUES (0, 'of today')")
    for length in (len(whole) // 2, len(whole) - 100):
        with pytest.raises(BackupError, match=r"it is damaged|pg_restore failed"):
            databases.restore("tradewind", kind(whole[:length]))
        assert run(url, "SELECT count(*) FROM kept WHERE said = 'of today'") == [(1,)]
    databases.restore("tradewind", io.BytesIO(whole))
    assert run(url, "SELECT count(*) FROM kept WHERE said = 'of today'") == [(0,)]


def test_an_encrypted_backup_tells_nothing(setting: Setting) -> None:
    made = setting.made(encrypt_to=setting.public)
    stored = list((setting.folder / made.backup.name).iterdir())
    assert {path.name for path in stored} == {
        "manifest.json", "contents.json.age", "artifacts.tar.age",
        *(f"{name}.dump.age" for name in NAMES),
    }  # fmt: skip
    for path in stored:
        content = path.read_bytes()
        for word in (b"flavors", b"MLmodel", b"it's", b"kept"):
            assert word not in content, path
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("group", "modes"), [(False, (0o700, 0o600)), (True, (0o750, 0o640))])
def test_who_may_read_a_backup(tmp_path: Path, modes: tuple[int, int], *, group: bool) -> None:
    Directory(tmp_path, group=group).put("a/manifest.json", b"{}")
    paths = (tmp_path / "a", tmp_path / "a" / "manifest.json")
    assert tuple(path.stat().st_mode & 0o777 for path in paths) == modes


Damage = Callable[[Path], None]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("part", ["airflow.dump.age", "artifacts.tar.age", "contents.json.age"])
def test_a_damaged_part_is_named(
    made_once: tuple[Path, Made, str], tmp_path: Path, damage: Damage, part: str
) -> None:
    backup = copy_of(made_once, tmp_path)
    damage(tmp_path / backup.name / part)
    with pytest.raises(BackupError, match=rf"{part}.* (is damaged|is missing)"):
        checked(backup, made_once[2])


def copy_of(made_once: tuple[Path, Made, str], to: Path) -> Backup:
    folder, made, _ = made_once
    (to / made.backup.name).mkdir()
    for path in (folder / made.backup.name).iterdir():
        (to / made.backup.name / path.name).write_bytes(path.read_bytes())
    return kept.find(Directory(to), None)


def test_a_part_of_which_the_manifest_was_changed_as_well_is_found_by_the_key(
    made_once: tuple[Path, Made, str], tmp_path: Path
) -> None:
    """Who can write to the backup, and has not the key, cannot change what is restored."""
    backup = copy_of(made_once, tmp_path)
    part = tmp_path / backup.name / "artifacts.tar.age"
    flip(part)
    manifest = json.loads((tmp_path / backup.name / "manifest.json").read_text())
    manifest["parts"][part.name]["sha256"] = hashlib.sha256(part.read_bytes()).hexdigest()
    (tmp_path / backup.name / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BackupError, match=r"artifacts.tar.age is damaged: decryption error"):
        checked(kept.find(Directory(tmp_path), None), made_once[2])


def test_a_manifest_that_says_less_is_damaged(
    made_once: tuple[Path, Made, str], tmp_path: Path
) -> None:
    backup = copy_of(made_once, tmp_path)
    for text in ("", "{}", '{"format": 2}'):
        (tmp_path / backup.name / "manifest.json").write_text(text)
        with pytest.raises(BackupError, match=r"manifest.json is damaged, or of a newer tradewind"):
            kept.find(Directory(tmp_path), None)


def test_another_key_and_none_are_refused(
    made_once: tuple[Path, Made, str], tmp_path: Path
) -> None:
    _, made, _ = made_once
    with pytest.raises(BackupError, match=r"is encrypted to age1.*--key"):
        checked(made.backup, None)
    make_key(tmp_path / "another")
    with pytest.raises(BackupError, match="is not encrypted to this key"):
        checked(made.backup, read_key(tmp_path / "another"))


def test_keys_are_told_from_other_files(tmp_path: Path) -> None:
    public = make_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    with pytest.raises(BackupError, match="exists, and no key is written over"):
        make_key(tmp_path / "key")
    (tmp_path / "public").write_text(public)
    with pytest.raises(BackupError, match="has no private key in it"):
        read_key(tmp_path / "public")
    with pytest.raises(BackupError, match="cannot read the key"):
        read_key(tmp_path / "none")
    with pytest.raises(BackupError, match=r"begins with age1.*not to a private key"):
        public_keys(read_key(tmp_path / "key"))


# --- Which are kept


def test_the_newest_are_kept_and_the_unfinished_go_when_they_are_old(setting: Setting) -> None:
    first = setting.made()
    old = setting.folder / name_of(datetime.now(UTC) - timedelta(days=2))
    fresh = setting.folder / name_of(datetime.now(UTC) - timedelta(hours=2))
    stranger = setting.folder / "notes"
    for folder in (old, fresh, stranger):
        folder.mkdir()
        (folder / "airflow.dump").write_bytes(b"half")
    made = [first, *(setting.made(keep=2) for _ in range(2))]
    names = [each.backup.name for each in made]
    assert names == sorted(set(names))
    assert made[1].removed == [old.name]
    assert made[2].removed == [names[0]]
    assert [each.name for each in kept.backups(setting.place)] == names[1:]
    assert {path.name for path in setting.folder.iterdir()} == {
        *names[1:], fresh.name, stranger.name
    }  # fmt: skip
    with pytest.raises(BackupError, match=rf"{fresh.name} in .* was not finished. There are: "):
        kept.find(setting.place, fresh.name)
    with pytest.raises(BackupError, match="does not exist"):
        kept.find(setting.place, names[0])


class Full(Directory):
    """A directory on a disk that fills."""

    def __init__(self, root: Path, room: int) -> None:
        super().__init__(root)
        self._room = room

    def writing(self, name: str) -> Any:
        return _Filling(super().writing(name), self._room)


class _Filling:
    def __init__(self, inner: Any, room: int) -> None:
        self._inner, self._room = inner, room

    def __enter__(self) -> IO[bytes]:
        file: IO[bytes] = self._inner.__enter__()
        return io.BufferedWriter(_Limited(file, self._room))

    def __exit__(self, *about: object) -> Any:
        return self._inner.__exit__(*about)


class _Limited(io.RawIOBase):
    def __init__(self, file: IO[bytes], room: int) -> None:
        self._file, self._room = file, room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(28, "No space left on device")
        return self._file.write(data)


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_disk_that_fills_costs_the_new_backup_alone(setting: Setting, *, encrypted: bool) -> None:
    before = setting.made()
    full = Full(setting.folder, 300_000)
    with pytest.raises(BackupError, match=r"No space left on device; the disk is full"):
        make_backup(setting.source, full, keep=1, encrypt_to=setting.public if encrypted else ())
    assert [path.name for path in setting.folder.iterdir()] == [before.backup.name]
    before.backup.check()


def test_a_place_that_is_backed_up_itself_is_refused(setting: Setting, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "files")
    for place in ("files", "files/1/backups", "link/backups"):
        with pytest.raises(BackupError, match=r"which is backed up itself \(artifacts\)"):
            make_backup(setting.source, Directory(tmp_path / place))
    make_backup(setting.source, Directory(tmp_path / "files-of-backups"))


def test_nothing_is_kept_of_a_backup_whose_database_refuses(setting: Setting) -> None:
    logins = dict(setting.source.databases.logins)
    logins["mlflow"] = Login({**logins["mlflow"].environment, "PGPASSWORD": "wrong"})
    broken = System(Databases(logins, program), setting.source.trees)
    with pytest.raises(BackupError, match="does not let in mlflow"):
        make_backup(broken, setting.place)
    assert not setting.folder.exists()


# --- One moment


def test_all_databases_are_seen_at_one_moment(servers: dict[str, RunningPostgres]) -> None:
    """What is written to one database after another was written is never seen without it."""
    urls = [servers["from"].url_of(name) for name in NAMES]
    for url in urls:
        run(url, "CREATE TABLE steps (n int)")
    stop = threading.Event()
    steps = 0

    def work() -> None:
        nonlocal steps
        connections = [psycopg2.connect(url.replace("+psycopg2", "")) for url in urls]
        try:
            while not stop.is_set():
                steps += 1
                for connection in connections:
                    with connection, connection.cursor() as cursor:
                        cursor.execute("INSERT INTO steps VALUES (%s)", (steps,))
        finally:
            for connection in connections:
                connection.close()

    def went_on(beyond: int) -> bool:
        return steps > beyond

    thread = threading.Thread(target=work)
    thread.start()
    try:
        seen: list[list[int]] = []
        wait_until(lambda: steps > 0, 30)
        databases = system(servers["from"], Path("/nowhere")).databases
        for _ in range(20):
            with databases.one_moment() as snapshots:
                beyond = steps + 2
                wait_until(partial(went_on, beyond), 30)  # it does not stand still
                seen.append([int(str(snapshots[name].rows(COUNTED)[0][0])) for name in NAMES])
    finally:
        stop.set()
        thread.join()
        for url in urls:
            run(url, "DROP TABLE steps")
    for first, second, third in seen:
        assert first >= second >= third >= first - 1, seen
    assert len({tuple(each) for each in seen}) > 1


def test_a_table_that_grows_is_copied_with_all_that_its_log_names(tmp_path: Path) -> None:
    root = tmp_path / "market"
    log = root / "bars" / "a" / "_delta_log"
    log.mkdir(parents=True)
    (root / "snapshots").mkdir()

    def commit(number: int) -> None:
        (log.parent / f"{number}.parquet").write_text("bars")
        (log / f"{number:020}.json").write_text(str(number))
        (root / "snapshots" / f"{number}.json").write_text(str(number))

    class Growing(Folder):
        """Gets a commit whenever a file of it is read."""

        def reading(self, path: str) -> Any:
            commit(len(list(log.iterdir())))
            return super().reading(path)

    commit(0)
    (log / ".half.json.tmp").write_text("being written")
    found = pack(Growing(root, MARKET), io.BytesIO(), lambda *_: None)
    snapshots, logged, bars = (
        {int(Path(path).stem) for path in found if path.startswith(start) and path.endswith(end)}
        for start, end in (
            ("snapshots", ".json"),
            ("bars/a/_delta_log", ".json"),
            ("bars", "parquet"),
        )
    )
    assert 0 in snapshots
    assert snapshots <= logged <= bars
    assert len(bars) > 3
    assert not any("half" in path for path in found)


def test_a_file_that_goes_while_it_is_copied_is_left_out(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)

    class Tidied(Folder):
        def reading(self, path: str) -> Any:
            (tmp_path / "b").unlink(missing_ok=True)
            return super().reading(path)

    stream = io.BytesIO()
    found = pack(Tidied(tmp_path), stream, lambda *_: None)
    assert set(found) == {"a", "c"}
    stream.seek(0)
    assert [path for path, *_ in unpack(stream, found, "files")] == ["a", "c"]


# --- What is not restored


def contents(**changed: Any) -> Contents:
    plain: dict[str, Any] = {
        "version": "0.1.0", "made": datetime.now(UTC), "migrations": (), "tables": {}, "files": {},
        "registered": (),
    }  # fmt: skip
    return Contents(**(plain | changed))


@pytest.mark.parametrize(
    "newer", [{"version": "99.0"}, {"migrations": ("r9999_what_comes_later",)}]
)
def test_a_backup_of_a_newer_version_is_refused(newer: dict[str, Any]) -> None:
    refuse_newer(contents())
    with pytest.raises(BackupError, match="newer than the installed"):
        refuse_newer(contents(**newer))


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", ""])
def test_nothing_is_written_outside_of_its_folder(path: str) -> None:
    size, sha256 = hash_of(io.BytesIO(b"x"))
    file = {"size": size, "sha256": sha256}
    with pytest.raises(ValueError, match="is no path below a folder"):
        contents(files={"artifacts": {path: file}})
    with pytest.raises(ValueError, match="is no path below a folder"):
        Manifest(version="0", made=datetime.now(UTC), encrypted_to=(), parts={path: file})
