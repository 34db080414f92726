import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tradewind.errors import SourceError
from tradewind.market.sources import sample
from tradewind.market.sources.source import (
    Source,
    SourceSpec,
    find_source,
    load_source,
    load_sources,
    open_source,
)

SHIPPED = Path(__file__).parents[2] / "sources"
GOOD = "name: good\nkind: sample\n"
ODD = "{symbol: IBM, session: 2005-04-15, rule: outlier, reason: real}"


def write(folder: Path, text: str, name: str = "good.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package that offers kinds of sources of its own."""
    package = tmp_path / "site"
    info = package / "some_vendor-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-vendor\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[tradewind.sources]\nmine = some_vendor:Mine\nbroken = some_vendor:Absent\n"
        "wrong = some_vendor:nothing\nsample = some_vendor:Mine\n"
    )
    (package / "some_vendor.py").write_text(
        "import polars as pl\n"
        "class Mine:\n"
        "    def __init__(self, spec, base_dir):\n"
        "        self.folder = base_dir / spec.options['folder']\n"
        "    def symbols(self):\n"
        "        return tuple(sorted(file.stem for file in self.folder.glob('*.parquet')))\n"
        "    def load(self, symbols):\n"
        "        return pl.concat(pl.read_parquet(self.folder / f'{one}.parquet')"
        " for one in symbols)\n"
        "def nothing(spec, base_dir):\n"
        "    return []\n"
    )
    monkeypatch.syspath_prepend(str(package))
    yield package
    sys.modules.pop("some_vendor", None)


def test_every_shipped_source_opens_and_gives_bars() -> None:
    specs, errors = load_sources(SHIPPED)
    assert errors == {}
    assert specs
    for spec in specs.values():
        source = open_source(spec)
        assert isinstance(source, Source)
        assert source.load(source.symbols()[:1]).height > 0


def test_the_sample_is_the_bundled_bars(bars: pl.DataFrame) -> None:
    source = open_source(find_source("sample", SHIPPED))
    assert source.symbols() == sample.SYMBOLS
    assert source.load(["IBM"]).equals(bars.filter(pl.col("symbol") == "IBM"))


def test_the_commented_example_of_files_works_when_uncommented(
    bars: pl.DataFrame, tmp_path: Path
) -> None:
    text = (SHIPPED / "sample.yaml").read_text()
    example = text[text.index("# kind: files") :]
    folder = tmp_path / "sources"
    folder.mkdir()
    path = write(folder, "name: good\n" + re.sub(r"^# ", "", example, flags=re.MULTILINE))
    data = tmp_path / "data" / "daily"
    data.mkdir(parents=True)
    renamed = {name: name.capitalize() for name in ("open", "high", "low", "close", "volume")}
    bars.with_columns((pl.col("close") * pl.col("adjustment_factor")).alias("Adj Close")).rename(
        {"symbol": "Ticker", "session": "Date", **renamed}
    ).write_csv(data / "all.csv")
    spec = load_source(path)
    source = open_source(spec)
    assert source.symbols() == sample.SYMBOLS
    assert source.load(["FB"]).height == 196
    assert [(entry.symbol, entry.rule) for entry in spec.accept] == [("X", "unadjusted_split")]


def test_defaults_and_fields(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    spec = load_source(path)
    assert (spec.calendar, spec.schedule, spec.options) == ("XNYS", "after_close", {})
    assert spec.file == path
    assert spec.base_dir == tmp_path.parent
    assert SourceSpec(name="good", kind="sample").base_dir == Path.cwd()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty; copy a shipped source to start from"),
        ("- a", "must hold `field: value` lines, but holds a list"),
        ("name: good\nname: good\nkind: sample", "2:1: key 'name' is there twice"),
        ("name: good", "kind: is missing; it must be text"),
        ("name: other\nkind: sample", "name: 'other' must equal the file's name, 'good'"),
        (GOOD + "schedule: hourly", "3: schedule: must be after_close or null, not 'hourly'"),
        (GOOD + "file: x", "3: file: unknown field"),
        (GOOD + "options: 3", "options: must be a mapping, not 3"),
        (GOOD + f"accept: [{ODD.replace(', reason: real', '')}]", r"accept\.0\.reason: is missing"),
        (GOOD + f"accept: [{ODD.replace('session: 2005-04-15, ', '')}]", "say either session: 20"),
        (GOOD + f"accept: [{ODD.replace('symbol: IBM, ', '')}]", "say either symbol: IBM, "),
        (GOOD + f"accept: [{ODD.replace('2005-04-15', '2005-04-15, to: 2005-04-16')}]", "either"),
        (
            GOOD + f"accept: [{ODD.replace('session: 2005-04-15', 'from: 2005-04-15')}]",
            "a range needs both",
        ),
        (GOOD + "accept: [{symbol: X}]", r"accept\.0\.rule: is missing"),
        (GOOD + f"accept: [{ODD.replace('real', ' ')}]", r"accept\.0\.reason: "),
        (GOOD + f"accept: [{ODD.replace('outlier', 'unsorted')}]", "'unsorted' cannot be accepted"),
        (GOOD + f"accept: [{ODD.replace('outlier', 'outliers')}]", "no rule named 'outliers'"),
        (
            GOOD + f"accept: [{ODD}, {ODD.replace('real', 'so said the news')}]",
            "accept: .*accepted more than once: IBM 2005-04-15 outlier",
        ),
    ],
)
def test_a_wrong_file_is_named_with_field_and_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SourceError, match=reason) as caught:
        load_source(path)
    assert str(caught.value).startswith(str(path))


def test_one_bad_file_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    bad = write(tmp_path, "kind: [", "bad.yaml")
    specs, errors = load_sources(tmp_path)
    assert (list(specs), list(errors)) == (["good"], [bad])
    with pytest.raises(SourceError, match=r"bad\.yaml:1:8"):
        find_source("bad", tmp_path)
    with pytest.raises(SourceError, match=r"no source named 'yahoo' in .*. There are: bad, good"):
        find_source("yahoo", tmp_path)
    with pytest.raises(SourceError, match="no directory of sources"):
        load_sources(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "name: good\nkind: yahoo",
            "2: kind: no kind of source named 'yahoo' .*There are: alpaca, files, quorum",
        ),
        (GOOD + "options: {a: 1}", r"3: options\.a: unknown field"),
        (
            "name: good\nkind: files",
            r"options\.path: is missing; .*\n.*options\.symbol: is missing",
        ),
    ],
)
def test_a_source_that_cannot_be_opened_says_why(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SourceError, match=reason) as caught:
        open_source(load_source(path))
    assert str(caught.value).startswith(f"{path}:")


def test_an_installed_package_brings_a_source(
    plugin: Path, bars: pl.DataFrame, tmp_path: Path
) -> None:
    fb = bars.filter(pl.col("symbol") == "FB")
    fb.write_parquet(plugin / "FB.parquet")
    folder = tmp_path / "sources"
    folder.mkdir()
    path = write(folder, "name: good\nkind: mine\noptions: {folder: site}")
    source = open_source(load_source(path))
    assert source.symbols() == ("FB",)
    assert source.load(["FB"]).equals(fb)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("broken", "'broken' cannot be imported from some_vendor:Absent: "),
        ("wrong", r"'wrong' gave a list, which has no symbols\(\) and load\(\)"),
        ("sample", "'sample' is offered more than once, by some_vendor:Mine, tradewind.market"),
    ],
)
@pytest.mark.usefixtures("plugin")
def test_a_package_that_is_at_fault_is_named(kind: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        open_source(SourceSpec(name="good", kind=kind))


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, tradewind.market.sources.source;"
        "print([name for name in ['numpy', 'polars', 'pandas', 'airflow'] if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
