"""Logins of MLflow checked one at a time.

To compare a password takes 32 MB and a tenth of a second, by design, and for a minute the answer
is kept. After that all requests of the moment would compare it again: forty threads a process at
once more than a gigabyte. Now the first does, and the others find its answer.
"""

import threading

from flask import Flask, g, request

__all__ = ["OneAtATime"]


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
            self._turn.acquire()  # released by the same request's `_end`
            g.checks_login = True

    def _end(self, _: BaseException | None = None) -> None:
        if g.pop("checks_login", False):
            self._turn.release()
