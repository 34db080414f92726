"""What Celery wrote down of a task's end, read without running what is in it.

Celery keeps results in PostgreSQL as pickles, and the scheduler, which has the keys of Airflow,
unpickles those of its tasks. A task has the login with which they are written, so that it could
write one that runs a program. Results are plain: dictionaries, texts, numbers. So a pickle that
names any class or function is not read, and its result is None; its state still counts.
"""

import io
import logging
import pickle
from typing import Any, Final, NoReturn

from tradewind.errors import OrchestrationError
from tradewind.foreign import ForeignNames

__all__ = ["FOREIGN", "read_results_plainly"]

log = logging.getLogger(__name__)

FOREIGN: Final = (
    ForeignNames(
        "celery",
        (
            "celery.backends.database.models:Task.result",
            "celery.backends.database.models:TaskSet.result",
        ),
        "read results without running what a task may have put into them",
        "Airflow's scheduler and workers do not start",
    ),
)


class _Unpickler(pickle.Unpickler):
    """For plain data: it knows no class and no function."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module_name}.{global_name}")


class _Plain:
    """What SQLAlchemy takes for the module ``pickle``."""

    @staticmethod
    def dumps(value: object, protocol: int | None = None) -> bytes:
        return pickle.dumps(value, protocol)

    @staticmethod
    def loads(data: bytes) -> Any:  # noqa: ANN401 - whatever a task returned
        try:
            return _Unpickler(io.BytesIO(data)).load()
        except Exception as error:  # noqa: BLE001 - bytes of whatever kind may be there
            log.warning("a result of Celery is no plain data, and is left unread: %s", error)
            return None


def read_results_plainly() -> None:
    """Have Celery's tables of results read so, in this process.

    Raises
    ------
    OrchestrationError
        If this Celery keeps them in another way.
    """
    if missing := FOREIGN[0].missing():
        raise OrchestrationError(missing)
    from celery.backends.database.models import Task, TaskSet
    from sqlalchemy import PickleType

    for model in (Task, TaskSet):
        model.__table__.c.result.type = PickleType(pickler=_Plain)
