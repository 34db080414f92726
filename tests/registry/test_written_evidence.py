"""The files of a training, before they go to MLflow."""

import datetime as dt
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tradewind.market.validation.findings import Finding
from tradewind.registry.written_files import write_evidence
from tradewind.research.features.undefined import Undefined
from tradewind.research.tearsheet.report import Report, Trials, report_of

TRIALS = pl.DataFrame(
    {
        "parameters": ["{}", "{}"],
        "sharpe": [0.5, float("nan")],
        "data_end": [dt.date(2013, 3, 1)] * 2,
        "failure": [None, "no label"],
    }
)
POINTS = pl.DataFrame({"trial": [1], "sharpe": [0.5], "chosen": [True], "parameters": [""]})
FINDINGS = (
    Finding("warning", "AAPL", dt.date(2000, 9, 29), "outlier", -0.519, "fell | by <b>half</b>"),
    Finding("warning", None, None, "stale", None, "twice\nthe same"),
)


@pytest.fixture
def report(training: Any) -> Report:
    return replace(
        report_of(training.result, findings=FINDINGS, snapshot_id="5na9"),
        trials=Trials(7, 0.61, TRIALS, POINTS),
        importance={"return_5": 3.5},
    )


def test_a_sweep_leaves_its_trials(training: Any, report: Report, tmp_path: Path) -> None:
    tables = write_evidence(tmp_path, training.result, report, training.strategy)
    assert tables == ("tables/folds.json", "tables/trials.json")
    assert pl.read_parquet(tmp_path / "trials.parquet").equals(TRIALS)
    table = json.loads((tmp_path / "tables" / "trials.json").read_text())
    assert table["columns"] == ["parameters", "sharpe", "data_end", "failure"]
    assert table["data"] == [
        ["{}", 0.5, "2013-03-01", None],
        ["{}", None, "2013-03-01", "no label"],
    ]
    assert json.loads((tmp_path / "importance.json").read_text()) == {"return_5": 3.5}


def test_undefined_features_are_a_table_where_there_are_any(
    training: Any, report: Report, tmp_path: Path
) -> None:
    day = dt.date(2013, 2, 28)
    key = {"symbol": ["IBM"], "feature": ["return_5"]}
    undefined = Undefined(
        pl.DataFrame({"symbol": ["IBM"], "session": [day], "feature": ["return_5"]}),
        pl.DataFrame({**key, "sessions": [1], "share": [0.25], "first": [day], "last": [day]}),
    )
    result = replace(training.result, undefined=undefined)
    tables = write_evidence(tmp_path, result, report, training.strategy)
    assert "tables/undefined_features.json" in tables
    table = json.loads((tmp_path / "tables" / "undefined_features.json").read_text())
    assert table["columns"] == ["symbol", "feature", "sessions", "share", "first", "last"]
    assert table["data"] == [["IBM", "return_5", 1, 0.25, "2013-02-28", "2013-02-28"]]
    assert "tables/undefined_features.json" not in write_evidence(
        tmp_path, training.result, report, training.strategy
    )


def test_folds_are_kept_whole_and_as_a_table(training: Any, report: Report, tmp_path: Path) -> None:
    write_evidence(tmp_path, training.result, report, training.strategy)
    kept = json.loads((tmp_path / "folds.json").read_text())
    folds = training.result.folds
    assert kept == json.loads(json.dumps([asdict(fold) for fold in folds], default=str))
    table = json.loads((tmp_path / "tables" / "folds.json").read_text())
    assert table["columns"][:2] == ["index", "train_start"]
    row = dict(zip(table["columns"], table["data"][2], strict=True))
    assert row["n_test"] == folds[2].n_test
    assert row["information_coefficient"] == folds[2].metrics["information_coefficient"]


def test_what_validation_found_is_for_programs_and_for_people(
    training: Any, report: Report, tmp_path: Path
) -> None:
    write_evidence(tmp_path, training.result, report, training.strategy)
    kept = json.loads((tmp_path / "validation.json").read_text())
    assert (kept["snapshot_id"], kept["errors"], kept["warnings"]) == ("5na9", 0, 2)
    assert kept["findings"][0] == {**asdict(FINDINGS[0]), "session": "2000-09-29"}
    text = (tmp_path / "validation.md").read_text()
    assert "Snapshot `5na9`: 0 errors, 2 warnings." in text
    *_, first, second = text.splitlines()
    expected = r"| warning | AAPL | 2000-09-29 | outlier | -0.519 | fell \| by &lt;b>half&lt;/b> |"
    assert first == expected
    assert second == "| warning |  |  | stale |  | twice the same |"


def test_bars_without_a_finding_are_said_to_have_none(training: Any, tmp_path: Path) -> None:
    report = report_of(training.result)
    assert write_evidence(tmp_path, training.result, report, training.strategy) == (
        "tables/folds.json",
    )
    kept = json.loads((tmp_path / "validation.json").read_text())
    assert (kept["errors"], kept["warnings"], kept["findings"]) == (0, 0, [])
    assert "|" not in (tmp_path / "validation.md").read_text()


def test_a_figure_that_is_not_defined_is_null_to_every_reader(
    training: Any, report: Report, tmp_path: Path
) -> None:
    folds = [
        replace(fold, metrics={**fold.metrics, "sharpe": math.nan})
        for fold in training.result.folds
    ]
    write_evidence(tmp_path, replace(training.result, folds=folds), report, training.strategy)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    written = sorted(tmp_path.rglob("*.json"))
    assert tmp_path / "folds.json" in written
    read = {file.name: json.loads(file.read_text(), parse_constant=refuse) for file in written}
    assert tmp_path / "tables" / "folds.json" in written
    kept = json.loads((tmp_path / "folds.json").read_text())
    assert [fold["metrics"]["sharpe"] for fold in kept] == [None] * len(folds)
    assert read["validation.json"]["errors"] == 0
