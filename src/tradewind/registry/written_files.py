"""The files that a training leaves behind, written to a folder before they go to MLflow."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.registry import _names as names
from tradewind.research.strategy.strategy import Strategy
from tradewind.strict_json import dumps

if TYPE_CHECKING:
    import polars as pl

    from tradewind.research.evaluation.walk_forward import FoldResult
    from tradewind.research.tearsheet.report import Report
    from tradewind.research.training import TrainingResult

__all__ = ["write_evidence"]


def write_evidence(
    folder: Path, result: "TrainingResult", report: "Report", strategy: Strategy
) -> tuple[str, ...]:
    """Write all files that are kept of a training beside its model.

    Parameters
    ----------
    folder : Path
        Exists and is empty.
    result : TrainingResult
    report : Report
        Of the same training.
    strategy : Strategy
        What the version says it was trained by.

    Returns
    -------
    tuple of str
        Those of the files that MLflow's page can show as tables.
    """
    from tradewind.research.tearsheet.page import page, still
    from tradewind.research.tearsheet.plots import equity_and_drawdown

    files = _Folder(folder)
    files.write(names.STRATEGY_FILE, strategy.model_dump_json(indent=2) + "\n")
    files.write_parquet(names.OUT_OF_SAMPLE_FILE, result.predictions)
    files.write_parquet(names.EQUITY_FILE, result.equity)
    files.write_parquet(names.REFERENCE_FILE, result.reference)
    files.write_json(names.FOLDS_FILE, [asdict(fold) for fold in result.folds])
    files.write_json(names.IMPORTANCE_FILE, dict(report.importance))
    files.write_json(names.VALIDATION_FILE, _validation(report))
    files.write(names.VALIDATION_TEXT_FILE, _validation_text(report))
    tables = [names.FOLDS_TABLE]
    files.write_json(names.FOLDS_TABLE, _table([_flat(fold) for fold in result.folds]))
    if not result.undefined.table.is_empty():
        files.write_json(names.UNDEFINED_TABLE, _table(result.undefined.table.to_dicts()))
        tables.append(names.UNDEFINED_TABLE)
    if report.trials is not None:
        files.write_parquet(names.TRIALS_FILE, report.trials.table)
        files.write_json(names.TRIALS_TABLE, _table(report.trials.table.to_dicts()))
        tables.append(names.TRIALS_TABLE)
    files.write(names.TEAR_SHEET_FILE, page(report))
    still(report).savefig(files.path(names.TEAR_SHEET_PICTURE), format="png")
    equity_and_drawdown(
        result.equity,
        f"{strategy.name}: out of sample",
        fold_starts=[fold.test_start for fold in result.folds],
    ).savefig(files.path(names.PLOT_FILE), format="png")
    return tuple(tables)


class _Folder:
    """A folder in which files make the folders they need."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str) -> Path:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, text: str) -> None:
        self.path(name).write_text(text, "utf-8")

    def write_json(self, name: str, value: object) -> None:
        self.write(name, dumps(value, indent=2) + "\n")

    def write_parquet(self, name: str, frame: "pl.DataFrame") -> None:
        frame.write_parquet(self.path(name))


def _flat(fold: "FoldResult") -> dict[str, Any]:
    fields = asdict(fold)
    metrics: dict[str, float] = fields.pop("metrics")
    return fields | metrics


def _table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows in the form in which MLflow's page reads a table: columns and data apart."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return {
        "columns": columns,
        "data": [[row.get(name) for name in columns] for row in rows],
    }


def _validation(report: "Report") -> Mapping[str, Any]:
    findings = [asdict(finding) for finding in report.findings]
    return {
        "snapshot_id": report.snapshot_id,
        "errors": sum(finding["severity"] == "error" for finding in findings),
        "warnings": sum(finding["severity"] == "warning" for finding in findings),
        "findings": findings,
    }


def _validation_text(report: "Report") -> str:
    said = _validation(report)
    lines = [
        "# Validation",
        "",
        f"Snapshot `{report.snapshot_id}`: {said['errors']} errors, {said['warnings']} warnings.",
    ]
    if report.findings:
        lines += ["", "| severity | symbol | session | rule | value | what |", "|" + " --- |" * 6]
    for finding in report.findings:
        cells = (
            finding.severity, finding.symbol, finding.session, finding.rule, finding.value,
            finding.message,
        )  # fmt: skip
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
