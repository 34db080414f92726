"""Confines what Airflow runs of an author's code: tasks, and what reads DAG files."""

import os
import sys
from typing import Final

from tradewind.settings import load_settings
from tradewind.stack.confined import confine

__all__ = ["confine_parsers", "confine_this_process"]

_DAG_PROCESSOR: Final = "dag-processor"
_connected: list[str] = []


def confine_this_process() -> None:
    """Give up what an author's code has no business with; see `tradewind.stack.confined`."""
    confine(load_settings())


def confine_parsers() -> None:
    """In the DAG processor, have each process that it forks, to read a DAG file, confined."""
    if sys.argv[1:2] == [_DAG_PROCESSOR] and not _connected:
        _connected.append(_DAG_PROCESSOR)
        os.register_at_fork(after_in_child=confine_this_process)
