"""Which tries of a task count: those that its own errors end, not those that an outage ends.

A task has more tries than it needs, for a worker that dies under it takes one and asks nobody. Of
those that end with an error, an outage of PostgreSQL, Redis, MLflow or Airflow itself costs none
of those that a task's own errors have: it is tried again after a growing while. So is a source that
could not give some symbols, once its quota allows. Errors that say that the input is at fault are
final at once, for they would only say it later.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airflow.sdk import RetryAction
from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from tradewind.errors import (
    BarValidationError,
    LedgerError,
    PartialSourceError,
    ReproductionError,
    ResearchError,
    SourceError,
    VendorError,
)

__all__ = ["OWN_ERRORS", "OWN_TRIES", "RETRIES", "RETRY_DELAY", "OutagesAreFree", "is_outage"]

log = logging.getLogger(__name__)

RETRIES: Final = 5
RETRY_DELAY: Final = timedelta(seconds=5)

OWN_TRIES: Final = 2
OWN_ERRORS: Final = "tradewind.own_errors"
"""Under which Airflow keeps how many tries a task's own errors have ended."""
_NO_ANSWER: Final = "a service did not answer; that costs no try"
_LONGEST_DELAY: Final = timedelta(minutes=4)
_PARTIAL: Final = "a source could not give some symbols; they are asked for again"
_LONGEST_QUOTA: Final = timedelta(hours=2)  # the run has a deadline

_AT_FAULT: Final = (BarValidationError, ReproductionError, ResearchError, SourceError)
# What clients of our services raise when those are away; by name, for few tasks load all of them.
_OUTAGES: Final = frozenset(
    {
        "airflow.sdk.exceptions.AirflowRuntimeError",
        "builtins.ConnectionError",
        "builtins.TimeoutError",
        "httpx.TransportError",
        "kombu.exceptions.OperationalError",
        "psycopg2.InterfaceError",
        "psycopg2.OperationalError",
        "redis.exceptions.ConnectionError",
        "redis.exceptions.TimeoutError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.RetryError",
        "requests.exceptions.Timeout",
        "sqlalchemy.exc.InterfaceError",
        "sqlalchemy.exc.OperationalError",
        "urllib3.exceptions.HTTPError",
    }
)


class OutagesAreFree(RetryPolicy):
    """Tries a task again after an outage, as long as tries are left, and after one own error.

    Parameters
    ----------
    own_tries : int
        How many tries the task's own errors have.
    """

    def __init__(self, own_tries: int = OWN_TRIES) -> None:
        self._own_tries = own_tries

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,  # noqa: ARG002 - Airflow's
        context: Any = None,  # noqa: ANN401 - Airflow's context is a wide mapping
    ) -> RetryDecision:
        """Decide after an error, in the task's own process."""
        growing = min(RETRY_DELAY * 3 ** (try_number - 1), _LONGEST_DELAY)
        if isinstance(exception, PartialSourceError):
            until = exception.again_at
            left = growing if until is None else until - datetime.now(UTC)
            return RetryDecision.retry(min(max(left, growing), _LONGEST_QUOTA), _PARTIAL)
        if is_outage(exception):
            return RetryDecision.retry(growing, _NO_ANSWER)
        if isinstance(exception, _AT_FAULT) and not isinstance(exception, LedgerError):
            return RetryDecision.fail("the input is at fault")
        if _own_errors(context, try_number) >= self._own_tries:
            return RetryDecision.fail(f"its own errors have ended {self._own_tries} tries")
        return RetryDecision(RetryAction.DEFAULT)


def is_outage(error: BaseException) -> bool:
    """Tell whether an error comes of a service that did not answer, or not as it should."""
    return any(isinstance(each, VendorError) and each.passing for each in _causes(error)) or any(
        f"{kind.__module__}.{kind.__qualname__}" in _OUTAGES
        for each in _causes(error)
        for kind in type(each).__mro__
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _own_errors(context: Any, try_number: int) -> int:  # noqa: ANN401
    """Return how many tries the task's own errors have ended, this one among them."""
    store = (context or {}).get("task_state_store")
    if store is None:
        return try_number
    count = int(store.get(OWN_ERRORS, 0)) + 1
    store.set(OWN_ERRORS, count)
    return count
