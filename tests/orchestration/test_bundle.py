import os
import re
import runpy
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from airflow.sdk import DAG

from tradewind.orchestration.dags import bundle
from tradewind.orchestration.dags.bundle import SpecBundle

CHECKOUT = Path(__file__).parents[2]
HEAVY = ("lightgbm", "matplotlib", "mlflow", "numpy", "pandas", "polars", "scipy", "sklearn")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("sources", "strategies"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder)
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))
    return tmp_path


@pytest.fixture
def specs(home: Path) -> SpecBundle:
    made = SpecBundle(name="specs")
    made.initialize()
    assert made.path.is_relative_to(home)
    return made


def times(specs: SpecBundle) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in specs.path.iterdir()}


def dags_of(file: Path) -> set[str]:
    return {name for name, found in runpy.run_path(str(file)).items() if isinstance(found, DAG)}


def test_every_strategy_and_source_has_its_dags_in_one_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "_TOGETHER", 2)
    specs = SpecBundle(name="specs")
    specs.initialize()
    found = [dag_id for file in specs.path.iterdir() for dag_id in dags_of(file)]
    names = [file.stem for file in (home / "strategies").glob("*.yaml")]
    assert len(list(specs.path.glob("strategies_*.py"))) == 3
    assert sorted(found) == sorted(
        [f"{kind}_{name}" for name in names for kind in ("execute", "monitor", "signals", "train")]
        + [f"ingest_{file.stem}" for file in (home / "sources").glob("*.yaml")]
        + ["housekeeping"]
    )


def test_a_dag_file_changes_when_one_of_its_strategies_does(home: Path, specs: SpecBundle) -> None:
    before = times(specs)
    specs.refresh()
    assert times(specs) == before
    with (home / "strategies" / "ridge.yaml").open("a") as file:
        file.write("# changed\n")
    specs.refresh()
    after = times(specs)
    assert {name for name in after if after[name] != before[name]} == {"strategies_000.py"}


def test_a_changed_dag_file_is_parsed_once_more_as_airflow_may_have_missed_it(
    home: Path, specs: SpecBundle
) -> None:
    with (home / "strategies" / "ridge.yaml").open("a") as file:
        file.write("# changed\n")
    SpecBundle(name="specs").refresh()  # a worker was the first to see it
    seen = [times(specs)]
    for _ in range(3):
        specs.refresh()
        seen.append(times(specs))
    changes = [
        {name for name in after if after[name] != before[name]} for before, after in pairwise(seen)
    ]
    assert changes == [set(), {"strategies_000.py"}, set()]


def test_no_file_of_an_odd_name_stops_the_others(home: Path, specs: SpecBundle) -> None:
    strategies = home / "strategies"
    (strategies / ".#ridge.yaml").symlink_to("somebody@nowhere.1234")  # as an editor locks a file
    (strategies / "two\nlines.yaml").write_text("name: nonsense")
    (strategies / b"f\xfcr.yaml".decode("utf-8", "surrogateescape")).write_text("name: nonsense")
    specs.refresh()
    [file] = specs.path.glob("strategies_*.py")
    assert {"train_ridge", "train_two_lines", "train_f_r"} <= dags_of(file)


def test_strategies_come_and_go(home: Path, specs: SpecBundle) -> None:
    [file] = specs.path.glob("strategies_*.py")
    assert "train_ridge" in dags_of(file)
    (home / "strategies" / "ridge.yaml").unlink()
    specs.refresh()
    assert "train_ridge" not in dags_of(file)


def test_a_dag_file_of_strategies_that_were_many_goes(
    specs: SpecBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bundle, "_TOGETHER", 2)
        specs.refresh()
    assert len(times(specs)) == 5
    specs.refresh()
    assert set(times(specs)) == {"housekeeping.py", "source_sample.py", "strategies_000.py"}


def test_a_missing_folder_is_an_import_error_of_its_dag_file(home: Path, specs: SpecBundle) -> None:
    shutil.rmtree(home / "strategies")
    specs.refresh()
    with pytest.raises(Exception, match="no directory of strategies"):
        runpy.run_path(str(specs.path / "strategies_000.py"))


def test_parsing_loads_no_heavy_library(specs: SpecBundle) -> None:
    # In a clean process, as a worker does at each start of a task.
    script = f"""\
import runpy, sys
found = runpy.run_path({str(specs.path / "strategies_000.py")!r})
print("train_ridge" in found, [module for module in {HEAVY!r} if module in sys.modules])
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "True []"


def test_airflow_s_safe_mode_finds_the_dag_files(specs: SpecBundle) -> None:
    files = list(specs.path.iterdir())
    assert files
    for file in files:
        # The rule of airflow.utils.file.might_contain_dag_via_default_heuristic.
        assert re.search("dag", file.read_text(), re.IGNORECASE)
        assert re.search("airflow", file.read_text(), re.IGNORECASE)


def test_each_source_has_a_dag_file_and_takes_no_other_along(home: Path, specs: SpecBundle) -> None:
    (home / "sources" / "long.yaml").write_text("x: [" + "{a: 1}," * 100_000 + "]\n")
    (home / "sources" / "a b.yaml").write_text("nonsense")
    (home / "sources" / "a_b.yaml").write_text("nonsense")
    specs.refresh()
    found = {file.name: dags_of(file) for file in specs.path.glob("source_*.py")}
    assert found == {
        "source_sample.py": {"ingest_sample"},
        "source_long.py": {"ingest_long"},
        "source_a_b.py": {"ingest_a_b", "ingest_a_b_yaml"},
    }


def test_a_dag_file_changes_when_the_code_of_a_feature_does(home: Path, specs: SpecBundle) -> None:
    before = times(specs)
    with (home / "strategies" / "noise_features.py").open("a") as file:
        file.write("# changed\n")
    specs.refresh()
    after = times(specs)
    assert {name for name in after if after[name] != before[name]} == {"strategies_000.py"}
