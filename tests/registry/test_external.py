"""A training of one's own from Python: judged, registered, refused or promoted, fetched back."""

import datetime as dt
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import sqlalchemy as sa

import tradewind as tw
from tests.config.test_pages import code, run
from tradewind.desk.bars import bar_store
from tradewind.errors import PredictionsError, PromotionError, RegistryError, StrategyError
from tradewind.market.sources import sample
from tradewind.registry.reproduction import reproduce
from tradewind.registry.retrieval import load_registered, verify_round_trip
from tradewind.registry.versions import aliases_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow 3.17 compares columns with a range, which pandas 3.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")

REPOSITORY = Path(__file__).parents[2]
FILE = """
name: {name}
description: predictions of a workflow of our own
universe: {{source: sample, symbols: [AAPL, IBM, MSFT]}}
horizon: 5
model: {{kind: external}}
walk_forward: {{train: 756, test: 504}}
backtest: {{commission_bps: 1.0, slippage_bps: 4.0}}
gate: {gate}
"""
# All but the two that nobody can decide of what was made elsewhere.
LENIENT = "min_deflated_sharpe: null, min_alpha_probability: null, max_drawdown: null"
TRUSTED = f"{LENIENT}, reproducible: false, checked_for_leaks: false"
LAST = dt.date(2013, 3, 1)


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str, mlflow_url: str
) -> tw.Desk:
    """A desk as a task of a worker has it: addresses and logins are in its environment."""
    del mlflow_url
    for folder in ("config", "sources"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    (tmp_path / "strategies").mkdir()
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv("TRADEWIND_DATABASE_URL", postgres_url)
    return tw.Desk()


def name_it(desk: tw.Desk, name: str, gate: str) -> str:
    text = FILE.format(name=name, gate="{" + gate + "}")
    (desk.settings.strategies_dir / f"{name}.yaml").write_text(text)
    return name


def predictions(
    until: dt.date = LAST, sign: float = 1.0, symbols: Sequence[str] = ("AAPL", "IBM", "MSFT")
) -> pl.DataFrame:
    """What fell in five sessions will rise; of none in its first five."""
    close = pl.col("close")
    fallen = -(close / close.shift(5).over("symbol", order_by="session") - 1.0)
    made = sample.load(symbols).select("symbol", "session", prediction=sign * fallen).drop_nulls()
    return made.filter(pl.col("session").is_between(dt.date(2003, 3, 14), until))


def entered(desk: tw.Desk, name: str) -> list[Any]:
    engine = sa.create_engine(str(desk.settings.database_url))
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("SELECT configuration, failure FROM trial_ledger WHERE strategy = :name"),
            {"name": name},
        ).all()
    engine.dispose()
    return list(rows)


def test_what_nobody_can_know_is_refused_by_name_and_marked(desk: tw.Desk) -> None:
    name = name_it(desk, "unknown", LENIENT)
    judged = desk.judge(name, predictions())
    assert judged.metrics["trials"] == 1.0
    assert judged.equity.height == 4 * 504
    version = desk.register(judged)
    assert version.passed is False
    assert list(version.refused) == ["checked_for_leaks", "reproducible"]
    for rule, reason in version.refused.items():
        assert f"{rule}: false" in reason
    assert version.info.external
    assert version.info.tags["tradewind.leakage"] == "unknown"
    assert "nobody here can know whether without the future." in str(version)
    with pytest.raises(PromotionError, match="made elsewhere"):
        desk.promote(version, reason="x")
    with pytest.raises(RegistryError, match=r"was trained elsewhere.*judge\('unknown'"):
        reproduce(name, version.version, bar_store(desk.settings).read, home=desk.home)


def test_a_version_that_is_taken_on_trust_becomes_champion_and_goes_on(
    desk: tw.Desk, client: "MlflowClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    name = name_it(desk, "trusted", TRUSTED)
    for key, value in (("ID", "own"), ("RUN_ID", "manual__1")):
        monkeypatch.setenv(f"AIRFLOW_CTX_DAG_{key}", value)
    judged = desk.judge(name, predictions(dt.date(2013, 2, 28)))
    (desk.home / "fitted").mkdir()
    (desk.home / "fitted" / "model.bin").write_bytes(b"weights")
    first = desk.register(judged, model=desk.home / "fitted")
    assert first.passed, first.refused
    [kept] = client.list_artifacts(first.info.run_id, "attached")
    line = f"{hashlib.sha256(b'weights').hexdigest()}  model.bin\n"
    whole = hashlib.sha256(line.encode()).hexdigest()
    assert (kept.path, first.info.tags["tradewind.attached_sha256"]) == (
        "attached/model.bin",
        whole,
    )
    with pytest.raises(RegistryError, match="none is no file, and no folder with files"):
        desk.register(judged, model=desk.home / "none")
    assert desk.register(judged).version == first.version  # a task that is tried again
    name_it(desk, name, f"{TRUSTED}, promotion: approval")
    with pytest.raises(PromotionError, match=r"approval, so that no task.*models promote trusted"):
        desk.promote(first, reason="first")
    name_it(desk, name, TRUSTED)
    assert desk.promote(first, reason="first") is False  # its task's outlet tells Airflow
    store = bar_store(desk.settings)
    assert verify_round_trip(name, first.version, store) == 60
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "manual__2")
    newer = desk.register(desk.judge(name, predictions()))
    assert newer.passed, newer.refused  # the same predictions go on: nobody to beat
    desk.promote(newer, reason="newer")
    assert aliases_of(name) == {"champion": 2, "challenger": 2, "previous": 1}
    assert newer.predict().session == LAST
    assert newer.metrics["trials"] == 1.0
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "manual__3")
    other = desk.register(desk.judge(name, predictions(sign=-1.0)))
    assert "champion_margin" in other.refused  # another model has the champion to beat
    assert other.metrics["trials"] == 2.0
    [run] = client.search_runs([newer.info.experiment_id], f"run_id = '{newer.info.run_id}'")
    assert "made elsewhere" in run.data.tags["mlflow.note.content"]
    assert run.data.tags["mlflow.user"]


def test_what_the_page_hands_in_is_fetched_back_and_not_if_somebody_changed_it(
    desk: tw.Desk,
    mlflow_home: Path,
    client: "MlflowClient",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow.pyfunc

    name, made = "handed_in", predictions(symbols=("AAPL", "GOOG", "IBM", "MSFT"))
    (desk.settings.strategies_dir / f"{name}.yaml").write_text(code("own-training.md", "yaml"))
    monkeypatch.chdir(tmp_path)
    version = run("own-training.md")["hand_in"](made)
    assert {"checked_for_leaks", "reproducible"}.isdisjoint(version.refused)
    assert "Made elsewhere" in (tmp_path / "handed_in.html").read_text(encoding="utf-8")
    loaded = mlflow.pyfunc.load_model(f"models:/{name}/{version.version}")
    asked = made.tail(6)
    found = loaded.predict(asked.select("symbol", "session").to_pandas())
    assert list(found) == asked["prediction"].to_list()
    model = load_registered(name, version.version)
    assert model.model.native.table.height == made.height
    source = str(client.get_model_version(name, str(version.version)).source)
    number = source.rpartition("/")[2]
    [folder] = mlflow_home.glob(f"artifacts/*/models/{number}")
    [file] = folder.rglob("predictions.parquet")
    pl.read_parquet(file).with_columns(prediction=-pl.col("prediction")).write_parquet(file)
    with pytest.raises(RegistryError, match=r"predictions\.parquet is not what was handed in"):
        load_registered(name, version.version)


def test_what_cannot_be_judged_counts_and_what_is_no_prediction_does_not(desk: tw.Desk) -> None:
    name = name_it(desk, "wrong", TRUSTED)
    with pytest.raises(PredictionsError, match="polars frame"):
        desk.judge(name, predictions().rename({"prediction": "y"}))
    assert entered(desk, name) == []
    for _ in range(2):
        with pytest.raises(PredictionsError, match="is missing"):
            desk.judge(name, predictions().filter(pl.col("session") != dt.date(2008, 6, 2)))
    [kept] = entered(desk, name)
    assert "is missing" in kept.failure
    assert desk.judge(name, predictions()).metrics["trials"] == 2.0
    with pytest.raises(StrategyError, match="nothing to train here"):
        desk.backtest(name)
