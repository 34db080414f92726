"""Whether a restore was interrupted: what it left is neither the old data nor the new."""

import json

from tradewind.errors import BackupError
from tradewind.stack.layout import Layout

__all__ = ["MARK", "half_restored", "refuse_half_restored"]

MARK = "restoring.json"
"""File of the state directory that is there while a restore goes on."""


def half_restored(layout: Layout) -> str:
    """Return what to do about a restore that was interrupted; nothing if none was."""
    mark = layout.root / MARK
    if not mark.exists():
        return ""
    note = json.loads(mark.read_text())
    aside = note["set_aside"]
    kept = f"; what was here before is in {layout.root / aside}" if aside else ""
    return (
        f"a restore of {note['backup']} into {layout.root} was interrupted: `tradewind restore` "
        f"that backup again{kept}"
    )


def refuse_half_restored(layout: Layout) -> None:
    """Refuse to work on what an interrupted restore has left.

    Raises
    ------
    BackupError
        If one was interrupted.
    """
    if found := half_restored(layout):
        raise BackupError(found)
