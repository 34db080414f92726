import datetime as dt
import os
import re
from pathlib import Path

import pytest

from tradewind.errors import StrategyError
from tradewind.research.strategy.files import load_strategies, load_strategy
from tradewind.research.strategy.models import LightGbm
from tradewind.research.strategy.strategy import Strategy

SHIPPED = Path(__file__).parents[2] / "strategies"
GOOD = """\
name: good
description: the least a strategy says
universe: {source: sample, symbols: [IBM, MSFT]}
horizon: 5
features:
  - return: {window: 5}
model: {kind: lightgbm}
walk_forward: {train: 504, test: 126}
backtest: {commission_bps: 1, slippage_bps: 4}
"""


def write(directory: Path, text: str, name: str = "good.yaml") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_least_file_is_read(tmp_path: Path) -> None:
    assert load_strategy(write(tmp_path, GOOD)).name == "good"


def test_every_shipped_strategy_is_read() -> None:
    strategies, errors = load_strategies(SHIPPED)
    assert errors == {}
    assert "momentum" in strategies
    assert sorted(strategies) == sorted(file.stem for file in SHIPPED.glob("*.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "field", "reason"),
    [
        ("name: good", "name: Good-1", "name", "lower-case letters"),
        ("name: good", f"name: {'g' * 51}", "name", "50 characters at most"),
        ("name: good", "name: other", "name", "'other' must equal the file's name, 'good'"),
        ("name: good\n", "", "name", "is missing"),
        ("name: good", "name: good\ncolour: red", "colour", "unknown field. Known are: name"),
        ("name: good", "name: good\nschedule: daily", "schedule", "'daily' is no cron expression"),
        ("name: good", "name: good\nschedule: 99 * * * *", "schedule", "is no cron expression"),
        ("name: good", "name: good\nseed: -1", "seed", "from 0 to 2147483647, not -1"),
        (
            "name: good",
            "name: good\nlabel: sign",
            "label",
            "must be one of forward_return, direction",
        ),
        ("horizon: 5", "horizon: 0", "horizon", "from 1 to 252, not 0"),
        ("horizon: 5", "horizon: '5'", "horizon", "a whole number"),
        ("horizon: 5", "horizon: 5.0", "horizon", "a whole number"),
        ("horizon: 5", "horizon: true", "horizon", "a whole number"),
        ("horizon: 5", "horizon: 010", "horizon", "a whole number"),
        ("horizon: 5", "horizon: 1:30", "horizon", "a whole number"),
        ("horizon: 5", f"horizon: {'9' * 5000}", "horizon", "a whole number"),
        ("horizon: 5", "horizon:", "horizon", "a whole number"),
        ("name: good", "name: good\n<<: {seed: 1}", "<<", "unknown field"),
        ("[IBM, MSFT]", "[]", "universe.symbols", "1 to 5000, not an empty list"),
        ("[IBM, MSFT]", "[IBM, IBM]", "universe.symbols", "listed more than once: IBM"),
        ("[IBM, MSFT]", "IBM", "universe.symbols", "a list of texts"),
        (
            "MSFT]",
            "MSFT], start: 2010-02-30",
            "universe.start",
            "must be a date such as 2012-01-31",
        ),
        ("MSFT]", "MSFT], start: 2010-02-02, end: 2009-01-01", "universe", "must lie after start"),
        (
            "return: {window: 5}",
            "return: {window: 0}",
            "features.0.return.window",
            "from 1 to 2520",
        ),
        (
            "return: {window: 5}",
            "return: {windows: 5}",
            "features.0.return.windows",
            "mean window?",
        ),
        (
            "return: {window: 5}",
            "returns: {window: 5}",
            "features.0",
            "there is no feature 'returns'",
        ),
        ("return: {window: 5}", "return: 5", "features.0", "return: {window: 5}"),
        ("return: {window: 5}", "return", "features.0", "return: {window: 5}"),
        ("5}\nmodel", "5}\n  - return: {window: 5}\nmodel", "features", "once: return_5"),
        (
            "return: {window: 5}",
            "momentum: {window: 5, skip: 5}",
            "features.0.momentum",
            r"skip (5) must be less than window (5)",
        ),
        (
            "kind: lightgbm",
            "kind: forest",
            "model",
            "there is no kind 'forest'. There are: ",
        ),
        (
            "kind: lightgbm",
            "kind: lightgbm, learning_rate: .nan",
            "model.learning_rate",
            "must be a number, not .nan",
        ),
        ("train: 504", "train: 0", "walk_forward.train", "a whole number from 1 to 25200, not 0"),
        (
            "test: 126",
            "test: 126, purge: 4",
            "walk_forward.purge",
            "4 is less than the horizon of 5 sessions: the last training labels would be made of "
            "prices from the test window",
        ),
        (
            "commission_bps: 1,",
            "",
            "backtest.commission_bps",
            "is missing; it must be a number from 0",
        ),
        ("slippage_bps: 4", "slippage_bps: -4", "backtest.slippage_bps", "from 0 to 1000, not -4"),
        (
            "slippage_bps: 4",
            "slippage_bps: 4, max_weight: 2",
            "backtest.max_weight",
            "from 0.0001 to 1, not 2",
        ),
        ("[IBM, MSFT]", "[IBM]", None, None),
    ],
)
def test_a_wrong_field_is_named_with_its_reason(
    tmp_path: Path, old: str, new: str, field: str | None, reason: str | None
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    if field is None or reason is None:  # one symbol is enough, unless ranks compare it
        assert load_strategy(path).universe.symbols == ("IBM",)
        return
    expected = rf"(?m)^{re.escape(str(path))}(:\d+)?: {re.escape(field)}: .*{re.escape(reason)}"
    with pytest.raises(StrategyError, match=expected):
        load_strategy(path)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("return: {window: 5}", "rank: {of: {return: {window: 5}}}", "features.0"),
        ("slippage_bps: 4", "slippage_bps: 4, positions: long_short", "backtest.positions"),
    ],
)
def test_what_compares_symbols_needs_two(tmp_path: Path, old: str, new: str, field: str) -> None:
    path = write(tmp_path, GOOD.replace("[IBM, MSFT]", "[IBM]").replace(old, new))
    with pytest.raises(StrategyError, match=rf":\d+: {field}: .*two symbols or more"):
        load_strategy(path)


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path, GOOD.replace("horizon: 5", "horizon: 0").replace("train: 504", "trian: 1")
    )
    with pytest.raises(StrategyError) as caught:
        load_strategy(path)
    found = [
        line.removeprefix(f"{path}:").split(": ")[:2] for line in str(caught.value).split("\n")
    ]
    assert found == [["4", "horizon"], ["8", "walk_forward.train"], ["8", "walk_forward.trian"]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("- a\n- b\n", "1: .*but holds a list"),
        ("name: [unclosed\n", "1:7: .*closing ]"),
        ("name: a\n\tb: 1\n", "2:1: a tab"),
        ("name: a\nname: b\n", "2:1: key 'name' is there twice, first in line 1"),
        ("universe: {source: a, source: b}\n", "1:23: key 'source' is there twice"),
        ("a: &x [1]\nb: *x\n", "2:4: aliases are not allowed"),
        ("a: 1\n---\nb: 2\n", "2:1: a second document"),
        ("a: !!python/object/apply:os.getcwd []\n", "1:4: tags are not allowed"),
        ("1: a\n", "1:1: key 1 is not text: write it in quotes: '1'"),
        ("[" * 5000, "nested too deeply"),
        ("x" * 70_000, "larger than 64 KiB"),
        ("a: \x00", "unacceptable character"),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(StrategyError, match=f"^{re.escape(str(path))}:.*{reason}"):
        load_strategy(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(StrategyError, match="not UTF-8 text: byte 6"):
        load_strategy(path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(StrategyError, match=f"^{re.escape(str(path))}: cannot be read"):
            load_strategy(path)


def test_tickers_that_yaml_takes_for_booleans_stay_tickers(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("[IBM, MSFT]", "[ON, NO, Y]"))
    assert load_strategy(path).universe.symbols == ("ON", "NO", "Y")


def test_plain_numbers_and_dates_mean_what_they_look_like(tmp_path: Path) -> None:
    text = GOOD.replace("kind: lightgbm", "kind: lightgbm, learning_rate: 1e-3, lambda_l2: .5")
    strategy = load_strategy(write(tmp_path, text.replace("MSFT]", "MSFT], start: 2004-08-19")))
    assert isinstance(strategy.model, LightGbm)
    assert (strategy.model.learning_rate, strategy.model.lambda_l2) == (0.001, 0.5)
    assert strategy.universe.start == dt.date(2004, 8, 19)


def test_one_bad_file_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    bad = write(tmp_path, "name: [", "bad.yaml")
    twice = write(tmp_path, GOOD, "good.yml")
    write(tmp_path, "not a strategy", "notes.txt")
    strategies, errors = load_strategies(tmp_path)
    assert list(strategies) == ["good"]
    assert list(errors) == [bad, twice]
    assert "taken by another file" in str(errors[twice])


def test_an_unreadable_link_is_one_bad_file(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    link = tmp_path / "broken.yaml"
    os.symlink(tmp_path / "nowhere", link)  # noqa: PTH211
    strategies, errors = load_strategies(tmp_path)
    assert (list(strategies), list(errors)) == (["good"], [link])


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="no directory of strategies"):
        load_strategies(tmp_path / "none")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("the least", '"a\\0b"', r':2:14: a text holds "\\x00", which belongs into none'),
        ("the least", '"a\\eb"', r':2:14: a text holds "\\x1b"'),
        ("the least", '"\\ud800"', r':2:14: a text holds "\\ud800"'),
        ("seed: 1", '"se\\0ed": 1', r':4:1: a text holds "\\x00"'),
        ("the least", "d" * 6000, ":2: description: must be text of 1 to 5000 characters"),
        (
            "source: sample",
            f"source: {'s' * 3000}",
            r"universe\.source: must be lower-case letters",
        ),
        ("source: sample", "source: ../sample", r"universe\.source: must be lower-case letters"),
        ("[IBM]", "[../../x]", r"symbols\.0: a symbol is no path: .*'\.\./\.\./x'"),
        ("[IBM]", "[/etc/passwd]", "a symbol is no path"),
        ("[IBM]", '["IBM\\u200b"]', "no control characters in it"),
        ("[IBM]", "[\uff29BM]", "only look like others"),
        ("[IBM]", "[IBM], calendar: MOON", r"universe\.calendar: there is no .*calendar 'MOON'"),
        ("[IBM]", "[IBM], calendar: xnys", r"Did you mean XNYS\?"),
        ("[IBM]", "[IBM], start: 9999-12-31", "from 1800-01-01 to 2199-12-31"),
        ("[IBM]", "[IBM], start: 2150-01-01", r"universe\.start: 2150-01-01 is still to come"),
        ("[IBM]", "[IBM], start: 86400", r"universe\.start: must be a date .*not 86400"),
        ("seed: 1", "schedule: 0 0 31 2 *", "'0 0 31 2 .' never comes: there is no such day"),
        ("seed: 1", "schedule: R R * * *", "is no cron expression"),
        ("test: 126", "test: 1000000000", "from 1 to 25200, not 1000000000"),
        ("kind: lightgbm", "kind: lightgbm, lambda_l2: 1e308", "from 0 to 1000000, not 1e308"),
        ("[IBM]", f"[{','.join(f'S{n}' for n in range(6000))}]", "1 to 5000, not a list of 6000"),
        ("seed: 1", f"x: [{'[],' * 11000}]", "more than 10000 values"),
        ("seed: 1", f"x: {'[' * 100}{']' * 100}", "nested too deeply: more than 50 levels"),
    ],
)
def test_what_nobody_can_mean_is_named_when_it_is_read(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    text = f"name: good\ndescription: the least\nhorizon: 5\nseed: 1\n{GOOD.split('horizon: 5')[1]}"
    text += "universe: {source: sample, symbols: [IBM]}\n"
    assert old in text
    load_strategy(write(tmp_path, text))
    with pytest.raises(StrategyError, match=told):
        load_strategy(write(tmp_path, text.replace(old, new)))


@pytest.mark.parametrize("symbol", ["BRK.B", "BTC/USD", "^GSPC", "ES=F", "VOD LN", "7203.T"])
def test_symbols_of_vendors_are_no_paths(tmp_path: Path, symbol: str) -> None:
    path = write(tmp_path, GOOD.replace("[IBM, MSFT]", f"['{symbol}']"))
    assert load_strategy(path).universe.symbols == (symbol,)


def test_a_folder_of_what_is_no_file_is_read_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "zeros.yaml").symlink_to("/dev/zero")
    (tmp_path / "none.yaml").symlink_to("nowhere")
    strategies, errors = load_strategies(tmp_path)
    assert list(strategies) == ["good"]
    told = {
        path.stem: str(error).split("cannot be read: it is ")[1] for path, error in errors.items()
    }
    assert told == {
        "pipe": "a named pipe, not a plain file",
        "folder": "a folder, not a plain file",
        "zeros": "a device, not a plain file",
        "none": "a link to nowhere, which is not there",
    }


@pytest.mark.parametrize("level", [0.3, 0.05, 0.9999])
def test_a_record_with_a_low_level_for_champions_is_still_read(level: float) -> None:
    shipped = load_strategy(Path(__file__).parents[2] / "strategies" / "momentum.yaml")
    gate = shipped.gate.model_copy(update={"champion_level": level})
    record = shipped.model_copy(update={"gate": gate}).model_dump_json()
    assert Strategy.recorded(record).gate.champion_level == level
