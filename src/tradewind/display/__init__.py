"""What the command line shows: progress, tables, logins."""

from tradewind.display.backup import backup_made, backups, restored, upgraded
from tradewind.display.data import (
    actions,
    differences,
    findings,
    shown,
    snapshots,
    sources,
    stored,
)
from tradewind.display.housekeeping import disk, disk_in_short, removed
from tradewind.display.progress import copying, counting, note, said, starting, stopwatch, tasks
from tradewind.display.registry import (
    comparison,
    forecast,
    models,
    passed_over,
    promotion,
    reproduction,
    tear_sheet,
    versions,
)
from tradewind.display.research import backtest, signals
from tradewind.display.stack import adoption, checks, credentials, status
from tradewind.display.trading import (
    accounts,
    explanation,
    fills,
    orders,
    pnl,
    positions,
    reconciled,
)
from tradewind.display.workspace import containers, workspace

__all__ = [
    "accounts",
    "actions",
    "adoption",
    "backtest",
    "backup_made",
    "backups",
    "checks",
    "comparison",
    "containers",
    "copying",
    "counting",
    "credentials",
    "differences",
    "disk",
    "disk_in_short",
    "explanation",
    "fills",
    "findings",
    "forecast",
    "models",
    "note",
    "orders",
    "passed_over",
    "pnl",
    "positions",
    "promotion",
    "reconciled",
    "removed",
    "reproduction",
    "restored",
    "said",
    "shown",
    "signals",
    "snapshots",
    "sources",
    "starting",
    "status",
    "stopwatch",
    "stored",
    "tasks",
    "tear_sheet",
    "upgraded",
    "versions",
    "workspace",
]
