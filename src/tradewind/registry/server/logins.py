"""Logins of MLflow checked one at a time, and in the same time whether there is such a user or not.

To compare a password takes 32 MB and a tenth of a second, by design, and for a minute the answer
is kept. After that all requests of the moment would compare it again: forty threads a process at
once more than a gigabyte. Now the first does, and the others find its answer.

A turn lasts as long as MLflow takes to say whether a request may go on, so wrong passwords, which
are compared each time, are tried one at a time, too, and slow the others down meanwhile.
"""

import secrets
import threading
from functools import wraps
from typing import TYPE_CHECKING, Any

from flask import Flask, g, request
from werkzeug.security import check_password_hash, generate_password_hash

if TYPE_CHECKING:
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

__all__ = ["OneAtATime", "compare_for_strangers_too"]

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


def compare_for_strangers_too(store: "SqlAlchemyStore") -> None:
    """Have the store compare a password for a user that there is not, too.

    Else an answer that comes at once tells everybody which users there are.

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
