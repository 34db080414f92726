"""A model back out of the registry, and the proof that it is the one that was trained."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from tradewind.errors import RegistryError, ReproductionError
from tradewind.registry import _names as names
from tradewind.registry._client import connect, mlflow_errors
from tradewind.registry._files import download, read_parquet, required_tag, strategy_of
from tradewind.registry.flavours import load_model
from tradewind.registry.provenance import NONE
from tradewind.registry.version_info import VersionInfo
from tradewind.registry.versions import version_by_alias, version_by_number
from tradewind.research.strategy.strategy import Strategy

if TYPE_CHECKING:
    import polars as pl

    from tradewind.market.store.bar_store import BarStore
    from tradewind.research.models.model import FittedModel

__all__ = ["RegisteredModel", "load_registered", "refuse_other_features", "verify_round_trip"]


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model as it was registered, with what it was trained by and on."""

    model: "FittedModel"
    info: VersionInfo
    strategy: Strategy
    """As it was at training time; the file of the same name may have changed since."""
    snapshot_id: str

    @property
    def data_end(self) -> date:
        """Last session of the bars it was trained on."""
        return date.fromisoformat(required_tag(self.info, names.DATA_END))


def load_registered(name: str, which: str | int = names.CHAMPION) -> RegisteredModel:
    """Fetch a model from the registry.

    Parameters
    ----------
    name : str
        Registered model; the strategy's name.
    which : str or int
        An alias, or the number of a version.

    Raises
    ------
    RegistryError
        If there is no such model or version, its evidence is incomplete or contradicts itself, or
        MLflow is out of reach.
    """
    with mlflow_errors(f"fetching {name} {which}", missing=_no_version(name, which)):
        client = connect()
        if isinstance(which, int):
            info: VersionInfo | None = version_by_number(client, name, which)
        else:
            info = version_by_alias(client, name, which)
        if info is None:
            raise RegistryError(_no_version(name, which))
    strategy = strategy_of(info)
    # By number, not by alias: the alias may have moved since.
    uri = f"models:/{name}/{info.version}"
    with mlflow_errors(f"fetching {uri}"):
        model = load_model(uri, strategy.model)
    return RegisteredModel(model, info, strategy, required_tag(info, names.SNAPSHOT_ID))


def refuse_other_features(model: RegisteredModel) -> None:
    """Refuse a model whose own features the running code would compute by another source.

    Raises
    ------
    ReproductionError
        If the files of its features are not those it was trained with.
    ResearchError
        If one of them cannot be found.
    """
    from tradewind.research.features.own_code import feature_code_hash

    now = feature_code_hash(model.strategy) or NONE
    then = model.info.tags.get(names.FEATURES_SHA256, NONE)
    if now != then:
        raise ReproductionError(
            f"{model.info.name} version {model.info.version} was trained with other code of its "
            f"own features: SHA-256 {then} then, {now} now. Bring the old files back, or train "
            "again"
        )


def verify_round_trip(name: str, which: str | int, store: "BarStore") -> int:
    """Check that a registered model predicts today what it predicted in training.

    The features are computed again from the snapshot that the version names, and every
    prediction is compared with the one logged at training time, without any tolerance.

    Parameters
    ----------
    name : str
        Registered model.
    which : str or int
        An alias, or the number of a version.
    store : BarStore
        Where the version's snapshot is kept.

    Returns
    -------
    int
        Predictions compared; at least one.

    Raises
    ------
    ReproductionError
        If a prediction is missing, added or different; names the largest difference.
    RegistryError
        If the model or its evidence cannot be fetched.
    SnapshotError
        If the snapshot is missing or damaged.
    """
    from tradewind.research.evaluation.predict import predict_defined

    model = load_registered(name, which)
    with mlflow_errors(f"fetching the predictions of {name} version {model.info.version}"):
        reference = read_parquet(download(model.info, names.REFERENCE_FILE))
    what = f"{name} version {model.info.version}"
    if reference.is_empty():
        raise ReproductionError(f"{what}: no prediction was logged in training. Train it again")
    bars = store.read(model.snapshot_id)
    sessions = reference.get_column("session").n_unique()
    today = predict_defined(model.model, bars, model.strategy, sessions=sessions)
    _compare(reference, today, what)
    return reference.height


def _compare(reference: "pl.DataFrame", today: "pl.DataFrame", what: str) -> None:
    import polars as pl

    key = ["symbol", "session"]
    both = reference.join(today, on=key, how="full", suffix="_today", coalesce=True)
    then, now = pl.col("prediction"), pl.col("prediction_today")
    wrong = both.filter(~then.eq_missing(now)).with_columns(difference=(then - now).abs())
    if wrong.is_empty():
        return
    lonely = wrong.filter(pl.col("difference").is_null())
    if not lonely.is_empty():
        first = lonely.sort(key).row(0, named=True)
        side = "in training only" if first["prediction_today"] is None else "today only"
        raise ReproductionError(
            f"{what}: {lonely.height} of {both.height} predictions exist on one side only, the "
            f"first for {first['symbol']} on {first['session']} {side}. {_MEND}"
        )
    worst = wrong.sort("difference", descending=True, nulls_last=False).row(0, named=True)
    raise ReproductionError(
        f"{what}: {wrong.height} of {both.height} predictions differ from training; the worst by "
        f"{worst['difference']:.3g}, for {worst['symbol']} on {worst['session']} "
        f"({worst['prediction']!r} then, {worst['prediction_today']!r} today). {_MEND}"
    )


_MEND = (
    "The model, its predictions, or the code of the features changed since: check out the commit "
    "in the version's tags, or train again"
)


def _no_version(name: str, which: str | int) -> str:
    what = f"a version {which}" if isinstance(which, int) else f"the alias {which!r}"
    return (
        f"the registry holds no model {name!r} with {what}. Train it with "
        f"`tradewind train {name}`; `tradewind models show {name}` shows the versions there are"
    )
