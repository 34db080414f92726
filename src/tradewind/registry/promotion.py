"""The way of a version to champion and back: judged, promoted, rolled back, and why.

Nothing here is a transaction in MLflow. So each step is written in an order that leaves no
harm behind when it is the last: a verdict before the alias it allows, an entry of the history
before the change it tells of. Repeating a call finishes what an interrupted one began.
"""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tradewind.errors import PromotionError
from tradewind.registry import _names as names
from tradewind.registry._client import connect, mlflow_errors
from tradewind.registry._decisions import read_decision, record_decision
from tradewind.registry._files import strategy_of
from tradewind.registry._history import (
    Promotion,
    carried_out,
    key_of,
    pending,
    read_history,
    standing,
)
from tradewind.registry.gate import Decision, decide
from tradewind.registry.read_evidence import read_evidence
from tradewind.registry.version_info import VersionInfo
from tradewind.registry.versions import version_by_number

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Promotion", "history", "judge_version", "promote", "rollback"]

_MAX_TEXT: Final = 1500  # characters as kept; an entry has three, and must fit into 5,000


def judge_version(name: str, version: int | str) -> Decision:
    """Ask the gate about a version, write down what it says, and set or take its alias.

    The rules are those of the version's own strategy. It is held against the champion of this
    moment; the champion itself keeps the decision it became champion by. A version that passed
    gets the alias ``challenger``, one that is refused does not keep it.

    Parameters
    ----------
    name : str
        Registered model.
    version : int or str

    Returns
    -------
    Decision

    Raises
    ------
    RegistryError
        If there is no such version, its strategy or its returns are damaged, or MLflow is out
        of reach. Then nothing is decided.
    """
    with mlflow_errors(f"judging {name} version {version}", missing=_incomplete(name, version)):
        client = connect()
        return _judge(client, version_by_number(client, name, int(version)))


def promote(
    name: str, version: int | str, *, reason: str, by: str, override: str | None = None
) -> Promotion:
    """Make a version the champion, and remember who was it before.

    A decision that was made against another champion than today's is made again first. The
    alias ``previous`` goes to the former champion.

    Parameters
    ----------
    name : str
        Registered model.
    version : int or str
    reason, by : str
        Why, and who says so; both are kept.
    override : str, optional
        Why a version is promoted that the gate refused; kept, too. Not used where it passed.

    Returns
    -------
    Promotion
        The entry in the history. Of a version that is champion already, the entry by which it
        became champion.

    Raises
    ------
    PromotionError
        If the gate has not judged the version, or has refused it and nothing overrides that,
        or the version is marked for leakage, which nothing overrides.
    RegistryError
        If there is no such version, or MLflow is out of reach.
    """
    _check_text(reason=reason, by=by, override=override)
    with mlflow_errors(f"promoting {name} version {version}", missing=_incomplete(name, version)):
        client = connect()
        info = version_by_number(client, name, int(version))
        champion, tags = _state(client, name)
        entries = read_history(name, tags)
        if info.version == champion:
            return _already(client, name, champion, standing(entries, champion))
        refused = _passable(client, info, champion, override)
        entry = Promotion(
            kind="promotion", version=info.version, former=champion, at=_now(), by=by,
            reason=reason, override=override if refused else None, refused=refused,
        )  # fmt: skip
        _refuse_repetition(name, entry, entries)
        return _carry_out(client, name, entry, tags)


def rollback(name: str, *, reason: str, by: str) -> Promotion:
    """Make the former champion the champion again.

    Once: where it came to be champion by a rollback, another one would undo nothing, so the
    version to go back to must be named with `promote`. Repeating the same call, with the same
    reason by the same person, changes nothing more.

    Parameters
    ----------
    name : str
        Registered model.
    reason, by : str
        Why, and who says so; both are kept.

    Returns
    -------
    Promotion
        The entry in the history.

    Raises
    ------
    PromotionError
        If there is no former champion.
    RegistryError
        If there is no such model, or MLflow is out of reach.
    """
    _check_text(reason=reason, by=by, override=None)
    with mlflow_errors(f"rolling back {name}", missing=_nothing_to_undo(name)):
        client = connect()
        champion, tags = _state(client, name)
        entries = read_history(name, tags)
        current = standing(entries, champion)
        if current is None or champion is None:
            raise PromotionError(_nothing_to_undo(name))
        if current.kind == "rollback":
            if (current.reason, current.by) == (reason, by):
                return _finish(client, name, current)
            raise PromotionError(
                f"{name} was already rolled back to version {champion} by {current.by} "
                f"({current.reason}). To go further back, name the version: `tradewind models "
                f"promote {name} VERSION --reason ...`"
            )
        if current.former is None:
            raise PromotionError(_nothing_to_undo(name))
        version_by_number(client, name, current.former)  # it may have been deleted since
        entry = Promotion(
            kind="rollback", version=current.former, former=champion, at=_now(), by=by,
            reason=reason,
        )  # fmt: skip
        return _carry_out(client, name, entry, tags)


def history(name: str) -> list[Promotion]:
    """Return every promotion and rollback of a model, oldest first.

    Raises
    ------
    RegistryError
        If there is no such model, an entry cannot be read, or MLflow is out of reach.
    """
    missing = f"the registry holds no model {name!r}; `tradewind models list` shows those there are"
    with mlflow_errors(f"reading the history of {name}", missing=missing):
        return read_history(name, connect().get_registered_model(name).tags)


def _judge(client: "MlflowClient", info: VersionInfo) -> Decision:
    champion, _ = _state(client, info.name)
    if champion == info.version:
        if info.decision is not None:
            return info.decision
        champion = None  # it was made champion by hand, and has nobody to beat
    strategy = strategy_of(info)
    rival = None
    if champion is not None:
        rival = read_evidence(client, version_by_number(client, info.name, champion), None)
    decision = decide(read_evidence(client, info, strategy), rival, strategy.gate)
    aliases = client.get_registered_model(info.name).aliases
    if not decision.passed and aliases.get(names.CHALLENGER) == str(info.version):
        client.delete_registered_model_alias(info.name, names.CHALLENGER)
    record_decision(client, info, decision, champion)
    if decision.passed:
        client.set_registered_model_alias(info.name, names.CHALLENGER, str(info.version))
    return decision


def _passable(
    client: "MlflowClient", info: VersionInfo, champion: int | None, override: str | None
) -> tuple[str, ...]:
    """Return the rules that an override passes over; none if the gate passed the version."""
    what = f"{info.name} version {info.version}"
    if strategy_of(info).leaks:
        raise PromotionError(
            f"{what} is marked for leakage (allow_leakage): its figures prove nothing, so it can "
            "never be promoted, whatever overrides the gate. Train it with a purge of at least "
            "the horizon"
        )
    judged = read_decision(info.tags)
    if judged is None:
        raise PromotionError(
            f"the gate has not judged {what}, so there is nothing to promote it by. Its training "
            "did not end; repeat the task in Airflow, or train again with "
            f"`tradewind train {info.name}`"
        )
    decision, against = judged
    if against != champion:
        decision = _judge(client, info)
    if not decision.passed and override is None:
        reasons = "; ".join(f"{rule.rule}: {rule.reason}" for rule in decision.refused)
        raise PromotionError(
            f"the gate refused {what}: {reasons}. To promote it all the same, say why with "
            "--override"
        )
    return tuple(rule.rule for rule in decision.refused)


def _already(
    client: "MlflowClient", name: str, champion: int, entry: Promotion | None
) -> Promotion:
    if entry is None:
        raise PromotionError(
            f"{name} version {champion} is the champion already, and not by a promotion: somebody "
            "set the alias by hand. Nothing was changed"
        )
    return _finish(client, name, entry)


def _refuse_repetition(name: str, entry: Promotion, entries: list[Promotion]) -> None:
    """Refuse what was done and taken back since: a task that is run again is nobody's new wish."""
    done = [each for each in carried_out(entries, entry.former) if _same(each, entry)]
    if done:
        raise PromotionError(
            f"{name} version {entry.version} was promoted at {done[-1].at} by {entry.by} for this "
            f"very reason ({entry.reason}), and version {entry.former} took its place since. "
            "Promote it again for another reason"
        )


def _carry_out(
    client: "MlflowClient", name: str, entry: Promotion, tags: dict[str, str]
) -> Promotion:
    """Write an entry down unless an interrupted call has done so, and do what it says."""
    begun = pending(read_history(name, tags), entry.former)
    if begun is not None and _same(begun, entry):
        return _finish(client, name, begun)
    client.set_registered_model_tag(name, key_of(entry, tags), entry.to_json())
    return _finish(client, name, entry)


def _finish(client: "MlflowClient", name: str, entry: Promotion) -> Promotion:
    """Set the aliases as an entry says; nothing changes where they are so."""
    aliases = client.get_registered_model(name).aliases
    forward = entry.kind == "promotion" and entry.former is not None
    if forward and aliases.get(names.PREVIOUS) != str(entry.former):
        client.set_registered_model_alias(name, names.PREVIOUS, str(entry.former))
    if aliases.get(names.CHAMPION) != str(entry.version):
        client.set_registered_model_alias(name, names.CHAMPION, str(entry.version))
    if not forward and names.PREVIOUS in aliases:
        client.delete_registered_model_alias(name, names.PREVIOUS)
    return entry


def _same(one: Promotion, other: Promotion) -> bool:
    return (one.kind, one.version, one.by, one.reason, one.override) == (
        other.kind, other.version, other.by, other.reason, other.override
    )  # fmt: skip


def _state(client: "MlflowClient", name: str) -> tuple[int | None, dict[str, str]]:
    """Return the champion's number, and the tags of the model."""
    model: Any = client.get_registered_model(name)
    champion = model.aliases.get(names.CHAMPION)
    return None if champion is None else int(champion), dict(model.tags)


def _check_text(*, reason: str, by: str, override: str | None) -> None:
    for what, text in (("reason", reason), ("by", by), ("override", override)):
        if text is None:
            continue
        if not text.strip() or len(json.dumps(text, ensure_ascii=False)) > _MAX_TEXT:
            raise PromotionError(
                f"{what} must say something in less than {_MAX_TEXT} characters, not {text[:80]!r}"
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _incomplete(name: str, version: int | str) -> str:
    return (
        f"{name} version {version} or a part of its evidence is gone from MLflow. `tradewind "
        f"models show {name}` shows the versions there are; to make a new one, `tradewind train "
        f"{name}`"
    )


def _nothing_to_undo(name: str) -> str:
    return (
        f"{name} has no former champion to go back to. `tradewind models show {name}` shows its "
        "versions; promote the one you want with `tradewind models promote`"
    )
