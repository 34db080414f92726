"""Reads a version's evidence from MLflow, as the gate needs it."""

from datetime import date
from typing import TYPE_CHECKING

from tradewind.errors import RegistryError
from tradewind.registry import _names as names
from tradewind.registry._files import download, is_there, read_parquet
from tradewind.registry.gate import Evidence
from tradewind.registry.provenance import NONE
from tradewind.registry.version_info import VersionInfo

if TYPE_CHECKING:
    import polars as pl
    from mlflow import MlflowClient

    from tradewind.research.strategy.strategy import Strategy

__all__ = ["read_evidence", "read_returns"]


def read_evidence(
    client: "MlflowClient", info: VersionInfo, strategy: "Strategy | None"
) -> Evidence:
    """Return the evidence of a version; what is missing is marked as missing.

    Parameters
    ----------
    client : MlflowClient
    info : VersionInfo
    strategy : Strategy, optional
        The version's own. Without it, nothing says whether the version leaks or was swept. That is
        enough for a champion that others are compared with.

    Raises
    ------
    RegistryError
        If the returns are damaged. MLflow's own errors pass through.
    """
    from tradewind.market.calendar import sessions_per_year

    return Evidence(
        metrics=info.metrics,
        returns=read_returns(client, info),
        leaks=None if strategy is None else strategy.leaks,
        data_errors=_count(info, names.DATA_ERRORS),
        trials=_count(info, names.TRIALS),
        swept=None if strategy is None else strategy.sweep is not None,
        strategy_sha256=info.tags.get(names.STRATEGY_SHA256),
        features_sha256=info.tags.get(names.FEATURES_SHA256),
        data_end=_day(info, names.DATA_END),
        sessions_per_year=None
        if strategy is None
        else sessions_per_year(strategy.universe.calendar),
        benchmark=info.tags.get(names.BENCHMARK),
        reproducible=None if strategy is None else _reproducible(info, strategy),
        model_code_sha256=info.tags.get(names.MODEL_CODE_SHA256, NONE),
        external=strategy is not None and strategy.model.external,
    )


def _reproducible(info: VersionInfo, strategy: "Strategy") -> bool | None:
    found = info.metrics.get("reproducible")
    if found is None:
        return True if strategy.model.tried_here else None
    return found == 1.0


def read_returns(client: "MlflowClient", info: VersionInfo) -> "pl.DataFrame":
    """Return session, net_return, benchmark_return and mix_return out of sample, by session.

    No row if they were not kept; the last two are null where they were not kept, as in older
    versions.

    Raises
    ------
    RegistryError
        If they are damaged. MLflow's own errors pass through.
    """
    import polars as pl

    columns = {
        "session": pl.Date(),
        "net_return": pl.Float64(),
        "benchmark_return": pl.Float64(),
        "mix_return": pl.Float64(),
    }
    if not is_there(client, info, names.EQUITY_FILE):
        return pl.DataFrame(schema=columns)
    try:
        equity = read_parquet(download(info, names.EQUITY_FILE))
        absent = [each for each in ("benchmark_return", "mix_return") if each not in equity.columns]
        equity = equity.with_columns(pl.lit(None, pl.Float64()).alias(each) for each in absent)
        equity = equity.select(*columns)
    except pl.exceptions.PolarsError as error:
        raise _damaged(info, str(error)) from error
    if dict(equity.schema) != columns:
        raise _damaged(info, f"its columns are {dict(equity.schema)}")
    if (
        equity.get_column("session").has_nulls()
        or equity.get_column("session").is_duplicated().any()
    ):
        raise _damaged(info, "a session is missing or there twice")
    return equity.sort("session")


def _count(info: VersionInfo, key: str) -> int | None:
    text = info.tags.get(key, "")
    return int(text) if text.isascii() and text.isdigit() else None


def _day(info: VersionInfo, key: str) -> date | None:
    try:
        return date.fromisoformat(info.tags.get(key, ""))
    except ValueError:
        return None


def _damaged(info: VersionInfo, how: str) -> RegistryError:
    return RegistryError(
        f"{info.name} version {info.version}: {names.EQUITY_FILE} of run {info.run_id} is damaged: "
        f"{how}. Train the strategy again"
    )
