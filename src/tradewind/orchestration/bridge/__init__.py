"""Where `tradewind.bridge` was before version 0.2; to be gone in 0.3.

DAGs of a team import from here, and Airflow's database holds the paths of triggers that wait.
"""

import sys
import warnings
from importlib import import_module

from tradewind.bridge import *  # noqa: F403 - whatever was here is there

for _name in ("errors", "hook", "operators", "streams", "triggers"):
    sys.modules[f"{__name__}.{_name}"] = import_module(f"tradewind.bridge.{_name}")
warnings.warn(
    "tradewind.orchestration.bridge is tradewind.bridge now, and will be gone in 0.3",
    DeprecationWarning,
    stacklevel=2,
)
