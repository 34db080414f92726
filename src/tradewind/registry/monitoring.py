"""What a watch over a champion found, kept in MLflow beside its trainings."""

import math
import time
from typing import TYPE_CHECKING

from tradewind.registry import _names as names
from tradewind.registry._client import connect, experiment, mlflow_errors
from tradewind.registry.read_evidence import read_returns
from tradewind.registry.version_info import VersionInfo

if TYPE_CHECKING:
    from tradewind.research.monitoring.hindsight import Hindsight
    from tradewind.research.monitoring.monitor import WatchReport
    from tradewind.research.statistics.performance import Returns

__all__ = ["log_watch", "out_of_sample_returns", "watch_figures"]


def out_of_sample_returns(info: VersionInfo) -> "Returns":
    """Return the net returns of a version's backtest, shape (n_sessions,).

    Raises
    ------
    RegistryError
        If they cannot be fetched.
    """
    with mlflow_errors(f"fetching the backtest of {info.name} version {info.version}"):
        return read_returns(connect(), info).get_column("net_return").to_numpy()


def watch_figures(report: "WatchReport", hindsight: "Hindsight | None" = None) -> dict[str, float]:
    """Return the figures of a look at a champion by their names; docs/glossary.md defines each.

    Parameters
    ----------
    report : WatchReport
    hindsight : Hindsight, optional
        What differs from what signals were made of.
    """
    figures = {
        "live_sessions": float(report.live_sessions),
        "live_sharpe": report.live_sharpe,
        "performance_probability": report.performance,
        "reasons": float(len(report.reasons)),
    }
    if hindsight is not None:
        figures["hindsight_faults"] = float(len(hindsight.faults))
        figures["hindsight_revisions"] = float(len(hindsight.revisions))
    for row in report.drift.iter_rows(named=True):
        for kind in ("psi", "ks", "psi_rank", "ks_rank"):
            figures[f"{kind}/{row['feature']}"] = row[kind]
    return figures


def log_watch(
    report: "WatchReport",
    info: VersionInfo,
    snapshot_id: str,
    hindsight: "Hindsight | None" = None,
) -> str:
    """Write a report down as a run of the experiment ``<strategy>.monitor``, and return its id.

    Parameters
    ----------
    report : WatchReport
    info : VersionInfo
        The version that was looked at.
    snapshot_id : str
        The bars that it was looked at with.
    hindsight : Hindsight, optional
        What differs from what signals were made of.

    Raises
    ------
    RegistryError
        If MLflow is out of reach or refuses.
    """
    from mlflow.entities import Metric, RunTag

    figures = watch_figures(report, hindsight)
    tags = {
        names.SNAPSHOT_ID: snapshot_id,
        names.PREFIX + "champion": str(info.version),
        names.PREFIX + "reasons": "\n".join(report.reasons),
    }
    if hindsight is not None:
        told = [*hindsight.faults, *hindsight.revisions, *hindsight.uncompared]
        tags[names.PREFIX + "hindsight"] = "\n".join(told)
    now = int(time.time() * 1000)
    with mlflow_errors(f"logging a watch over {info.name}"):
        client = connect()
        run = client.create_run(
            experiment(client, f"{info.name}.monitor"), run_name=f"champion {info.version}"
        )
        run_id = str(run.info.run_id)
        client.log_batch(
            run_id,
            metrics=[
                Metric(key, value, now, 0) for key, value in figures.items() if math.isfinite(value)
            ],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        client.set_terminated(run_id)
    return run_id
