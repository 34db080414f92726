"""Removing what is old: what a run of the DAG ``housekeeping`` does, and asking for one.

What is old in Airflow itself, its web server removes (`tradewind.orchestration.runtime.cleaning`),
for that needs a login that tasks have not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tradewind.desk._connections import PATIENCE, airflow, trigger_when_known
from tradewind.desk.bars import bar_store
from tradewind.desk.disk import BARS
from tradewind.settings import Settings

__all__ = ["DAG_ID", "PARTS", "Removed", "housekeep", "tidy_bars", "tidy_mlflow"]

DAG_ID: Final = "housekeeping"
PARTS: Final = ("airflow", "mlflow", "bars")
"""Tasks of the DAG that remove something."""


@dataclass(frozen=True)
class Removed:
    """What was removed of a part, or would be, and what it takes.

    Attributes
    ----------
    removed : mapping of str to int
        Numbers by what they count.
    bytes : int
        Of the files among it; the room of a database's rows is used again for new ones.
    sizes : mapping of str to int
        Bytes that are taken now, by name.
    """

    removed: Mapping[str, int]
    bytes: int
    sizes: Mapping[str, int]


def tidy_mlflow(*, dry_run: bool = False) -> Removed:
    """Have MLflow's server erase runs that were deleted long ago, as its settings say.

    Raises
    ------
    RegistryError
        If MLflow is out of reach or refuses.
    """
    from tradewind.registry.bin import empty_bin, sizes

    erased = empty_bin(dry_run=dry_run)
    size = erased.pop("bytes")
    removed = {"deleted runs": erased["runs"], "files of deleted runs": erased["files"]}
    return Removed(removed, size, sizes())


def tidy_bars(settings: Settings, *, dry_run: bool = False) -> Removed:
    """Join the small files of every source's bars, and delete those that nobody needs.

    Raises
    ------
    MarketDataError
        If a table or a snapshot is damaged.
    """
    from tradewind.market.sources.source import load_sources

    store = bar_store(settings)
    # Of a source whose file is wrong or gone the snapshots still tell the name.
    found, _ = load_sources(settings.sources_dir)
    names = {*found, *(each.source for each in store.snapshots())}
    done = [
        store.tidy(name, keep_days=settings.keep_deleted_days, dry_run=dry_run)
        for name in sorted(names)
    ]
    there = [each for each in done if each is not None]
    return Removed(
        {
            "files joined": sum(each.joined for each in there),
            "files that nothing needs": sum(each.files for each in there),
        },
        sum(each.bytes for each in there),
        {BARS: store.bytes_used()},
    )


def housekeep(
    settings: Settings,
    on_change: Callable[[Mapping[str, str]], None] | None = None,
    *,
    dry_run: bool = False,
    on_note: Callable[[str], None] | None = None,
    timeout: float = 6 * 3600.0,
) -> dict[str, Removed]:
    """Remove what is old, through Airflow, and wait for the end.

    Parameters
    ----------
    settings : Settings
    on_change : callable, optional
        Called with the state of each task, by name, as they change.
    dry_run : bool
        Whether it is only counted.
    on_note : callable, optional
        Told, in a sentence, what is waited for.
    timeout : float
        Seconds.

    Returns
    -------
    dict of str to Removed
        By part.

    Raises
    ------
    OrchestrationError
        If the run fails, as it does where a disk is about to be full, or Airflow is out of reach.
    """
    with airflow(settings, patience=PATIENCE, on_note=on_note) as client:
        run_id = trigger_when_known(client, DAG_ID, {"dry_run": dry_run})
        client.wait(DAG_ID, run_id, on_change=on_change, timeout=timeout)
        told: dict[str, Any] = {part: client.xcom(DAG_ID, run_id, part) for part in PARTS}
    return {part: Removed(**held) for part, held in told.items()}
