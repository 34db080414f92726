"""No figure, date or name of any table is cut, at no width of the terminal."""

import io
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tradewind import display
from tradewind.desk.data import Action
from tradewind.desk.disk import DiskUsage, Part
from tradewind.desk.housekeeping import Removed
from tradewind.desk.registry import Forecast
from tradewind.desk.research import BacktestReport
from tradewind.desk.stored_bars import ChangedValue, Difference, Said, Shown, Step
from tradewind.display import terminal
from tradewind.display.tables import Grid, Number, Words
from tradewind.market.sources.source import SourceSpec
from tradewind.market.store.bar_store import SnapshotInfo, Stored
from tradewind.registry.comparison import Comparison
from tradewind.registry.gate import Decision, RuleResult
from tradewind.registry.version_info import ModelSummary, VersionInfo
from tradewind.stack.backup.summary import Listed
from tradewind.trading.book.halts import Halt
from tradewind.trading.book.standing import Account, Accounts, RefusedOrder
from tradewind.trading.book.views import Day, Fill, Order, Position
from tradewind.trading.signals import SignalSet

DAY, NOW = date(2026, 11, 27), datetime(2026, 11, 29, 10, 30, tzinfo=UTC)
ACCOUNT = "european_small_caps_long_short"
WHY = (
    "the weight 0.3412 is beyond max_weight 0.25; the order is 0.41 of the median volume of 20 "
    "sessions, beyond max_order_volume 0.1"
)
MONEY = Decimal("-1234567890.12")
VERSION = VersionInfo(
    ACCOUNT, 128, ("champion", "challenger"), "0123456789abcdef" * 2,
    {"sharpe_probability_deflated_for_trials": -1234567.1234, "calmar": 0.1}, {}, NOW,
    Decision(False, (
        RuleResult("min_deflated_sharpe", 0.123456, 0.95, False, WHY),
        RuleResult("champion_margin", None, -1234567.0, True, "no champion"),
    )), verdict="No better than holding", experiment_id="1234567890",
)  # fmt: skip
SNAPSHOT = SnapshotInfo(
    id="0123456789ab" + "0" * 52, source="european_small_caps", table_version=1,
    symbols=tuple(f"SYM{number}.XETRA" for number in range(500)), start=DAY, end=DAY, as_of=NOW,
    created=NOW, rows=1_234_567_890, content_hash="1" * 64,
)  # fmt: skip
ROW = {
    "service": "airflow-dag-processor", "state": "restarting", "pid": 4194304, "memory": 2**31,
    "address": "http://127.0.0.1:65535", "restarts": 3, "detail": "", "healthy": False,
}  # fmt: skip
BACKUP, KEY = "2026-11-30T021500Z-4b1f", f"age1{'q' * 58}"
# Each table, and what has to stand in it in one piece.
SHOWN: dict[str, tuple[Callable[[], None], list[str]]] = {
    "status": (
        lambda: display.status({"services": [ROW]}),
        ["airflow-dag-processor", "4194304", "2048 MB", "http://127.0.0.1:65535"],
    ),
    "credentials": (
        lambda: display.credentials({"airflow": {
            "address": "https://airflow.example.com:8443", "user": "admin", "password": "x" * 32}}),
        ["https://airflow.example.com:8443", "x" * 32],
    ),
    "models": (
        lambda: display.models([ModelSummary(ACCOUNT, VERSION, {"champion": 127})]),
        [ACCOUNT, "128", "champion: 127"],
    ),
    "versions": (
        lambda: display.versions([VERSION], page="http://localhost:5500"),
        ["sharpe_probability_deflated_for_trials", "\u22121,234,567.1234", "-1.23457e+06",
         "0.123456", "2026-11-29 10:30", VERSION.run_id],
    ),
    "comparison": (
        lambda: display.comparison(Comparison(
            ACCOUNT, 127, 128, {"sharpe_probability": (-1234567.5, 0.123456)}, 700, 0.25, -0.1,
            0.6, 0.9, {"git_commit": ("a" * 40, None)}, {"universe.start": (None, "2012-01-31")})),
        ["< 0.1\u00a0%", "12.3\u00a0%", "sharpe_probability"],
    ),
    "forecast": (
        lambda: display.forecast(Forecast(
            ACCOUNT, 128, "champion", DAY, 252, {"BRK.B": -0.123456})),
        ["-12.346%", "BRK.B", "2026-11-27"],
    ),
    "sources": (
        lambda: display.sources([SourceSpec(
            name=ACCOUNT, kind="files", calendar="us_futures", description=WHY)]),
        [ACCOUNT, "after_close", "us_futures"],
    ),
    "stored": (
        lambda: display.stored([Stored(
            ACCOUNT, tuple(map(str, range(1234))), DAY, DAY, 1_234_567_890, 12_345, NOW, 678)]),
        [ACCOUNT, "1,234", "2026-11-27", "1,234,567,890", "12,345", "2026-11-29 10:30"],
    ),
    "actions": (
        lambda: display.actions([
            Action("SYM1.XETRA", "dividend", DAY, date(2026, 11, 2), 1234.567891, None),
            Action("SYM1.XETRA", "rename", DAY, None, None, "SYM2.XETRA")]),
        ["SYM1.XETRA", "2026-11-27", "2026-11-02", "1234.567891", "SYM2.XETRA"],
    ),
    "shown": (
        lambda: display.shown(Shown(
            ACCOUNT, "SYM1.XETRA", DAY, DAY, 1_234_567, 701234.5678, 3, (DAY,),
            (Step(DAY, "split", 1234.5), Step(DAY, "dividend", 0.0123456)),
            (ChangedValue("SYM1.XETRA", DAY, "adjustment_factor", 0.1234567891, NOW, 1e9, NOW),),
            (Said("SYM1.XETRA", DAY, "quorum_session", WHY, NOW),))),
        ["SYM1.XETRA", "1,234,567", "2026-11-27", "701234.5678", "1234.5 for 1", "1.235%",
         "0.1234567891", "1000000000", "2026-11-29 10:30", "quorum_session"],
    ),
    "differences": (
        lambda: display.differences(ACCOUNT, "tiingo", [Difference(
            "SYM1.XETRA", 1_234_567, 12, 3456, 78, 9, 1, WHY)]),
        ["SYM1.XETRA", "1,234,567", "3,456"],
    ),
    "snapshots": (
        lambda: display.snapshots([SNAPSHOT]),
        ["0123456789ab", "1,234,567,890", "2026-11-27", "2026-11-29 10:30"],
    ),
    "backtest": (
        lambda: display.backtest(BacktestReport(ACCOUNT, "0" * 64, dict(VERSION.metrics), 17)),
        ["sharpe_probability_deflated_for_trials", "\u22121,234,567.1234"],
    ),
    "signals": (
        lambda: display.signals(ACCOUNT, SignalSet(
            ACCOUNT, DAY, DAY, 128, "0" * 64, {"BRK.B": -0.123456})),
        ["BRK.B", "-12.35%", "2026-11-27"],
    ),
    "orders": (
        lambda: display.orders([Order(
            ACCOUNT, "c", "BRK.B", DAY, DAY, 128, -1_234_567, -1_000_000, "partially_filled",
            (WHY,))]),
        [ACCOUNT, "2026-11-27", "-1,234,567", "-1,000,000", "partially_filled"],
    ),
    "fills": (
        lambda: display.fills([Fill(
            ACCOUNT, "e", "c", "BRK.B", DAY, -1_234_567, Decimal("701234.5678"), MONEY, MONEY)]),
        ["2026-11-27", "-1,234,567", "701234.5678", "-1,234,567,890.12"],
    ),
    "positions": (
        lambda: display.positions([Position(
            ACCOUNT, "BRK.B", DAY, -1_234_567, Decimal("701234.5678"), MONEY, Decimal("-0.1234"))]),
        ["2026-11-27", "-1,234,567", "701234.5678", "-1,234,567,890.12", "-12.34%"],
    ),
    "accounts": (
        lambda: display.accounts(Accounts(
            Halt(WHY, ACCOUNT, NOW), (
                Account(
                    ACCOUNT, "replay", DAY, MONEY, MONEY, MONEY, MONEY,
                    Halt(WHY, "risk", NOW), NOW,
                    (RefusedOrder("c", "BRK.B", DAY, -1_234_567, "refused", (WHY,)),)),
                Account("new", "off", None, None, None, None, None, None, None, ())))),
        [ACCOUNT, "2026-11-27", "-1,234,567,890.12", "2026-11-29 10:30", "-1,234,567 BRK.B"],
    ),
    "pnl": (
        lambda: display.pnl([Day(ACCOUNT, DAY, *[MONEY] * 5)]),
        [ACCOUNT, "2026-11-27", "-1,234,567,890.12"],
    ),
    "removed": (
        lambda: display.removed({"airflow": Removed(
            {"events of assets": 1_234_567}, 3 * 2**40, {})}, dry_run=True),
        ["events of assets", "1,234,567", "3072.0 GB"],
    ),
    "disk": (
        lambda: display.disk(DiskUsage(
            2**40, 2**41, NOW, (Part("database tradewind", 2**40, -(2.0**31)),), 2.0**31, 512.0)),
        ["database tradewind", "1024.0 GB", "-2.0 GB"],
    ),
    "backups": (
        lambda: display.backups([Listed(BACKUP, NOW, "0.2.0", 3 * 2**40, (KEY, KEY))]),
        [BACKUP, "2026-11-29 10:30:00", "3,145,728.0 MB", "age1qqqqqqqq..."],
    ),
}  # fmt: skip


def printed(
    show: Callable[[], None], monkeypatch: pytest.MonkeyPatch, width: int | None
) -> list[str]:
    """Return the lines on a terminal of a width, or in a log if there is none."""
    monkeypatch.delenv("COLUMNS", raising=False)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    out = io.StringIO()
    forced: dict[str, Any] = {"force_terminal": True, "width": width} if width else {}
    monkeypatch.setattr(terminal, "console", Console(file=out, color_system=None, **forced))
    show()
    return out.getvalue().splitlines()


def test_every_table_is_looked_at() -> None:
    functions = [
        function
        for file in Path(display.__file__).parent.glob("*.py")
        for function in re.split(r"^def ", file.read_text(), flags=re.MULTILINE)[1:]
    ]
    shown = {
        each.partition("(")[0] for each in functions if re.search(r"Grid\(|metric_table\(", each)
    }
    assert {name for name in shown if name[0].isalpha()} - {"metric_table"} == set(SHOWN)


@pytest.mark.parametrize("width", [40, 60, 80, 120, None])
@pytest.mark.parametrize("table", SHOWN)
def test_no_figure_and_no_date_is_cut(
    table: str, width: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    show, whole = SHOWN[table]
    lines = printed(show, monkeypatch, width)
    if width is not None:  # beside the name of its column
        whole = [piece for piece in whole if len(piece) + 20 <= width]
    for piece in whole:
        assert [line for line in lines if piece in line], (piece, lines)
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("table", ["pnl", "orders", "snapshots", "positions", "fills", "sources"])
def test_no_table_is_wider_than_the_terminal(
    table: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed(SHOWN[table][0], monkeypatch, width)
    assert max(map(len, lines)) <= width


def test_in_a_log_a_row_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(SHOWN["pnl"][0], monkeypatch, None)
    assert [line.split() for line in lines if "2026" in line] == [
        [ACCOUNT, "2026-11-27", *["-1,234,567,890.12"] * 5]
    ]


def test_figures_are_flush_right_and_words_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid("symbol", Number("shares"), Words("why"))
    grid.add("A", "7", "it is " + "very " * 20)
    grid.add("[b]BRK.B[/]", "1,000", "")
    lines = printed(lambda: grid.print(terminal.console), monkeypatch, 60)
    assert [line.rstrip() for line in lines if re.search("A |BRK", line)] == [
        "A             7   it is very very very very very very very",
        "BRK.B     1,000",
    ]
    assert max(map(len, lines)) <= 60


def test_a_narrow_terminal_has_a_block_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid("session", Number("equity"), Words("why"), title="a title", caption="and a note")
    grid.add("2026-11-27", "[red]1,000,000.00[/]", "")
    grid.add("2026-11-28", "1,000,001.00", "bought")
    lines = printed(lambda: grid.print(terminal.console), monkeypatch, 30)
    assert [line.rstrip() for line in lines] == [
        "a title",
        "session  2026-11-27",
        "equity   1,000,000.00",
        "",
        "session  2026-11-28",
        "equity   1,000,001.00",
        "why      bought",
        "",
        "and a note",
    ]


def test_a_row_that_lacks_a_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        Grid("a", "b").add("c")


def test_rows_of_one_account_are_a_table_where_the_account_does_not_fit_beside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = map(Decimal, ("41231.07", "958768.93", "1000000.00", "-1234.56", "-12.34"))
    cells = tuple(figures)
    days = [Day(name, DAY, *cells) for name in ("momentum", "momentum", "ranker")]
    lines = [" ".join(line.split()) for line in printed(lambda: display.pnl(days), monkeypatch, 80)]
    row = "2026-11-27 41,231.07 958,768.93 1,000,000.00 -1,234.56 -12.34"
    assert [line for line in lines if "─" not in line and "session" not in line] == [
        "account momentum",
        row,
        row,
        "account ranker",
        row,
    ]
    wide = printed(lambda: display.pnl(days), monkeypatch, 120)
    assert "momentum   2026-11-27" in wide[2]


@pytest.mark.parametrize("width", [40, 80, None])
def test_an_address_is_one_piece_that_can_be_clicked(
    width: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = "#/experiments/1234567890/runs/0123456789abcdef0123456789abcdef"
    lines = printed(SHOWN["versions"][0], monkeypatch, width)
    sheet = f"{run}/artifacts/tearsheet/tearsheet.html?workflowType=machine_learning"
    assert f"tear sheet: http://localhost:5500/{sheet}" in lines
