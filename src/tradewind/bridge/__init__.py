"""Airflow and Celery apps: tasks of any app as Airflow tasks, entries of a Redis stream as assets.

A provider of its own: it imports nothing else of tradewind and works against apps that it knows
by their connection alone (docs/bridge.md). Importing this package is cheap; each name is
loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradewind.bridge.errors import BridgeError, RemoteTaskFailedError, RemoteTaskRevokedError
    from tradewind.bridge.hook import CeleryHook
    from tradewind.bridge.operators import CeleryTaskOperator
    from tradewind.bridge.streams import RedisStreamTrigger
    from tradewind.bridge.triggers import CeleryTaskTrigger

__all__ = [
    "BridgeError",
    "CeleryHook",
    "CeleryTaskOperator",
    "CeleryTaskTrigger",
    "RedisStreamTrigger",
    "RemoteTaskFailedError",
    "RemoteTaskRevokedError",
]

_HOMES = {
    "BridgeError": "errors",
    "CeleryHook": "hook",
    "CeleryTaskOperator": "operators",
    "CeleryTaskTrigger": "triggers",
    "RedisStreamTrigger": "streams",
    "RemoteTaskFailedError": "errors",
    "RemoteTaskRevokedError": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
