"""What became of a remote task, read from what Celery's backend wrote."""

import json
from dataclasses import dataclass
from typing import Any

from tradewind.bridge.errors import BridgeError, RemoteTaskFailedError, RemoteTaskRevokedError

__all__ = ["FAILURE", "READY", "REVOKED", "SUCCESS", "Outcome", "state_of"]

SUCCESS, FAILURE, REVOKED = "SUCCESS", "FAILURE", "REVOKED"
READY = frozenset({SUCCESS, FAILURE, REVOKED})
# How kombu's JSON writes what JSON has no word for: dates, decimals, bytes.
_SPECIAL = b'"__type__"'


def state_of(raw: bytes) -> str | None:
    """Return the state that a stored result is in; None if it is not JSON."""
    try:
        return str(json.loads(raw)["status"])
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes
    ----------
    state : str
        ``SUCCESS``, ``FAILURE`` or ``REVOKED``.
    result : object
        What the task returned; of a failure, Celery's record of the exception.
    traceback : str
        Of a failure, as the remote worker wrote it.
    """

    state: str
    result: Any = None
    traceback: str = ""

    @classmethod
    def from_stored(cls, raw: bytes) -> "Outcome":
        """Read what Celery's Redis backend stored.

        Raises
        ------
        BridgeError
            If it was not stored as JSON.
        """
        from kombu.utils.json import loads

        try:
            meta = loads(raw)
            return cls(str(meta["status"]), meta.get("result"), meta.get("traceback") or "")
        except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise BridgeError(
                "the result is not JSON: set `result_serializer` of the app, or of the task, to "
                f"'json' ({type(error).__name__}: {error})"
            ) from error

    def value(self, name: str, task_id: str) -> Any:
        """Return the task's result, or raise what became of it instead.

        Raises
        ------
        RemoteTaskFailedError
            With the remote exception's type, message and traceback.
        RemoteTaskRevokedError
            If it was revoked, or expired.
        """
        if self.state == SUCCESS:
            return self.result
        what = f"{name} ({task_id})"
        if self.state == REVOKED:
            raise RemoteTaskRevokedError(f"{what} was revoked in its app, or expired in its queue")
        exc_type, told = _told(self.result)
        message = f"{what} failed in its app: {told}"
        if self.traceback:
            message += f"\n\nThere:\n{self.traceback}"
        raise RemoteTaskFailedError(message, exc_type=exc_type, traceback=self.traceback)

    @staticmethod
    def plain_result(raw: bytes) -> tuple[bool, Any]:
        """Return whether a stored result is plain JSON, and it."""
        if _SPECIAL in raw:
            return False, None
        return True, json.loads(raw).get("result")


def _told(error: object) -> tuple[str, str]:
    """Return the name of a stored exception, and it in words."""
    if isinstance(error, BaseException):  # other backends than Redis bring the exception itself
        return type(error).__qualname__, f"{type(error).__qualname__}: {error}"
    if not isinstance(error, dict):
        return "", str(error)
    kind = str(error.get("exc_type", ""))
    module = error.get("exc_module")
    message = error.get("exc_message")
    if isinstance(message, list | tuple):
        message = ", ".join(str(part) for part in message)
    full = kind if module in {None, "builtins"} else f"{module}.{kind}"
    return kind, f"{full}: {message}" if message else full
