"""Predictions that were made elsewhere: checked when they come in, and looked up afterwards.

What can be checked is checked: that each is a number, for a bar that there is, once, and that none
is missing. Whether they were made without knowing the future cannot be known here.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import FitError, PredictionsError, StrategyError
from tradewind.market.bars import KEY
from tradewind.research.strategy.external import ExternalModel
from tradewind.research.strategy.strategy import Strategy

__all__ = [
    "FLAVOUR", "LEARNS", "PACKAGES", "HandedIn", "fit", "importance", "learnt", "predict", "share",
]  # fmt: skip

FLAVOUR: Final = "predictions"
PACKAGES: Final = ("numpy", "pandas", "polars", "pyarrow")
LEARNS: Final = False

_COLUMNS: Final = (*KEY, "prediction")


@dataclass(frozen=True)
class HandedIn:
    """Predictions of a desk's own workflow.

    Attributes
    ----------
    table : DataFrame of shape (n_rows, 3)
        symbol (String), session (Date), prediction (Float64); sorted by session and symbol.
    """

    table: pl.DataFrame

    @classmethod
    def of(cls, predictions: Any, strategy: Strategy) -> Self:  # noqa: ANN401 - whatever is handed in
        """Read what is handed in.

        Parameters
        ----------
        predictions : DataFrame
            Of polars, with the columns symbol, session (dates) and prediction (numbers).
        strategy : Strategy
            The one they are for.

        Raises
        ------
        PredictionsError
            If it is no such frame.
        StrategyError
            If the strategy's model is not external.
        """
        if not strategy.model.external:
            raise StrategyError(
                f"strategy {strategy.name}: model.kind is {strategy.model.kind}, which is fitted "
                "here; predictions can be handed in where the file says `model: {kind: external}`"
            )
        asked = "hand in a polars frame with the columns symbol (text), session (dates) and "
        asked += "prediction (numbers)"
        what = f"strategy {strategy.name}: {asked}, not"
        if not isinstance(predictions, pl.DataFrame):
            found = f"{type(predictions).__module__}.{type(predictions).__name__}"
            raise PredictionsError(f"{what} {found}; pl.from_pandas(frame) makes one of pandas'")
        if set(predictions.columns) != set(_COLUMNS):
            raise PredictionsError(f"{what} {', '.join(predictions.columns) or 'none'}")
        types = {name: predictions.schema[name] for name in _COLUMNS}
        right = {
            "symbol": types["symbol"] == pl.String or types["symbol"].base_type() in _NAMES,
            "session": types["session"] == pl.Date,
            "prediction": types["prediction"].is_numeric(),
        }
        for name, fits in right.items():
            if not fits:
                raise PredictionsError(f"{what} {name} of type {types[name]}")
        if predictions.is_empty():
            raise PredictionsError(f"{what} none of any session")
        if predictions.select(pl.any_horizontal(pl.col(KEY).is_null().any())).item():
            raise PredictionsError(f"{what} a row without symbol or session")
        table = predictions.select(
            pl.col("symbol").cast(pl.String), "session", pl.col("prediction").cast(pl.Float64)
        )
        return cls(table.sort("session", "symbol", "prediction", nulls_last=True))

    @property
    def last_session(self) -> date:
        """The last that is predicted: bars after it are not looked at."""
        return self.table.item(-1, "session")  # type: ignore[no-any-return]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of their content, whatever the order of the rows."""
        digest = hashlib.sha256()
        for part in learnt(self):
            digest.update(part)
        return digest.hexdigest()

    def refuse_unfit(self, bars: pl.DataFrame, strategy: Strategy) -> None:
        """Refuse predictions that are no numbers, are there twice, or are of no bar.

        Parameters
        ----------
        bars : DataFrame of shape (n_bars, 9)
            The strategy's symbols and days.
        strategy : Strategy

        Raises
        ------
        PredictionsError
            Which names the first of them, and says how many there are.
        """
        number = pl.col("prediction")
        wrong = self.table.filter(number.is_null() | ~number.is_finite())
        _refuse(wrong, strategy, "is {prediction}, and must be a finite number")
        repeated = self.table.filter(pl.struct(KEY).is_duplicated())
        _refuse(repeated, strategy, "is there more than once")
        strange = self.table.filter(~pl.col("symbol").is_in(list(strategy.universe.symbols)))
        _refuse(strange, strategy, "is of a symbol that universe.symbols does not list")
        _refuse(
            self.table.join(bars, on=KEY, how="anti"), strategy,
            "is of no bar: the day is no session of "
            f"{strategy.universe.calendar}, or the source has no bar of it",
        )  # fmt: skip

    def refuse_holes(self, rows: pl.DataFrame, strategy: Strategy) -> None:
        """Refuse predictions of which some are missing.

        Parameters
        ----------
        rows : DataFrame of shape (n_rows, n_columns)
            symbol, session: all that are asked for; sorted by session and symbol.
        strategy : Strategy

        Raises
        ------
        PredictionsError
            Which names the first that is missing, and which sessions are asked for.
        """
        begins = self.table.item(0, "session")
        lengths = strategy.walk_forward
        _refuse(
            self.of_rows(rows).filter("missing"), strategy,
            "is missing. Each symbol with a bar must be predicted in each session from "
            f"{rows.item(0, 'session')}, the first that is tested ({lengths.train} sessions, "
            f"walk_forward.train, and {strategy.purge} of purge after the bars begin), or a later "
            f"one from which on the symbol is traded, to {rows.item(-1, 'session')}, the last that "
            f"was handed in; yours begin on {begins}",
        )  # fmt: skip

    def of_rows(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows of symbol and session with prediction, and whether it is missing.

        A symbol that was not predicted before, as one that was new on its exchange, has none and
        misses none, if others were.
        """
        first = self.table.group_by("symbol").agg(pl.col("session").min().alias("first"))
        found = rows.select(KEY).join(self.table, on=KEY, how="left", maintain_order="left")
        found = found.join(first, on="symbol", how="left", maintain_order="left")
        begins = pl.col("first") == self.table.item(0, "session")
        begun = (begins | (pl.col("session") >= pl.col("first"))).fill_null(True)
        return found.select(
            *KEY, "prediction", (begun & pl.col("prediction").is_null()).alias("missing")
        )


_NAMES: Final = (pl.Categorical, pl.Enum)


def _refuse(found: pl.DataFrame, strategy: Strategy, why: str) -> None:
    if found.is_empty():
        return
    first = found.row(0, named=True)
    more = f" ({found.height:,} such rows)" if found.height > 1 else ""
    reason = why.replace("{prediction}", str(first.get("prediction")))
    raise PredictionsError(
        f"strategy {strategy.name}: the prediction of {first['symbol']} on {first['session']} "
        f"{reason}{more}"
    )


def share() -> None:
    """Return nothing: what is shared is handed in."""


def fit(
    rows: pl.DataFrame,  # noqa: ARG001 - it was fitted elsewhere
    strategy: Strategy,
    parameters: ExternalModel,
    *,
    num_threads: int,  # noqa: ARG001
    shared: HandedIn | None,
) -> HandedIn:
    """Return what was handed in.

    Raises
    ------
    StrategyError
        If nothing was.
    """
    if shared is None:
        parameters.check_code(strategy.name)
    assert shared is not None  # noqa: S101 - that raised
    return shared


def predict(
    model: HandedIn,
    rows: pl.DataFrame,
    strategy: Strategy,
    *,
    num_threads: int,  # noqa: ARG001
) -> NDArray[np.float64]:
    """Return what was predicted for each row, shape (n_rows,); NaN before a symbol's first.

    Raises
    ------
    FitError
        If a row was not predicted.
    """
    found = model.of_rows(rows)
    missing = found.filter("missing").sort("session", "symbol")
    if not missing.is_empty():
        symbol, session = missing.select(KEY).row(0)
        raise FitError(
            f"strategy {strategy.name}: this version was handed predictions up to "
            f"{model.last_session}, and none of {symbol} on {session}. Hand in newer ones: "
            f"desk.judge({strategy.name!r}, predictions), then desk.register(judged)"
        )
    return found.get_column("prediction").fill_null(float("nan")).to_numpy()


def importance(model: HandedIn) -> Sequence[float]:  # noqa: ARG001
    """Return nothing: it has no features here."""
    return ()


def learnt(model: HandedIn) -> Iterator[bytes]:
    """Yield the predictions."""
    table = model.table
    yield f"external {table.height}\n".encode()
    yield "\n".join(table.get_column("symbol")).encode()
    yield table.get_column("session").to_physical().to_numpy().astype("<i4").tobytes()
    yield table.get_column("prediction").fill_null(float("nan")).to_numpy().astype("<f8").tobytes()
