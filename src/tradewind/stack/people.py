"""Airflow's roles for people: who looks, who trains, who approves.

``Viewer`` and ``Admin`` are Airflow's own, and may use the desk's page besides. Between them are
two of ours, made at start with what they may at least do; an administrator may give them more. Run
as ``python -m tradewind.stack.people``.
"""

import hashlib
from typing import Final

from tradewind.foreign import ForeignNames

__all__ = ["FOREIGN", "ROLES", "make_roles", "mark"]

_FAB: Final = "airflow.providers.fab.auth_manager"
_MANAGER: Final = f"{_FAB}.security_manager.override:FabAirflowSecurityManagerOverride"

FOREIGN: Final = (
    ForeignNames(
        "apache-airflow-providers-fab",
        (
            f"{_FAB}.cli_commands.utils:get_application_builder",
            f"{_MANAGER}.VIEWER_PERMISSIONS",
            f"{_MANAGER}.bulk_sync_roles",
        ),
        "make the roles of researchers and traders",
        "a start ends at the step airflow-roles, or at the service airflow-init",
    ),
)

# The page inside Airflow: a browser finds it in the list of plugins.
_LOOKS: Final = (("can_read", "Plugins"), ("can_read", "Desk"))
# Both begin runs and look after them; only a trader answers a task that waits for an approval.
_RESEARCHER: Final = (
    *_LOOKS,
    ("can_edit", "DAGs"),  # pause and unpause
    ("can_create", "DAG Runs"),
    ("can_edit", "DAG Runs"),
    ("can_create", "Task Instances"),
    ("can_edit", "Task Instances"),
    ("can_create", "Assets"),
)
_HALTS: Final = ("can_edit", "Desk")
_TRADER: Final = (*_RESEARCHER, ("can_edit", "HITL Detail"), _HALTS)

ROLES: Final = {
    "Viewer": _LOOKS,
    "Researcher": _RESEARCHER,
    "Trader": _TRADER,
    "Admin": (*_LOOKS, _HALTS),
}
"""What each role may do beyond a viewer, as Airflow calls it: action and resource."""


def mark() -> str:
    """Return what says that the roles are made as this version makes them."""
    from importlib.metadata import version

    digest = hashlib.sha256(repr(ROLES).encode()).hexdigest()[:12]
    return f"{version('apache-airflow-providers-fab')} {digest}"


def make_roles() -> None:
    """Make the roles in the database that Airflow's settings name, or give them what they lack."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from airflow.providers.fab.auth_manager.security_manager.override import (
        FabAirflowSecurityManagerOverride as SecurityManager,
    )

    with get_application_builder() as builder:
        builder.sm.bulk_sync_roles(
            {"role": role, "perms": [*SecurityManager.VIEWER_PERMISSIONS, *more]}
            for role, more in ROLES.items()
        )


if __name__ == "__main__":
    make_roles()
