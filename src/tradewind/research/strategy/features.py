"""Features a strategy file can ask for: names, parameters and their bounds.

A file writes ``- momentum: {window: 252, skip: 21}``. This module only says what may be
asked for; `tradewind.research.features.compute` computes it.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator

from tradewind.research.strategy.fields import Part

__all__ = [
    "BAR_COLUMNS",
    "Across",
    "Compared",
    "Custom",
    "Demean",
    "FeatureSpec",
    "MaDistance",
    "MaRatio",
    "Momentum",
    "PerSymbol",
    "Rank",
    "Return",
    "Rsi",
    "Volatility",
    "VolumeRatio",
    "Zscore",
]

_NAME: Final = r"^[a-z][a-z0-9_]*$"
BAR_COLUMNS: Final = (
    "symbol", "session", "open", "high", "low", "close", "volume", "raw_close", "dollar_volume",
)  # fmt: skip
"""What a function of the user's own can use of the bars."""

_TAKEN = frozenset({"symbol", "session", "label", "label_end", "fold", "prediction"})


def _window(least: int) -> Any:  # noqa: ANN401
    return Field(strict=True, ge=least, le=2520, description="sessions looked back")


class _Spec(Part):
    @property
    def column(self) -> str:
        """Name of the feature's column: kind and parameters, such as ``momentum_252_21``."""
        return "_".join(str(value) for value in self.model_dump().values())

    @property
    def warm_up(self) -> int | None:
        """First bars of a symbol, which have no value because a window reaches back before them.

        None for a function of the user's own, where only its values show it.
        """
        return None

    @property
    def across_symbols(self) -> bool:
        """Whether a symbol's value depends on the other symbols of its session."""
        return False

    @property
    def parts(self) -> "tuple[PerSymbol, ...]":
        """The features of single symbols that it is made of; itself if it is one of these."""
        return ()


class _OfOneSymbol(_Spec):
    @property
    def parts(self) -> "tuple[PerSymbol, ...]":
        """The feature itself."""
        return (self,)  # type: ignore[return-value]  # the union of all that derive from it


class Return(_OfOneSymbol):
    """Return over the last `window` sessions."""

    kind: Literal["return"] = "return"
    window: int = _window(1)

    @property
    def warm_up(self) -> int:
        """First bars of a symbol without a value."""
        return self.window


class Momentum(_OfOneSymbol):
    """Return from `window` to `skip` sessions ago, leaving out the latest reversal."""

    kind: Literal["momentum"] = "momentum"
    window: int = _window(2)
    skip: int = Field(strict=True, ge=0, le=2520, description="latest sessions left out")

    @model_validator(mode="after")
    def _skip_is_shorter(self) -> "Momentum":
        if self.skip >= self.window:
            raise ValueError(f"skip ({self.skip}) must be less than window ({self.window})")
        return self

    @property
    def warm_up(self) -> int:
        """First bars of a symbol without a value."""
        return self.window


class Volatility(_OfOneSymbol):
    """Standard deviation of daily returns over the last `window` sessions."""

    kind: Literal["volatility"] = "volatility"
    window: int = _window(2)

    @property
    def warm_up(self) -> int:
        """First bars of a symbol without a value."""
        return self.window


class Rsi(_OfOneSymbol):
    """Relative strength index over the last `window` sessions, between 0 and 1."""

    kind: Literal["rsi"] = "rsi"
    window: int = _window(2)

    @property
    def warm_up(self) -> int:
        """First bars of a symbol without a value."""
        return self.window


class MaDistance(_OfOneSymbol):
    """Close over its mean of the last `window` sessions, minus one."""

    kind: Literal["ma_distance"] = "ma_distance"
    window: int = _window(2)

    @property
    def warm_up(self) -> int:
        """First bars of a symbol without a value."""
        return self.window - 1


class MaRatio(_OfOneSymbol):
    """Mean close of the last `fast` sessions over that of the last `slow`, minus one."""

    kind: Literal["ma_ratio"] = "ma_ratio"
    fast: int = _window(1)
    slow: int = _window(2)

    @model_validator(mode="after")
    def _fast_is_shorter(self) -> "MaRatio":
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        return self

    @property
    def warm_up(self) -> int:
        """First bars of a symbol without a value."""
        return self.slow - 1


class VolumeRatio(_OfOneSymbol):
    """Volume over its mean of the last `window` sessions, minus one."""

    kind: Literal["volume_ratio"] = "volume_ratio"
    window: int = _window(2)

    @property
    def warm_up(self) -> int:
        """First bars of a symbol without a value."""
        return self.window - 1


class _OwnFunction(_Spec):
    """A function of the user's own, and the name of its feature."""

    name: str = Field(pattern=_NAME, max_length=50)
    function: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", max_length=200)
    parameters: dict[str, bool | int | float | str] = Field(default={}, max_length=100)

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name in _TAKEN:
            raise ValueError(f"{name} is a column of its own already; choose another name")
        return name

    @property
    def column(self) -> str:
        """Name of the feature's column."""
        return self.name


class Custom(_OwnFunction, _OfOneSymbol):
    """A function of the user's own, such as ``my_features:overnight_gap``.

    The module is a file beside the strategy files, or an installed one. The function takes
    `parameters` by name and returns a polars expression over the adjusted bars of one symbol in the
    order of its sessions: open, high, low, close, volume, symbol, session. Two more columns are as
    traded on the day, so that later splits and dividends do not change them: raw_close, and
    dollar_volume, which is raw_close times the shares traded. Where the expression is null or not
    finite, the feature is undefined. Of adjusted columns use ratios: the level of an adjusted price
    changes with later splits and dividends, and `tradewind.research.features.leaks` refuses
    features that depend on it. To compare symbols, use `Across`.
    """

    kind: Literal["custom"] = "custom"


def _unfold(value: Any) -> Any:  # noqa: ANN401
    """Turn ``{return: {window: 5}}`` into ``{kind: return, window: 5}``."""
    if isinstance(value, BaseModel) or (isinstance(value, dict) and "kind" in value):
        return value
    if not isinstance(value, dict):
        raise ValueError("write a feature with its parameters, such as: return: {window: 5}")  # noqa: TRY004 - as below
    if len(value) != 1:
        raise ValueError("write one feature an entry, such as: return: {window: 5}")
    [(kind, parameters)] = value.items()
    if not isinstance(parameters, dict):
        raise ValueError(  # noqa: TRY004 - pydantic collects only ValueErrors
            f"write the parameters of {kind} in braces, such as: return: {{window: 5}}"
        )
    return {"kind": kind, **parameters}


PerSymbol = Return | Momentum | Volatility | Rsi | MaDistance | MaRatio | VolumeRatio | Custom
"""A feature made of one symbol's bars."""

_Part = Annotated[PerSymbol, Field(discriminator="kind"), BeforeValidator(_unfold)]


class _OfSeveralSymbols(_Spec):
    @property
    def across_symbols(self) -> bool:
        """It does."""
        return True


class _Compared(_OfSeveralSymbols):
    """One feature of every symbol, compared with those of the session's other symbols."""

    kind: str
    of: _Part

    @property
    def column(self) -> str:
        """Name of the feature's column, such as ``rank_momentum_252_21``."""
        return f"{self.kind}_{self.of.column}"

    @property
    def warm_up(self) -> int | None:
        """That of the feature compared."""
        return self.of.warm_up

    @property
    def parts(self) -> tuple[PerSymbol, ...]:
        """The feature compared."""
        return (self.of,)


class Rank(_Compared):
    """Rank of another feature among the symbols of a session, from -0.5 to 0.5."""

    kind: Literal["rank"] = "rank"


class Demean(_Compared):
    """Another feature less its mean over the symbols of a session."""

    kind: Literal["demean"] = "demean"


class Zscore(_Compared):
    """Another feature less its mean over the symbols of a session, over its standard deviation."""

    kind: Literal["zscore"] = "zscore"


class Across(_OwnFunction, _OfSeveralSymbols):
    """A function of the user's own over one session, such as ``my_features:share``.

    It returns a polars expression that is evaluated on the rows of all symbols with a bar in the
    session, sorted by symbol: ``pl.col("x") / pl.col("x").sum()`` is a symbol's share of all. The
    columns are those of `Custom`, and `inputs`: features of one symbol each by the name that the
    expression calls them, such as ``{mom: {momentum: {window: 252, skip: 21}}}``. An undefined one
    is null, which sums and means ignore.
    """

    kind: Literal["across"] = "across"
    inputs: dict[Annotated[str, Field(pattern=_NAME, max_length=50)], _Part] = Field(
        default={}, max_length=100
    )

    @field_validator("inputs")
    @classmethod
    def _inputs_are_told_from_bars(cls, inputs: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(inputs.keys() & set(BAR_COLUMNS)):
            raise ValueError(f"{', '.join(taken)}: a column of the bars; choose another name")
        return inputs

    @property
    def parts(self) -> tuple[PerSymbol, ...]:
        """The inputs."""
        return tuple(self.inputs.values())


Compared = Rank | Demean | Zscore
"""One feature of every symbol, held against those of the session's other symbols."""

FeatureSpec = Annotated[
    PerSymbol | Rank | Demean | Zscore | Across,
    Field(discriminator="kind"),
    BeforeValidator(_unfold),
]
