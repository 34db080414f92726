"""Models that a strategy file may name: the shipped kinds, and those of installed packages."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from importlib.metadata import EntryPoint, entry_points
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self, get_args

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tradewind.research.strategy.features import FeatureSpec, MaRatio
from tradewind.research.strategy.fields import Part, Share
from tradewind.research.strategy.fitting import EarlyStopping, Weights
from tradewind.suggestions import did_you_mean

__all__ = [
    "GROUP", "HISTORY", "LightGbm", "MaCrossover", "ModelFields", "ModelSpec", "Ridge",
    "WeightedRows",
]  # fmt: skip

GROUP: Final = "tradewind.models"
"""Group of entry points: each names a subclass of `ModelFields` by its kind."""
HISTORY: Final = "history"
"""The column of what a model that looks back sees of the sessions before."""


class ModelFields(Part):
    """What a strategy file says of a model; each kind adds its own fields.

    Airflow imports this with every DAG file. So what a kind computes is in a module of its own.

    Attributes
    ----------
    kind : str
        A Literal in each kind.
    code : str
        Module of the kind's functions, which are those of `tradewind.research.models.model.Code`.
    tried_here : bool
        Whether tradewind's own tests hold that fits on the same rows are the same, and that no row
        has a say in another's prediction. Of other kinds each training finds out.
    external : bool
        Whether its predictions are made elsewhere and handed in, so that nothing is fitted here.
    """

    kind: str
    code: ClassVar[str] = ""
    tried_here: ClassVar[bool] = False
    external: ClassVar[bool] = False

    @property
    def brings(self) -> tuple[FeatureSpec, ...] | None:
        """Features that the kind brings itself; None if the file lists them."""
        return None

    @property
    def own_code(self) -> tuple[Literal["class", "function"], str] | None:
        """The field that names code of the desk's own, and that name; None without any."""
        return None

    @property
    def sessions_seen(self) -> int:
        """Sessions of its symbol that each prediction sees, the row's own among them."""
        return 1

    @property
    def title(self) -> str:
        """What lists and pages call the model."""
        return self.kind

    @property
    def compares_symbols(self) -> str:
        """The field by whose value it compares symbols, and so needs two; empty if none does."""
        return ""

    @property
    def pickled(self) -> bool:
        """Whether the registry may keep it as a pickle, which runs code when it is loaded."""
        return False

    def check_code(self, strategy: str) -> None:
        """Refuse a model whose code cannot be used here; asked before anything is computed.

        Most kinds have nothing to add. Those that name a stranger's code are read without it where
        it must not be imported, as by Airflow's DAG processor, and so must ask again.

        Parameters
        ----------
        strategy : str
            Name of its strategy, for the error.

        Raises
        ------
        StrategyError
            Which names the field.
        """

    def why_not_swept(self, name: str) -> str:
        """Return why a sweep cannot have a parameter of this name; empty if it can."""
        known = sorted({*type(self).model_fields} - {"kind"})
        if name in known:
            return ""
        help_on = did_you_mean(name, known, otherwise="It has")
        return f"the model has no such parameter. {help_on}"

    def replaced(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields with some values replaced, by the names that a sweep has for them."""
        return {**self.model_dump(), **values}

    def of_longest_warmup(self, swept: Mapping[str, Sequence[Any]]) -> Self | None:
        """Return the model of a sweep whose features look back furthest.

        Parameters
        ----------
        swept : mapping of str to sequence
            By parameter: the values it can have, or the bounds of these.

        Returns
        -------
        ModelFields or None
            None if no parameter changes the features.
        """
        del swept
        return None


class WeightedRows(ModelFields):
    """A kind whose rows need not all count alike."""

    learns_classes: ClassVar[bool] = False

    weights: Weights | None = None

    @model_validator(mode="after")
    def _classes_are_there_to_be_weighted(self) -> Self:
        if self.weights is not None and self.weights.class_weight and not self.learns_classes:
            raise PydanticCustomError(
                "weights",
                "is for classifiers of the kind estimator, and not for the model {kind}",
                {"field": "weights.class_weight", "kind": self.kind},
            )
        return self


class LightGbm(WeightedRows):
    """Gradient-boosted trees; names as in LightGBM, `rounds` is its number of iterations.

    With the objective ``lambdarank`` the trees learn the order of the symbols within a session;
    predictions are then scores without a unit.
    """

    code: ClassVar[str] = "tradewind.research.models.trees"
    tried_here: ClassVar[bool] = True

    kind: Literal["lightgbm"]
    objective: Literal["regression", "lambdarank"] = "regression"
    rounds: int = Field(default=100, strict=True, ge=1, le=10_000)
    learning_rate: float = Field(default=0.05, strict=True, ge=1e-6, le=1.0)
    num_leaves: int = Field(default=15, strict=True, ge=2, le=1024)
    min_data_in_leaf: int = Field(default=50, strict=True, ge=1, le=1_000_000)
    feature_fraction: Share = 1.0
    bagging_fraction: Share = 1.0
    lambda_l2: float = Field(default=0.0, strict=True, ge=0.0, le=1e6)
    early_stopping: EarlyStopping | None = None

    @property
    def compares_symbols(self) -> str:
        """The objective, if the trees learn an order."""
        return "objective" if self.objective == "lambdarank" else ""


class Ridge(WeightedRows):
    """Linear regression on standardised features, `alpha` times the squared weights added."""

    code: ClassVar[str] = "tradewind.research.models.ridge"
    tried_here: ClassVar[bool] = True

    kind: Literal["ridge"]
    alpha: float = Field(default=1.0, strict=True, ge=1e-9, le=1e12)


class MaCrossover(ModelFields):
    """A rule without a model: long while the fast moving average stands above the slow one.

    It brings its one feature, so the file lists none.
    """

    code: ClassVar[str] = "tradewind.research.models.crossover"
    tried_here: ClassVar[bool] = True

    kind: Literal["ma_crossover"]
    fast: int = Field(strict=True, ge=1, le=2520, description="sessions of the fast average")
    slow: int = Field(strict=True, ge=2, le=2520, description="sessions of the slow average")

    @property
    def brings(self) -> tuple[FeatureSpec, ...]:
        """The ratio of its two averages."""
        # Its lengths were checked as those of the model, unless they are a record's.
        return (MaRatio.model_construct(fast=self.fast, slow=self.slow),)

    def of_longest_warmup(self, swept: Mapping[str, Sequence[Any]]) -> Self:
        """Return the rule with the longest of the averages that are swept."""
        longest = {
            "slow": max(swept.get("slow", (self.slow,))),
            "fast": min(swept.get("fast", (self.fast,))),
        }
        # Not validated again: a record may have values that no file may have any more.
        return self.model_copy(update=longest)

    @model_validator(mode="after")
    def _fast_is_shorter(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        return self


def _offered(entries: Iterable[EntryPoint] | None = None) -> list[type[ModelFields]]:
    """Return what installed packages offer, one class a kind.

    One that cannot be used stands for an error that says why: it must stop only those strategies
    that name it.
    """
    by_kind: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP) if entries is None else entries:
        by_kind.setdefault(entry.name, []).append(entry)
    if not by_kind:
        raise ImportError(f"nothing offers a model (group {GROUP}): install tradewind again")
    return [_loaded(kind, found) for kind, found in sorted(by_kind.items())]


def _loaded(kind: str, entries: Sequence[EntryPoint]) -> type[ModelFields]:
    values = sorted({entry.value for entry in entries})
    if len(values) > 1:
        offers = ", ".join(values)
        return _unusable(kind, f"is offered more than once, by {offers}; uninstall one of them")
    try:
        found = entries[0].load()
    except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything
        return _unusable(
            kind, f"cannot be imported from {values[0]}: {type(error).__name__}: {error}"
        )
    if not (isinstance(found, type) and issubclass(found, ModelFields)):
        return _unusable(kind, f"is {values[0]}, which is no subclass of ModelFields")
    named = get_args(found.model_fields["kind"].annotation)
    if named != (kind,):
        return _unusable(kind, f"is {values[0]}, whose field kind is not Literal[{kind!r}]")
    return found


def _unusable(name: str, why: str) -> type[ModelFields]:
    """Return a kind of which every use is an error."""

    class Unusable(ModelFields):
        kind: Literal[name]  # type: ignore[valid-type] # known when it is asked for

        @model_validator(mode="before")
        @classmethod
        def _refuse(cls, _: Any) -> Any:  # noqa: ANN401 - whatever the file says
            raise ValueError(f"the kind {name!r} {why}")

    return Unusable


if TYPE_CHECKING:
    ModelSpec = ModelFields
else:
    ModelSpec = Annotated[reduce(or_, _offered()), Field(discriminator="kind")]
