"""What is found at a team's service."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["CLOCK", "Adoption", "Finding", "Part", "State", "clock", "in_words", "midpoint"]

State = Literal["ready", "note", "to do", "done", "in the way"]

CLOCK = 30.0  # seconds that two clocks may differ


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    what : str
    state : str
        ``ready``; ``note``: it works, and this is to be known; ``to do``: `adopt` can do it;
        ``done``: it did so now; ``in the way``: nobody but who runs the service can mend it.
    said : str
        What was found, and for what is in the way, what to change and where.
    """

    what: str
    state: State
    said: str = ""


@dataclass
class Part:
    """One service: what was found, and the commands that do what is to do.

    Attributes
    ----------
    service : str
    address : str
    findings : list of Finding
    commands : list of str
        In the service's own language, without any password in clear.
    """

    service: str
    address: str
    findings: list[Finding] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def note(self, what: str, state: State, said: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(what, state, said))

    @property
    def blocked(self) -> bool:
        """Whether something is in the way."""
        return any(each.state == "in the way" for each in self.findings)


@dataclass(frozen=True)
class Adoption:
    """What was found at all services that the settings name."""

    parts: tuple[Part, ...]

    @property
    def ready(self) -> bool:
        """Whether the stack can be started on them."""
        return all(
            each.state not in {"to do", "in the way"}
            for part in self.parts
            for each in part.findings
        )


def in_words(found: Adoption) -> Iterator[tuple[State | None, str]]:
    """Yield what was found, for people: a line, and the state of what it begins to tell of."""
    for part in found.parts:
        yield None, f"{part.service} {part.address}"
        for each in part.findings:
            yield each.state, f"  {each.state:10} {each.what}"
            if each.said:
                yield None, f"             {each.said}"
        if part.commands:
            yield None, "  commands"
            for command in part.commands:
                for line in command.splitlines():
                    yield None, f"             {line}"
    if not found.parts:
        yield (
            None,
            "nothing to adopt: TRADEWIND_POSTGRES_URL, TRADEWIND_REDIS_URL and "
            "TRADEWIND_OBJECTS_URL name the services that a team runs already",
        )
    elif found.ready:
        yield "ready", "all is ready: the stack can be started"
    elif any(part.blocked for part in found.parts):
        yield "in the way", "something is in the way; nothing was done there"
    else:
        yield "to do", "with --apply, what is to do is done"


def clock(part: Part, theirs: float, ours: float) -> None:
    """Hold a service's clock against this machine's; both are seconds since 1970."""
    apart = theirs - ours
    if abs(apart) <= CLOCK:
        part.note("clock", "ready")
        return
    part.note(
        "clock",
        "in the way",
        f"it is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine's: set "
        "both by NTP (timedatectl set-ntp true)",
    )


@contextmanager
def midpoint() -> Iterator[list[float]]:
    """Yield a list that gets the time in the middle of what is done meanwhile."""
    before = time.time()
    found: list[float] = []
    yield found
    found.append((before + time.time()) / 2)
