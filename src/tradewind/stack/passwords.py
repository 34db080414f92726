"""The administrator's password on the two pages, set anew where it was changed there or is lost."""

import subprocess
from dataclasses import replace

from tradewind.errors import SecretsError, StackError
from tradewind.settings import Settings
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import Secrets, load_secrets, save_secrets
from tradewind.stack.servers import postgres_server
from tradewind.stack.services import services
from tradewind.stack.state import read_state

__all__ = ["LEAST_CHARACTERS", "PAGES", "set_password"]

PAGES = ("airflow", "mlflow")
LEAST_CHARACTERS = 12
"""What MLflow insists on; no less for Airflow, whose page may be as public."""


def set_password(settings: Settings, page: str, password: str | None = None) -> str:
    """Set the password of ``admin`` on a page and in the secrets, and return it.

    The one of before is not asked for: whoever can read the secrets may open the databases.

    Parameters
    ----------
    settings : Settings
    page : {"airflow", "mlflow"}
    password : str, optional
        A new one is made if it is not given.

    Raises
    ------
    SecretsError
        If the password is too short or has more than one line.
    StackError
        If the stack is not running, or the page's database refuses.
    """
    layout = Layout(settings.state)
    state = read_state(layout)
    if state is None or not state.supervised():
        raise StackError("the stack is not running: tradewind up --detach")
    secrets, field = load_secrets(layout), f"{page}_admin"
    chosen = getattr(Secrets(), field) if password is None else password
    if len(chosen) < LEAST_CHARACTERS or not chosen.isprintable():
        raise SecretsError(
            f"the password needs {LEAST_CHARACTERS} characters or more, all of them printable; "
            f"this one has {len(chosen)}"
        )
    if page == "airflow":
        _in_airflow(settings, layout, secrets, chosen)
    else:
        _in_mlflow(settings, secrets, chosen)
    save_secrets(layout, replace(secrets, **{field: chosen}))
    return str(chosen)


def _in_airflow(settings: Settings, layout: Layout, secrets: Secrets, password: str) -> None:
    admin = next(s for s in services(settings, layout, secrets) if s.name == "airflow-admin")
    # Asked for on standard input: a command line can be seen by everybody.
    done = subprocess.run(
        [admin.command[0], "users", "reset-password", "--username", "admin"],
        env=dict(admin.environment), input=f"{password}\n" * 2, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise StackError(
            f"Airflow did not take the password: {done.stderr.strip()[-500:]}. See `tradewind "
            "status`"
        )


def _in_mlflow(settings: Settings, secrets: Secrets, password: str) -> None:
    import warnings

    from sqlalchemy.exc import SQLAlchemyError

    with warnings.catch_warnings(action="ignore"):  # of MLflow about what it imports itself
        from mlflow.exceptions import MlflowException
        from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    address = postgres_server(settings).url("mlflow", secrets.postgres_mlflow)
    try:
        store.init_db(address)
        store.update_user("admin", password)
    except (MlflowException, SQLAlchemyError) as error:
        raise StackError(
            f"MLflow did not take the password: {error}. See `tradewind status`"
        ) from error
