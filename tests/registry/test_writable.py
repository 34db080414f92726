"""The probe's address says why no run could be logged, and leaves nothing behind."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tradewind.registry.server.writable import WRITABLE, serve_writable

VERSIONS = "SELECT xmin::text, version_num FROM alembic_version"


class NoPut(BaseHTTPRequestHandler):
    """S3 to somebody who may read, and not write."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"<Error><Code>AccessDenied</Code><Message>Not you.</Message></Error>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    engine = sa.create_engine(postgres_url)
    ours = not sa.inspect(engine).has_table("alembic_version")  # others' tests migrate here, too
    if ours:
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE alembic_version (version_num text)"))
            connection.execute(sa.text("INSERT INTO alembic_version VALUES ('head')"))
    yield postgres_url
    if ours:
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE alembic_version"))
    engine.dispose()


def answer(database: str, artifacts: Any, **options: Any) -> tuple[int, str]:
    app, engine = Flask("registry"), sa.create_engine(database, **options)
    serve_writable(app, engine, lambda: artifacts)
    found = app.test_client().get(WRITABLE)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM alembic_version")) == 1
    engine.dispose()
    return found.status_code, found.text


def directory(path: Path) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(path.as_uri())


def test_what_can_be_written_is_left_as_it_was(database: str, tmp_path: Path) -> None:
    engine = sa.create_engine(database)
    with engine.connect() as connection:
        before = connection.execute(sa.text(VERSIONS)).all()
    for _ in range(3):
        assert answer(database, directory(tmp_path)) == (200, "writable")
    with engine.connect() as connection:
        assert connection.execute(sa.text(VERSIONS)).all() == before
    engine.dispose()
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_takes_no_write_is_told(database: str, tmp_path: Path) -> None:
    options = {"connect_args": {"options": "-c default_transaction_read_only=on"}}
    status, said = answer(database, directory(tmp_path), **options)
    assert status == 503
    assert said.startswith("the database takes no write: ")
    assert "cannot execute UPDATE in a read-only transaction" in said


def test_a_folder_that_takes_no_file_is_told(database: str, tmp_path: Path) -> None:
    place = tmp_path / "artifacts"
    place.mkdir()
    store = directory(place)
    place.rmdir()
    place.touch()
    status, said = answer(database, store)
    assert status == 503
    assert said.startswith("the artifact store takes no write: ")
    assert str(place) in said


def test_a_bucket_that_one_may_only_read_is_told(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tradewind.registry.server.artifacts import BehindServer

    with ThreadingHTTPServer(("127.0.0.1", 0), NoPut) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        status, said = answer(database, BehindServer("behind-server://mlflow"))
        server.shutdown()
        thread.join()
    assert status == 503
    assert said.startswith("the artifact store takes no write: ")
    assert "AccessDenied" in said
