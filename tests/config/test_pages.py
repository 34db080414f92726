"""What the how-to pages show works as it is shown."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import typed
from tradewind.market.sources import sample
from tradewind.market.sources.source import Source, SourceSpec, load_source, open_source
from tradewind.research.features.compute import compute_features
from tradewind.research.features.labels import compute_labels
from tradewind.research.models.model import fit, predict_rows
from tradewind.research.strategy.files import load_strategy
from tradewind.research.trials.parameter_sets import draw
from tradewind.trading.broker import Broker

DOCS = Path(__file__).parents[2] / "docs"


def code(page: str, language: str) -> str:
    """Return a page's one block of a language."""
    text = (DOCS / page).read_text("utf-8")
    [found] = re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return str(found)


def run(page: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": page}
    exec(compile(code(page, "python"), page, "exec"), names)  # noqa: S102 - our own page
    return names


def test_the_strategy_of_the_page_and_its_feature_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "my_features.py").write_text(code("own-strategy.md", "python"))
    (folder / "gaps.yaml").write_text(code("own-strategy.md", "yaml"))
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    strategy = load_strategy(folder / "gaps.yaml")
    found = compute_features(sample.load(strategy.universe.symbols), strategy)
    assert found["gap"].is_not_null().sum() > 5000
    assert typed(found["gap"].abs().max(), float) < 1.0


def test_the_estimator_of_the_page_can_be_fitted_and_swept(tmp_path: Path) -> None:
    file = tmp_path / "committee.yaml"
    file.write_text(code("any-estimator.md", "yaml"))
    strategy = load_strategy(file)
    bars = sample.load(strategy.universe.symbols)
    features, labels = compute_features(bars, strategy), compute_labels(bars, strategy)
    rows = features.join(labels, on=["symbol", "session"]).sort("session", "symbol").tail(500)
    trials = draw(strategy)
    assert len(trials) == 8
    model = fit(rows, strategy.with_parameters(trials[0]))
    assert predict_rows(model, rows, strategy).std() > 0.0


def test_files_as_the_page_has_them_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, data = tmp_path / "sources", tmp_path / "data" / "daily"
    for folder in (sources, data):
        folder.mkdir(parents=True)
    page = (DOCS / "own-source.md").read_text("utf-8")
    header = re.search(r"with the header `([^`]+)`", page)
    assert header is not None
    (data / "IBM.csv").write_text(f"{header[1]}\n2013-02-28,202,203,200.5,201,4000000,200.1\n")
    (sources / "mine.yaml").write_text(code("own-source.md", "yaml"))
    monkeypatch.chdir(tmp_path)
    bars = open_source(load_source(sources / "mine.yaml")).load(["IBM"])
    assert bars["close"].to_list() == [201.0]


@pytest.mark.parametrize(
    ("page", "name", "symbols"),
    [
        ("vendors.md", "live", ("AAPL", "BRK-B", "IBM", "MSFT")),
        ("vendors/ccxt.md", "coins", ("BTC/USD", "ETH/USD")),
        ("vendors/databento.md", "live", ("AAPL", "BRK.B", "IBM", "MSFT")),
        ("vendors/interactive_brokers.md", "ib", ("AAPL", "BRK.B", "IBM", "MSFT")),
        ("vendors/massive.md", "live", ("AAPL", "BRK.B", "IBM", "MSFT")),
        ("vendors/yahoo.md", "live", ("AAPL", "BRK-B", "IBM", "MSFT")),
    ],
)
def test_the_vendor_s_source_of_a_page_can_be_opened(
    tmp_path: Path, page: str, name: str, symbols: tuple[str, ...]
) -> None:
    (tmp_path / f"{name}.yaml").write_text(code(page, "yaml"))
    assert open_source(load_source(tmp_path / f"{name}.yaml")).symbols() == symbols


def test_the_quorum_of_the_page_can_be_opened(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    sample.load(["IBM"]).write_parquet(sources / "IBM.parquet")
    (sources / "live.yaml").write_text(code("vendors.md", "yaml"))
    (sources / "mine.yaml").write_text(
        "name: mine\nkind: files\noptions: {path: sources/*.parquet, symbol: {column: symbol}, "
        "session: {}, adjustment: factors, columns: {split_factor: split_factor, "
        "adjustment_factor: adjustment_factor}}\n"
    )
    (sources / "checked.yaml").write_text(code("quorum.md", "yaml"))
    source = open_source(load_source(sources / "checked.yaml"))
    assert source.symbols() == ("AAPL", "BRK-B", "IBM", "MSFT")


def test_the_kind_of_the_page_is_a_source(tmp_path: Path) -> None:
    bars = sample.load(["IBM"])
    bars.write_parquet(tmp_path / "IBM.parquet")
    spec = SourceSpec(name="mine", kind="mine", options={"folder": "."})
    source = run("own-source.md")["MySource"](spec, tmp_path)
    assert isinstance(source, Source)
    assert source.symbols() == ("IBM",)
    assert source.load(["IBM"]).equals(bars)


def test_the_broker_of_the_page_has_the_methods_of_one() -> None:
    names: dict[str, Any] = {}
    exec(f"from __future__ import annotations\n{code('own-broker.md', 'python')}", names)  # noqa: S102
    assert isinstance(names["MyBroker"]("", ""), Broker)
