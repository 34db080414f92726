"""What the command line shows: progress, tables, logins."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape

from tradewind.tables import Grid, Number, Words

if TYPE_CHECKING:
    from tradewind.desk.registry import Forecast
    from tradewind.desk.research import BacktestReport
    from tradewind.desk.tear_sheets import TearSheet
    from tradewind.desk.trading import Reconciled
    from tradewind.market.sources.source import SourceSpec
    from tradewind.market.store.bar_store import SnapshotInfo, Stored
    from tradewind.market.validation.findings import Finding
    from tradewind.registry.comparison import Comparison
    from tradewind.registry.gate import Decision, RuleResult
    from tradewind.registry.promotion import Promotion
    from tradewind.registry.reproduction import Reproduction
    from tradewind.registry.version_info import ModelSummary, VersionInfo
    from tradewind.stack.checks import Check
    from tradewind.stack.state import StackState
    from tradewind.trading.book.views import Day, Fill, Order, Position
    from tradewind.trading.explanation import Explanation
    from tradewind.trading.signals import SignalSet

__all__ = [
    "checks",
    "comparison",
    "credentials",
    "forecast",
    "models",
    "note",
    "passed_over",
    "promotion",
    "reproduction",
    "starting",
    "status",
    "stopwatch",
    "tasks",
    "tear_sheet",
    "versions",
]

COLOURS = {
    "healthy": "green", "done": "green", "starting": "yellow", "waiting": "dim",
    "restarting": "yellow", "unhealthy": "red", "failed": "red", "orphaned": "red",
    "stopped": "dim", "unknown": "red",
}  # fmt: skip
console = Console()


class _Bar:
    """A bar on a terminal, with what is being done and for how long; nothing in a log."""

    def __init__(self, what: str) -> None:
        from rich.progress import (  # most commands show none
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self.shown = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("{task.fields[now]}", markup=False),
            console=console, disable=not self.shown, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task(what, total=None, now="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def update(self, done: int, total: int, now: Iterable[str]) -> None:
        self._progress.update(
            self._task, completed=done, total=total, now=", ".join(now), refresh=True
        )

    def stop(self) -> None:
        self._progress.stop()
        self.shown = False


@contextmanager
def starting() -> Iterator[Callable[["StackState"], None]]:
    """Show services as they start: a bar on a terminal, in a log a line for each change.

    What goes wrong is a line in both, and so is every change after the start.
    """
    seen: dict[str, str] = {}

    def show(state: "StackState") -> None:
        records = state.services.values()
        ready = sum(s.state in ("healthy", "done") for s in records)
        for record in records:
            if seen.get(record.name, "waiting") != record.state:
                seen[record.name] = record.state
                if not bar.shown or COLOURS[record.state] == "red":
                    detail = f"  {record.detail}" if record.detail else ""
                    console.print(
                        f"[dim]{ready:2}/{len(records)}[/] {record.name:<24} "
                        f"[{COLOURS[record.state]}]{record.state}[/]{escape(detail)}",
                        highlight=False, soft_wrap=True,
                    )  # fmt: skip
        bar.update(ready, len(records), (s.name for s in records if s.state == "starting"))
        if ready == len(records):
            bar.stop()

    with _Bar("starting") as bar:
        yield show


def status(found: dict[str, Any]) -> None:
    """Print a table of the services."""
    if not found["services"]:
        console.print("The stack has never run here. Start it: tradewind up --detach")
        return
    total = sum(row["memory"] or 0 for row in found["services"])
    table = Grid(
        "service", "state", Number("pid"), Number("memory"), "address",
        caption=f"memory together {total / 2**20:.0f} MB (proportional set size)",
    )  # fmt: skip
    for row in found["services"]:
        memory = f"{row['memory'] / 2**20:.0f} MB" if row["memory"] else ""
        table.add(
            row["service"], f"[{COLOURS[row['state']]}]{row['state']}[/]", str(row["pid"] or ""),
            memory, row["address"],
        )  # fmt: skip
    table.print(console)
    for row in found["services"]:
        if row["restarts"]:
            console.print(f"{row['service']}: started again {row['restarts']} times")
        if row["detail"]:
            console.print(f"{row['service']}: {row['detail']}", markup=False, soft_wrap=True)


def credentials(found: dict[str, dict[str, str]]) -> None:
    """Print a table of logins."""
    table = Grid("page", "address", "user", "password")
    for page, login in found.items():
        table.add(page, login["address"], login["user"], login["password"])
    table.print(console)


@contextmanager
def stopwatch(what: str) -> Iterator[None]:
    """Print how long a part took."""
    began = time.monotonic()
    yield
    console.print(f"[bold]{what}[/] took {time.monotonic() - began:.1f} s")


@contextmanager
def tasks(what: str = "training") -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Show a run's tasks as they change: a bar on a terminal, in a log a line for each change."""
    seen: dict[str, str] = {}
    colours = {"success": "green", "running": "yellow", "failed": "red", "upstream_failed": "red"}

    def show(states: Mapping[str, str]) -> None:
        done = sum(s == "success" for s in states.values())
        for task, state in states.items():
            if seen.get(task, "none") != state:
                seen[task] = state
                colour = colours.get(state, "dim")
                if not bar.shown or colour == "red":
                    console.print(f"[dim]{done}/{len(states)}[/] {task:<24} [{colour}]{state}[/]")
        bar.update(done, len(states), (t for t, s in states.items() if s in ("queued", "running")))

    with _Bar(what) as bar:
        yield show


def note(sentence: str) -> None:
    """Tell who waits what for: above the bar on a terminal, else beside what a program may read."""
    shown = console if console.is_terminal else Console(stderr=True)
    shown.print(f"[yellow]{escape(sentence)}[/]", soft_wrap=True)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many of some parts are done: a bar on a terminal, nothing in a log."""
    with _Bar(what) as bar:
        yield lambda done, total: bar.update(done, total, ())


def checks(found: "Sequence[Check]") -> None:
    """Print each check, and under what is wrong how to mend it."""
    for check in found:
        if check.ok:
            console.print(f"[green]ok[/]    {check.name}")
        else:
            console.print(f"[red]wrong[/] {check.name}")
            for line in (*check.problem.splitlines(), f"mend: {check.mend}"):
                _address(f"      {line}")
    wrong = sum(not check.ok for check in found)
    console.print(f"{wrong} of {len(found)} checks found something wrong" if wrong else "all well")


_RUN_STAGES = {
    "active": "",
    "deleted": "its run is in MLflow's bin",
    "gone": "its run was deleted for good",
}


def models(found: "Sequence[ModelSummary]") -> None:
    """Print a table of models."""
    if not found:
        console.print("No model is registered yet: tradewind train STRATEGY --wait")
        return
    table = Grid("model", Number("latest version"), Words("aliases"), Words("latest, in words"))
    for model in found:
        aliases = ", ".join(f"{alias}: {version}" for alias, version in model.aliases.items())
        latest = model.latest
        words = (
            (_RUN_STAGES[latest.run_stage] or latest.verdict.partition(":")[0]) if latest else ""
        )
        table.add(model.name, str(model.latest.version) if model.latest else "", aliases, words)
    table.print(console)


def versions(found: "Sequence[VersionInfo]", *, page: str = "") -> None:
    """Print a table of walk-forward metrics for each version, and where its tear sheet is.

    Parameters
    ----------
    found : sequence of VersionInfo
    page : str
        Address of MLflow's page; no tear sheet is named without it.
    """
    from tradewind.registry.tear_sheets import address

    for version in found:
        aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
        table = Grid(
            "walk-forward metric", Number("value"),
            title=f"{version.name} version {version.version}{aliases}",
            caption=f"registered {version.created:%Y-%m-%d %H:%M} UTC\nrun {version.run_id}"
            + (f"\n{stage}" if (stage := _RUN_STAGES[version.run_stage]) else ""),
        )  # fmt: skip
        for name, value in sorted(version.metrics.items()):
            table.add(name, f"{value:,.4f}")
        table.print(console)
        if version.verdict:
            console.print(f"{version.verdict}.", markup=False, highlight=False)
        if version.decision is None:
            console.print("The gate has not judged this version.")
        else:
            _decision(version.decision)
        if page and (sheet := address(page, version)):
            _address(f"tear sheet: {sheet}")


def tear_sheet(found: "TearSheet", *, opened: bool | None) -> None:
    """Print where a tear sheet was saved and where MLflow shows it, and whether it was opened."""
    _address(f"{found.name} version {found.version}: {found.file}")
    _address(f"in MLflow: {found.address}")
    if opened is False:
        console.print("No browser could be started here; open one of these by hand.")


def _address(line: str) -> None:
    """Print a line in one piece, so that a terminal can make a link of an address or a file."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def passed_over() -> None:
    """Print why a demo makes a champion of what its gate refused."""
    console.print(
        "That is the gate at work. It asks what a strategy adds to holding, and on these bars, "
        "four stocks picked in hindsight, none of the strategies that ship adds enough: each is "
        "refused. So that the rest can be seen, signals and paper orders, the demo overrules it, "
        "which stays in the model's history with its reason. With money, do not.",
        markup=False,
    )


def _reasons(decision: "Decision") -> None:
    for rule in decision.refused:
        console.print(f"{rule.rule}: {rule.reason}", markup=False)


def _decision(decision: "Decision") -> None:
    columns = ("gate's rule", Number("figure"), Number("bound"), "verdict")
    table = Grid(*columns, title=f"gate: {_word(decision)}")
    for rule in decision.rules:
        table.add(rule.rule, _number(rule.figure), _number(rule.bound), _word(rule))
    table.print(console)
    _reasons(decision)


def comparison(found: "Comparison") -> None:
    """Print two versions side by side, and in what they differ."""
    first, second = f"version {found.version_a}", f"version {found.version_b}"
    table = Grid("walk-forward metric", Number(first), Number(second), title=found.name)
    for name, values in found.metrics.items():
        table.add(name, *(_number(value) for value in values))
    table.print(console)
    console.print(
        f"Sharpe ratio of {second} less that of {first} on {found.common_sessions} common "
        f"sessions: {_number(found.sharpe_difference)}, {found.level:.0%} interval "
        f"{_number(found.low)} to {_number(found.high)}"
    )
    differing = {**found.provenance, **found.strategy}
    if differing:
        table = Grid(Words("what differs"), Words(first), Words(second))
        for name, pair in differing.items():
            table.add(name, *(escape(_text(value)) for value in pair))
        table.print(console)


def promotion(name: str, done: "Promotion", *, told: bool) -> None:
    """Print who is champion now, and instead of whom, and whether Airflow was told."""
    former = "" if done.former is None else f", instead of version {done.former}"
    console.print(f"{name} version {done.version} is the champion{former}", markup=False)
    if done.refused:
        console.print(f"The gate had refused it: {', '.join(done.refused)}", markup=False)
    console.print(
        f"signals_{name} makes its signals now; see them with `tradewind signals {name}`"
        if told
        else f"Airflow has no strategy {name}, so nobody makes its signals",
        markup=False,
    )


def reproduction(found: "Reproduction") -> None:
    """Print whether a version was reproduced, and what differs: conditions first, then results."""
    for kind, differences in (("conditions", found.conditions), ("results", found.results)):
        for difference in differences:
            console.print(f"{kind}: {difference.what}: {difference.detail}", markup=False)
    verdict = "[green]identical[/]" if found.identical else "[red]not identical[/]"
    values = ", ".join(f"{count} {what}" for what, count in found.compared.items())
    console.print(f"{found.name} version {found.version}, trained again: {verdict}")
    console.print(f"compared: {values}", markup=False)
    for left_out in found.not_compared:
        console.print(f"not compared: {left_out}", markup=False)


def _word(judged: "Decision | RuleResult") -> str:
    return "[green]passed[/]" if judged.passed else "[red]refused[/]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"


def _text(value: object) -> str:
    return "" if value is None else str(value)


def forecast(found: "Forecast") -> None:
    """Print predictions of one session."""
    what = "score, of use for its order alone" if found.is_score else "forward return"
    table = Grid(
        "symbol", Number(f"{what}, {found.horizon} sessions"),
        title=f"{found.strategy}@{found.alias} (version {found.version}) "
        f"at the close of {found.session}",
    )  # fmt: skip
    for symbol, value in found.predictions.items():
        table.add(escape(symbol), f"{value:+.4f}" if found.is_score else f"{value:+.3%}")
    table.print(console)


def sources(found: "Sequence[SourceSpec]") -> None:
    """Print a table of sources."""
    table = Grid("source", "kind", "calendar", "schedule", Words("description"))
    for spec in found:
        table.add(
            spec.name, escape(spec.kind), escape(spec.calendar), spec.schedule or "by hand",
            escape(spec.description),
        )  # fmt: skip
    table.print(console)


def findings(found: "Sequence[Finding]") -> None:
    """Print what validation found, errors first."""
    colours = {"error": "red", "warning": "yellow"}
    for each in found:
        console.print(
            f"[{colours[each.severity]}]{each.severity:<7}[/] {escape(str(each))}", soft_wrap=True
        )
    counts = {"error": 0, "warning": 0}
    for each in found:
        counts[each.severity] += each.count
    console.print(f"{counts['error']} errors, {counts['warning']} warnings")


def stored(found: "Sequence[Stored]") -> None:
    """Print a table of what is stored."""
    table = Grid(
        "source", Number("symbols"), Words("sessions"), Number("bars"), Number("revised"),
        "stored last, UTC",
    )  # fmt: skip
    for each in found:
        table.add(
            each.source, f"{len(each.symbols):,}", f"{each.first} to {each.last}",
            f"{each.bars:,}", f"{each.revised:,}", f"{each.stored:%Y-%m-%d %H:%M}",
        )  # fmt: skip
    _print_or(table, "Nothing is stored yet: tradewind data ingest SOURCE")


def snapshots(found: "Sequence[SnapshotInfo]") -> None:
    """Print a table of snapshots."""
    if not found:
        console.print(
            "There is no snapshot yet: a training or a backtest takes one. What is stored says "
            "`tradewind data stored`"
        )
        return
    table = Grid(
        "snapshot", "source", Words("symbols"), Words("sessions"), Number("bars"), "as of", "taken"
    )
    for each in found:
        table.add(
            each.id[:12], each.source, escape(_some(each.symbols)),
            f"{each.start or 'the first'} to {each.end or 'the last'}", f"{each.rows:,}",
            f"{each.as_of:%Y-%m-%d %H:%M}" if each.as_of else "taken",
            f"{each.created:%Y-%m-%d %H:%M}",
        )  # fmt: skip
    table.print(console)


def backtest(found: "BacktestReport") -> None:
    """Print the figures of a backtest."""
    table = Grid(
        "walk-forward metric", Number("value"), title=f"{found.strategy}, {found.folds} folds",
        caption=f"snapshot {found.snapshot_id[:12]}; entered in the ledger",
    )  # fmt: skip
    for name, value in sorted(found.metrics.items()):
        table.add(name, f"{value:,.4f}")
    table.print(console)
    if found.verdict:
        console.print(f"{found.verdict}.", markup=False, highlight=False)


def signals(strategy: str, found: "SignalSet | None") -> None:
    """Print target weights."""
    if found is None:
        console.print(
            f"No signals by a champion of {strategy} yet: they are made when a version becomes "
            f"champion and when its source has stored new bars; see signals_{strategy} in Airflow"
        )
        return
    table = Grid(
        "symbol", Number("weight"),
        title=f"{strategy}, decided after {found.session} for the open of {found.trade_session}",
        caption=f"version {found.model_version}, snapshot {found.snapshot_id[:12]}",
    )  # fmt: skip
    for symbol, weight in found.weights.items():
        table.add(escape(symbol), f"{weight:+.2%}")
    table.print(console)


def orders(found: "Sequence[Order]") -> None:
    """Print orders, and what became of each."""
    table = Grid(
        "account", "for the open of", "symbol", Number("shares"), Number("filled"), "state",
        Words("why"), grouped=True,
    )  # fmt: skip
    for each in found:
        table.add(
            each.account, str(each.session), escape(each.symbol), f"{each.shares:+,}",
            f"{each.filled:+,}", each.state, escape("; ".join(each.reasons)),
        )  # fmt: skip
    _print_or(table, "no orders yet")


def explanation(found: "Explanation") -> None:
    """Print how an order came to its size, a step a line."""
    one = found
    own = ", ".join(f"{each:g}" for each in one.tranches)
    mean = f" = mean of {own}" if own else ""
    if one.is_left:
        mean = f": it has no bar of {one.signal_session}, and is left; sessions wanted {own}"
    lots = f", in lots of {one.lot_size}" if one.lot_size > 1 else ""
    steps = {
        "order": f"{one.client_order_id} of {one.account}: {one.state}",
        "decided": f"after {one.signal_session} by version {one.model_version}",
        "for the open of": str(one.trade_session),
        "weight": f"{one.weight:f}{mean}",
        "equity": f"{one.equity:,.2f} at the close of {one.settled}, {one.cash:,.2f} of it cash",
        "set aside": f"{one.set_aside:,.2f} for costs of {one.cost_bps:f} bps",
        "close": f"{one.close.normalize():f}",
        "wanted": f"{one.wanted:,.4f} shares, rounded to {one.whole:,}{lots}",
        "held": f"{one.held:,}",
        "shares": f"{one.target:,} - {one.held:,} = {one.shares:+,} of {one.symbol}",
        "why": "; ".join(one.reasons),
    }
    for name, said in steps.items():
        if said:
            console.print(f"{name:<16} {said}", markup=False, highlight=False, soft_wrap=True)


def fills(found: "Sequence[Fill]") -> None:
    """Print trades."""
    table = Grid(
        "account",
        "session",
        "symbol",
        *map(Number, ("shares", "price", "commission", "slippage")),
        grouped=True,
    )
    for each in found:
        table.add(
            each.account, str(each.session), escape(each.symbol), f"{each.shares:+,}",
            f"{each.price.normalize():f}", f"{each.commission:,}", f"{each.slippage:,}",
        )  # fmt: skip
    _print_or(table, "no fills yet")


def positions(found: "Sequence[Position]") -> None:
    """Print what is held at the last close."""
    table = Grid(
        "account",
        "at the close of",
        "symbol",
        *map(Number, ("shares", "price", "value", "weight")),
        grouped=True,
    )
    for each in found:
        table.add(
            each.account, str(each.session), escape(each.symbol), f"{each.shares:,}",
            f"{each.price.normalize():f}", f"{each.value:,}", f"{each.weight:+.2%}",
        )  # fmt: skip
    _print_or(table, "no positions")


def pnl(found: "Sequence[Day]") -> None:
    """Print each session's profit and loss."""
    table = Grid(
        "account",
        "session",
        *map(Number, ("cash", "positions", "equity", "profit", "costs")),
        grouped=True,
    )
    for each in found:
        colour = "red" if each.profit < 0 else "green" if each.profit > 0 else "dim"
        table.add(
            each.account, str(each.session), f"{each.cash:,}", f"{each.positions:,}",
            f"{each.equity:,}", f"[{colour}]{each.profit:+,}[/]", f"{each.costs:,}",
        )  # fmt: skip
    _print_or(table, "no sessions yet")


def reconciled(found: "Sequence[Reconciled]") -> None:
    """Print how accounts compare with their broker."""
    for each in found:
        if each.difference:
            console.print(f"[red]differs[/]  {each.account}: {escape(each.difference)}")
            continue
        counts = ", ".join(f"{each.compared[what]} {what}" for what in _COMPARED)
        console.print(f"[green]agrees[/]   {each.account}: {counts}")
    if not found:
        console.print("no account has been opened yet")


_COMPARED = ("orders", "fills", "positions")


def _print_or(table: Grid, nothing: str) -> None:
    table.print(console) if table else console.print(nothing)


def _some(names: "Sequence[str]", shown: int = 6) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
