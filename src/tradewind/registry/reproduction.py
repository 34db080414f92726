"""A registered version trained once more, and everything compared bit for bit."""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from tradewind.errors import RegistryError
from tradewind.registry import _names as names
from tradewind.registry._client import connect, mlflow_errors
from tradewind.registry._files import download, read_parquet, required_tag
from tradewind.registry.flavours import load_model
from tradewind.registry.provenance import NONE, UNKNOWN, collect
from tradewind.registry.version_info import VersionInfo
from tradewind.registry.versions import version_by_number
from tradewind.research.strategy.strategy import Strategy

if TYPE_CHECKING:
    import polars as pl

    from tradewind.research.models.model import FittedModel
    from tradewind.research.training import TrainingResult
    from tradewind.research.trials.ledger import TrialSummary

__all__ = ["Difference", "Reproduction", "reproduce"]

# They count other trials than this one. Of those the record holds the number and the variance, by
# which the Sharpe ratio is deflated once more; but not their returns, which `pbo` is made of.
_OF_THE_TRIALS: Final = frozenset(
    {
        "trials", "trials_variance", "deflated_sharpe_probability",
        "trials_alpha_variance", "deflated_alpha_probability", "deflated_mix_alpha_probability",
    }
)  # fmt: skip
_PBO: Final = "pbo"
# What trainings did not compute at first; versions of before then are compared without it.
_SAID_LATER: Final = (
    "alpha", "beta", "alpha_probability", "trials_alpha_variance", "deflated_alpha_probability",
    "undefined_rows", "untested_sessions",
    "mix_alpha", "mix_alpha_probability", "deflated_mix_alpha_probability",
)  # fmt: skip
_KEPT_LATER: Final = ("benchmark_return", "mix_return")
_KEY: Final = ("symbol", "session")
_COMMIT: Final = names.PREFIX + "git_commit"
_CODE: Final = names.PREFIX + "code_sha256"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it was.

    Attributes
    ----------
    what : str
    detail : str
        How it was and how it is.
    largest : float or None
        Largest absolute difference; None where it is no number, or something is on one side only.
    """

    what: str
    detail: str
    largest: float | None = None


@dataclass(frozen=True)
class Reproduction:
    """What became of a version when it was trained once more.

    Attributes
    ----------
    identical : bool
        Whether model, predictions, returns and metrics are the same bit for bit.
    conditions : tuple of Difference
        What differs in code, packages and record. It may not matter; if results differ, look
        here first.
    results : tuple of Difference
        What differs in the results; empty if identical.
    compared : mapping of str to int
        Values compared, by kind.
    not_compared : tuple of str
        Metrics that are recorded and cannot be computed once more, each with the reason.
    """

    name: str
    version: int
    snapshot_id: str
    identical: bool
    conditions: tuple[Difference, ...]
    results: tuple[Difference, ...]
    compared: Mapping[str, int]
    not_compared: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Record:
    """What a version left behind."""

    info: VersionInfo
    strategy: Strategy
    model: "FittedModel"
    frames: Mapping[str, "pl.DataFrame"]


def reproduce(
    name: str,
    version: int,
    read: "Callable[[str], pl.DataFrame]",
    *,
    home: Path,
    num_threads: int = 1,
    on_fold: Callable[[int, int], None] | None = None,
) -> Reproduction:
    """Train a version once more from what was recorded, and compare.

    Nothing is written to MLflow, and no trial to the ledger. The Sharpe ratio is deflated by as
    many trials, of the same variance, as were counted then. The probability of overfitting is
    made of the returns of every trial of the sweep, and not compared.

    Parameters
    ----------
    name : str
        Registered model.
    version : int
    read : callable
        Gives the bars of a snapshot by its id, such as `BarStore.read`.
    home : Path
        The workspace; see `tradewind.registry.provenance.collect`.
    num_threads : int
        Cores used. Results do not depend on it.
    on_fold : callable, optional
        Called with (folds done, folds in all) after each fold.

    Raises
    ------
    RegistryError
        If there is no such version, a part of its record is gone, or MLflow is out of reach.
    SnapshotError
        If the snapshot is missing or damaged.
    ResearchError
        If the running code cannot train the strategy.
    """
    from tradewind.research.code.own import sources_kept
    from tradewind.research.evaluation.predict import predict_defined
    from tradewind.research.training import train

    record = _fetch(name, version)
    if record.strategy.model.external:
        raise RegistryError(
            f"{name} version {version} was trained elsewhere: its predictions were handed in and "
            "are kept, but nothing here can make them again. Train it there once more, and "
            f"compare: tradewind.Desk().judge({name!r}, predictions)"
        )
    conditions = _conditions(record, home)
    snapshot_id = required_tag(record.info, names.SNAPSHOT_ID)
    bars = read(snapshot_id)
    recorded = record.info.metrics
    counted = _counted(recorded)
    # A model of the desk's own is trained by the code that is kept with it.
    with sources_kept(_sources(record.model)):
        again = train(
            bars, record.strategy, trials=counted, num_threads=num_threads, on_fold=on_fold
        )

    sessions = bars.get_column("session").n_unique()
    everywhere = [
        predict_defined(model, bars, record.strategy, sessions=sessions)
        for model in (record.model, again.model)
    ]
    backtest = record.frames[names.EQUITY_FILE]
    frames = {
        "predictions of the model on all sessions": (everywhere[0], everywhere[1]),
        "reference predictions": (record.frames[names.REFERENCE_FILE], again.reference),
        "out-of-sample predictions": (record.frames[names.OUT_OF_SAMPLE_FILE], again.predictions),
        "backtest": (backtest, again.equity.select(_kept(again.equity.columns, backtest.columns))),
    }
    left_out = {} if counted else dict.fromkeys(_OF_THE_TRIALS, "the other trials are not recorded")
    left_out |= {
        figure: "it was not computed then"
        for figure in _SAID_LATER
        if figure in again.metrics and figure not in recorded
    }
    left_out |= {_PBO: "it takes the returns of every trial of the sweep"}
    then, now = (_metrics(found, left_out) for found in (recorded, again.metrics))
    results = [
        *_of_model(record, again.model),
        *(_of_frame(what, *pair) for what, pair in frames.items()),
        *_of_metrics(then, now),
    ]
    different = tuple(difference for difference in results if difference is not None)
    return Reproduction(
        name=name,
        version=version,
        snapshot_id=snapshot_id,
        identical=not different,
        conditions=(*conditions, *_dates(record.info, again)),
        results=different,
        compared={
            **{what: pair[0].height for what, pair in frames.items()},
            "metrics": len(then),
        },
        not_compared=tuple(
            f"metric {key}: {reason}" for key, reason in sorted(left_out.items()) if key in recorded
        ),
    )


def _sources(model: "FittedModel") -> dict[str, tuple[Path, bytes]]:
    if model.fields.own_code is None:
        return {}
    own = model.native.packed()
    return {own.code.module: (own.path, own.source)}


def _kept(columns: Sequence[str], recorded: Sequence[str]) -> list[str]:
    """Return columns without those that were not kept when the record was made."""
    return [each for each in columns if each in recorded or each not in _KEPT_LATER]


def _fetch(name: str, version: int) -> _Record:
    missing = (
        f"a file of {name} version {version} is gone from MLflow, so that it cannot be reproduced; "
        f"`tradewind models show {name}` shows the versions there are"
    )
    with mlflow_errors(f"fetching {name} version {version}", missing=missing):
        info = version_by_number(connect(), name, version)
        text = download(info, names.STRATEGY_FILE).decode()
        try:
            strategy = Strategy.recorded(text)
        except ValidationError as error:
            raise RegistryError(
                f"{name} version {version} was trained by a strategy that this version of "
                f"tradewind cannot read: {error}. Check out {info.tags.get(_COMMIT, UNKNOWN)}"
            ) from error
        if strategy.model.pickled and not info.pickled:
            raise RegistryError(
                f"{name} version {version}: {names.STRATEGY_FILE} accepts a pickle, which the "
                "registered strategy did not. Somebody changed the file; train the strategy again"
            )
        files = (names.REFERENCE_FILE, names.OUT_OF_SAMPLE_FILE, names.EQUITY_FILE)
        frames = {file: read_parquet(download(info, file)) for file in files}
        model = load_model(f"models:/{name}/{version}", strategy.model)
    return _Record(info, strategy, model, frames)


def _conditions(record: _Record, home: Path) -> list[Difference]:
    """Return what differs in code, packages and record, before anything is trained."""
    from tradewind.research.features.own_code import feature_code_hash

    # Versions of before could have no packages of the desk's own.
    tags = {names.REQUIREMENTS_SHA256: NONE, **record.info.tags}
    own_code = feature_code_hash(record.strategy) or NONE
    now = {
        **{names.PREFIX + key: value
           for key, value in asdict(collect(home, features_sha256=own_code)).items()
           if names.PREFIX + key != names.MODEL_CODE_SHA256},  # it is trained by what was kept
        names.STRATEGY_SHA256: record.strategy.content_hash(),
        names.SEED: str(record.strategy.seed),
    }  # fmt: skip
    found = [
        Difference(key.removeprefix(names.PREFIX), f"{tags.get(key, UNKNOWN)} then, {value} now")
        for key, value in now.items()
        if tags.get(key, UNKNOWN) != value
    ]
    same_code = tags.get(_CODE) == now[_CODE]
    if tags.get(names.PREFIX + "git_dirty") == "true" and not same_code:
        found.append(Difference("code", "files differed from the commit when it was trained"))
    return found


def _dates(info: VersionInfo, again: "TrainingResult") -> list[Difference]:
    now = {names.DATA_START: again.data_start, names.DATA_END: again.data_end}
    return [
        Difference(key.removeprefix(names.PREFIX), f"{info.tags.get(key, UNKNOWN)} then, {day} now")
        for key, day in now.items()
        if info.tags.get(key) != str(day)
    ]


def _of_model(record: _Record, now: "FittedModel") -> list[Difference]:
    """Return whether the model learnt something else, or the registry holds another than then."""
    from tradewind.research.models.model import fingerprint

    stored, again = fingerprint(record.model), fingerprint(now)
    then = record.info.tags.get(names.MODEL_SHA256, stored)
    kinds = {"model": again, "model in the registry": stored}
    return [
        Difference(what, f"SHA-256 {then} then, {found} now")
        for what, found in kinds.items()
        if found != then
    ]


def _of_frame(what: str, then: "pl.DataFrame", now: "pl.DataFrame") -> Difference | None:
    """Return how two tables differ, if they do: in rows, in columns, or by how much."""
    if dict(then.schema) != dict(now.schema):
        return Difference(what, f"columns {then.schema} then, {now.schema} now")
    if then.equals(now):
        return None
    key = [column for column in _KEY if column in then.columns]
    both = then.join(now, on=key, how="full", suffix="_now", coalesce=True, nulls_equal=True)
    lonely = both.height * 2 - then.height - now.height
    if lonely or then.height != now.height:
        return Difference(what, f"{lonely} of {both.height} rows exist on one side only")
    worst: tuple[float, str] = (0.0, "")
    for column in then.columns:
        if column in key or not then.schema[column].is_numeric():
            continue
        gaps = (both.get_column(column) - both.get_column(f"{column}_now")).abs().fill_nan(None)
        largest = gaps.max()
        if isinstance(largest, int | float) and largest > worst[0]:
            row = both.row(int(gaps.arg_max() or 0), named=True)
            where = " ".join(str(row[part]) for part in key)
            worst = (float(largest), f"{column} of {where}")
    detail = f"the worst by {worst[0]:.3g}, {worst[1]}" if worst[1] else "values or their order"
    return Difference(what, detail, worst[0] or None)


def _of_metrics(then: Mapping[str, float], now: Mapping[str, float]) -> list[Difference]:
    found = []
    for key in sorted({*then, *now}):
        one, other = then.get(key), now.get(key)
        if one == other:
            continue
        gap = None if one is None or other is None else abs(one - other)
        found.append(Difference(f"metric {key}", f"{one!r} then, {other!r} now", gap))
    return found


def _counted(recorded: Mapping[str, float]) -> "TrialSummary | None":
    """Return what the Sharpe ratio was deflated by; None where that was not recorded."""
    import polars as pl

    from tradewind.research.trials.ledger import TrialSummary

    trials, variance = recorded.get("trials"), recorded.get("trials_variance")
    if trials is None or variance is None:
        return None
    beside = recorded.get("trials_alpha_variance", 0.0)
    return TrialSummary(int(trials), variance, beside, pbo=None, table=pl.DataFrame())


def _metrics(values: Mapping[str, float], left_out: Container[str]) -> dict[str, float]:
    """Return the totals that are defined, without those that cannot be computed once more."""
    return {
        key: value
        for key, value in values.items()
        if math.isfinite(value) and key not in left_out and not key.startswith(names.SERIES_PREFIX)
    }
