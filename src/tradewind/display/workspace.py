"""Workspaces that were made."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.display import terminal

if TYPE_CHECKING:
    from tradewind.desk.workspace import Workspace

__all__ = ["containers", "workspace"]


def workspace(made: "Workspace", cwd: Path) -> None:
    """Print what was made, and the commands that come next from where the user is."""
    terminal.in_one_piece(f"made a workspace in {made.folder}:")
    for name in made.files:
        terminal.in_one_piece(f"  {name}")
    here = made.folder == cwd
    steps = [
        *([] if here else [f"cd {shlex.quote(str(made.folder))}"]),
        "git init && git add . && git commit -m Begin   # a model names the commit it is made at",
        "tradewind up --detach",
        "tradewind train momentum --wait",
    ]
    if "compose.yaml" in made.files:
        steps.append("docker compose up --detach --wait   # in the place of `up`, in containers")
    terminal.in_one_piece("next:")
    for step in steps:
        terminal.in_one_piece(f"  {step}")


def containers(home: Path, files: tuple[str, ...]) -> None:
    """Print what was written for containers, and how they are started."""
    terminal.in_one_piece(f"wrote into {home}: {', '.join(files)}")
    terminal.in_one_piece("next: docker compose up --detach --wait --build")
