"""The heartbeat of a service of Airflow's as the age of a file, told by that service alone.

Airflow's health page is the web server's: asked there, a DAG processor that is well would be called
dead while the web server is replaced, and what waits for both would give up.
"""

from typing import Any, Final

from airflow.listeners import hookimpl
from sqlalchemy import event
from sqlalchemy.orm import Session, object_session

from tradewind.host.heartbeat import touch_heartbeat

__all__ = ["on_starting"]

# In a session, from the statement to the end of its transaction.
_BEAT: Final = "heartbeat of a job"


@hookimpl
def on_starting(component: Any) -> None:  # noqa: ANN401 - Airflow's word for the job that starts
    """Touch the file whenever the database has taken a heartbeat of this process' job."""
    for target, what, done in (
        (type(component), "after_update", _updated),
        (Session, "after_commit", _committed),
        (Session, "after_rollback", _rolled_back),
    ):
        if not event.contains(target, what, done):
            event.listen(target, what, done)


def _updated(_mapper: object, _connection: object, job: Any) -> None:  # noqa: ANN401
    session = object_session(job)
    if session:
        session.info[_BEAT] = True


def _committed(session: Session) -> None:
    if session.info.pop(_BEAT, False):
        touch_heartbeat()


def _rolled_back(session: Session) -> None:
    session.info.pop(_BEAT, None)
