"""An address that says whether MLflow could log a run, by writing to what it writes runs to.

Database and artifact store may answer every read and yet take no writes: a database that is
read-only, a full disk, a bucket without the right to put. So the probe asks this address, with a
login, which says why not.

Nothing stays. The database updates the one row of its schema version to the same value, and rolls
that back. It also writes a temporary file, for else a full disk would go unnoticed until a table
has to grow. The artifact store takes a small file under one name. The file is then deleted, with
all of its versions where a bucket keeps them.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Response

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["WRITABLE", "serve_writable"]

WRITABLE: Final = "/api/2.0/tradewind/writable"

_NAME: Final = "tradewind-probe"
_CONTENT: Final = b"Whether this can be written.\n" * 512  # four blocks of a disk
_LONGEST: Final = 300
# More rows than 64 kB hold, so that PostgreSQL writes a temporary file of them.
_QUESTIONS: Final = (
    "SET LOCAL work_mem = '64kB'",
    "SET LOCAL statement_timeout = '4s'",
    "SELECT count(*) FROM generate_series(1, 20000)",
    "UPDATE alembic_version SET version_num = version_num",
)


def serve_writable(app: Flask, engine: "Engine", artifacts: Callable[[], Any]) -> None:
    """Answer 200 at `WRITABLE` where a run can be logged, else 503 with the reason.

    Parameters
    ----------
    app : Flask
        MLflow's, which asks for a login.
    engine : sqlalchemy.Engine
        Of the database that runs are written to.
    artifacts : callable
        Returns MLflow's repository of the artifact store.
    """

    def writable() -> Response:
        what = "the database"
        try:
            _write_rows(engine)
            what = "the artifact store"
            _write_file(artifacts())
        except Exception as error:  # noqa: BLE001 - each store fails in its own words
            return Response(f"{what} takes no write: {_words(error)}", 503)
        return Response("writable")

    app.add_url_rule(WRITABLE, "tradewind_writable", writable)


def _write_rows(engine: "Engine") -> None:
    from sqlalchemy import text

    with engine.connect() as connection, connection.begin() as change:
        for question in _QUESTIONS:
            connection.execute(text(question))
        change.rollback()


def _write_file(repository: Any) -> None:  # noqa: ANN401 - MLflow ships no types for it
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, _NAME)
        file.write_bytes(_CONTENT)
        repository.log_artifact(str(file))
    delete = getattr(repository, "erase", repository.delete_artifacts)
    with suppress(Exception):  # another probe was faster, or it may not: the file is small
        delete(_NAME)


def _words(error: Exception) -> str:
    """Return the first line of an error: PostgreSQL's, if SQLAlchemy wraps one."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'without a message'}"[:_LONGEST]
