"""What can go wrong between Airflow and another Celery app.

::

    BridgeError
    ├── ConnectionSettingsError (ValueError)   a connection does not say where the app is
    ├── RemoteTaskFailedError                  the task raised in its own app
    └── RemoteTaskRevokedError                 the task was revoked, or expired in its queue
"""

__all__ = [
    "BridgeError",
    "ConnectionSettingsError",
    "RemoteTaskFailedError",
    "RemoteTaskRevokedError",
]


class BridgeError(Exception):
    """Base of what the bridge raises on purpose; by itself: broker or results are out of reach."""


class ConnectionSettingsError(BridgeError, ValueError):
    """A connection does not say where the app is, or says it in a way that no app could have."""


class RemoteTaskFailedError(BridgeError):
    """The task raised in its own app.

    Attributes
    ----------
    exc_type : str
        Name of the exception's class, without its module.
    traceback : str
        As the remote worker wrote it.
    """

    def __init__(self, message: str, *, exc_type: str = "", traceback: str = "") -> None:
        super().__init__(message)
        self.exc_type = exc_type
        self.traceback = traceback

    def __reduce__(self) -> tuple[object, ...]:
        return (_restored, (str(self), self.exc_type, self.traceback))


class RemoteTaskRevokedError(BridgeError):
    """The task was revoked in its own app, or expired before a worker took it."""


def _restored(message: str, exc_type: str, traceback: str) -> RemoteTaskFailedError:
    return RemoteTaskFailedError(message, exc_type=exc_type, traceback=traceback)
