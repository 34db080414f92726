"""How far something is: a bar on a terminal, lines in a log."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape

from tradewind.display import terminal
from tradewind.display.stack import COLOURS

if TYPE_CHECKING:
    from tradewind.stack.state import StackState

__all__ = [
    "copying",
    "counting",
    "note",
    "said",
    "starting",
    "stopwatch",
    "tasks",
]


class _Bar:
    """A bar on a terminal, with what is being done and for how long; nothing in a log."""

    def __init__(self, what: str, *, silent: bool = False) -> None:
        from rich.progress import (  # most commands show none
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self.shown = terminal.console.is_terminal and not silent
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("{task.fields[now]}", markup=False),
            console=terminal.console, disable=not self.shown, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task(what, total=None, now="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def update(self, done: int, total: int, now: Iterable[str]) -> None:
        self._progress.update(
            self._task, completed=done, total=total, now=", ".join(now), refresh=True
        )

    def stop(self) -> None:
        self._progress.stop()
        self.shown = False


@contextmanager
def starting(*, silent: bool = False) -> Iterator[Callable[["StackState"], None]]:
    """Show services as they start: a bar on a terminal, in a log a line for each change.

    What goes wrong is a line in both, and so is every change after the start. Nothing is shown if
    it is to be silent.
    """
    seen: dict[str, str] = {}

    def show(state: "StackState") -> None:
        if silent:
            return
        records = state.services.values()
        ready = sum(s.state in ("healthy", "done") for s in records)
        for record in records:
            if seen.get(record.name, "waiting") != record.state:
                seen[record.name] = record.state
                if not bar.shown or COLOURS[record.state] == "red":
                    detail = f"  {record.detail}" if record.detail else ""
                    terminal.console.print(
                        f"[dim]{ready:2}/{len(records)}[/] {record.name:<24} "
                        f"[{COLOURS[record.state]}]{record.state}[/]{escape(detail)}",
                        highlight=False, soft_wrap=True,
                    )  # fmt: skip
        bar.update(ready, len(records), (s.name for s in records if s.state == "starting"))
        if ready == len(records):
            bar.stop()

    with _Bar("starting", silent=silent) as bar:
        yield show


@contextmanager
def stopwatch(what: str) -> Iterator[None]:
    """Print how long a part took."""
    began = time.monotonic()
    yield
    terminal.console.print(f"[bold]{what}[/] took {time.monotonic() - began:.1f} s")


@contextmanager
def tasks(what: str = "training") -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Show a run's tasks as they change: a bar on a terminal, in a log a line for each change."""
    seen: dict[str, str] = {}
    colours = {"success": "green", "running": "yellow", "failed": "red", "upstream_failed": "red"}

    def show(states: Mapping[str, str]) -> None:
        done = sum(s == "success" for s in states.values())
        for task, state in states.items():
            if seen.get(task, "none") != state:
                seen[task] = state
                colour = colours.get(state, "dim")
                if not bar.shown or colour == "red":
                    terminal.console.print(
                        f"[dim]{done}/{len(states)}[/] {task:<24} [{colour}]{state}[/]"
                    )
        bar.update(done, len(states), (t for t, s in states.items() if s in ("queued", "running")))

    with _Bar(what) as bar:
        yield show


def note(sentence: str) -> None:
    """Tell who waits what for: above the bar on a terminal, else beside what a program may read."""
    shown = terminal.console if terminal.console.is_terminal else Console(stderr=True)
    shown.print(f"[yellow]{escape(sentence)}[/]", soft_wrap=True)


def said(line: str) -> None:
    """Show what a program says that is run meanwhile, above the bar if there is one."""
    terminal.console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many of some parts are done: a bar on a terminal, nothing in a log."""
    with _Bar(what) as bar:
        yield lambda done, total: bar.update(done, total, ())


@contextmanager
def copying(what: str, *, silent: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show how far each part of something long is: a bar on a terminal, nothing in a log."""
    with _Bar(what, silent=silent) as bar:
        yield lambda now, done, total: bar.update(done, total, (now,)) if bar.shown else None
