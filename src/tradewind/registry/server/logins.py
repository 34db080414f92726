"""Checks MLflow's logins one at a time, in the same time whether or not the user exists.

To compare a password takes 32 MB and a tenth of a second, by design; the answer is kept for a
minute. When it expires, all requests of that moment would compare the password again: forty threads
a process, more than a gigabyte. With turns, the first request compares it, and the others find the
answer.

A turn lasts until MLflow has decided whether a request may go on. So wrong passwords, which are
compared each time, take turns, too, and slow the others down meanwhile.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from flask import Flask, g, request
from werkzeug.security import check_password_hash, generate_password_hash

if TYPE_CHECKING:
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

__all__ = ["OneAtATime", "compare_for_strangers_too"]

# A request that waits longer goes on without a turn: one check that hangs must not stop all others.
PATIENCE = 5.0  # seconds


class OneAtATime:
    """Two functions of a Flask application: one before the check of a login, one after it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def before(self, app: Flask) -> None:
        """Register the wait for a turn, ahead of all other functions before a request."""
        app.before_request(self._begin)

    def after(self, app: Flask) -> None:
        """Register the end of the turn, after the functions so far or with the request's end."""
        app.before_request(self._end)
        app.teardown_request(self._end)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, for a login that is in no header."""
        taken = self._turn.acquire(timeout=PATIENCE)
        try:
            yield
        finally:
            if taken:
                self._turn.release()

    def _begin(self) -> None:
        if request.authorization is not None:
            g.checks_login = self._turn.acquire(timeout=PATIENCE)

    def _end(self, _: BaseException | None = None) -> None:
        if g.pop("checks_login", False):
            self._turn.release()


def compare_for_strangers_too(store: "SqlAlchemyStore") -> None:
    """Have the store compare a password for an unknown user, too.

    Else an answer that comes at once shows that there is no such user.

    Parameters
    ----------
    store : SqlAlchemyStore
        Of MLflow's users.
    """
    nobody = generate_password_hash(secrets.token_urlsafe())
    authenticate = store.authenticate_user

    @wraps(authenticate)
    def checked(username: str, password: str, **options: Any) -> bool:  # noqa: ANN401 - MLflow's
        known: bool = authenticate(username, password, **options)
        if not known and not store.has_user(username):
            check_password_hash(nobody, password)
        return known

    store.authenticate_user = checked  # type: ignore[method-assign]
