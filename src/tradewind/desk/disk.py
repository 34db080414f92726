"""What takes disk space, how fast that grows, and when a disk will be full.

Each part is measured by who may look at it: a database by its own role, MLflow's files by its
server. The DAG ``housekeeping`` collects that once a day and writes it down here, in the state
directory, which is the same place with and without containers.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Final

from tradewind.settings import Settings
from tradewind.stack.checks import Check, guarded
from tradewind.stack.layout import Layout, write_atomically

__all__ = ["DiskUsage", "Part", "check_disk", "disk_usage", "judged", "record_sizes"]

BARS: Final = "bars"
# What a team's own service may keep, and the setting that says so.
_THEIRS: Final = {"Redis": "redis_url", "MLflow's files": "objects_url"}
_KEPT: Final = 400  # records, a day apart
_RECENT: Final = 15  # records by which growth is told
_SHORTEST: Final = 1.5  # days that these must cover
_DAYS_AHEAD: Final = 7.0
_LEAST_FREE: Final = 2**30  # bytes
_DAY: Final = 86_400.0
_NAMED: Final = 3


@dataclass(frozen=True)
class Part:
    """What one thing takes.

    Attributes
    ----------
    name : str
    bytes : int or None
        None where it could not be told the last time.
    growth : float or None
        Bytes a day; None until there are records of some days.
    """

    name: str
    bytes: int | None
    growth: float | None


@dataclass(frozen=True)
class DiskUsage:
    """What is known of the disk with the state directory.

    Attributes
    ----------
    free, total : int
        Bytes, now.
    recorded : datetime or None
        When the parts were measured; None if they never were.
    parts : tuple of Part
        The largest first.
    growth : float or None
        Bytes a day by which the disk fills; None until there are records of some days.
    days_left : float or None
        Until it is full; None where it does not fill, or nobody knows yet.
    """

    free: int
    total: int
    recorded: datetime | None
    parts: tuple[Part, ...]
    growth: float | None
    days_left: float | None


@dataclass(frozen=True)
class _Record:
    at: datetime
    free: int
    sizes: Mapping[str, int]


def record_sizes(settings: Settings, sizes: Mapping[str, int], now: datetime) -> None:
    """Write down what everything takes, and what is free beside it.

    Parameters
    ----------
    settings : Settings
    sizes : mapping of str to int
        Bytes by name; what could not be measured is left out.
    now : datetime
        With a time zone.

    Raises
    ------
    StackError
        If the disk refuses; what was recorded before is still there.
    """
    file = _file(settings)
    free = shutil.disk_usage(settings.state).free
    line = json.dumps({"at": now.astimezone(UTC).isoformat(), "free": free, "sizes": dict(sizes)})
    lines = [*_lines(file)[1 - _KEPT :], line]
    file.parent.mkdir(exist_ok=True)
    write_atomically(file, "\n".join(lines) + "\n", mode=0o644)


def disk_usage(settings: Settings) -> DiskUsage:
    """Return what takes disk space, and how fast that grows."""
    space = shutil.disk_usage(next(path for path in _upwards(settings.state) if path.exists()))
    records = list(_records(settings))
    if not records:
        return DiskUsage(space.free, space.total, None, (), None, None)
    recent = records[-_RECENT:]
    names = sorted({name for record in recent for name in record.sizes})
    parts = [
        Part(
            name,
            recent[-1].sizes.get(name),
            _slope([(each.at, each.sizes[name]) for each in recent if name in each.sizes]),
        )
        for name in names
    ]
    parts.sort(key=lambda part: -(part.bytes or 0))
    filled = _slope([(record.at, -record.free) for record in recent])
    # What is not ours may fill the disk, or make room on it that only hides our growth.
    here = [part.growth for part in parts if part.growth is not None and _is_here(settings, part)]
    growth = None if filled is None else max(filled, sum(here))
    days = space.free / growth if growth is not None and growth > 0 else None
    return DiskUsage(space.free, space.total, recent[-1].at, tuple(parts), growth, days)


def judged(usage: DiskUsage, place: Path) -> Check:
    """Say whether a disk will be full within a week, or nearly is, and what fills it.

    Parameters
    ----------
    usage : DiskUsage
    place : Path
        A folder on it.
    """
    low = usage.free < _LEAST_FREE
    soon = usage.days_left is not None and usage.days_left < _DAYS_AHEAD
    if not (low or soon):
        return Check("disk")
    problem = f"{_size(usage.free)} are free at {place}"
    if usage.days_left is not None and usage.growth is not None:
        problem += (
            f", and {_size(usage.growth)} a day fill them: full in {usage.days_left:.1f} days"
        )
    growing = [(part.growth, part.name) for part in usage.parts if part.growth and part.growth > 0]
    growing.sort(reverse=True)
    if growing:
        named = [f"{name} by {_size(growth)}" for growth, name in growing[:_NAMED]]
        problem += f". What grows a day: {', '.join(named)}"
    return Check(
        "disk",
        problem,
        "free space or move the state directory to a larger disk; smaller TRADEWIND_KEEP_DAYS and "
        "TRADEWIND_KEEP_DELETED_DAYS, then tradewind housekeeping, keep less",
    )


def check_disk(settings: Settings) -> list[Check]:
    """Say whether the disk with the state directory will be full within a week, by its records."""
    return [guarded("disk", lambda: judged(disk_usage(settings), settings.state))]


def _slope(points: Sequence[tuple[datetime, float]]) -> float | None:
    """Return the change a day: the median over all pairs of points, which no odd day moves.

    References
    ----------
    Theil (1950) and Sen (1968).
    """
    from statistics import median

    if not points or (points[-1][0] - points[0][0]).total_seconds() < _SHORTEST * _DAY:
        return None
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0]).total_seconds() * _DAY
        for earlier, later in combinations(points, 2)
        if later[0] > earlier[0]
    ]
    return float(median(slopes)) if slopes else None


def _is_here(settings: Settings, part: Part) -> bool:
    """Tell whether a part lies on the disk with the state directory."""
    if part.name.startswith("database "):
        return not settings.postgres_url
    if part.name in _THEIRS:
        return not getattr(settings, _THEIRS[part.name])
    if part.name != BARS:
        return True
    store = Path(settings.market_store)
    return "://" not in settings.market_store and (
        not store.exists() or store.stat().st_dev == settings.state.stat().st_dev
    )


def _file(settings: Settings) -> Path:
    return Layout(settings.state).housekeeping_dir / "sizes.jsonl"


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except FileNotFoundError:
        return []


def _records(settings: Settings) -> Iterator[_Record]:
    """Yield what was recorded, oldest first; a line that is damaged is one day less."""
    for line in _lines(_file(settings)):
        try:
            held = json.loads(line)
            at = datetime.fromisoformat(held["at"])
            sizes = {str(name): int(size) for name, size in held["sizes"].items()}
            yield _Record(at, int(held["free"]), sizes)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def _upwards(path: Path) -> Iterator[Path]:
    yield path
    yield from path.parents


def _size(size: float) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.1f} MB"
