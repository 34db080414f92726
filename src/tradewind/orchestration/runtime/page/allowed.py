"""Who may do what on the page: as Airflow's roles say, of the resource ``Desk``.

``can_read`` is for who looks, ``can_edit`` for who halts and resumes; `tradewind.stack.people` says
which roles have them.
"""

from typing import Annotated, Any, Final, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, HTTPException, status

from tradewind.foreign import ForeignNames

__all__ = ["FOREIGN", "RESOURCE", "Reader", "Trader", "may_trade"]

FOREIGN: Final = (
    ForeignNames(
        "apache-airflow-core",
        (
            "airflow.api_fastapi.app:get_auth_manager",
            "airflow.api_fastapi.core_api.security:get_user",
        ),
        "know who asks for the desk's page, and what their role lets them do",
        "the desk's page answers with an error, and nobody is let in",
    ),
)

RESOURCE: Final = "Desk"


def _is_allowed(method: Literal["GET", "PUT"], user: Any) -> bool:  # noqa: ANN401 - of whatever manager of accounts
    manager = get_auth_manager()
    return bool(manager.is_authorized_custom_view(method=method, resource_name=RESOURCE, user=user))


def may_trade(user: Any) -> bool:  # noqa: ANN401
    """Whether somebody may halt and resume."""
    return _is_allowed("PUT", user)


def _reader(user: Annotated[Any, Depends(get_user)]) -> Any:  # noqa: ANN401
    if not _is_allowed("GET", user):
        raise HTTPException(
            status.HTTP_403_FORBIDDEN,
            f"your role may not look at the desk: an administrator gives it can_read on {RESOURCE}",
        )
    return user


def _trader(user: Annotated[Any, Depends(_reader)]) -> Any:  # noqa: ANN401
    if not may_trade(user):
        raise HTTPException(
            status.HTTP_403_FORBIDDEN,
            "your role may look and change nothing: traders and administrators halt and resume",
        )
    return user


Reader = Annotated[Any, Depends(_reader)]
"""Somebody who may look."""

Trader = Annotated[Any, Depends(_trader)]
"""Somebody who may halt and resume."""
