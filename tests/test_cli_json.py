"""Every command's ``--json`` is JSON to every reader, whatever figures it has to show."""

import inspect
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tradewind import cli
from tradewind.desk import stored_bars
from tradewind.desk.data import Action
from tradewind.desk.disk import DiskUsage, Part
from tradewind.desk.housekeeping import Removed
from tradewind.desk.new import Begun
from tradewind.desk.registry import Forecast
from tradewind.desk.research import BacktestReport
from tradewind.desk.stored_bars import ChangedValue, Said, Shown, Step
from tradewind.desk.tear_sheets import TearSheet
from tradewind.desk.trading import Reconciled
from tradewind.desk.workspace import Workspace
from tradewind.market.sources.source import SourceSpec
from tradewind.market.store.bar_store import SnapshotInfo, Stored
from tradewind.market.validation.findings import Finding
from tradewind.registry.comparison import Comparison
from tradewind.registry.gate import Decision, RuleResult
from tradewind.registry.reproduction import Difference, Reproduction
from tradewind.registry.version_info import ModelSummary, VersionInfo
from tradewind.stack.adoption import findings
from tradewind.stack.backup.kept import Backup
from tradewind.stack.backup.make import Made
from tradewind.stack.backup.manifest import Contents, File, Manifest
from tradewind.stack.backup.places import Directory
from tradewind.stack.backup.restore import Restored
from tradewind.stack.backup.upgrade import Upgraded
from tradewind.stack.checks import Check
from tradewind.stack.state import StackState
from tradewind.trading.book.halts import Halt
from tradewind.trading.book.standing import Account, Accounts
from tradewind.trading.book.views import Day, Fill, Order, Position
from tradewind.trading.explanation import Explanation
from tradewind.trading.signals import SignalSet

CHECKOUT = Path(__file__).parents[1]
DAY, NOW, NAN, CENTS = (
    date(2012, 1, 31),
    datetime(2012, 1, 31, tzinfo=UTC),
    math.nan,
    Decimal("0.10"),
)
VERSION = VersionInfo(
    "m", 1, ("champion",), "r", {"sharpe": NAN, "sortino": math.inf}, {}, NOW,
    Decision(False, (RuleResult("max_pbo", NAN, 0.5, False, "is missing"),)),
)  # fmt: skip
SNAPSHOT = SnapshotInfo(
    id="0" * 64, source="s", table_version=1, symbols=("A",), start=DAY, end=None, as_of=NOW,
    created=NOW, rows=1, content_hash="1" * 64,
)  # fmt: skip
BACKUP = Backup(
    Directory(Path("/b")), "2012-01-31T000000Z",
    Manifest(version="0", made=NOW, encrypted_to=(), parts={"a": File(size=1, sha256="0" * 64)}),
)  # fmt: skip
CONTENTS = Contents(
    version="0", made=NOW, migrations=(), tables={"mlflow": {"runs": 1}}, files={}, registered=()
)
MADE = Made(BACKUP, CONTENTS, [])
# By command: what is called, what it then returns, and the arguments.
SHOWN: dict[str, tuple[str, object, list[str]]] = {
    "containers": ("desk.containers.write_containers", ("compose.yaml",), []),
    "init": ("desk.workspace.make_workspace", Workspace(Path("/a"), (".gitignore",)), ["/a"]),
    "status": ("stack.lifecycle.status", {"healthy": True, "services": [{"memory": NAN}]}, []),
    "credentials": ("stack.lifecycle.credentials", {"airflow": {"user": "admin"}}, []),
    "housekeeping": (
        "desk.housekeeping.housekeep", {"mlflow": Removed({"runs": 1}, 5, {"files": 7})}, [],
    ),
    "new": (
        "desk.new.begin", Begun("model", "m", Path("/d"), ("strategies/m.py",)), ["model", "m"],
    ),
    "disk": (
        "desk.disk.disk_usage", DiskUsage(1, 2, NOW, (Part("bars", None, NAN),), NAN, None), [],
    ),
    "adopt": (
        "stack.adoption.adopt",
        findings.Adoption(
            (findings.Part("redis", "a:1", [findings.Finding("users", "ready")], ["ACL SAVE"]),)
        ), [],
    ),
    "doctor": ("stack.doctor.diagnose", [Check("a", "b", "c")], []),
    "backup": ("stack.backup.local.back_up", MADE, ["/b"]),
    "backups": ("stack.backup.kept.backups", [BACKUP], ["/b"]),
    "restore": ("stack.backup.local.restore", Restored(BACKUP, CONTENTS), ["/b"]),
    "upgrade": ("stack.backup.upgrade.upgrade", Upgraded(MADE, StackState(1, None)), []),
    "models list": ("desk.registry.models", [ModelSummary("m", VERSION, {"champion": 1})], []),
    "models show": ("desk.registry.versions", [VERSION], ["m"]),
    "models compare": (
        "desk.registry.compare",
        Comparison("m", 1, 2, {"sharpe": (NAN, None)}, 7, NAN, None, NAN, 0.9, {}, {"a": (NAN, 1)}),
        ["m", "1", "2"],
    ),
    "reproduce": (
        "desk.registry.reproduce",
        Reproduction("m", 1, "s", True, (Difference("a", "b", NAN),), (), {"metrics": 1}),
        ["m", "1"],
    ),
    "predict": (
        "desk.registry.predict", Forecast("m", 1, "champion", DAY, 5, {"A": NAN}), ["m"],
    ),
    "tearsheet": (
        "desk.tear_sheets.save", TearSheet("m", 3, Path("/a/m-3.html"), "http://a/#/b"), ["m"],
    ),
    "data sources": ("desk.data.sources", [SourceSpec(name="s", kind="sample")], []),
    "data ingest": ("desk.data.ingest", {"new": 1, "revised": 0}, ["s"]),
    "data validate": (
        "desk.data.validate", [Finding("error", "A", DAY, "finite", NAN, "no number")], ["s"],
    ),
    "data actions": (
        "desk.data.actions", [Action("A", "split", DAY, None, 2.0, None)],
        ["s", "--since", "2020-01-02"],
    ),
    "data stored": ("desk.data.stored", [Stored("s", ("A",), DAY, DAY, 7, 0, NOW, 1)], []),
    "data show": (
        "desk.stored_bars.show",
        Shown("s", "A", DAY, DAY, 1, NAN, 0, (DAY,), (Step(DAY, "split", NAN),),
              (ChangedValue("A", DAY, "close", NAN, NOW, 1.0, NOW),),
              (Said("A", DAY, "quorum_price", "why", NOW),)),
        ["s", "A"],
    ),
    "data compare": (
        "desk.stored_bars.compare", [stored_bars.Difference("A", 1, 0, 0, 0, 0, 0, "")],
        ["s", "t"],
    ),
    "data doctor": ("desk.stored_bars.diagnose", [Check("s", note="n")], []),
    "data snapshots": ("desk.data.snapshots", [SNAPSHOT], []),
    "backtest": ("desk.research.backtest", BacktestReport("m", "0", {"calmar": NAN}, 3), ["m"]),
    "signals": ("desk.research.signals", SignalSet("m", DAY, DAY, 1, "0", {"A": NAN}), ["m"]),
    "trading accounts": (
        "desk.trading.accounts",
        Accounts(
            Halt("why", "me", NOW),
            (Account("m", "paper", DAY, CENTS, CENTS, CENTS, CENTS, None, NOW, ()),),
        ),
        [],
    ),
    "trading orders": (
        "desk.trading.orders", [Order("m", "c", "A", DAY, DAY, 1, 3, 0, "sent", ("why",))], [],
    ),
    "trading explain": (
        "desk.trading.explain",
        Explanation(
            "m", "c", "A", "sent", ("why",), DAY, DAY, 1, "0", (NAN,), CENTS, DAY, CENTS, CENTS,
            CENTS, CENTS, CENTS, Decimal("NaN"), 1, 0, 1, 1, 1,
        ),
        ["c"],
    ),
    "trading fills": (
        "desk.trading.fills", [Fill("m", "e", "c", "A", DAY, 3, CENTS, CENTS, CENTS)], [],
    ),
    "trading positions": (
        "desk.trading.positions", [Position("m", "A", DAY, 3, CENTS, CENTS, Decimal("NaN"))], [],
    ),
    "trading pnl": ("desk.trading.pnl", [Day("m", DAY, *[CENTS] * 5)], []),
    "trading reconcile": (
        "desk.trading.reconcile", [Reconciled("m", {"orders": 1, "cash": CENTS, "off": NAN})], [],
    ),
}  # fmt: skip


def with_json(app: typer.Typer, prefix: str = "") -> Iterator[str]:
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__.replace("_", "-")
        # One that is hidden is another name of one that is not.
        if "as_json" in inspect.signature(command.callback).parameters and not command.hidden:
            yield prefix + name
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from with_json(group.typer_instance, f"{prefix}{group.name} ")


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def returning(value: object) -> Callable[..., object]:
    return lambda *_, **__: value


def test_each_command_with_json_is_looked_at() -> None:
    assert set(with_json(cli.app)) == set(SHOWN)


@pytest.mark.parametrize("command", SHOWN)
def test_what_a_command_prints_for_programs_is_strict_json(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called, found, arguments = SHOWN[command]
    monkeypatch.setenv("TRADEWIND_HOME", str(CHECKOUT))
    monkeypatch.setattr(f"tradewind.{called}", returning(found))
    monkeypatch.setattr("tradewind.stack.secrets.load_secrets", returning(None))
    monkeypatch.setattr("tradewind.desk.training.check_files", returning([]))
    done = CliRunner().invoke(cli.app, [*command.split(), *arguments, "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    printed = strict(done.stdout)
    assert printed
    if "0.10" in repr(found):
        assert '"0.10"' in done.stdout  # money keeps its digits, as text
    if "datetime.date" in repr(found):
        assert '"2012-01-31' in done.stdout
