"""Logins of MLflow checked one at a time.

To compare a password takes 32 MB and a tenth of a second, by design, and for a minute the answer
is kept. After that all requests of the moment would compare it again: forty threads a process at
once more than a gigabyte. Now the first does, and the others find its answer.

A turn lasts as long as MLflow takes to say whether a request may go on, so wrong passwords, which
are compared each time, are tried one at a time, too, and slow the others down meanwhile.
"""

import threading

from flask import Flask, g, request

__all__ = ["OneAtATime"]

# Who waits longer goes on without a turn: one check that hangs must not stop all others.
PATIENCE = 5.0  # seconds


class OneAtATime:
    """What a Flask application does around the check of a login, which comes between the two."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def before(self, app: Flask) -> None:
        """Have each request wait for its turn, before what else it does first is registered."""
        app.before_request(self._begin)

    def after(self, app: Flask) -> None:
        """End the turn after what was registered until now, or with the request."""
        app.before_request(self._end)
        app.teardown_request(self._end)

    def _begin(self) -> None:
        if request.authorization is not None:
            g.checks_login = self._turn.acquire(timeout=PATIENCE)

    def _end(self, _: BaseException | None = None) -> None:
        if g.pop("checks_login", False):
            self._turn.release()
