"""A bell that wakes Airflow's scheduler up when there is something to do.

The scheduler sleeps between two looks at its database. If it sleeps long, it is late; if it sleeps
for a moment only, it keeps a processor busy with nothing. It waits for runs that are triggered and
tasks that have ended, which reach the database through the web server. So the web server rings, by
PostgreSQL's NOTIFY, and `tradewind.orchestration.runtime.executor` listens. If a change came from
elsewhere, or the bell is broken, the scheduler still looks by itself as often as before.
"""

import logging
import select
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg2
from airflow.configuration import conf
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import make_url

from tradewind.postgres import KEEPALIVE

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Bell", "RingsBell"]

CHANNEL = "tradewind_scheduler"
BAD_REQUEST = 400
READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Requests of running tasks, because of which nothing can be started.
OF_RUNNING_TASKS = ("/heartbeat", "/run", "/rtif")

log = logging.getLogger(__name__)


class Bell:
    """One end of the bell: rings it, or waits for it. Not for two threads at once."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def ring(self) -> None:
        """Wake up the scheduler; if that fails, it wakes up by itself."""
        try:
            self._execute(f"NOTIFY {CHANNEL}")
        except psycopg2.Error as error:
            self._broken(error)

    def wait(self, seconds: float) -> None:
        """Return when the bell has rung since the last time, or after some seconds."""
        try:
            if self._connection is None:
                self._execute(f"LISTEN {CHANNEL}")
                return  # it may have rung while nobody listened
            if select.select([self._connection], [], [], seconds)[0]:
                self._connection.poll()
                self._connection.notifies.clear()
        except (psycopg2.Error, ValueError) as error:
            self._broken(error)
            time.sleep(seconds)

    def _execute(self, statement: str) -> None:
        if self._connection is None:
            url = make_url(conf.get_mandatory_value("database", "sql_alchemy_conn"))
            dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
            self._connection = psycopg2.connect(dsn, connect_timeout=10, **KEEPALIVE)
            self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def _broken(self, error: Exception) -> None:
        log.warning("the scheduler's bell is broken, and made anew: %s", error)
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class RingsBell:
    """Middleware of Airflow's web server that rings after requests that may have made work.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app
        self._bell = Bell()
        self._thread = ThreadPoolExecutor(1, "bell")  # no request waits for the bell
        self._ringing: Future[None] | None = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request, and ring if it may have made work for the scheduler."""
        if scope["type"] != "http" or not _makes_work(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        done = False

        async def noticed(message: "Message") -> None:
            nonlocal done
            if message["type"] == "http.response.start":
                done = message["status"] < BAD_REQUEST
            await send(message)

        await self._app(scope, receive, noticed)
        if done:
            self.ring()

    def ring(self) -> None:
        """Ring soon, once for all calls until then."""
        if self._ringing is not None:
            self._ringing.cancel()
        self._ringing = self._thread.submit(self._bell.ring)


def _makes_work(verb: str, path: str) -> bool:
    return not (verb in READING or path.endswith(OF_RUNNING_TASKS) or "/xcoms/" in path)
