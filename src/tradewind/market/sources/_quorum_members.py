"""The sources that a quorum is made of, and whether they can be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from tradewind.errors import SourceError
from tradewind.market.sources.offers import IncrementalSource, Promise, promise_of, takes_since
from tradewind.market.sources.source import Source, SourceSpec, find_source, open_source

__all__ = ["Member", "members_of"]

_KIND: Final = "quorum"
_FOLDER: Final = "sources"


@dataclass(frozen=True)
class Member:
    """One of the sources that are held against each other."""

    spec: SourceSpec
    source: Source

    @property
    def promise(self) -> Promise:
        return promise_of(self.source)

    @property
    def wait(self) -> timedelta:
        """How long after the close its session is complete."""
        return max(self.promise.complete_after, timedelta(hours=self.spec.complete_after or 0.0))

    def load(self, symbols: Sequence[str], begins: Mapping[str, date]) -> pl.DataFrame:
        """Return bars, of each symbol from a session on; see `offers.IncrementalSource.load`."""
        return _loaded(self.source, symbols, begins)


def members_of(
    spec: SourceSpec, base_dir: Path, names: Sequence[str], where: str
) -> dict[str, Member]:
    """Open the sources of a quorum.

    Parameters
    ----------
    spec : SourceSpec
        The quorum's.
    base_dir : Path
        The workspace.
    names : sequence of str
    where : str
        For messages.

    Raises
    ------
    SourceError
        If a source is missing or cannot be opened, or they cannot be compared.
    """
    folder = base_dir / _FOLDER if spec.file is None else spec.file.absolute().parent
    specs = [_found(name, spec, where, folder) for name in names]
    members = {each.name: Member(each, open_source(each)) for each in specs}
    _refuse_what_cannot_be_compared(where, spec, list(members.values()))
    return members


def _found(name: str, quorum: SourceSpec, where: str, folder: Path) -> SourceSpec:
    if name == quorum.name:
        raise SourceError(f"{where}: options.of: {name} is the quorum itself")
    spec = find_source(name, folder)
    if spec.kind == _KIND:
        raise SourceError(f"{where}: options.of: {name} is a quorum, too; name its sources instead")
    return spec


def _refuse_what_cannot_be_compared(
    where: str, spec: SourceSpec, members: Sequence[Member]
) -> None:
    for place, each in enumerate(members):
        both = f"{where}: options.of: {members[0].spec.name} and {each.spec.name}"
        if each.spec.calendar != spec.calendar:
            raise SourceError(
                f"{where}: {each.spec.name} has the sessions of {each.spec.calendar}, "
                f"and the quorum those of {spec.calendar}; write the same calendar"
            )
        if each.promise.prices != members[0].promise.prices:
            raise SourceError(
                f"{both} cannot be compared: {members[0].promise.prices} prices are no "
                f"{each.promise.prices} ones; take a source of the same prices"
            )
        if each.promise.closes_only != members[0].promise.closes_only:
            raise SourceError(
                f"{both} cannot be compared: one of them has closes alone, and the other four "
                "prices; take sources of the same kind of bars"
            )
        for other in members[:place]:
            if _one_voice(each.spec, other.spec):
                raise SourceError(
                    f"{where}: options.of: {other.spec.name} and {each.spec.name} ask "
                    f"the same vendor ({each.spec.kind}), which agrees with itself; name "
                    "another"
                )
    knowing = [each.spec.name for each in members if each.promise.dividends]
    if len(knowing) == 1:
        raise SourceError(
            f"{where}: options.of: only {knowing[0]} knows dividends, so that nobody "
            "can contradict it; add a source that knows them, too"
        )


def _one_voice(one: SourceSpec, other: SourceSpec) -> bool:
    """Whether two sources are the same vendor's: files may be anybody's."""
    if one.kind != other.kind:
        return False
    if one.kind != "files":
        return True
    paths = [each.base_dir / str(each.options.get("path")) for each in (one, other)]
    return paths[0].resolve() == paths[1].resolve()  # ./bars and bars are the same files


def _loaded(
    source: Source | IncrementalSource, symbols: Sequence[str], begins: Mapping[str, date]
) -> pl.DataFrame:
    if takes_since(source):
        since = {} if promise_of(source).prices == "adjusted" else begins
        return source.load(symbols, {one: since[one] for one in symbols if one in since})
    bars = source.load(symbols)
    if not begins or "session" not in bars.columns:
        return bars
    first = pl.DataFrame(
        {"symbol": list(begins), "begin": list(begins.values())},
        schema={"symbol": pl.String, "begin": pl.Date},
    )
    return (
        bars.join(first, on="symbol", how="left", maintain_order="left")
        .filter(pl.col("session") >= pl.col("begin").fill_null(date.min))
        .drop("begin")
    )
