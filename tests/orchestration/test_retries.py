"""An outage costs no try, an own error one, and what is at fault in the input all of them."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
import requests
import sqlalchemy as sa
from airflow.sdk import RetryAction

from tests.support import typed
from tradewind import errors
from tradewind.orchestration.dags.common import defaults
from tradewind.orchestration.retries import RETRIES, OutagesAreFree, is_outage


class Store(dict[str, Any]):
    """What Airflow keeps for a task from try to try."""

    def set(self, key: str, value: object) -> None:
        self[key] = value


def caused(error: Exception, cause: Exception, *, told: bool = True) -> Exception:
    with contextlib.suppress(type(error)):
        try:
            raise cause
        except type(cause) as before:
            if told:
                raise error from before
            raise error  # noqa: B904 - as MLflow's client does
    return error


OUTAGES = [
    ConnectionRefusedError("no"),
    requests.exceptions.ReadTimeout("no"),
    sa.exc.OperationalError("SELECT", {}, psycopg2.OperationalError("server closed")),
    caused(errors.LedgerError("the database refused"), psycopg2.OperationalError("server closed")),
    caused(errors.RegistryError("out of reach"), requests.exceptions.ConnectionError("refused")),
    caused(errors.RegistryError("500"), requests.exceptions.RetryError("many 500"), told=False),
    caused(errors.TradingError("not stored"), sa.exc.OperationalError("", {}, Exception())),
    errors.VendorError("500", passing=True),
    caused(errors.SourceError("not fetched"), ConnectionResetError("peer")),
]


@pytest.mark.parametrize("error", OUTAGES, ids=repr)
def test_an_outage_costs_no_try(error: Exception) -> None:
    assert is_outage(error)
    store = Store()
    context = {"task_state_store": store}
    policy = OutagesAreFree()
    delays = []
    for number in range(1, RETRIES + 1):
        decision = policy.evaluate(error, number, RETRIES, context)
        assert decision.action == RetryAction.RETRY
        delays.append(typed(decision.retry_delay, timedelta).total_seconds())
    assert delays == [5, 15, 45, 135, 240]  # seven minutes of an outage
    assert not store
    own = errors.RegistryError("of another kind")
    assert policy.evaluate(own, RETRIES, RETRIES, context).action == RetryAction.DEFAULT
    assert policy.evaluate(own, RETRIES, RETRIES, context).action == RetryAction.FAIL


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), FileNotFoundError("x"), PermissionError("x"), MemoryError()],
    ids=repr,
)
def test_an_own_error_is_no_outage_and_has_a_second_try(error: Exception) -> None:
    context = {"task_state_store": Store()}
    assert not is_outage(error)
    decided = [OutagesAreFree().evaluate(error, n, RETRIES, context).action for n in (1, 2)]
    assert decided == [RetryAction.DEFAULT, RetryAction.FAIL]


def test_symbols_that_a_source_could_not_give_are_asked_for_again_once_the_quota_allows() -> None:
    store = Store()

    def delay(number: int, wait: timedelta | None) -> float:
        until = None if wait is None else datetime.now(UTC) + wait
        error = errors.PartialSourceError("x", {"IBM": "no answer"}, again_at=until)
        decision = OutagesAreFree().evaluate(error, number, RETRIES, {"task_state_store": store})
        assert decision.action == RetryAction.RETRY
        return typed(decision.retry_delay, timedelta).total_seconds()

    assert [delay(number, None) for number in (1, 2, 5)] == [5, 15, 240]
    assert 1790 < delay(1, timedelta(minutes=30)) <= 1800
    assert delay(2, timedelta(hours=-1)) == 15
    assert delay(1, timedelta(days=30)) == 7200
    assert not store


def test_causes_that_go_in_a_circle_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert not is_outage(first)


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (errors.BarValidationError, True),
        (errors.LeakError, True),
        (errors.SweepError, True),
        (errors.ReproductionError, True),
        (errors.LedgerError, False),  # PostgreSQL may be restarting
        (errors.RegistryError, False),
        (errors.StoreError, False),
        (errors.TradingError, False),
        (OSError, False),
    ],
)
def test_what_a_second_try_cannot_mend_is_final(error: type[Exception], final: bool) -> None:
    decision = defaults()["retry_policy"].evaluate(error("x"), try_number=1, max_tries=1)
    assert (decision.action == RetryAction.FAIL) is final
