"""A worker's parent has imported what tasks need, and no thread of it is lost by a fork."""

import gc
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.workers.warm import connect_warm_up, import_or_warn, warm_up

# What is done for real in a child of a child, as Airflow's tasks are: each of these has threads.
IN_A_CHILD = """
import os, sys, tempfile
from pathlib import Path

def threads():
    return {(Path(task) / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}

from tradewind.workers.warm import MODULES, log, warm_up
log.addFilter(lambda warning: sys.exit(warning.getMessage()))
before = threads()
warm_up()
print(*MODULES, file=sys.stderr)
assert set(MODULES) <= sys.modules.keys()
assert threads() - before <= {"jemalloc_bg_thd", "polars-ooc-clea"}, threads()

def work():
    import boto3, deltalake, lightgbm, mlflow, numpy as np, polars as pl

    draw = np.random.default_rng(0)
    frame = pl.DataFrame({"key": np.arange(200_000) % 100, "value": draw.normal(size=200_000)})
    for engine in ("in-memory", "streaming"):
        assert frame.lazy().group_by("key").agg(pl.len()).collect(engine=engine).height == 100
    assert np.linalg.svd(draw.normal(size=(300, 300)))[1].size == 300
    data = lightgbm.Dataset(draw.normal(size=(2_000, 5)), draw.normal(size=2_000))
    lightgbm.train({"num_threads": 2, "verbose": -1}, data, 5)
    with tempfile.TemporaryDirectory() as folder:
        deltalake.write_deltalake(f"{folder}/table", frame)
        assert deltalake.DeltaTable(f"{folder}/table").to_pyarrow_table().num_rows == 200_000
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        with mlflow.start_run() as run:
            mlflow.log_metric("a", 1.0)
        assert mlflow.get_run(run.info.run_id).data.metrics == {"a": 1.0}
    boto3.client("s3", region_name="us-east-1")

def forked(call):
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        code = call() or 0
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 1
    os._exit(code)

for _ in range(3):
    assert forked(lambda: forked(work)) == 0
"""


def test_forked_tasks_use_what_their_parent_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # as config/airflow.env has it
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)  # it logs into a store of its own
    subprocess.run([sys.executable, "-W", "ignore", "-c", IN_A_CHILD], check=True, timeout=300)


def test_a_module_that_cannot_be_imported_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken_module.py").write_text("raise OSError('no GPU')")
    (tmp_path / "a_program.py").write_text("import sys\nsys.exit('usage: ...')")
    monkeypatch.syspath_prepend(tmp_path)
    with caplog.at_level(logging.WARNING):
        import_or_warn("broken_module")
        import_or_warn("a_program")
    assert "broken_module" in caplog.text
    assert "OSError: no GPU" in caplog.text
    assert "SystemExit: usage" in caplog.text


def test_no_two_tasks_draw_the_same_random_numbers() -> None:
    script = """
import os
from celery.signals import worker_init
import tradewind.workers.warm
tradewind.workers.warm.MODULES = ("numpy.random",)
tradewind.workers.warm.connect_warm_up()
worker_init.send(None)
import numpy as np
for _ in range(3):
    if os.fork() == 0:
        print(np.random.rand(), flush=True)
        os._exit(0)
    os.wait()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], check=True, capture_output=True, text=True
    )
    assert len(set(done.stdout.split())) == 3


def test_a_user_names_modules_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine", "also_mine"):
        (tmp_path / f"{name}.py").touch()
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("tradewind.workers.warm.MODULES", ())
    monkeypatch.setenv("TRADEWIND_WORKER_MODULES", "mine, also_mine")
    warm_up()
    assert {"mine", "also_mine"} <= sys.modules.keys()


def test_a_worker_s_parent_shares_what_it_imported_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from celery.signals import worker_init, worker_ready

    monkeypatch.setattr("tradewind.workers.warm.MODULES", ())
    connect_warm_up()
    worker_init.send(None)
    gc.unfreeze()  # as Airflow does then
    worker_ready.send(None)
    try:
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
