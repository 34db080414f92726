"""Which remote task belongs to which try of an Airflow task, kept in Airflow's own database."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid5

__all__ = ["Attempt"]

_NAMESPACE = UUID("8f7c1f57-5f0c-4f3e-9a39-0f3f8d1c6a52")


@dataclass(frozen=True)
class Attempt:
    """One try to send a task.

    Attributes
    ----------
    generation : int
        The most tries that the Airflow task may have: clearing it raises this, a retry does not.
    number : int
        Counts the sendings of a generation, from 1.
    born : str
        When the first was sent, so that a run that was deleted and made again gets other ids.
    ended : bool
        Whether its failure was reported; then a retry sends another.
    """

    generation: int
    number: int
    born: str
    ended: bool = False

    @classmethod
    def from_stored(cls, stored: Any) -> "Attempt | None":
        """Read what `as_stored` wrote."""
        return cls(**stored) if isinstance(stored, dict) else None

    def as_stored(self) -> dict[str, Any]:
        """Return it as a value that JSON can hold."""
        return {
            "generation": self.generation,
            "number": self.number,
            "born": self.born,
            "ended": self.ended,
        }

    def next(self) -> "Attempt":
        """Return the one after this."""
        return replace(self, number=self.number + 1, ended=False)

    def remote_id(self, ti: Any) -> str:
        """Return the remote task's id, the same whenever it is asked for."""
        parts = (
            ti.dag_id, ti.run_id, ti.task_id, ti.map_index, self.generation, self.number, self.born
        )  # fmt: skip
        return str(uuid5(_NAMESPACE, "\n".join(str(part) for part in parts)))
