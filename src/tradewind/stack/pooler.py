"""A pooler (PgBouncer) before a team's PostgreSQL: whether it keeps what our services rely on.

It does not say how it is set. So what its settings must bring about is tried, with connections of
the login that looks.
"""

import secrets
import select
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any, Final

__all__ = ["SOUND", "Connect", "pooler_problem"]

Connect = Callable[..., Any]
"""Opens a connection of psycopg2, which is told the keywords besides."""

SOUND: Final = (
    "a pooler (PgBouncer) stands before it, and a session keeps its server, as our locks need. "
    "tcp_keepidle = 30, tcp_keepintvl = 10 and tcp_keepcnt = 3 in pgbouncer.ini free the locks of "
    "a machine that is gone after a minute, not after hours"
)
"""What is to be known where there is a pooler without a problem."""

_NO_SESSION: Final = (
    "the pooler before it gives a session another server for each transaction, and locks of ours "
    "belong to a session, as LISTEN and settings do: set pool_mode = session in pgbouncer.ini, for "
    "our databases alone if the rest shall stay as it is"
)
_ROUNDS: Final = 3  # others may have been given that server, and be done with it
_TOGETHER: Final = 30
"""Sessions that the busiest role of ours may keep at once without a heavy load."""
_TIMEOUT: Final = 5.0  # seconds for one answer
_RESET: Final = 2.0  # seconds in which a pooler has cleaned up after a session
_PAUSE: Final = 0.05
_WHO: Final = "SELECT pg_backend_pid()"
_LEFT: Final = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 "
    "AND classid = %s AND objid = %s"
)


class _SilentError(Exception):
    """Nobody answered in time."""


def pooler_problem(connect: Connect) -> str | None:
    """Return what a pooler before the server must be set to; "" if nothing, None without a pooler.

    Parameters
    ----------
    connect : callable
        Opens a connection to the server, perhaps by the pooler.

    Raises
    ------
    psycopg2.Error
        If the login that it has is not let in.
    """
    try:
        first, number = _asking(connect)
    except _SilentError as error:
        return _too_few(0, error)
    with closing(first):
        # A pooler hands out numbers of its own, for a client to cancel by.
        if number == first.info.backend_pid:
            return None
    tries = (_takes_options, _keeps_a_session, _cleans_up, _has_enough)
    return next((problem for tried in tries if (problem := tried(connect))), "")


def _open(connect: Connect, **told: Any) -> Any:  # noqa: ANN401 - as psycopg2 has it
    made = connect(**told)
    made.autocommit = True
    return made


def _asking(connect: Connect, before: str = "") -> tuple[Any, int]:
    """Return a connection, and the process that answers it; both have a limit of time.

    Parameters
    ----------
    connect : callable
    before : str
        A statement that goes before the question.

    Raises
    ------
    psycopg2.OperationalError
        If it is refused.
    _SilentError
        If it gets no answer.
    """
    made, deadline = connect(async_=True), time.monotonic() + _TIMEOUT
    try:
        _until_done(made, deadline)
        with made.cursor() as cursor:
            cursor.execute(f"{before} {_WHO}")
            _until_done(made, deadline)
            return made, int(cursor.fetchone()[0])
    except BaseException:
        made.close()
        raise


def _takes_options(connect: Connect) -> str:
    """Ask for what each connection of our services asks for when it begins."""
    import psycopg2

    from tradewind.postgres import KEEPALIVE  # late: who makes backups has no SQLAlchemy

    try:
        connect(**KEEPALIVE).close()
    except psycopg2.OperationalError as error:
        return (
            f"the pooler before it refuses what our connections ask for ({_told(error)}): set "
            "ignore_startup_parameters = extra_float_digits, options in pgbouncer.ini"
        )
    return ""


def _keeps_a_session(connect: Connect) -> str:
    """Look whether a session finds its server again when another wants one meanwhile."""
    import psycopg2

    with closing(_open(connect)) as session:
        for _ in range(_ROUNDS):
            before = _backend(session)
            try:
                # If the session's server was given back, it is the next that is given out.
                other, _ = _asking(connect, "BEGIN;")
            except (psycopg2.OperationalError, _SilentError) as error:
                # It forbids transactions where it pools single statements.
                return _NO_SESSION if "pooling mode" in str(error) else _too_few(1, error)
            with closing(other):
                if _backend(session) != before:
                    return _NO_SESSION
    return ""


def _cleans_up(connect: Connect) -> str:
    """Look whether a lock of a session that has ended is free."""
    key = secrets.randbits(31), secrets.randbits(31)
    with closing(_open(connect)) as session, session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", key)
    deadline = time.monotonic() + _RESET
    with closing(_open(connect)) as session, session.cursor() as cursor:
        while True:
            cursor.execute(_LEFT, key)
            if not cursor.fetchone()[0]:
                return ""
            if time.monotonic() > deadline:
                cursor.execute("SELECT pg_advisory_unlock_all()")  # it may be the same server
                break
            time.sleep(_PAUSE)
    return (
        "the pooler before it keeps the locks of a session that has ended: set "
        "server_reset_query = DISCARD ALL in pgbouncer.ini"
    )


def _has_enough(connect: Connect) -> str:
    """Look whether it gives a role as many sessions as ours keep."""
    import psycopg2

    with ExitStack() as opened:
        for number in range(_TOGETHER):
            try:
                opened.enter_context(closing(_asking(connect)[0]))
            except (psycopg2.OperationalError, _SilentError) as error:
                return _too_few(number, error)
    return ""


def _too_few(answered: int, error: Exception) -> str:
    return (
        f"the pooler before it gave one role {answered} sessions at once and no more "
        f"({_told(error)}): set default_pool_size = 100 and max_client_conn = 500 in "
        "pgbouncer.ini, or pool_size for our databases, and neither max_user_connections nor "
        "max_db_connections below that"
    )


def _until_done(connection: Any, deadline: float) -> None:  # noqa: ANN401 - as psycopg2 has it
    from psycopg2.extensions import POLL_OK, POLL_WRITE

    while (state := connection.poll()) != POLL_OK:
        wanted = [connection.fileno()]
        for_writing = state == POLL_WRITE
        left = max(0.0, deadline - time.monotonic())
        ready = select.select(
            [] if for_writing else wanted, wanted if for_writing else [], [], left
        )
        if not any(ready):
            raise _SilentError(f"no answer in {_TIMEOUT:g} s")


def _backend(connection: Any) -> int:  # noqa: ANN401 - as psycopg2 has it
    with connection.cursor() as cursor:
        cursor.execute(_WHO)
        return int(cursor.fetchone()[0])


def _told(error: Exception) -> str:
    return " ".join(str(error).split()).rpartition("failed: ")[2]
