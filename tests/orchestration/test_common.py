import pytest
from airflow.sdk import RetryAction

from tradewind import errors
from tradewind.orchestration.common import defaults


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
