"""MLflow's accounts of people whom an identity provider lets in, made at their first login.

A viewer reads, as `reader` does. Researchers and traders make experiments and models besides, and
manage those. An administrator of the provider's groups is MLflow's.
"""

# ruff: noqa: TID253 - loaded by MLflow's server

from typing import TYPE_CHECKING, Any, Final

from mlflow.server.auth.db.models import SqlUser
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy.exc import IntegrityError

from tradewind.errors import LoginError
from tradewind.foreign import ForeignNames
from tradewind.oidc.person import MARK, Person

if TYPE_CHECKING:
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

__all__ = ["FOREIGN", "account_of", "comes_by_provider", "only_looks"]

FOREIGN: Final = (
    ForeignNames(
        "mlflow",
        (
            "mlflow.server.auth.db.models:SqlUser.is_admin",
            "mlflow.server.auth.db.models:SqlUser.password_hash",
            "mlflow.server.auth.db.models:SqlUser.username",
            # What makes a store's `ManagedSessionMaker`.
            "mlflow.server.auth.sqlalchemy_store:_get_managed_session_maker",
            *(
                f"mlflow.server.auth.sqlalchemy_store:SqlAlchemyStore.{name}"
                for name in (
                    "assign_role_to_user", "create_role", "get_user",
                    "has_user", "list_roles", "list_user_roles", "unassign_role_from_user",
                )
            ),
        ),
        "make accounts of people whom an identity provider lets in",
        "MLflow's server does not start",
    ),
)  # fmt: skip

_VIEWERS: Final = "tradewind viewers"


def account_of(store: "SqlAlchemyStore", person: Person) -> str:
    """Return the name of a person's account, made at the first login, with the role of now.

    Raises
    ------
    LoginError
        If somebody else's account has the name.
    """
    known = _user(store, person)
    if known is None:
        raise LoginError(
            f"An account {person.name} is here already, and it is not yours: it has a password, or "
            "was another person's. An administrator deletes it on MLflow's page."
        )
    name, number = known
    viewers = _viewers(store)
    held = {role.id for role in store.list_user_roles(number)}
    if person.role == "viewer" and viewers not in held:
        store.assign_role_to_user(number, viewers)
    elif person.role != "viewer" and viewers in held:
        store.unassign_role_from_user(number, viewers)
    return name


def _user(store: "SqlAlchemyStore", person: Person) -> tuple[str, int] | None:
    """Return name and number of a person's user; none where another user has the name."""
    with store.ManagedSessionMaker(read_only=False) as session:
        user: Any = session.query(SqlUser).filter_by(password_hash=person.mark).one_or_none()
        if user is None:
            user = SqlUser(username=person.name, password_hash=person.mark)
            session.add(user)
        user.is_admin = person.role == "admin"
        try:
            session.flush()
        except IntegrityError:
            session.rollback()
            return None
        return str(user.username), int(user.id)


def _viewers(store: "SqlAlchemyStore") -> int:
    known = {role.name: role.id for role in store.list_roles([DEFAULT_WORKSPACE_NAME])}
    if _VIEWERS in known:
        return int(known[_VIEWERS])
    told = "Whom an identity provider lets in to look; set at each login"
    return int(store.create_role(_VIEWERS, DEFAULT_WORKSPACE_NAME, told).id)


def only_looks(store: "SqlAlchemyStore", username: str) -> bool:
    """Tell whether a user was let in as a viewer."""
    if not store.has_user(username):
        return False
    roles = store.list_user_roles(store.get_user(username).id)
    return _VIEWERS in {role.name for role in roles}


def comes_by_provider(store: "SqlAlchemyStore", username: str) -> bool:
    """Tell whether the identity provider lets a user in, and no password."""
    if not store.has_user(username):
        return False
    return str(store.get_user(username).password_hash).startswith(MARK)
