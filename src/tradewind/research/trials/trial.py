"""The record of one trial: its configuration, its data, and its returns."""

import hashlib
import json
import math
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from tradewind.research.evaluation.walk_forward import Judgement, Score
from tradewind.research.strategy.strategy import Strategy

__all__ = ["Returns", "Trial", "configuration_hash"]

# Fields of a strategy file that change no trial's returns. The name is the lineage, not a setting.
_NOT_TRIED: Final = {
    "allow_leakage", "benchmark", "combinatorial", "description", "gate", "monitor", "name",
    "owner", "risk", "schedule", "sweep",
}  # fmt: skip
_EPOCH: Final = np.datetime64("1970-01-01")


def configuration_hash(strategy: Strategy, feature_code: str = "") -> str:
    """Return the SHA-256 of all that determines a trial's returns, apart from the bars.

    Parameters
    ----------
    strategy : Strategy
        Name, description, owner, schedule, benchmark, gate, risk limits, sweep and combinatorial
        cross-validation do not count: they change no return.
    feature_code : str
        Identifies the code of the strategy's own features, such as its hash; an edit of that
        code is another trial.
    """
    said = strategy.told_apart_by().items()
    fields = {name: value for name, value in said if name not in _NOT_TRIED}
    canonical = json.dumps([fields, feature_code], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class Returns:
    """Net returns by session, which can be packed for storage.

    Attributes
    ----------
    sessions : ndarray of datetime64[D], shape (n_sessions,), strictly increasing
    net : ndarray of shape (n_sessions,)
        Simple returns after costs, as fractions.
    """

    sessions: NDArray[np.datetime64]
    net: NDArray[np.float64]

    @property
    def sharpe(self) -> float:
        """Sharpe ratio a session, not annualised; NaN if returns do not vary."""
        if self.net.size < 2 or np.ptp(self.net) == 0.0:  # noqa: PLR2004
            return math.nan
        return float(self.net.mean() / self.net.std(ddof=1))

    def packed(self) -> bytes:
        """Return both as compressed bytes: little-endian days since 1970, then float64."""
        days = (self.sessions - _EPOCH).astype("<i4")
        # Steps of days are nearly all 1 or 3, which compresses to next to nothing.
        steps = np.diff(days, prepend=np.int32(0)).astype("<i4")
        return zlib.compress(steps.tobytes() + self.net.astype("<f8").tobytes(), level=1)

    @classmethod
    def unpacked(cls, content: bytes) -> Self:
        """Return the returns that `packed` has packed, to the bit."""
        raw = zlib.decompress(content)
        size = len(raw) // 12  # 4 bytes a day, 8 a return
        days = np.cumsum(np.frombuffer(raw, "<i4", count=size), dtype=np.int64)
        net = np.frombuffer(raw, "<f8", offset=4 * size).astype(np.float64)
        return cls(_EPOCH + days.astype("timedelta64[D]"), net)


@dataclass(frozen=True)
class Trial:
    """One entry of the ledger, identified by `strategy`, `configuration` and `snapshot_id`.

    Attributes
    ----------
    strategy : str
        Name of the strategy: the lineage in which trials are counted.
    configuration : str
        See `configuration_hash`.
    snapshot_id : str
    data_start, data_end : date
        First and last session of the bars used.
    symbols : tuple of str
    parameters : dict
        Of the model.
    metrics : dict of str to float
        Out of sample, over all folds; empty if it failed. Only what is defined.
    sharpe : float
        Sharpe ratio of its net returns a session, not annualised; NaN if it failed or they do not
        vary.
    n_sessions : int
        Of its net returns.
    returns : Returns, optional
        None if it failed, or where a list of trials would be too large with them.
    failure : str, optional
        Why there are no returns; it still counts as tried.
    """

    strategy: str
    configuration: str
    snapshot_id: str
    data_start: date
    data_end: date
    symbols: tuple[str, ...]
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)
    sharpe: float = math.nan
    n_sessions: int = 0
    returns: Returns | None = None
    failure: str | None = None

    def overlaps(self, data_start: date, data_end: date, symbols: Collection[str]) -> bool:
        """Whether it shares days and a symbol with these."""
        return (
            self.data_start <= data_end
            and data_start <= self.data_end
            and not set(self.symbols).isdisjoint(symbols)
        )

    @classmethod
    def of(
        cls,
        outcome: Score | str,
        strategy: Strategy,
        *,
        snapshot_id: str,
        span: tuple[date, date],
        feature_code: str = "",
    ) -> Self:
        """Make an entry of a strategy's score, or of why there is none."""
        scored = None if isinstance(outcome, str) else outcome
        returns = Returns(scored.sessions.to_numpy(), scored.net_returns) if scored else None
        return cls(
            strategy=strategy.name,
            configuration=configuration_hash(strategy, feature_code),
            snapshot_id=snapshot_id,
            data_start=span[0],
            data_end=span[1],
            symbols=strategy.universe.symbols,
            parameters=strategy.told_apart_by()["model"],
            metrics={k: v for k, v in scored.metrics.items() if math.isfinite(v)} if scored else {},
            sharpe=math.nan if returns is None else returns.sharpe,
            n_sessions=0 if returns is None else returns.net.size,
            returns=returns,
            failure=outcome if isinstance(outcome, str) else None,
        )

    @classmethod
    def of_judgement(
        cls, judgement: Judgement, *, snapshot_id: str, feature_code: str = ""
    ) -> Self:
        """Make an entry of a training without a sweep."""
        return cls.of(
            judgement,
            judgement.strategy,
            snapshot_id=snapshot_id,
            span=(judgement.data_start, judgement.data_end),
            feature_code=feature_code,
        )
