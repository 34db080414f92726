"""Who was champion when, and why: an append-only history in the tags of a registered model.

Tags of the model, not of versions or runs: those can be deleted, and the history must not go
with them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from tradewind.errors import RegistryError
from tradewind.registry import _names as names

__all__ = ["Promotion", "carried_out", "key_of", "pending", "read_history", "standing"]


@dataclass(frozen=True, slots=True)
class Promotion:
    """One change of champion, written down before it is carried out.

    Attributes
    ----------
    kind : {"promotion", "rollback"}
    version : int
        Who was to become champion.
    former : int or None
        Who was champion then; None if nobody was.
    at : str
        When, in UTC, ISO 8601.
    by, reason : str
        Who did it, and why.
    override : str or None
        Why it was done although the gate had refused; None if it had not.
    refused : tuple of str
        Rules that the override passed over.
    """

    kind: Literal["promotion", "rollback"]
    version: int
    former: int | None
    at: str
    by: str
    reason: str
    override: str | None = None
    refused: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the entry as it is kept."""
        return json.dumps(asdict(self), ensure_ascii=False)


def read_history(name: str, tags: Mapping[str, str]) -> list[Promotion]:
    """Return the entries, oldest first.

    Raises
    ------
    RegistryError
        If an entry cannot be read.
    """
    return [_entry(name, key, tags[key]) for key in sorted(tags) if _is_entry(key)]


def key_of(entry: Promotion, tags: Mapping[str, str]) -> str:
    """Return the tag of a new entry.

    The version is part of it, so that two promotions at the same moment do not overwrite each
    other.
    """
    numbers = [int(key.removeprefix(names.PROMOTION_PREFIX).split(".")[0])
               for key in tags if _is_entry(key)]  # fmt: skip
    return f"{names.PROMOTION_PREFIX}{max(numbers, default=0) + 1:04d}.version_{entry.version}"


def standing(entries: Sequence[Promotion], champion: int | None) -> Promotion | None:
    """Return the entry by which the champion became champion; None if none says so."""
    return next((entry for entry in reversed(entries) if entry.version == champion), None)


def pending(entries: Sequence[Promotion], champion: int | None) -> Promotion | None:
    """Return the last entry if it was written down and not carried out."""
    last = entries[-1] if entries else None
    if last is None or last.version == champion or last.former != champion:
        return None
    return last


def carried_out(entries: Sequence[Promotion], champion: int | None) -> list[Promotion]:
    """Return the entries that took effect: whoever came next says after whom it came."""
    successors: list[int | None] = [*(entry.former for entry in entries[1:]), champion]
    return [
        entry for entry, after in zip(entries, successors, strict=False) if entry.version == after
    ]


def _is_entry(key: str) -> bool:
    return key.startswith(names.PROMOTION_PREFIX)


def _entry(name: str, key: str, text: str) -> Promotion:
    try:
        fields = json.loads(text)
        return Promotion(**{**fields, "refused": tuple(fields["refused"])})
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryError(
            f"the tag {key} of the model {name} is no entry of its history: {error}. Somebody "
            f"changed it; mend or delete the tag on MLflow's page. It reads {text!r}"
        ) from error
