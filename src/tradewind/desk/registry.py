"""What a user asks of the registry: which models there are, which is the champion, what it says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from tradewind.desk._connections import airflow, in_service, use_mlflow
from tradewind.desk.shown import Column, Right, Shown, Table
from tradewind.errors import OrchestrationError, PromotionError, RegistryError, StackError
from tradewind.settings import Settings
from tradewind.stack.checks import Check, guarded

if TYPE_CHECKING:
    from tradewind.registry.comparison import Comparison
    from tradewind.registry.promotion import Promotion
    from tradewind.registry.reproduction import Reproduction
    from tradewind.registry.version_info import ModelSummary, VersionInfo

__all__ = [
    "Forecast",
    "NewChampion",
    "champion",
    "check_models",
    "compare",
    "models",
    "predict",
    "promote",
    "reproduce",
    "rollback",
    "version_of_run",
    "versions",
]


_LOST_RUNS: Final = {
    "gone": (
        "in use, and their runs were deleted for good with their evidence",
        "train again (tradewind train NAME --wait), then promote a version that has its run: "
        "tradewind models promote NAME VERSION --reason WHY --override WHY",
    ),
    "deleted": (
        "in use, and their runs are in MLflow's bin, from where `mlflow gc` deletes them for good",
        "restore them on MLflow's page: Runs, State: Deleted, Restore",
    ),
}


@dataclass(frozen=True)
class Forecast(Shown):
    """Predictions of a registered model for the last session of its source.

    `predictions` are forward returns over `horizon` sessions, by symbol; where `is_score` only
    their order means something.
    """

    strategy: str
    version: int
    alias: str
    session: date
    horizon: int
    predictions: Mapping[str, float]
    is_score: bool = False

    def table(self) -> Table:
        """Return what is predicted for each symbol."""
        what = "score, of use for its order alone" if self.is_score else "forward return"
        return Table(
            (Column("symbol"), Right(f"{what}, {self.horizon} sessions")),
            tuple(
                (symbol, f"{value:+.4f}" if self.is_score else f"{value:+.3%}")
                for symbol, value in self.predictions.items()
            ),
            title=f"{self.strategy} version {self.version} at the close of {self.session}",
        )


@dataclass(frozen=True)
class NewChampion:
    """Who is champion now, and whether Airflow was told to make its signals.

    `told` is False where Airflow knows no strategy of the model's name.
    """

    promotion: "Promotion"
    told: bool


def models(settings: Settings) -> "list[ModelSummary]":
    """Return the registered models."""
    from tradewind.registry.versions import list_models

    use_mlflow(settings)
    return list_models()


def check_models(settings: Settings) -> list[Check]:
    """Check that each version that is in use still has its run, and with it its evidence.

    Nothing is looked at where the stack does not run.
    """
    from tradewind.registry.versions import list_models, version_of

    try:
        use_mlflow(settings, patient=False)
    except StackError:
        return []

    def look() -> Check:
        stages: dict[str, list[str]] = {"gone": [], "deleted": []}
        for model in list_models():
            for number in sorted(set(model.aliases.values())):
                info = version_of(model.name, number)
                if info.run_stage != "active":
                    what = f"{info.name} version {number} ({', '.join(info.aliases)})"
                    stages[info.run_stage].append(what)
        found = [(*_LOST_RUNS[stage], lost) for stage, lost in stages.items() if lost]
        return Check(
            "models",
            "; ".join(f"{problem}: {', '.join(lost)}" for problem, _, lost in found),
            "; ".join(mend for _, mend, _ in found),
        )

    return [guarded("models", look)]


def versions(settings: Settings, name: str) -> "list[VersionInfo]":
    """Return the versions of a model, newest first."""
    from tradewind.registry.versions import show_model

    use_mlflow(settings)
    return show_model(name)


def champion(settings: Settings, name: str) -> "VersionInfo":
    """Return the version that is the champion.

    Raises
    ------
    RegistryError
        If there is no such model, none of its versions is, or MLflow is out of reach.
    """
    for version in versions(settings, name):
        if "champion" in version.aliases:
            return version
    raise RegistryError(
        f"no version of {name} is the champion. `tradewind models show {name}` says what the gate "
        f"said of each; promote one: tradewind models promote {name} VERSION --reason WHY"
    )


def version_of_run(settings: Settings, name: str, run_id: str) -> "VersionInfo":
    """Return the version that a run of Airflow has registered.

    Raises
    ------
    RegistryError
        If there is none, or MLflow is out of reach.
    """
    for version in versions(settings, name):
        if version.tags.get("tradewind.airflow.run_id") == run_id:
            return version
    raise RegistryError(
        f"the run {run_id} of train_{name} registered no version, or it was deleted: see the log "
        "of its task train on Airflow's page, and train again"
    )


def compare(settings: Settings, name: str, version_a: int, version_b: int) -> "Comparison":
    """Compare two versions of a model."""
    from tradewind.registry.comparison import compare as compare_versions

    use_mlflow(settings)
    return compare_versions(name, version_a, version_b)


def promote(
    settings: Settings, name: str, version: int, *, reason: str, by: str, override: str | None
) -> NewChampion:
    """Make a version the champion, and have its signals made.

    Raises
    ------
    PromotionError
        If the gate refused it and nothing overrides that, or nothing may; in a task, if the
        strategy file says that a person decides.
    RegistryError
        If there is no such version, or MLflow is out of reach.
    OrchestrationError
        If Airflow is out of reach: it is champion, but without signals. Repeated, the call
        changes nothing more in the registry, and tells Airflow again.
    """
    from tradewind.registry.promotion import promote as promote_version

    if in_service(settings):
        _refuse_without_approval(settings, name, version)
    use_mlflow(settings)
    return _announced(
        settings, name, promote_version(name, version, reason=reason, by=by, override=override)
    )


def rollback(settings: Settings, name: str, *, reason: str, by: str) -> NewChampion:
    """Make the former champion the champion again, and have its signals made.

    Raises
    ------
    RegistryError
        If there is none, or MLflow is out of reach.
    OrchestrationError
        As `promote` does.
    """
    from tradewind.registry.promotion import rollback as roll_back

    use_mlflow(settings)
    return _announced(settings, name, roll_back(name, reason=reason, by=by))


def _refuse_without_approval(settings: Settings, name: str, version: int) -> None:
    """Refuse a task that decides in the place of a person."""
    from tradewind.research.strategy.files import find_strategy

    if find_strategy(name, settings.strategies_dir).gate.promotion == "approval":
        raise PromotionError(
            f"the file of {name} says gate.promotion: approval, so that no task can make a version "
            f"the champion. A person does: tradewind models promote {name} {version} --reason WHY"
        )


def _announced(settings: Settings, name: str, done: "Promotion") -> NewChampion:
    """Tell Airflow what the task of a training tells it by itself: that the champion is another.

    A task has no login to Airflow; its outlet tells it.
    """
    if in_service(settings):
        return NewChampion(done, told=False)
    try:
        with airflow(settings) as client:
            told = client.announce(f"champion_{name}", {"model_version": done.version})
    except OrchestrationError as error:
        raise OrchestrationError(
            f"{name} version {done.version} is the champion, but its signals are not being made: "
            f"{error}. Then repeat this command, which will change nothing else"
        ) from error
    return NewChampion(done, told)


def reproduce(
    settings: Settings, name: str, version: int, on_fold: Callable[[int, int], None] | None = None
) -> "Reproduction":
    """Train a version once more from what was recorded, and compare.

    Raises
    ------
    TradewindError
        If a part of the record is gone, or the running code cannot train the strategy.
    """
    from tradewind.market.store.bar_store import BarStore
    from tradewind.registry.reproduction import reproduce as train_again

    use_mlflow(settings)
    store = BarStore(settings.market_store)
    return train_again(name, version, store.read, home=settings.home, on_fold=on_fold)


def predict(
    settings: Settings, strategy: str, alias: str = "champion", *, version: int | None = None
) -> Forecast:
    """Predict the last session with the model that carries the alias, or with a version.

    Raises
    ------
    RegistryError
        If there is no such model, or MLflow is out of reach.
    MarketDataError
        If its source cannot give bars, or they break a rule.
    """
    from tradewind.market.ingest import read
    from tradewind.market.sources.source import find_source, open_source
    from tradewind.registry.retrieval import load_registered
    from tradewind.research.evaluation.predict import predict as predict_bars

    use_mlflow(settings)
    model = load_registered(strategy, alias if version is None else version)
    universe = model.strategy.universe
    spec = find_source(universe.source, settings.sources_dir)
    spec.sessions_for(universe.calendar)  # refuses another calendar than the source's
    bars = read(open_source(spec), spec, symbols=universe.symbols, known_at=datetime.now(UTC))
    rows = predict_bars(model.model, bars, model.strategy, sessions=1)
    return Forecast(
        strategy=strategy,
        version=model.info.version,
        alias=alias,
        session=rows["session"][0],
        horizon=model.strategy.horizon,
        predictions=dict(zip(rows["symbol"], rows["prediction"], strict=True)),
        is_score=getattr(model.strategy.model, "objective", None) == "lambdarank",
    )
