"""What a process that runs somebody's code may touch of the machine.

In containers each service has a user of its own, and nothing of another's. On the local stack all
are one user's. So the process of a task, one that reads DAG files, and the trading worker, whose
brokers come from packages, give up, by Landlock, to see secrets, stores and logs of services, to
look into other processes or signal them, and to change the code that others run. Where the kernel
has no Landlock they are held to that by convention alone; `tradewind doctor` says so.

``python -m tradewind.stack.confined HEARTBEAT COMMAND...`` runs a command so; it may write the one
file.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Final, NoReturn

from tradewind.host import landlock
from tradewind.settings import Settings, load_settings
from tradewind.stack.layout import Layout

__all__ = ["NOT_ENFORCED", "PACKAGE", "code_folders", "confine", "main"]

PACKAGE: Final = Path(landlock.__file__).parents[1]
"""The folder of tradewind's own code."""

NOT_ENFORCED: Final = (
    "this kernel has no Landlock (Linux 5.13 or newer, switched on): tasks, DAG files and the "
    "trading worker are asked not to read the secrets of others, and not kept from it"
)


def confine(settings: Settings, *, heartbeat: Path | None = None) -> None:
    """Give up, in this process and all that it starts, what its code has no business with.

    Parameters
    ----------
    settings : Settings
    heartbeat : Path, optional
        The one file among the hidden that stays open; it is made, as old as can be, if it is not
        there.

    Raises
    ------
    OSError
        If the kernel has Landlock and refuses.
    """
    layout = Layout(settings.state)
    hidden = [*layout.private(), *_client_secret(settings)]
    read_only = [*code_folders(settings), *layout.airflow_settings()]
    if heartbeat is not None:
        heartbeat.touch()
        os.utime(heartbeat, (0, 0))  # nobody's heart has beaten yet
        around = heartbeat.parent.resolve()
        siblings = [path for path in around.iterdir() if path.name != heartbeat.name]
        hidden = [path for path in hidden if path != around] + siblings
    if "://" not in settings.market_store:
        # It may be on the way to what is hidden, where nothing can be made afterwards.
        Path(settings.market_store).mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.gettempdir()).resolve()
    if any(temporary in path.parents for path in (*hidden, *read_only)):
        layout.temporary_dir.mkdir(exist_ok=True)
        tempfile.tempdir = os.environ["TMPDIR"] = str(layout.temporary_dir)
    landlock.confine(hidden, read_only)


def _client_secret(settings: Settings) -> list[Path]:
    """Return the file by which both pages are known to an identity provider, if there is one."""
    path = settings.home / (settings.oidc_client_secret_file or "")
    return [path.resolve()] if path.is_file() else []


def code_folders(settings: Settings) -> list[Path]:
    """Return the folders of code that other services run, of their settings, and of packages.

    No task can change what is in them.
    """
    home = settings.home
    found = (
        Path(sys.prefix), PACKAGE, settings.config_dir,
        home / "plugins", home / ".env", home / "requirements.txt",
    )  # fmt: skip
    # Those that are not there among them: a task must not make them, either.
    return [path.resolve() for path in found]


def main(arguments: list[str]) -> NoReturn:
    """Become a command that is confined."""
    heartbeat, *command = arguments
    confine(load_settings(), heartbeat=Path(heartbeat))
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
