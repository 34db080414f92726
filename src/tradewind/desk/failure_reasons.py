"""Why a task failed, in a sentence, read from the entries of its log.

A task's own error is there with its kind and message. If a task fails before its first line, or its
process is killed, another process notices it and writes an entry with a field ``reason``.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

__all__ = ["REASON", "error_of", "executor_s_words", "reason_in"]

REASON: Final = "reason"
_EXTRA: Final = " Extra info: "
_ERRORS: Final = frozenset({"error", "critical"})


def error_of(entry: Mapping[str, Any]) -> str:
    """Return kind and message of the exception in an entry; empty where there is none."""
    details = entry.get("error_detail")
    return f"{details[0]['exc_type']}: {details[0]['exc_value']}" if details else ""


def executor_s_words(told: object) -> str:
    """Return the executor's reason for a failed task, from Airflow's text; empty if it has none."""
    _, found, words = str(told or "").rpartition(_EXTRA)
    return words if found else ""


def reason_in(entries: Iterable[object]) -> str:
    """Return why a task failed; empty if its log does not say.

    Parameters
    ----------
    entries : iterable
        Entries of a structured log, oldest first; those that are no mapping are ignored.
    """
    told = [entry for entry in entries if isinstance(entry, Mapping)][::-1]
    reasons = (str(entry.get(REASON) or "") or error_of(entry) for entry in told)
    last = (str(entry.get("event", "")) for entry in told if entry.get("level") in _ERRORS)
    return next(filter(None, chain(reasons, last)), "")
