"""Trading research the way a careful desk runs it.

Airflow orchestrates, MLflow remembers, and a model reaches the trading workers only
after the evidence for it has been checked.

The front door, for a notebook or a script::

    import tradewind as tw

    desk = tw.Desk()
    result = desk.backtest("momentum")

Importing this package loads nothing else: what a name needs is loaded when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tradewind.desk.backtest_result import Backtest
    from tradewind.desk.front_door import Desk
    from tradewind.desk.model_version import ModelVersion
    from tradewind.errors import TradewindError

    __version__: str

__all__ = ["Backtest", "Desk", "ModelVersion", "TradewindError", "__version__"]

_MODULES: Final = {
    "Backtest": "tradewind.desk.backtest_result",
    "Desk": "tradewind.desk.front_door",
    "ModelVersion": "tradewind.desk.model_version",
    "TradewindError": "tradewind.errors",
}

if not TYPE_CHECKING:  # else a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Load what is asked for; Python asks here for what is not there yet."""
        if name == "__version__":
            from importlib.metadata import version

            found: object = version("tradewind")
        elif name in _MODULES:
            found = getattr(import_module(_MODULES[name]), name)
        else:
            raise AttributeError(f"module 'tradewind' has no attribute {name!r}")
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
