"""What a service of the stack is."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tradewind.stack.ports import Port
from tradewind.stack.probes import Probe

__all__ = ["Service"]


@dataclass(frozen=True)
class Service:
    """A process to run, or, without a probe, a step to finish once.

    Attributes
    ----------
    name : str
    command : list of str
        Empty where `prepare` does everything.
    environment : mapping
        The whole environment of the process.
    needs : tuple of str
        Services that must be healthy, or steps that must be done, before this one starts.
    probe : Probe or None
        None for a step: it is done when its command ends with exit code 0.
    prepare : callable or None
        Run just before the command, each time.
    ports : tuple of Port
        What it listens on.
    done_file, done_value
        A step is skipped when the file holds the value, and writes it when done. The file lies
        beside the data that the step changed, and goes with it.
    stop_signal : int
        What asks it to stop; it is killed `grace` seconds later.
    stdin : str
        What the process reads: for passwords, which a command line would show to everybody.
    forks : bool
        Whether it is a fork server (`tradewind.stack.forkserver`); its probe is its own answer.
    forked_by : str or None
        The fork server that runs the command, among `needs`; None to execute it.
    imports : tuple of str
        Modules that the fork server imports before it forks this.
    follows_the_clock : bool
        Whether it stands still when the machine's clock is set back, until the time of its last
        heartbeat has come again; so it is started anew.
    """

    name: str
    command: list[str] = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    needs: tuple[str, ...] = ()
    probe: Probe | None = None
    prepare: Callable[[], None] | None = None
    ports: tuple[Port, ...] = ()
    address: str = ""
    done_file: Path | None = None
    done_value: str = ""
    stop_signal: int = signal.SIGTERM
    grace: float = 20.0
    stdin: str = field(default="", repr=False)
    forks: bool = False
    forked_by: str | None = None
    imports: tuple[str, ...] = ()
    follows_the_clock: bool = False

    @property
    def step(self) -> bool:
        """Whether it is done once, not kept running."""
        return self.probe is None and not self.forks

    @property
    def theirs(self) -> bool:
        """Whether somebody else runs it: it is asked how it is, and neither started nor stopped."""
        return self.probe is not None and not self.command
