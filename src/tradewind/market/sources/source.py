"""Sources of bars: one YAML file a source, opened by a class found through an entry point.

A kind of source is a callable that is given a `SourceSpec` and the folder that relative paths
start at, and returns a `Source`. A package offers one with::

    [project.entry-points."tradewind.sources"]
    mine = "my_package:MySource"

so that a file in ``sources/`` may say ``kind: mine``. A whole source::

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        folder: str

    class MySource:
        Options = Options  # so that errors can list the options that there are

        def __init__(self, spec: SourceSpec, base_dir: Path) -> None:
            self._folder = base_dir / Options.model_validate(dict(spec.options)).folder

        def symbols(self) -> tuple[str, ...]:
            return tuple(sorted(file.stem for file in self._folder.glob("*.parquet")))

        def load(self, symbols: Sequence[str]) -> pl.DataFrame:
            wanted = sorted(set(symbols))
            if missing := set(wanted) - set(self.symbols()):
                raise SourceError(f"{self._folder} has no file of {', '.join(sorted(missing))}")
            return pl.concat(pl.read_parquet(self._folder / f"{one}.parquet") for one in wanted)

Importing this module loads no polars: Airflow reads it with every DAG file.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self, runtime_checkable

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tradewind.errors import SourceError
from tradewind.market.sessions import SessionCalendar, SessionExceptions
from tradewind.market.sources.names import Name, contradiction, read_names
from tradewind.market.spec_types import CalendarName, SpecName, Words
from tradewind.market.validation.accepted import Accepted
from tradewind.specs.entry_points import offered
from tradewind.specs.folders import SpecReader, located, refusal
from tradewind.vendor_keys import KINDS

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Source",
    "SourceSpec",
    "find_source",
    "load_source",
    "load_sources",
    "open_source",
]


@runtime_checkable
class Source(Protocol):
    """One configured source of bars."""

    def symbols(self) -> tuple[str, ...]:
        """Return every symbol the source has bars of, sorted.

        Raises
        ------
        SourceError
            If the source cannot be read.
        """
        ...

    def load(self, symbols: Sequence[str]) -> "pl.DataFrame":
        """Return the bars of some symbols, not yet validated.

        Parameters
        ----------
        symbols : sequence of str
            One or more; order and repetition do not matter.

        Returns
        -------
        DataFrame of shape (n_bars, 9)
            As in `tradewind.market.bars`, sorted by symbol and session.

        Raises
        ------
        SourceError
            If the source lacks one of the symbols, or cannot be read.
        """
        ...


class SourceSpec(BaseModel):
    """A file in ``sources/``: the kind of source, its options, and when it is read.

    Attributes
    ----------
    name : str
        Equal to the file's name; strategies name the source by it.
    kind : str
        Name of an entry point in the group ``tradewind.sources``.
    calendar : str
        Exchange calendar that sessions are held against, such as ``"XNYS"``.
    sessions : SessionExceptions
        Corrections of that calendar: days on which the exchange was closed after all, and sessions
        that it lacks; see `tradewind.market.sessions`.
    schedule : {"after_close", None}
        Whether new bars are asked for after each close of the exchange, or only by hand.
    complete_after : float, optional
        Hours after a close from when on the vendor calls the session complete: only then are its
        bars asked for by the clock, and only then stored. If not given, they are asked for an hour
        after, and stored when the kind of source calls them complete.
    backdate : bool
        Whether history that is new to the store counts as known since each session's close. True
        for a vendor that never corrects what it once said. If false, history counts as known from
        its first reading on, and a backfill of an earlier time does not see it.
    names : tuple of Name
        Which symbols of the vendor strategies know by another name, and when.
    names_file : str, optional
        A CSV file of such names, in the workspace.
    options : dict
        Options of the kind of source.
    accept : tuple of Accepted
        Findings of validation that are real: reported as warnings with the reason given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: SpecName
    kind: str = Field(min_length=1, max_length=100)
    description: Words = ""
    calendar: CalendarName = "XNYS"
    sessions: SessionExceptions = SessionExceptions()
    schedule: Literal["after_close"] | None = "after_close"
    complete_after: float | None = Field(default=None, ge=0.0, le=72.0)
    backdate: bool = False
    names: tuple[Name, ...] = Field(default=(), max_length=10_000)
    names_file: str | None = Field(default=None, min_length=1, max_length=1000)
    options: dict[str, Any] = Field(default={})
    accept: tuple[Accepted, ...] = ()
    _file: Path | None = PrivateAttr(default=None)

    @field_validator("accept")
    @classmethod
    def _accepted_once(cls, accept: tuple[Accepted, ...]) -> tuple[Accepted, ...]:
        times = Counter(map(str, accept))
        repeated = [where for where, count in times.items() if count > 1]
        if repeated:
            raise ValueError(f"accepted more than once: {', '.join(repeated[:10])}")
        return accept

    @field_validator("names")
    @classmethod
    def _one_company_a_name(cls, names: tuple[Name, ...]) -> tuple[Name, ...]:
        if problem := contradiction(names):
            raise ValueError(problem)
        return names

    @model_validator(mode="after")
    def _remember_the_file(self, info: ValidationInfo) -> Self:
        self._file = (info.context or {}).get("file")
        return self

    @property
    def session_calendar(self) -> SessionCalendar:
        """The calendar of the source's bars, with the corrections of `sessions`."""
        return self.sessions.applied_to(self.calendar)

    def sessions_for(self, calendar: str) -> SessionCalendar:
        """Return the calendar of the source's bars, if it has the name that is expected.

        Parameters
        ----------
        calendar : str
            As a strategy's ``universe.calendar`` has it.

        Raises
        ------
        SourceError
            If the source's bars are held against another calendar.
        """
        if calendar != self.calendar:
            raise SourceError(
                f"source {self.name!r} has the sessions of {self.calendar}, not of {calendar}; "
                f"write calendar: {self.calendar} under universe in the strategy's file, or mend "
                "the source's"
            )
        return self.session_calendar

    @property
    def asked_after(self) -> timedelta:
        """How long after a close its bars are asked for by the clock."""
        return timedelta(hours=1.0 if self.complete_after is None else self.complete_after)

    @property
    def file(self) -> Path | None:
        """The file this was read from; None for a specification made in code."""
        return self._file

    @property
    def base_dir(self) -> Path:
        """Where relative paths start: beside the folder of the file, which is the workspace.

        For a specification made in code it is the current directory.
        """
        return Path.cwd() if self.file is None else self.file.absolute().parent.parent


def load_source(path: Path) -> SourceSpec:
    """Read one file of a source, without opening the source.

    Parameters
    ----------
    path : Path
        A YAML file whose stem is the source's name.

    Raises
    ------
    SourceError
        If the file cannot be read, is no YAML mapping, or a field is wrong.
    """
    return _READER.file(path)


def load_sources(
    directory: Path, *, wanted: Callable[[Path], bool] = lambda _: True
) -> tuple[dict[str, SourceSpec], dict[Path, SourceError]]:
    """Read every ``*.yaml`` and ``*.yml`` file of a directory, without opening the sources.

    Parameters
    ----------
    directory : Path
        Where sources are kept; subdirectories are not searched.
    wanted : callable, optional
        Tells which files to read; all if not given.

    Returns
    -------
    specs : dict of str to SourceSpec
        By name, in the order of the names.
    errors : dict of Path to SourceError
        Why each of the other files was refused.

    Raises
    ------
    SourceError
        If there is no such directory.
    """
    return _READER.folder(directory, wanted=wanted)


def find_source(name: str, directory: Path) -> SourceSpec:
    """Return the source of a name; if its file is valid, no other is read.

    Parameters
    ----------
    name : str
        As a strategy's universe names it.
    directory : Path
        Where sources are kept.

    Raises
    ------
    SourceError
        If there is no such file, which names those there are, or it is wrong.
    """
    return _READER.find(directory, name)


def open_source(spec: SourceSpec) -> Source:
    """Open a source.

    Parameters
    ----------
    spec : SourceSpec
        As read from a file, or made in code.

    Returns
    -------
    Source

    Raises
    ------
    SourceError
        If no such kind of source is installed, or it refuses its options; the message names the
        file, the field and the reason.
    """
    place = spec.file or f"source {spec.name!r}"
    kind = located(place, "kind") if isinstance(place, Path) else place
    factory = offered(
        spec.kind,
        group=KINDS,
        noun="kind of source",
        refuse=lambda problem: SourceError(f"{kind}: kind: {problem}"),
    )
    try:
        source = factory(spec, spec.base_dir)
    except ValidationError as error:
        model = getattr(factory, "Options", None)
        raise SourceError(refusal(place, error, model, spec.options, at=("options",))) from error
    if not isinstance(source, Source):
        raise SourceError(
            f"{kind}: kind: {spec.kind!r} gave a {type(source).__name__}, which has no "
            "symbols() and load() as tradewind.market.sources.source.Source has"
        )
    _refuse_too_early(place, spec, source)
    return _under_todays_names(place, spec, source)


def _under_todays_names(place: object, spec: SourceSpec, source: Source) -> Source:
    """Return the source as strategies name its symbols."""
    if not spec.names and spec.names_file is None:
        return source
    from tradewind.market.sources.offers import ComparesSources
    from tradewind.market.sources.renamed import renamed

    where = f"{place}: source {spec.name!r}"
    if isinstance(source, ComparesSources):
        raise SourceError(f"{where}: write names into the files of the sources that it compares")
    listed = () if spec.names_file is None else read_names(spec.base_dir / spec.names_file)
    return renamed(source, (*spec.names, *listed), where, all_used=spec.names_file is None)


def _refuse_too_early(place: object, spec: SourceSpec, source: Source) -> None:
    """Refuse a schedule that would always come before the vendor calls the session complete."""
    from tradewind.market.sources.offers import promise_of

    complete = promise_of(source).complete_after
    if spec.schedule == "after_close" and spec.asked_after < complete:
        hour = timedelta(hours=1)
        raise SourceError(
            f"{place}: complete_after: kind {spec.kind!r} calls a session complete "
            f"{complete / hour:g} hours after its close, and is asked {spec.asked_after / hour:g} "
            f"after it, when there is nothing to take: write complete_after: {complete / hour:g}"
        )


# Accepted findings are many where a vendor's history is long; YAML reads a MiB in some seconds.
_READER: Final = SpecReader(
    SourceSpec, SourceError, noun="source", nouns="sources", max_bytes=1024 * 1024,
    max_values=150_000,
)  # fmt: skip
