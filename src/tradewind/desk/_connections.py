"""Logins of the running stack, handed to the clients of Airflow, MLflow and the database.

A user's process has them of the stack's secrets. A task in a worker may not read these, and has
logins of its own in its environment, which may do less.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tradewind.errors import OrchestrationError, StackError
from tradewind.host.proxies import spare_this_machine
from tradewind.settings import Settings
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import Secrets, load_secrets
from tradewind.stack.servers import postgres_server
from tradewind.stack.state import read_state

if TYPE_CHECKING:
    from tradewind.desk.airflow_client import AirflowClient

__all__ = [
    "PATIENCE", "airflow", "book_url", "in_service", "ledger_url", "trigger_when_known",
    "use_mlflow",
]  # fmt: skip

PATIENCE = 180.0  # seconds; a service that was killed is back in one of its three minutes
_NEW_DAG_TIMEOUT = 60.0  # seconds; Airflow looks for new files every 10


def in_service(settings: Settings) -> bool:
    """Whether this process is of a service of the stack, such as a task in a worker."""
    return settings.database_url is not None


def airflow(
    settings: Settings, *, patience: float = 0.0, on_note: Callable[[str], None] | None = None
) -> "AirflowClient":
    """Return a client of the stack's Airflow, logged in as its administrator.

    Parameters
    ----------
    settings : Settings
    patience : float
        Seconds for which it waits for an Airflow that is being restarted.
    on_note : callable, optional
        Told, in a sentence, what is waited for.
    """
    from tradewind.desk.airflow_client import AirflowClient

    return AirflowClient(
        settings.airflow_url,
        "admin",
        _secrets(settings).airflow_admin,
        patience=patience,
        on_note=on_note or (lambda _: None),
    )


def use_mlflow(settings: Settings, *, patient: bool = True) -> None:
    """Point MLflow's clients of this process at the stack's server, past any proxy.

    Parameters
    ----------
    settings : Settings
    patient : bool
        Whether they wait, up to four minutes, for a server that is away or overloaded.
    """
    spare_this_machine(os.environ)
    if in_service(settings):
        return  # its environment says which server, and with which login
    os.environ.update(
        MLFLOW_TRACKING_URI=settings.mlflow_url,
        MLFLOW_TRACKING_USERNAME="admin",
        MLFLOW_TRACKING_PASSWORD=_secrets(settings).mlflow_admin,
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
    )
    if not patient:
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"


def ledger_url(settings: Settings) -> str:
    """Return the address of the database with the ledger of trials and the signals.

    In the role of a task of research, which may add to them.
    """
    if settings.database_url is not None:
        return settings.database_url
    return postgres_server(settings).url("research", _secrets(settings).postgres_research)


def book_url(settings: Settings) -> str:
    """Return the address of the same database in the role that adds to the trading book."""
    return postgres_server(settings).url("trading", _secrets(settings).postgres_trading)


def trigger_when_known(
    client: "AirflowClient", dag_id: str, conf: Mapping[str, Any] | None = None
) -> str:
    """Start a run of a DAG that Airflow may still have to find, and return its id.

    Parameters
    ----------
    client : AirflowClient
    dag_id : str
    conf : mapping, optional
        What the run's tasks find as its configuration.

    Raises
    ------
    OrchestrationError
        If Airflow does not know the DAG after a minute; says which files it could not read. If
        the DAG is paused, for its run would not begin.
    """
    deadline = time.monotonic() + _NEW_DAG_TIMEOUT
    while not client.dag_exists(dag_id):
        if time.monotonic() > deadline:
            errors = "; ".join(f"{e.filename}: {e.stack_trace}" for e in client.import_errors())
            raise OrchestrationError(
                f"Airflow has not found {dag_id} after {_NEW_DAG_TIMEOUT:g} s. "
                f"{errors or 'See `tradewind logs airflow-dag-processor`'}"
            )
        time.sleep(0.5)
    if client.standstill(dag_id) == "paused":
        raise OrchestrationError(
            f"{dag_id} is paused in Airflow, so that a run of it would not begin. Unpause it at "
            f"{client.dag_url(dag_id)} and ask again; nothing was started"
        )
    return client.trigger(dag_id, conf)


def _secrets(settings: Settings) -> Secrets:
    state = read_state(Layout(settings.state))
    if state is None or not state.supervised():
        raise StackError("the stack is not running: tradewind up --detach")
    return load_secrets(Layout(settings.state))
