"""Models, their versions, and what becomes of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from tradewind.display import terminal
from tradewind.display.figures import metric_table
from tradewind.display.tables import Grid, Number, Words
from tradewind.research.words import EXTERNAL_IN_WORDS

if TYPE_CHECKING:
    from tradewind.desk.registry import Forecast
    from tradewind.desk.tear_sheets import TearSheet
    from tradewind.registry.comparison import Comparison
    from tradewind.registry.gate import Decision, RuleResult
    from tradewind.registry.promotion import Promotion
    from tradewind.registry.reproduction import Reproduction
    from tradewind.registry.version_info import ModelSummary, VersionInfo

__all__ = [
    "comparison",
    "forecast",
    "models",
    "passed_over",
    "promotion",
    "reproduction",
    "tear_sheet",
    "versions",
]

_RUN_STAGES = {
    "active": "",
    "deleted": "its run is in MLflow's bin",
    "gone": "its run was deleted for good",
}


def models(found: "Sequence[ModelSummary]") -> None:
    """Print a table of models."""
    if not found:
        terminal.console.print("No model is registered yet: tradewind train STRATEGY --wait")
        return
    table = Grid("model", Number("latest version"), Words("aliases"), Words("latest, in words"))
    for model in found:
        aliases = ", ".join(f"{alias}: {version}" for alias, version in model.aliases.items())
        latest = model.latest
        words = (
            (_RUN_STAGES[latest.run_stage] or latest.verdict.partition(":")[0]) if latest else ""
        )
        table.add(model.name, str(model.latest.version) if model.latest else "", aliases, words)
    table.print(terminal.console)


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
        metric_table(
            {name: (value,) for name, value in version.metrics.items()}, "value",
            title=f"{version.name} version {version.version}{aliases}",
            caption=f"registered {version.created:%Y-%m-%d %H:%M} UTC\nrun {version.run_id}"
            + (f"\n{stage}" if (stage := _RUN_STAGES[version.run_stage]) else ""),
        ).print(terminal.console)  # fmt: skip
        if version.verdict:
            terminal.console.print(f"{version.verdict}.", markup=False, highlight=False)
        if version.pickled:
            terminal.console.print("It is a pickle, and runs code where it is loaded.")
        if version.external:
            terminal.console.print(f"{EXTERNAL_IN_WORDS}.")
        if version.decision is None:
            terminal.console.print("The gate has not judged this version.")
        else:
            _decision(version.decision)
        if page and (sheet := address(page, version)):
            terminal.in_one_piece(f"tear sheet: {sheet}")


def tear_sheet(found: "TearSheet", *, opened: bool | None) -> None:
    """Print where a tear sheet was saved and where MLflow shows it, and whether it was opened."""
    terminal.in_one_piece(f"{found.name} version {found.version}: {found.file}")
    terminal.in_one_piece(f"in MLflow: {found.address}")
    if opened is False:
        terminal.console.print("No browser could be started here; open one of these by hand.")


def passed_over() -> None:
    """Print why a demo makes a champion of what its gate refused."""
    terminal.console.print(
        "That is the gate at work. It asks what a strategy adds to holding, and on these bars, "
        "four stocks picked in hindsight, none of the strategies that ship adds enough: each is "
        "refused. So that the rest can be seen, signals and paper orders, the demo overrules it, "
        "which stays in the model's history with its reason. With money, do not.",
        markup=False,
    )


def _reasons(decision: "Decision") -> None:
    for rule in decision.refused:
        terminal.console.print(f"{rule.rule}: {rule.reason}", markup=False)


def _decision(decision: "Decision") -> None:
    columns = ("gate's rule", Number("figure"), Number("bound"), "verdict")
    table = Grid(*columns, title=f"gate: {_word(decision)}")
    for rule in decision.rules:
        table.add(rule.rule, _number(rule.figure), _number(rule.bound), _word(rule))
    table.print(terminal.console)
    _reasons(decision)


def comparison(found: "Comparison") -> None:
    """Print two versions side by side, and in what they differ."""
    first, second = f"version {found.version_a}", f"version {found.version_b}"
    metric_table(found.metrics, first, second, title=found.name).print(terminal.console)
    terminal.console.print(
        f"Sharpe ratio of {second} less that of {first} on {found.common_sessions} common "
        f"sessions: {_number(found.sharpe_difference)}, {found.level:.0%} interval "
        f"{_number(found.low)} to {_number(found.high)}"
    )
    differing = {**found.provenance, **found.strategy}
    if differing:
        table = Grid(Words("what differs"), Words(first), Words(second))
        for name, pair in differing.items():
            table.add(name, *(escape(_text(value)) for value in pair))
        table.print(terminal.console)


def promotion(name: str, done: "Promotion", *, told: bool) -> None:
    """Print who is champion now, and instead of whom, and whether Airflow was told."""
    former = "" if done.former is None else f", instead of version {done.former}"
    terminal.console.print(f"{name} version {done.version} is the champion{former}", markup=False)
    if done.refused:
        terminal.console.print(f"The gate had refused it: {', '.join(done.refused)}", markup=False)
    terminal.console.print(
        f"signals_{name} makes its signals now; see them with `tradewind signals {name}`"
        if told
        else f"Airflow has no strategy {name}, so nobody makes its signals",
        markup=False,
    )


def reproduction(found: "Reproduction") -> None:
    """Print whether a version was reproduced, and what differs: conditions first, then results."""
    for kind, differences in (("conditions", found.conditions), ("results", found.results)):
        for difference in differences:
            terminal.console.print(f"{kind}: {difference.what}: {difference.detail}", markup=False)
    verdict = "[green]identical[/]" if found.identical else "[red]not identical[/]"
    values = ", ".join(f"{count} {what}" for what, count in found.compared.items())
    terminal.console.print(f"{found.name} version {found.version}, trained again: {verdict}")
    terminal.console.print(f"compared: {values}", markup=False)
    for left_out in found.not_compared:
        terminal.console.print(f"not compared: {left_out}", markup=False)


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
    table.print(terminal.console)
