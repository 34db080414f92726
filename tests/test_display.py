"""What a terminal shows, and what a log gets."""

import os
import pty
import re
import subprocess
import sys

import pytest

STARTING = """
from tradewind import display
from tradewind.stack.state import ServiceState, StackState

state = StackState(pid=1, started=0, services={n: ServiceState(n, step=False) for n in "abc"})
with display.starting() as show:
    for name, now, detail in [
        ("a", "starting", ""), ("a", "healthy", ""), ("b", "starting", ""),
        ("b", "unhealthy", "port [1] is closed"), ("b", "healthy", ""), ("c", "starting", ""),
        ("c", "healthy", ""), ("a", "restarting", "a ended with exit code 1"),
    ]:
        state.services[name].state, state.services[name].detail = now, detail
        show(state)
print("the end")
"""
TRAINING = """
from tradewind import display

with display.tasks() as show:
    for states in (
        {"ingest": "running", "train": "none"}, {"ingest": "success", "train": "running"},
        {"ingest": "success", "train": "failed"},
    ):
        show(states)
print("the end")
"""


def on_a_terminal(script: str) -> str:
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=child, stderr=child, env=environment
    ) as process:
        os.close(child)
        seen = b""
        while True:
            try:
                piece = os.read(parent, 4096)
            except OSError:  # how a terminal ends on Linux
                break
            if not piece:
                break
            seen += piece
    os.close(parent)
    assert process.returncode == 0, seen.decode()
    return seen.decode()


def in_a_log(script: str) -> str:
    environment = {
        k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "TTY_COMPATIBLE")
    }
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_start_is_a_bar_on_a_terminal_that_ends_when_all_is_healthy() -> None:
    shown = on_a_terminal(STARTING)
    text = plain(shown)
    assert re.search(r"starting .*1/3 0:00:0\d b", text)
    assert re.search(r"starting .*2/3 0:00:0\d c", text)
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    # Written out: what went wrong, and what happened once the bar was gone.
    assert [line for line in lines if re.match(r"\d/3", line)] == [
        "1/3 b                        unhealthy  port [1] is closed",
        "2/3 a                        restarting  a ended with exit code 1",
    ]
    assert lines[-1] == "the end"
    assert shown.rindex("\x1b[2K") < shown.index("restarting")  # the bar was wiped away before


def test_a_start_is_a_line_a_change_in_a_log() -> None:
    assert in_a_log(STARTING).splitlines() == [
        " 0/3 a                        starting",
        " 1/3 a                        healthy",
        " 1/3 b                        starting",
        " 1/3 b                        unhealthy  port [1] is closed",
        " 2/3 b                        healthy",
        " 2/3 c                        starting",
        " 3/3 c                        healthy",
        " 2/3 a                        restarting  a ended with exit code 1",
        "the end",
    ]


def test_a_training_is_a_bar_on_a_terminal_with_the_task_at_work() -> None:
    text = plain(on_a_terminal(TRAINING))
    assert re.search(r"training .*0/2 0:00:0\d ingest", text)
    assert re.search(r"training .*1/2 0:00:0\d train", text)
    assert re.search(r"1/2 train +failed", text)


def test_a_training_is_a_line_a_change_in_a_log() -> None:
    assert in_a_log(TRAINING).splitlines() == [
        "0/2 ingest                   running",
        "1/2 ingest                   success",
        "1/2 train                    running",
        "1/2 train                    failed",
        "the end",
    ]


@pytest.mark.parametrize("width", [80])
def test_no_name_and_no_address_is_cut_short(width: int) -> None:
    script = """
from tradewind import display
row = {"state": "healthy", "healthy": True, "pid": 1234567, "memory": 2**30, "restarts": 2,
       "detail": "", "step": False}
display.status({"services": [
    {**row, "service": "airflow-dag-processor", "address": "http://127.0.0.1:65535"}]})
"""
    shown = in_a_log(script)
    assert "airflow-dag-processor" in shown
    assert "http://127.0.0.1:65535" in shown
    assert "started again 2 times" in shown
    assert max(map(len, shown.splitlines())) <= width


def test_a_decision_shows_each_rule_and_why_one_is_not_met() -> None:
    script = """
from datetime import UTC, datetime
from tradewind import display
from tradewind.registry.gate import Decision, RuleResult
from tradewind.registry.versions import VersionInfo

rules = (
    RuleResult("leakage", 0.0, 0.0, True, "none"),
    RuleResult("min_trades", 3.0, 30.0, False, "the number of positions is 3 [all]"),
    RuleResult("champion_margin", None, 0.1, True, "no champion"),
)
made = datetime(2026, 1, 1, tzinfo=UTC)
for decision in (Decision(False, rules), None):
    said = "No better than holding: alpha -1.0 % a year"
    display.versions([VersionInfo("m", 1, (), "r", {}, {}, made, decision, said)])
"""
    lines = [" ".join(re.sub("[│┃]", " ", line).split()) for line in in_a_log(script).splitlines()]
    assert "gate: refused" in lines
    assert lines.count("No better than holding: alpha -1.0 % a year.") == 2
    assert "min_trades 3 30 refused" in lines
    assert "champion_margin 0.1 passed" in lines
    assert "min_trades: the number of positions is 3 [all]" in lines
    assert "The gate has not judged this version." in lines


def test_a_reproduction_tells_conditions_before_results() -> None:
    script = """
from tradewind import display
from tradewind.registry.reproduction import Difference, Reproduction

display.reproduction(Reproduction(
    "m", 3, "s", False, (Difference("python", "3.11.7 then, 3.12.1 now"),),
    (Difference("metric sharpe", "0.5 then, 0.6 now", 0.1),), {"metrics": 20},
    ("metric pbo: it takes more",),
))
"""
    assert in_a_log(script).splitlines() == [
        "conditions: python: 3.11.7 then, 3.12.1 now",
        "results: metric sharpe: 0.5 then, 0.6 now",
        "m version 3, trained again: not identical",
        "compared: 20 metrics",
        "not compared: metric pbo: it takes more",
    ]


def test_a_comparison_and_a_promotion_are_told() -> None:
    script = """
from tradewind import display
from tradewind.registry.comparison import Comparison
from tradewind.registry.promotion import Promotion

display.comparison(Comparison(
    "m", 1, 2, {"sharpe": (0.5, None)}, 700, 0.25, -0.1, 0.6, 0.9,
    {"git_commit": ("c0ffee", None)}, {"universe.symbols": ('["A"]', '["B"]')},
))
display.promotion("m", Promotion(
    "promotion", 2, 1, "2026-01-01", "anna", "why", override="so", refused=("min_trades",)
), told=True)
"""
    lines = [" ".join(re.sub("[│┃]", " ", line).split()) for line in in_a_log(script).splitlines()]
    assert "sharpe Sharpe ratio, annualised 0.50" in lines
    assert "git_commit c0ffee" in lines
    assert 'universe.symbols ["A"] ["B"]' in lines
    told = " ".join(lines)
    assert "on 700 common sessions: 0.25, 90% interval -0.1 to 0.6" in told
    assert "m version 2 is the champion, instead of version 1" in lines
    assert "The gate had refused it: min_trades" in lines
    assert "signals_m makes its signals now" in told


def test_a_check_that_found_several_things_has_a_line_for_each() -> None:
    script = """
from tradewind import display
from tradewind.stack.checks import Check

long = "/a/strategies/mine.yaml:3: horizon: must be a whole number from 1 to 252, not [3] " * 2
display.checks([Check("files"), Check("strategy mine", long + "\\nsecond", "correct")])
"""
    lines = in_a_log(script).splitlines()
    assert lines[0] == "ok    files"
    assert lines[1] == "wrong strategy mine"
    assert lines[2].startswith("      /a/strategies/mine.yaml:3: horizon: must be")
    assert lines[3:] == [
        "      second",
        "      mend: correct",
        "1 of 2 checks found something wrong",
    ]


FINDINGS = """
from tradewind import display
from tradewind.market.validation.findings import Finding
from tradewind.market.sources.source import SourceSpec

one = Finding("error", "A", None, "range", 1.0, "[/x]")
display.findings([one, Finding("error", None, None, "range", 11, "and 11 more", 11),
                  Finding("warning", None, None, "range", 4, "and 4 more", 4)])
display.sources([SourceSpec.model_construct(name="x", kind="[/x]", calendar="[red]")])
"""


def test_findings_are_counted_and_brackets_are_shown_as_they_are() -> None:
    text = in_a_log(FINDINGS)
    assert "12 errors, 4 warnings" in text.splitlines()
    assert "[/x]" in text.splitlines()[0]
    assert re.search(r"x +\[/x\] +\[red\] +after_close", text)
