"""What MLflow's page says of a strategy and of a training, in words, and where to find it there.

MLflow shows the tag ``mlflow.note.content`` as a description. Addresses in it begin with ``#``, so
that they lead to the page they are read on, under whatever name a browser has reached it.
"""

import json
from typing import TYPE_CHECKING, Final

from tradewind.registry import _names as names
from tradewind.research.words import EXTERNAL_IN_WORDS

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tradewind.research.strategy.strategy import Strategy
    from tradewind.research.tearsheet.report import Report

__all__ = ["NOTE", "describe_experiment", "run_page", "training_note"]

NOTE: Final = "mlflow.note.content"

# Without it MLflow's page takes every experiment for one about agents, and shows its traces.
_VIEW: Final = "workflowType=machine_learning"
_KIND: Final = ("mlflow.experimentKind", "custom_model_development")
# A table of runs with these columns, as MLflow keeps a view that somebody has shared.
_COLUMNS: Final = "figures"
_SHARED_VIEW: Final = (
    f"mlflow.sharedViewState.{_COLUMNS}",
    json.dumps(
        {
            "selectedColumns": [
                "attributes.`Models`",
                *(f"metrics.`{name}`" for name in ("alpha", "max_drawdown", "sharpe")),
                f"tags.`{names.GATE}`",
            ]
        }
    ),
)
_OURS: Final = "*A training writes this anew for as long as this line stands.*"


def run_page(experiment_id: str, run_id: str, file: str = "") -> str:
    """Return where MLflow's page shows a run, or a file of it; to be put behind its address."""
    shown = f"/artifacts/{file}" if file else ""
    return f"/#/experiments/{experiment_id}/runs/{run_id}{shown}?{_VIEW}"


def describe_experiment(client: "MlflowClient", experiment_id: str, strategy: "Strategy") -> None:
    """Say on an experiment's page what is trained there; somebody's own words stay.

    MLflow's own errors pass through.
    """
    held: dict[str, str] = client.get_experiment(experiment_id).tags
    wanted = dict([_KIND, _SHARED_VIEW])
    if _OURS in held.get(NOTE, _OURS):
        runs = f"#/experiments/{experiment_id}/runs?{_VIEW}&viewStateShareKey={_COLUMNS}"
        said = " ".join(strategy.description.split()) or strategy.name
        universe = strategy.universe
        wanted[NOTE] = (
            f"{said} [Runs with their figures]({runs})\n\n"
            f"Trained on {universe.source}, to be right {strategy.horizon} sessions ahead.\n\n"
            f"{_OURS}"
        )
    for key, value in wanted.items():
        if held.get(key) != value:
            client.set_experiment_tag(experiment_id, key, value)


def training_note(report: "Report", experiment_id: str, run_id: str) -> str:
    """Return the description of a run: the verdict, the tear sheet, figures, where they come from.

    The first lines are those that MLflow's page shows unasked.
    """
    from tradewind.research.tearsheet.report import figures_in_words

    sheet = run_page(experiment_id, run_id, names.TEAR_SHEET_FILE).removeprefix("/")
    rows = [f"| {what} | {own} | {held} |" for what, own, held in figures_in_words(report)]
    origin = {"snapshot": report.snapshot_id or "", **report.provenance}
    return "\n".join(
        [
            f"**{report.verdict or 'Compared with nothing'}.** [Tear sheet]({sheet})",
            "",
            f"| out of sample, {len(report.folds)} test windows | strategy | benchmark |",
            "| --- | --- | --- |",
            *rows,
            "",
            f"Bars from {report.data_start} to {report.data_end}.",
            *(["", f"{EXTERNAL_IN_WORDS}."] if report.strategy.model.external else []),
            "",
            *(f"- {what}: `{value}`" for what, value in origin.items()),
        ]
    )
