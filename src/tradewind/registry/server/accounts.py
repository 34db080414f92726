"""MLflow's accounts: what workers, readers and people may do.

MLflow lets everybody read, lets every user make experiments and models, and gives the maker all
rights to them. Here only people are like that, but for those whom an identity provider lets in to
look (`tradewind.registry.server.people`). The account of Airflow's workers logs, registers and
sets aliases in all experiments and models, whoever made them; it deletes nothing but its own runs
(an attempt that was killed), gives nobody rights, and sees no users. The reader reads.
"""

# ruff: noqa: TID253 - loaded by MLflow's server

import os
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from mlflow.server import auth
from mlflow.server.auth import permissions
from mlflow.server.handlers import _get_tracking_store
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME

from tradewind.errors import SettingsError
from tradewind.foreign import ForeignNames
from tradewind.registry._names import ERASING_PATH, WORKER
from tradewind.registry.server.people import comes_by_provider, only_looks

if TYPE_CHECKING:
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

__all__ = ["FOREIGN", "PASSWORDS", "READER", "WORKER", "confine", "make_accounts"]

FOREIGN: Final = (
    ForeignNames(
        "mlflow",
        (
            "mlflow.server.auth:BEFORE_REQUEST_VALIDATORS",
            "mlflow.server.auth:_can_create_in_workspace",
            "mlflow.server.auth:_find_fastapi_validator",
            "mlflow.server.auth:_get_request_param",
            "mlflow.server.auth:authenticate_request",
            "mlflow.server.auth:sender_is_admin",
            "mlflow.server.handlers:_get_tracking_store",
            *(
                f"mlflow.server.auth.sqlalchemy_store:SqlAlchemyStore.{name}"
                for name in (
                    "add_role_permission", "assign_role_to_user", "authenticate_user",
                    "create_role", "create_user", "get_user", "grant_user_permission", "has_user",
                    "list_roles", "list_user_roles", "remove_role_permission",
                    "unassign_role_from_user", "update_user",
                )
            ),
        ),
        "give Airflow's workers an account that may log and register, and nothing else",
        "MLflow's server does not start",
    ),
)  # fmt: skip

READER: Final = "reader"
"""For people and programs that look."""
PASSWORDS: Final = {WORKER: "MLFLOW_WORKER_PASSWORD", READER: "MLFLOW_READER_PASSWORD"}
"""The variable that holds the password of each account."""

_ROLE: Final = "tradewind workers"
_GRANTS: Final = {
    permissions.RESOURCE_TYPE_EXPERIMENT: permissions.EDIT.name,
    permissions.RESOURCE_TYPE_REGISTERED_MODEL: permissions.EDIT.name,
    permissions.RESOURCE_TYPE_PROMPT: permissions.EDIT.name,
}

_OF_PEOPLE: Final = ("/mlflow/users/list", "/mlflow/roles/list")
_TALKS: Final = ("/gateway", "/invoke", "/prompt-optimization/")
"""In paths with which the server asks others, or works, for whoever asks it."""
_ASSISTANT: Final = ("/mlflow/assistant", "/ajax-api/3.0/jobs", *_TALKS)

Validator = Callable[[], bool]


def make_accounts(store: "SqlAlchemyStore", environment: Mapping[str, str] = os.environ) -> None:
    """Make the accounts, or set right what was changed of them: passwords and rights.

    Parameters
    ----------
    store : SqlAlchemyStore
        Of MLflow's users, open.
    environment : mapping
        With the variables of `PASSWORDS`.

    Raises
    ------
    SettingsError
        If a password is not set.
    """
    for name, variable in PASSWORDS.items():
        password = environment.get(variable)
        if not password:
            raise SettingsError(f"{variable} is not set: it is the password of MLflow's {name}")
        if not store.has_user(name):
            store.create_user(name, password)
        elif not store.authenticate_user(name, password):
            store.update_user(name, password=password)
        if store.get_user(name).is_admin:
            store.update_user(name, is_admin=False)
    _grant(store, store.get_user(WORKER).id)


def _grant(store: "SqlAlchemyStore", worker: int) -> None:
    """Give the workers the rights to all experiments and models, those that are there included."""
    known = {role.name: role for role in store.list_roles([DEFAULT_WORKSPACE_NAME])}
    role = known.get(_ROLE) or store.create_role(
        _ROLE, DEFAULT_WORKSPACE_NAME, "What Airflow's workers may do; set at each start"
    )
    found = {}
    for each in role.permissions:
        key = each.resource_type, each.resource_pattern
        if key[1] == "*" and _GRANTS.get(key[0]) == each.permission:
            found[key[0]] = each
        else:
            store.remove_role_permission(each.id)
    for kind, permission in _GRANTS.items():
        if kind not in found:
            store.add_role_permission(role.id, kind, "*", permission)
    held = {each.id for each in store.list_user_roles(worker)}
    if role.id not in held:
        store.assign_role_to_user(worker, role.id)
    for other in held - {role.id}:
        store.unassign_role_from_user(worker, other)


def confine() -> None:
    """Hold MLflow's application of this process to what the accounts may do."""
    _let_readers_make_nothing()
    _give_workers_no_management(auth.store)
    # MLflow asks for the right to delete, which workers do not have, in each of these cases.
    for ending, allowed in {
        "/mlflow/experiments/restore": lambda: True,
        "/mlflow/model-versions/delete-tag": lambda: True,
        "/mlflow/registered-models/alias": lambda: True,
        "/mlflow/runs/delete": _is_own_run,
    }.items():
        for request, validator in list(auth.BEFORE_REQUEST_VALIDATORS.items()):
            if request[0].endswith(ending):
                auth.BEFORE_REQUEST_VALIDATORS[request] = _or_worker(validator, allowed)
    # Anybody may see how large the stores are; to erase what was deleted is not the reader's.
    auth.BEFORE_REQUEST_VALIDATORS[ERASING_PATH, "GET"] = lambda: True
    auth.BEFORE_REQUEST_VALIDATORS[ERASING_PATH, "POST"] = lambda: not _only_looks(_user())
    for request, validator in list(auth.BEFORE_REQUEST_VALIDATORS.items()):
        if request[0].endswith(_OF_PEOPLE) or any(part in request[0] for part in _TALKS):
            auth.BEFORE_REQUEST_VALIDATORS[request] = _if_a_person(validator)
        elif request[0].endswith("/mlflow/demo/generate"):  # which anybody might ask for
            auth.BEFORE_REQUEST_VALIDATORS[request] = auth.sender_is_admin

    _keep_the_assistant_for_people()


def _keep_the_assistant_for_people() -> None:
    """Refuse the accounts what has the server run commands for whoever asks from its machine."""
    find = auth._find_fastapi_validator  # noqa: SLF001 - asked before all that is not Flask's

    async def only_people(username: str, _request: object) -> bool:
        # Of whom the provider lets in, an administrator: who is one, MLflow does not ask here.
        return username not in PASSWORDS and not comes_by_provider(auth.store, username)

    @wraps(find)
    def found(path: str, method: str) -> Any:  # noqa: ANN401 - a function of MLflow's
        return only_people if any(part in path for part in _ASSISTANT) else find(path, method)

    auth._find_fastapi_validator = found  # noqa: SLF001


def _let_readers_make_nothing() -> None:
    can_create = auth._can_create_in_workspace  # noqa: SLF001 - asked before all that is made

    @wraps(can_create)
    def asked(username: str) -> bool:
        return not _only_looks(username) and bool(can_create(username))

    auth._can_create_in_workspace = asked  # noqa: SLF001


def _only_looks(username: str) -> bool:
    return username == READER or (username not in PASSWORDS and only_looks(auth.store, username))


def _give_workers_no_management(store: "SqlAlchemyStore") -> None:
    grant = store.grant_user_permission

    @wraps(grant)
    def less(username: str, *others: str) -> None:
        if username != WORKER:  # who may edit everything already, and manage nothing it made
            grant(username, *others)

    store.grant_user_permission = less  # type: ignore[method-assign, assignment]


def _or_worker(validator: Validator, allowed: Validator) -> Validator:
    @wraps(validator)
    def asked() -> bool:
        return validator() or (_user() == WORKER and allowed())

    return asked


def _if_a_person(validator: Validator) -> Validator:
    @wraps(validator)
    def asked() -> bool:
        user = _user()
        return user not in PASSWORDS and not _only_looks(user) and validator()

    return asked


def _is_own_run() -> bool:
    run: Any = _get_tracking_store().get_run(auth._get_request_param("run_id"))  # noqa: SLF001
    return bool(run.info.user_id == WORKER)


def _user() -> str:
    asked: Any = auth.authenticate_request()  # before this, MLflow has let the request go on
    return str(asked.username)
