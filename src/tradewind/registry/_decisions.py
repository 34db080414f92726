"""The gate's decision as it stands on a version and its run: for programs and for people.

The tag with the whole decision as JSON is what counts: it is written in one request. All else
(the verdict as a tag, a table in the descriptions, a file of the run) repeats it where people look.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from tradewind.registry import _names as names
from tradewind.registry._pages import NOTE
from tradewind.registry.gate import Decision, RuleResult
from tradewind.strict_json import dumps

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tradewind.registry.version_info import VersionInfo

__all__ = ["read_decision", "record_decision"]

_HEADING: Final = "### Gate: "
_MAX_DESCRIPTION: Final = 5000  # characters in MLflow's database


def read_decision(tags: Mapping[str, str]) -> tuple[Decision, int | None] | None:
    """Return the decision that stands in a version's tags, and the version it was held against.

    Returns
    -------
    tuple of Decision and int, or None
        None if the version was not judged, or the tag was tampered with: then it must be judged
        again. The number is None where there was no champion.
    """
    try:
        found = json.loads(tags[names.GATE_DECISION])
        rules = tuple(RuleResult(**rule) for rule in found["rules"])
        champion = found["champion"]
    except (KeyError, TypeError, ValueError):
        return None
    if not rules or not (champion is None or isinstance(champion, int)):
        return None
    return Decision(passed=all(rule.passed is True for rule in rules), rules=rules), champion


def record_decision(
    client: "MlflowClient", info: "VersionInfo", decision: Decision, champion: int | None
) -> None:
    """Write a decision to a version and its run; what counts comes last.

    MLflow's own errors pass through. Writing the same decision again changes nothing.

    Parameters
    ----------
    client : MlflowClient
    info : VersionInfo
        What was judged.
    decision : Decision
    champion : int or None
        The version it was held against, if there was one.
    """
    from mlflow.entities import RunTag

    verdict = names.PASSED if decision.passed else names.REFUSED
    rules = [asdict(rule) for rule in decision.rules]
    whole = {"passed": decision.passed, "champion": champion, "rules": rules}
    table = _table(decision, verdict, champion, info.verdict)

    name, version = info.name, str(info.version)
    client.log_text(info.run_id, dumps(whole, indent=2) + "\n", names.GATE_FILE)
    noted = _with(client.get_run(info.run_id).data.tags.get(NOTE), table)
    client.log_batch(info.run_id, tags=[RunTag(names.GATE, verdict), RunTag(NOTE, noted)])
    registered = client.get_model_version(name, version)
    for key in registered.tags:
        if key.startswith(names.GATE_PREFIX) and key != names.GATE_DECISION:
            client.delete_model_version_tag(name, version, key)  # there was one a rule before
    described = _with(registered.description, table)
    if len(described) <= _MAX_DESCRIPTION:  # else somebody's own words take all the space
        client.update_model_version(name, version, described)
    client.set_model_version_tag(name, version, names.GATE, verdict)
    client.set_model_version_tag(name, version, names.GATE_DECISION, dumps(whole))


def _with(description: str | None, table: str) -> str:
    """Return a description with the table in the place of the one that was there."""
    own = (description or "").split(_HEADING, 1)[0].rstrip()
    return f"{own}\n\n{table}" if own else table


def _table(decision: Decision, verdict: str, champion: int | None, in_words: str) -> str:
    against = "no champion" if champion is None else f"version {champion}"
    rows = [
        f"| {rule.rule} | {_figure(rule.figure)} | {_figure(rule.bound)} | {_verdict(rule)} |"
        for rule in decision.rules
    ]
    reasons = [f"- {rule.rule}: {rule.reason}" for rule in decision.refused]
    return "\n".join(
        [
            f"{_HEADING}{verdict}, against {against}",
            "",
            *([f"{in_words}.", ""] if in_words else []),
            "| rule | figure | bound | verdict |",
            "| --- | --- | --- | --- |",
            *rows,
            *(["", *reasons] if reasons else []),
        ]
    )


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _verdict(rule: RuleResult) -> str:
    return names.PASSED if rule.passed else names.REFUSED
