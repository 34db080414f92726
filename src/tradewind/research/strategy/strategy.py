"""What a strategy file may say, as frozen models whose errors name the field.

Importing this module loads neither numpy nor polars: Airflow parses it with every DAG
file.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tradewind.market.spec_types import CalendarName, Day, SpecName, Symbol, Words
from tradewind.research.strategy.feature_files import why_no_function
from tradewind.research.strategy.features import Across, Custom, FeatureSpec, MaRatio
from tradewind.research.strategy.sweep import Sweep
from tradewind.specs.records import read_record

__all__ = [
    "ON_NEW_BARS",
    "Backtest",
    "Combinatorial",
    "Execution",
    "Gate",
    "Label",
    "LightGbm",
    "MaCrossover",
    "Missing",
    "ModelSpec",
    "Monitor",
    "Ridge",
    "Risk",
    "Strategy",
    "SymbolBenchmark",
    "Universe",
    "WalkForward",
]

ON_NEW_BARS = "on_new_bars"
"""The schedule of a strategy that is trained whenever its source has stored new bars."""

# What strategy files could not say at first, as the path to it.
_SAID_LATER: Final[tuple[tuple[str, ...], ...]] = (
    ("risk",),
    ("backtest", "delisting_return"),
    ("benchmark",),
    ("gate", "min_alpha_probability"),
)

# Five fields, none of them R, which croniter draws anew at each look.
_CRON: Final = re.compile(r"(?!.*\b[Rr]\b)[^ ]+(?: [^ ]+){4}$")

# Of equity, in one symbol, by rank: one against all others, which are tied.
_LARGEST_RANK_SHARE: Final = 0.5

# What a record means that lacks a field, where that is not the default of today.
_MEANT_BEFORE: Final = {"missing": "drop_row"}

Missing = Literal["refuse", "drop_row", "hold"]
"""What becomes of a row with a feature that is undefined after its warm-up.

``refuse`` stops with an error that names feature, symbol and sessions. ``drop_row`` leaves the row
out of training and prediction: the symbol has no signal of that session, and its tranche is cash.
``hold`` leaves it out of training; the symbol keeps the signal that the session would renew.
"""

Sessions = Annotated[int, Field(strict=True, ge=1, le=25_200)]  # a century
CostBps = Annotated[float, Field(strict=True, ge=0.0, le=1000.0)]
Share = Annotated[float, Field(strict=True, ge=0.0001, le=1.0)]
Probability = Annotated[float, Field(strict=True, ge=0.0, le=1.0)]
Execution = Literal["off", "paper", "replay", "live"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Universe(_Model):
    """Which bars the strategy trades.

    `start` and `end` cut the bars before anything is computed, so that features need some
    sessions after `start` to warm up. Leave `end` out for a strategy that is to trade.
    """

    source: SpecName = Field(description="name of a source of bars")
    symbols: tuple[Symbol, ...] = Field(min_length=1, max_length=5000)
    calendar: CalendarName = Field(default="XNYS", description="exchange calendar of the sessions")
    start: Day | None = Field(default=None, description="first day used")
    end: Day | None = Field(default=None, description="last day used")

    @field_validator("symbols")
    @classmethod
    def _symbols_are_unique(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted(symbol for symbol, times in Counter(symbols).items() if times > 1)
        if repeated:
            raise ValueError(f"listed more than once: {', '.join(repeated)}")
        return symbols

    @model_validator(mode="after")
    def _start_precedes_end(self) -> Self:
        if self.start and self.end and self.end <= self.start:
            raise ValueError(f"end ({self.end}) must lie after start ({self.start})")
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
        if self.start and self.start > tomorrow:
            raise PydanticCustomError(
                "future",
                "{start} is still to come, so that no bar is left; name a day of the bars",
                {"field": "start", "start": str(self.start)},
            )
        return self


class LightGbm(_Model):
    """Gradient-boosted trees; names as in LightGBM, `rounds` is its number of iterations.

    With the objective ``lambdarank`` the trees learn the order of the symbols within a session;
    predictions are then scores without a unit.
    """

    kind: Literal["lightgbm"]
    objective: Literal["regression", "lambdarank"] = "regression"
    rounds: int = Field(default=100, strict=True, ge=1, le=10_000)
    learning_rate: float = Field(default=0.05, strict=True, ge=1e-6, le=1.0)
    num_leaves: int = Field(default=15, strict=True, ge=2, le=1024)
    min_data_in_leaf: int = Field(default=50, strict=True, ge=1, le=1_000_000)
    feature_fraction: Share = 1.0
    bagging_fraction: Share = 1.0
    lambda_l2: float = Field(default=0.0, strict=True, ge=0.0, le=1e6)


class Ridge(_Model):
    """Linear regression on standardised features, `alpha` times the squared weights added."""

    kind: Literal["ridge"]
    alpha: float = Field(default=1.0, strict=True, ge=1e-9, le=1e12)


class MaCrossover(_Model):
    """A rule without a model: long while the fast moving average stands above the slow one.

    It brings its one feature, so the file lists none.
    """

    kind: Literal["ma_crossover"]
    fast: int = Field(strict=True, ge=1, le=2520, description="sessions of the fast average")
    slow: int = Field(strict=True, ge=2, le=2520, description="sessions of the slow average")

    @model_validator(mode="after")
    def _fast_is_shorter(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        return self


ModelSpec = Annotated[LightGbm | Ridge | MaCrossover, Field(discriminator="kind")]


class Label(_Model):
    """What is predicted, over `horizon` sessions.

    Attributes
    ----------
    kind : {"forward_return", "direction"}
        The return from the next open to the close `horizon` sessions ahead, or its sign.
    after_costs : bool
        Whether the return is brought nearer to zero by the costs of buying and selling.
    """

    kind: Literal["forward_return", "direction"] = "forward_return"
    after_costs: bool = False


class WalkForward(_Model):
    """Lengths of the windows, in sessions.

    With ``expanding`` windows training starts at the first session and `train` is the least.
    """

    window: Literal["rolling", "expanding"] = "rolling"
    train: Sessions = Field(description="sessions a model is fitted on")
    test: Sessions = Field(description="sessions it is then judged on")
    purge: int | None = Field(
        default=None,
        strict=True,
        ge=0,
        le=2520,
        description="sessions left out between train and test; the horizon if not given",
    )


class Combinatorial(_Model):
    """Combinatorial purged cross-validation beside the walk-forward: many histories, not one.

    Attributes
    ----------
    folds, test_folds : int
        The sessions are cut into `folds`; every choice of `test_folds` of them is a test once.
    embargo : int
        Sessions left out after each test fold; before and after it the purge is left out, too.
    """

    folds: int = Field(default=6, strict=True, ge=3, le=20)
    test_folds: int = Field(default=2, strict=True, ge=2, le=10)
    embargo: int = Field(default=0, strict=True, ge=0, le=252)

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.test_folds >= self.folds:
            raise ValueError(f"test_folds ({self.test_folds}) must be less than {self.folds} folds")
        return self


class Backtest(_Model):
    """How predictions become positions, and what trading costs.

    Attributes
    ----------
    positions : {"long_flat", "long_short", "sign", "proportional"}
        ``long_flat`` holds an equal share of each symbol with a positive prediction.
        ``long_short`` holds shares in proportion to the rank of the prediction within the
        session, as much short as long, 1.0 in total. ``sign`` holds an equal share of each
        symbol, short where the prediction is negative, none where it is zero. ``proportional``
        holds shares in proportion to the predictions, 1.0 in total.
    commission_bps, slippage_bps : float
        Basis points of the traded notional, each way.
    borrow_bps : float
        Basis points a year (365 calendar days) of the notional that is short overnight.
    max_weight : float
        Largest share of equity in one symbol, long or short.
    max_gross : float
        Largest sum of long and short shares; above it all are scaled down.
    capital : float
        What the account holds before the first session, in the listing's currency.
    delisting_return : float
        What a position is sold at when its symbol's bars end, as a return on the last close.
        Zero is right for takeovers, which end most listings of large companies. For failures it
        is too good: they lost another 30 % on NYSE and AMEX (Shumway, 1997) and 55 % on Nasdaq
        (Shumway and Warther, 1999), so a universe of small companies should say -0.3 or -0.55.
        It is a price: below zero, short positions gain by it.
    """

    positions: Literal["long_flat", "long_short", "sign", "proportional"] = "long_flat"
    commission_bps: CostBps
    slippage_bps: CostBps
    borrow_bps: CostBps = 0.0
    max_weight: Share = 1.0
    max_gross: float = Field(default=1.0, strict=True, ge=0.0001, le=10.0)
    capital: float = Field(default=1_000_000.0, strict=True, ge=1.0, le=1e12)
    delisting_return: float = Field(default=0.0, strict=True, ge=-1.0, le=1.0)


class SymbolBenchmark(_Model):
    """One symbol as the benchmark, such as a fund on an index; the strategy need not trade it."""

    symbol: Symbol = Field(description="a symbol of the same source")


class Gate(_Model):
    """What a version must show before it may become the champion; None leaves a rule out.

    Attributes
    ----------
    min_deflated_sharpe : float
        Least probability that the true Sharpe ratio beats the best of as many worthless trials.
    min_alpha_probability : float
        Least probability that the returns less beta times the benchmark's have a true Sharpe
        ratio above the best of as many worthless trials: that there is more to the strategy than
        being invested. The same is asked of the returns less beta times those of the position
        that it held on average: that there is more to it than a mix which happened to rise. The
        lower of the two counts. Against cash the first is what `min_deflated_sharpe` asks.
    max_pbo : float
        Largest probability of backtest overfitting; asked of strategies with a sweep.
    max_drawdown : float
        Deepest fall from a peak that is borne, as a positive fraction.
    min_trades : int
        Positions opened out of sample.
    champion_margin, champion_level : float
        How much higher than the champion's the annualised Sharpe ratio must be on the sessions
        that both were tested on, at the lower end of an interval of this level. From zero up
        the version must be better by more than the margin; below zero it must not be worse by
        more than that, so that -0.5 lets a version in whose ratio is surely not 0.5 lower.
        The champion's own strategy trained on newer bars is not asked.
    promotion : {"automatic", "approval"}
        Whether a version that passed becomes champion by itself or when a person says so.
    """

    min_deflated_sharpe: Probability | None = 0.95
    min_alpha_probability: Probability | None = 0.95
    max_pbo: Probability | None = 0.5
    max_drawdown: Share | None = 0.5
    min_trades: int | None = Field(default=30, strict=True, ge=1, le=1_000_000)
    champion_margin: float | None = Field(default=0.0, strict=True, ge=-10.0, le=10.0)
    champion_level: float = Field(default=0.9, strict=True, ge=0.0001, le=0.9999)
    promotion: Literal["automatic", "approval"] = "automatic"


class Monitor(_Model):
    """When a champion must be trained again; None leaves a rule out.

    Attributes
    ----------
    sessions : int
        How many of the latest sessions are compared with those of the training.
    max_psi : float
        Largest population stability index of a feature; 0.25 is the usual sign of a shift.
    max_ks : float
        Largest distance between a feature's two distribution functions, between 0 and 1.
        Both count only where they are also unusual for the feature: above 95 % of what windows
        of the same length showed up to the training.
    min_performance : float
        Least probability that the backtest leaves to a result as bad as the one since training.
    """

    sessions: int = Field(default=126, strict=True, ge=20, le=2520)
    max_psi: float | None = Field(default=0.25, strict=True, ge=0.0001, le=100.0)
    max_ks: Share | None = 0.25
    min_performance: Probability | None = 0.05


class Risk(_Model):
    """What an order must keep to before it leaves for the broker.

    A refused order is kept with its reasons, and the position stays as it is. Exposure is reckoned
    at the last close; an order that brings a position nearer to nothing is never refused for its
    weight, and orders that leave the account with less exposure never for its sum.

    Attributes
    ----------
    max_weight : float
        Largest share of equity in one symbol, long or short.
    max_gross, max_net : float
        Largest sum of long and short shares of equity, and largest difference of the two, with
        all of a session's orders filled. Prices move between the close and the next open, so
        that what is filled may come out a little above.
    max_order_volume : float
        Largest order, as a share of the symbol's median volume of the last 20 sessions.
    max_price_move : float
        How far the price that an order is reckoned with may be from the close before, as a
        fraction and after splits. A move beyond it is more often a broken price than a real one;
        0.4 finds a split that the vendor forgot.
    max_signal_age : int
        How many opens of the exchange may lie between the session that a signal was decided on and
        the open it is traded at: 0 trades at the very next open or not at all. Bars that are old
        make signals that are old, so this is also how old bars may be.
    lot_size : int
        Shares that can be traded are multiples of this; what is left of a position goes at once.
    max_participation : float
        Largest share of a session's volume that the paper broker fills; the rest of the order
        expires.
    """

    max_weight: float = Field(default=1.0, strict=True, ge=0.0001, le=10.0)
    max_gross: float = Field(default=1.0, strict=True, ge=0.0001, le=10.0)
    max_net: float = Field(default=1.0, strict=True, ge=0.0001, le=10.0)
    max_order_volume: float = Field(default=0.1, strict=True, ge=1e-6, le=1000.0)
    max_price_move: float = Field(default=0.4, strict=True, ge=0.0001, le=1000.0)
    max_signal_age: int = Field(default=0, strict=True, ge=0, le=20)
    lot_size: int = Field(default=1, strict=True, ge=1, le=1_000_000)
    max_participation: Share = 0.1


class Strategy(_Model):
    """A strategy: what is predicted, from what, by which model, and how it is judged.

    `execution` says where the orders of its champion go:

    - ``off``: nowhere. Signals are made; what the account holds stays and is settled.
    - ``paper``: to the paper broker, for opens that are still to come by the clock.
    - ``replay``: to the paper broker, with the last session of the bars as the present: the past
      is played as if it were today. No clock is asked.
    - ``live``: to the broker that ``TRADEWIND_BROKER`` names, with real orders.
    """

    name: SpecName
    description: Words = Field(min_length=1)
    owner: str | None = Field(default=None, min_length=1, max_length=100)
    schedule: str | None = Field(
        default=None, max_length=100, description="cron expression, in UTC, or on_new_bars"
    )
    universe: Universe
    horizon: int = Field(strict=True, ge=1, le=252, description="sessions a label looks ahead")
    # Stands before what is checked against it.
    allow_leakage: bool = Field(
        default=False,
        description="accept a purge shorter than the horizon; such models are never promoted",
    )
    label: Label = Label()
    features: tuple[FeatureSpec, ...] = Field(default=(), max_length=500)
    model: ModelSpec
    missing: Missing = Field(
        default="refuse",
        description="what an undefined feature does after its warm-up: stop everything, or leave "
        "the row out (drop_row, hold)",
    )
    walk_forward: WalkForward
    combinatorial: Combinatorial | None = None
    sweep: Sweep | None = None
    backtest: Backtest
    benchmark: Literal["equal_weight", "cash"] | SymbolBenchmark | None = Field(
        default=None,
        description="what holding is: equal_weight (of the universe), cash, or {symbol: SPY}; if "
        "not given, cash where positions can never be net long, else equal_weight",
    )
    gate: Gate = Gate()
    monitor: Monitor = Monitor()
    risk: Risk = Risk()
    execution: Execution = Field(default="paper", description="where orders of the champion go")
    seed: int = Field(default=0, strict=True, ge=0, le=2**31 - 1)

    @property
    def purge(self) -> int:
        """Sessions left out between training and test; less than the horizon only by leave."""
        purge = self.walk_forward.purge
        return self.horizon if purge is None else purge

    @property
    def leaks(self) -> bool:
        """Whether training labels reach into the test window."""
        return self.purge < self.horizon

    @property
    def may_be_net_long(self) -> bool:
        """Whether its targets may hold more long than short, and so live on a market that rises.

        Ranks add up to nothing, so ``long_short`` may not, unless ties meet a `max_weight` below
        one half: that cuts one large share on one side and none of the small ones on the other.
        Nor does what is left of them when a symbol beside them keeps the signal of before.
        """
        rules = self.backtest
        if rules.positions != "long_short" or self.missing == "hold":
            return True
        return rules.max_weight < _LARGEST_RANK_SHARE

    @property
    def held_against(self) -> Literal["equal_weight", "cash"] | SymbolBenchmark:
        """The benchmark: that of the file, or the one that suits its positions."""
        if self.benchmark is not None:
            return self.benchmark
        return "equal_weight" if self.may_be_net_long else "cash"

    @property
    def bar_symbols(self) -> tuple[str, ...]:
        """Symbols whose bars a training needs: the universe's, and the benchmark's."""
        symbols, held = self.universe.symbols, self.held_against
        if isinstance(held, SymbolBenchmark) and held.symbol not in symbols:
            return (*symbols, held.symbol)
        return symbols

    @property
    def inputs(self) -> tuple[FeatureSpec, ...]:
        """Features the model is given: those of the file, or the one a rule brings."""
        if isinstance(self.model, MaCrossover):
            # Its lengths were checked as those of the model, unless they are a record's.
            return (MaRatio.model_construct(fast=self.model.fast, slow=self.model.slow),)
        return self.features

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Columns of the model's input, in order."""
        return tuple(spec.column for spec in self.inputs)

    @property
    def own_functions(self) -> tuple[tuple[str, Custom | Across], ...]:
        """Features of the user's own with their places, those that others are made of, too.

        A place is such as ``features.0``, or ``features.3.rank.of`` within a rank.
        """
        found: list[tuple[str, FeatureSpec]] = []
        for index, spec in enumerate(self.inputs):
            found.append((f"features.{index}", spec))
            if isinstance(spec, Across):
                within = f"features.{index}.across.inputs"
                found += [(f"{within}.{name}", part) for name, part in spec.inputs.items()]
            elif spec.across_symbols:
                found += [(f"features.{index}.{spec.kind}.of", part) for part in spec.parts]
        return tuple((at, spec) for at, spec in found if isinstance(spec, Custom | Across))

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        """Return this strategy with some parameters of its model replaced, checked again.

        Raises
        ------
        ValidationError
            If the model refuses them.
        """
        model = {**self.model.model_dump(), **parameters}
        return type(self).model_validate({**self.model_dump(), "model": model})

    @classmethod
    def recorded(cls, content: str | bytes) -> Self:
        """Return a strategy from the JSON that a training left, which is no file of today.

        It was judged when it was made: ranges and checks that were tightened since are not asked of
        it. Where the record is older than a field whose default is another one than what was done
        then, it means what was done then.

        Raises
        ------
        ValidationError
            If this version cannot read it: a field is missing, unknown, or of another type.
        """
        found = read_record(cls, content)
        said = found.model_fields_set
        meant = {name: value for name, value in _MEANT_BEFORE.items() if name not in said}
        return found.model_copy(update=meant)

    def told_apart_by(self) -> dict[str, Any]:
        """Return the fields that hashes are made of, as JSON has them.

        Versions and trials are registered by such hashes. What a file may say only since then
        must not make the strategies of before into others, so it counts only where it says
        something else than its default. That default can therefore never change.

        Where orders go is no part of what a strategy is: `execution` never counts.
        """
        fields = self.model_dump(mode="json", exclude={"execution"})
        for *sections, name in _SAID_LATER:
            model: BaseModel = self
            inner = fields
            for section in sections:
                model, inner = getattr(model, section), inner[section]
            if getattr(model, name) == type(model).model_fields[name].default:
                del inner[name]
        # Where both give a result they give the same one, since `refuse` gives none of rows that
        # are left out. Before there was the field, all strategies meant `drop_row`.
        if self.missing != "hold":
            del fields["missing"]
        return fields

    def content_hash(self) -> str:
        """Return the SHA-256 of the strategy's canonical JSON, in hexadecimal.

        Comments, order of keys and defaults left out of the file do not change it.
        """
        canonical = json.dumps(
            self.told_apart_by(), sort_keys=True, separators=(",", ":"), ensure_ascii=True
        )
        return hashlib.sha256(canonical.encode()).hexdigest()

    @field_validator("schedule")
    @classmethod
    def _schedule_can_be_kept(cls, schedule: str | None) -> str | None:
        if schedule is None or schedule == ON_NEW_BARS:
            return schedule
        # What Airflow reads it with.
        from croniter import CroniterBadCronError, CroniterBadDateError, croniter

        plain = " ".join(schedule.split())
        try:  # with the fields of a crontab alone: no seconds, and no random times
            croniter(plain if _CRON.match(plain) else "", datetime.now(UTC)).get_next(datetime)
        except CroniterBadDateError:
            raise ValueError(
                f"{schedule!r} never comes: there is no such day; the last of a month is L"
            ) from None
        except (CroniterBadCronError, ValueError, OverflowError):
            raise ValueError(
                f"{schedule!r} is no cron expression: minute hour day month weekday, "
                f'such as "0 22 * * 1-5"; to train whenever there are new bars: {ON_NEW_BARS}'
            ) from None
        return schedule

    @field_validator("label", mode="before")
    @classmethod
    def _label_by_its_kind(cls, value: Any) -> Any:  # noqa: ANN401
        return {"kind": value} if isinstance(value, str) else value

    @field_validator("features")
    @classmethod
    def _features_are_unique(cls, features: tuple[Any, ...]) -> tuple[Any, ...]:
        columns = [spec.column for spec in features]
        repeated = sorted(column for column, times in Counter(columns).items() if times > 1)
        if repeated:
            raise ValueError(f"listed more than once: {', '.join(repeated)}")
        # A feature and what others are made of share a column if they are the same, and only then.
        used = [*features, *(part for spec in features for part in spec.parts)]
        meant = {spec.column: spec for spec in used}
        twice = sorted({spec.column for spec in used if meant[spec.column] != spec})
        if twice:
            raise ValueError(f"different features of the same name: {', '.join(twice)}")
        return features

    @field_validator("walk_forward")
    @classmethod
    def _labels_end_before_the_test(cls, value: WalkForward, info: ValidationInfo) -> WalkForward:
        horizon = info.data.get("horizon")
        if info.data.get("allow_leakage"):
            return value
        if horizon is not None and value.purge is not None and value.purge < horizon:
            raise PydanticCustomError(
                "leak",
                "{purge} is less than the horizon of {horizon} sessions: the last training "
                "labels would be made of prices from the test window; use {horizon} or more, "
                "or leave purge out. `allow_leakage: true` accepts it, and bars the model from "
                "promotion",
                {"field": "purge", "purge": value.purge, "horizon": horizon},
            )
        return value

    @model_validator(mode="after")
    def _inputs_suit_the_model(self) -> Self:
        rule = isinstance(self.model, MaCrossover)
        if rule == bool(self.features):
            message = "brings its own feature; list none" if rule else "needs a feature or more"
            raise PydanticCustomError(
                "features",
                "the model {kind} " + message,
                {"field": "features", "kind": self.model.kind},
            )
        if self.sweep is not None:
            self.sweep.check_against(self.model)
        return self

    @model_validator(mode="after")
    def _functions_are_there(self, info: ValidationInfo) -> Self:
        file: Path | None = (info.context or {}).get("file")
        if file is None:  # a record, or made in code
            return self
        for place, spec in self.own_functions:
            if problem := why_no_function(spec.function, file.parent):
                raise PydanticCustomError(
                    "function",
                    "{function}: {problem}",
                    {
                        "field": f"{place}.{spec.kind}.function",
                        "function": spec.function,
                        "problem": problem,
                    },
                )
        return self

    @model_validator(mode="after")
    def _comparisons_need_company(self) -> Self:
        if len(self.universe.symbols) > 1:
            return self
        for index, spec in enumerate(self.features):
            if spec.across_symbols:
                raise PydanticCustomError(
                    "across",
                    "{kind} compares symbols, and needs two symbols or more",
                    {"kind": spec.kind, "field": f"features.{index}"},
                )
        if self.backtest.positions == "long_short":
            raise PydanticCustomError(
                "positions",
                "long_short needs two symbols or more",
                {"field": "backtest.positions"},
            )
        if getattr(self.model, "objective", None) == "lambdarank":
            raise PydanticCustomError(
                "objective", "lambdarank needs two symbols or more", {"field": "model.objective"}
            )
        return self
