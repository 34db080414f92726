"""Upgrades the local stack: a backup, the new code's migrations, health, or back to before."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tradewind.errors import BackupError, StackError
from tradewind.settings import Settings
from tradewind.stack import lifecycle
from tradewind.stack.backup.local import back_up, restore
from tradewind.stack.backup.make import Made
from tradewind.stack.layout import Layout
from tradewind.stack.state import StackState

__all__ = ["Upgraded", "upgrade"]

Progress = Callable[[str, int, int], None]
_FOLDER: Final = "before-upgrades"
_KEPT: Final = 2  # of this upgrade and of the last


@dataclass(frozen=True)
class Upgraded:
    """An upgrade that succeeded.

    Attributes
    ----------
    made : Made
        The backup of before.
    state : StackState
        The stack that runs now.
    """

    made: Made
    state: StackState


def upgrade(
    settings: Settings,
    *,
    progress: Progress = lambda *_: None,
    on_change: Callable[[StackState], None] = lambda _: None,
) -> Upgraded:
    """Take the data to the installed version, and start it.

    The backup is in the clear, in the state directory: it holds nothing that is not beside it, or
    that the secrets beside it do not open.

    Raises
    ------
    BackupError
        If the backup cannot be made, and nothing was changed; or if the stack did not become
        healthy, and the data is what it was before.
    """
    layout = Layout(settings.state)
    place = str(layout.root / _FOLDER)
    made = back_up(settings, place, keep=_KEPT, progress=progress)
    lifecycle.down(settings)
    try:
        state = lifecycle.detach(settings, on_change)
    except StackError as error:
        with suppress(StackError):  # most likely nothing of it runs any more
            lifecycle.down(settings)
        restored = restore(settings, place, name=made.backup.name, replace=True, progress=progress)
        raise BackupError(
            f"the upgrade failed, and all data is what it was before it. Start the version of "
            f"before again (pip install 'tradewind[local]==ITS-VERSION', or in a checkout git "
            f"checkout ITS-TAG; make install; then tradewind up --detach). What the "
            f"upgrade left is in {restored.set_aside}. Why it failed:\n{error}"
        ) from error
    return Upgraded(made, state)
