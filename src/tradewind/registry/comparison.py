"""Two versions of a model side by side."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, TypeVar

from tradewind.registry import _names as names
from tradewind.registry._client import connect, mlflow_errors
from tradewind.registry._files import strategy_of
from tradewind.registry.provenance import Provenance
from tradewind.registry.read_evidence import read_returns
from tradewind.registry.tracking import flatten
from tradewind.registry.versions import version_by_number

__all__ = ["Comparison", "compare"]

_V = TypeVar("_V")
_ORIGIN: Final = (
    names.SNAPSHOT_ID, names.STRATEGY_SHA256, names.SEED, names.TRIALS, names.DATA_START,
    names.DATA_END, *(names.PREFIX + field.name for field in fields(Provenance)),
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """What two versions show, and in what they differ; of each pair the first is `version_a`.

    Attributes
    ----------
    metrics : mapping of str to pair of float or None
        Out of sample, each version on its own sessions; None where a version has no such figure.
    common_sessions : int
        Sessions that both were tested on.
    sharpe_difference, low, high : float or None
        Annualised Sharpe ratio of `version_b` less that of `version_a` on the common sessions,
        and the ends of its interval; None where it is not defined.
    level : float
        Of the interval.
    provenance : mapping of str to pair of str or None
        Tags that differ: data, code, packages, seed, trials.
    strategy : mapping of str to pair
        Fields of the strategy that differ, by dotted path; None where a version has no such field.
    """

    name: str
    version_a: int
    version_b: int
    metrics: Mapping[str, tuple[float | None, float | None]]
    common_sessions: int
    sharpe_difference: float | None
    low: float | None
    high: float | None
    level: float
    provenance: Mapping[str, tuple[str | None, str | None]]
    strategy: Mapping[str, tuple[object, object]]


def compare(name: str, version_a: int, version_b: int, *, level: float = 0.9) -> Comparison:
    """Compare two versions of a model.

    Parameters
    ----------
    name : str
        Registered model.
    version_a, version_b : int
    level : float
        Of the interval of the difference between their Sharpe ratios.

    Raises
    ------
    RegistryError
        If there is no such version, its files are gone or damaged, or MLflow is out of reach.
    """
    from tradewind.market.calendar import sessions_per_year
    from tradewind.research.statistics.inference import sharpe_difference_interval

    missing = (
        f"a file of {name} version {version_a} or {version_b} is gone from MLflow; train the "
        f"strategy again, or choose among what `tradewind models show {name}` shows"
    )
    with mlflow_errors(f"comparing {name} versions {version_a} and {version_b}", missing=missing):
        client = connect()
        a, b = (version_by_number(client, name, version) for version in (version_a, version_b))
        strategies = [strategy_of(info) for info in (a, b)]
        before, after = (flatten(strategy.model_dump(mode="json")) for strategy in strategies)
        common = read_returns(client, b).join(
            read_returns(client, a), on="session", suffix="_a", maintain_order="left"
        )
    difference = sharpe_difference_interval(
        common.get_column("net_return").to_numpy(),
        common.get_column("net_return_a").to_numpy(),
        # Sessions of both calendars are at most as many as the emptier one has.
        per_year=min(sessions_per_year(strategy.universe.calendar) for strategy in strategies),
        level=level,
    )
    found, low, high = (value if math.isfinite(value) else None for value in difference)
    return Comparison(
        name=name,
        version_a=version_a,
        version_b=version_b,
        metrics=_side_by_side(a.metrics, b.metrics),
        common_sessions=common.height,
        sharpe_difference=found,
        low=low,
        high=high,
        level=level,
        provenance={
            key.removeprefix(names.PREFIX): pair
            for key, pair in _differing(a.tags, b.tags).items()
            if key in _ORIGIN
        },
        strategy=_differing(before, after),
    )


def _side_by_side(
    a: Mapping[str, _V], b: Mapping[str, _V]
) -> dict[str, tuple[_V | None, _V | None]]:
    return {key: (a.get(key), b.get(key)) for key in sorted({*a, *b})}


def _differing(a: Mapping[str, _V], b: Mapping[str, _V]) -> dict[str, tuple[_V | None, _V | None]]:
    return {key: pair for key, pair in _side_by_side(a, b).items() if pair[0] != pair[1]}
