"""Publishing events from a trading worker: as soon as they are committed, whoever wrote them.

A thread of the worker's main process listens for PostgreSQL's announcement of a new event. It also
looks by itself: at its start, for what a worker that died left behind, and every few seconds, for
an announcement that was made while nobody listened.
"""

import logging
import os
import select
import threading
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from celery.signals import worker_ready, worker_shutdown

from tradewind.errors import TradingError
from tradewind.trading.book.database import database_errors, open_database
from tradewind.trading.book.outbox import CHANNEL, publish
from tradewind.trading.migrate import DATABASE_URL

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["Publisher", "connect_publisher"]

log = logging.getLogger(__name__)

_LOOK: Final = 10.0  # seconds between two looks without an announcement
_PAUSE: Final = 2.0  # seconds after an error


class Publisher:
    """Publishes events until it is stopped.

    Parameters
    ----------
    database_url : str
    redis_url : str
        Of the trading application's database in Redis.
    """

    def __init__(self, database_url: str, redis_url: str) -> None:
        self._database_url = database_url
        self._redis_url = redis_url
        self._stopped = threading.Event()
        # Written to when it is stopped, so that it need not wait for an announcement.
        self._wake, self._awake = os.pipe()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait until it has."""
        self._stopped.set()
        os.write(self._awake, b"x")
        self._thread.join(timeout=_PAUSE + _LOOK)
        os.close(self._awake)
        os.close(self._wake)

    def _run(self) -> None:
        """Publish until it is stopped; a stop also ends the pause after an error."""
        from redis import Redis

        with Redis.from_url(self._redis_url, socket_timeout=5) as redis:
            while not self._stopped.is_set():
                try:
                    with open_database(self._database_url) as engine:
                        self._listen(engine, redis)
                except TradingError as error:
                    log.warning("%s", error)
                    self._stopped.wait(_PAUSE)

    def _listen(self, engine: sa.Engine, redis: "Redis") -> None:
        with database_errors("listening for events"), engine.connect() as listening:
            listening.execution_options(isolation_level="AUTOCOMMIT")
            listening.execute(sa.text(f"LISTEN {CHANNEL}"))
            raw: Any = listening.connection.driver_connection
            while not self._stopped.is_set():
                publish(engine, redis)
                select.select([raw, self._wake], [], [], _LOOK)
                # Also finds out that the connection is gone.
                listening.execute(sa.text("SELECT 1"))
                raw.notifies.clear()


def connect_publisher() -> None:
    """Publish events from the worker of this process, while it runs and its variables are set."""
    worker_ready.connect(_start, weak=False, dispatch_uid="tradewind.trading.publisher")
    worker_shutdown.connect(_stop, weak=False, dispatch_uid="tradewind.trading.publisher")


_running: list[Publisher] = []


def _start(sender: Any = None, **_: object) -> None:  # noqa: ANN401 -- Celery's consumer
    database_url = os.environ.get(DATABASE_URL)
    redis_url = str(sender.app.conf.broker_url or "")
    if not database_url or not redis_url.startswith("redis"):
        log.warning("%s or a Redis broker is not set: no events are published", DATABASE_URL)
        return
    publisher = Publisher(database_url, redis_url)
    publisher.start()
    _running.append(publisher)


def _stop(**_: object) -> None:
    while _running:
        _running.pop().stop()
