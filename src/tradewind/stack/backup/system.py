"""What there is to back up, wherever it runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from tradewind.stack.backup.databases import Databases
from tradewind.stack.backup.trees import Tree

__all__ = ["System"]


@dataclass(frozen=True)
class System:
    """The databases and the files of a system.

    Attributes
    ----------
    databases : Databases
    trees : mapping
        By the name of the part; ``artifacts`` are MLflow's files. They are copied in this order,
        after the databases, which name them.
    """

    databases: Databases
    trees: Mapping[str, Tree]
