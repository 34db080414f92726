"""The content of a strategy file, as frozen models whose errors name the field.

Importing this module loads neither numpy nor polars: Airflow parses it with every DAG
file.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tradewind.market.spec_types import SpecName, Words
from tradewind.research.strategy.code_files import why_no_code
from tradewind.research.strategy.features import Across, Custom, FeatureSpec
from tradewind.research.strategy.fields import Part
from tradewind.research.strategy.judging import (
    Backtest,
    Combinatorial,
    Gate,
    Label,
    Monitor,
    SymbolBenchmark,
    WalkForward,
)
from tradewind.research.strategy.models import HISTORY, ModelSpec
from tradewind.research.strategy.risk import Risk
from tradewind.research.strategy.sweep import Sweep
from tradewind.research.strategy.universe import Universe
from tradewind.specs.records import read_record

__all__ = [
    "ON_NEW_BARS",
    "Execution",
    "Missing",
    "Strategy",
]

ON_NEW_BARS = "on_new_bars"
"""The schedule of a strategy that is trained whenever its source has stored new bars."""

# Fields that strategy files did not have at first, by their paths.
_SAID_LATER: Final[tuple[tuple[str, ...], ...]] = (
    ("risk",),
    ("backtest", "delisting_return"),
    ("benchmark",),
    ("gate", "min_alpha_probability"),
    ("gate", "reproducible"),
    ("gate", "checked_for_leaks"),
    ("model", "weights"),
    ("model", "early_stopping"),
)

# What an external model's file cannot say: none of it would be done.
_OF_TRAININGS: Final = ("schedule", "monitor", "combinatorial", "allow_leakage")

# Five fields without an R, which croniter would draw anew at each look.
_CRON: Final = re.compile(r"(?!.*\b[Rr]\b)[^ ]+(?: [^ ]+){4}$")

# Of equity, in one symbol, by rank: one against all others, which are tied.
_LARGEST_RANK_SHARE: Final = 0.5

# The meaning of a record that lacks a field, where it is not today's default.
_MEANT_BEFORE: Final = {"missing": "drop_row"}

Missing = Literal["refuse", "drop_row", "hold"]
"""What becomes of a row with a feature that is undefined after its warm-up.

``refuse`` stops with an error that names feature, symbol and sessions. ``drop_row`` leaves the row
out of training and prediction: the symbol has no signal of that session, and its tranche is cash.
``hold`` leaves it out of training; the symbol keeps the signal that the session would renew.
"""

Execution = Literal["off", "paper", "replay", "live"]


class Strategy(Part):
    """A strategy: what is predicted, from what, by which model, and how it is judged.

    `execution` says where the orders of its champion go:

    - ``off``: nowhere. Signals are made; what the account holds stays and is settled.
    - ``paper``: to the paper broker, for opens that are still to come by the clock.
    - ``replay``: to the paper broker, with the last session of the bars as the present: the past is
      played as if it were today. The clock is not used.
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
    # It is before the fields that are checked against it.
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
        """Sessions left out between training and test; less than the horizon only if allowed."""
        purge = self.walk_forward.purge
        return self.horizon if purge is None else purge

    @property
    def leaks(self) -> bool:
        """Whether training labels reach into the test window."""
        return self.purge < self.horizon

    @property
    def may_be_net_long(self) -> bool:
        """Whether its targets may hold more long than short, and so live on a market that rises.

        Ranks add up to zero, so ``long_short`` may not, unless ties meet a `max_weight` below one
        half: that cuts one large share on one side and none of the small ones on the other. With
        ``missing: hold`` they need not add up to zero either, once a symbol keeps an earlier
        signal.
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
        """Symbols whose bars a training needs: those of the universe and of the benchmark."""
        symbols, held = self.universe.symbols, self.held_against
        if isinstance(held, SymbolBenchmark) and held.symbol not in symbols:
            return (*symbols, held.symbol)
        return symbols

    @property
    def inputs(self) -> tuple[FeatureSpec, ...]:
        """Features the model is given: those of the file, or those that its kind brings."""
        brought = self.model.brings
        return self.features if brought is None else brought

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Columns of the model's input, in order."""
        return tuple(spec.column for spec in self.inputs)

    @property
    def own_functions(self) -> tuple[tuple[str, Custom | Across], ...]:
        """Features of the user's own with their places, also those that are inputs of others.

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
        model = self.model.replaced(parameters)
        return type(self).model_validate({**self.model_dump(), "model": model})

    @classmethod
    def recorded(cls, content: str | bytes) -> Self:
        """Return a strategy from the JSON that a training has stored.

        It was checked when it was made: ranges and checks that were tightened since do not apply. A
        record that is older than a field means what was done at that time, even if the field's
        default is something else.

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
        """Return the fields that enter hashes, as JSON values.

        Versions and trials are registered by such hashes. A newer field must not change the hashes
        of earlier strategies, so it counts only where its value is not its default. That default
        can therefore never change.

        The destination of orders is not part of a strategy's identity: `execution` never counts.
        Nor does ``walk_forward.spread``, for where folds are fitted changes no result.
        """
        left_out: dict[str, bool | set[str]] = {"execution": True, "walk_forward": {"spread"}}
        fields = self.model_dump(mode="json", exclude=left_out)
        for *sections, name in _SAID_LATER:
            model: BaseModel = self
            inner = fields
            for section in sections:
                model, inner = getattr(model, section), inner[section]
            field = type(model).model_fields.get(name)  # which not all kinds of models have
            if field is not None and getattr(model, name) == field.default:
                del inner[name]
        # Where both give a result it is the same, since `refuse` gives none if rows are left out.
        # Before the field existed, all strategies meant `drop_row`.
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
        # The library with which Airflow reads it.
        from croniter import CroniterBadCronError, CroniterBadDateError, croniter

        plain = " ".join(schedule.split())
        try:  # only the fields of a crontab: no seconds, and no random times
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
        # A feature and an input of others share a column if, and only if, they are the same.
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
    def _inputs_suit_the_model(self, info: ValidationInfo) -> Self:
        brought = self.model.brings is not None
        if brought == bool(self.features):
            message = "needs a feature or more"
            if brought:
                message = "brings its own feature; list none"
            if self.model.external:
                message = "is made of what is not known here; list no features"
            raise PydanticCustomError(
                "features",
                "the model {kind} " + message,
                {"field": "features", "kind": self.model.kind},
            )
        if self.model.sessions_seen > 1 and HISTORY in self.feature_names:
            raise PydanticCustomError(
                "features",
                "a model that looks back has a column {name} of its own; choose another name",
                {"field": "features", "name": HISTORY},
            )
        if self.sweep is not None:
            self.sweep.check_against(self.model, info.context)
        return self

    @model_validator(mode="after")
    def _nothing_is_said_of_fits_elsewhere(self) -> Self:
        if not self.model.external:
            return self
        fields = type(self).model_fields
        # By value: a record says every field.
        said = [
            name
            for name in _OF_TRAININGS
            if getattr(self, name) != fields[name].get_default(call_default_factory=True)
        ]
        said += ["walk_forward.spread"] if self.walk_forward.spread else []
        if said:
            raise PydanticCustomError(
                "external",
                "says how a model is fitted or watched here, and an external one is fitted "
                "elsewhere: leave it out",
                {"field": said[0]},
            )
        return self

    @model_validator(mode="after")
    def _functions_are_there(self, info: ValidationInfo) -> Self:
        file: Path | None = (info.context or {}).get("file")
        if file is None:  # a record, or made in code
            return self
        named: list[tuple[str, str, Literal["class", "function"]]] = [
            (f"{place}.{spec.kind}.function", spec.function, "function")
            for place, spec in self.own_functions
        ]
        if self.model.own_code is not None:
            wanted, name = self.model.own_code
            named.append((f"model.{wanted}", name, wanted))
        for field, name, wanted in named:
            if problem := why_no_code(name, file.parent, wanted=wanted):
                raise PydanticCustomError(
                    "function",
                    "{function}: {problem}",
                    {"field": field, "function": name, "problem": problem},
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
        if field := self.model.compares_symbols:
            raise PydanticCustomError(
                "model",
                "{value} needs two symbols or more",
                {"field": f"model.{field}", "value": self.model.model_dump()[field]},
            )
        return self
