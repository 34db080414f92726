"""The tasks between trainings, in a Celery worker: signals, and the champion's monitoring.

Each step imports what it needs when it runs, for this module is read with every DAG file.
"""

import logging
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from tradewind.desk.bars import NewestBars, newest_bars
from tradewind.orchestration.steps import hindsight
from tradewind.orchestration.steps.stores import ledger_url
from tradewind.research.strategy.strategy import Strategy
from tradewind.settings import load_settings

if TYPE_CHECKING:
    from tradewind.registry.retrieval import RegisteredModel

__all__ = ["champion_of", "signal", "watch"]

log = logging.getLogger(__name__)


def signal(strategy: Strategy, *, now: datetime) -> dict[str, Any]:
    """Store what the champion wants to hold at the next open.

    The champion decides as it was trained: features, positions and costs are those of its record,
    not of the file as it is today. It decides on the last session of the bars, or not at all.

    Parameters
    ----------
    strategy : Strategy
    now : datetime
        With a time zone; tells how old the bars are.

    Returns
    -------
    dict
        ``session``, ``trade_session``, ``model_version``, ``sessions_behind`` and ``weights`` by
        symbol.

    Raises
    ------
    AirflowSkipException
        If the strategy has no champion.
    LeakError
        If a feature of an earlier session has another value today than it had then.
    TradewindError
        If bars, model or database cannot be had.
    """
    from tradewind.market.age import said_of_age, sessions_behind
    from tradewind.market.calendar import next_session
    from tradewind.research.evaluation.predict import wanted_weights
    from tradewind.research.features.universe import select_bars
    from tradewind.trading.signals import (
        SignalBook,
        SignalSet,
        refuse_late_bars,
        refuse_older_session,
        tradable_weights,
        tranches_of,
    )

    champion, newest = _champion_and_bars(strategy)
    recorded, bars, calendar = champion.strategy, newest.bars, newest.calendar
    refuse_late_bars(select_bars(bars, recorded))
    hindsight.refuse_hindsight(champion, bars)
    weights = wanted_weights(champion.model, bars, recorded, sessions=recorded.horizon)
    session: date = weights.get_column("session")[-1]  # sorted by session
    refuse_older_session(session, bars, recorded.universe)
    hindsight.keep_inputs(champion, newest.snapshot_id, bars, session)
    behind = sessions_behind(calendar, session, now)
    if behind and strategy.execution != "replay":
        log.warning("%s: these signals are as old", said_of_age(behind, session, calendar))
    stored = SignalBook(ledger_url(load_settings())).store(
        SignalSet(
            strategy=strategy.name,
            session=session,
            trade_session=next_session(calendar, session),
            model_version=champion.info.version,
            snapshot_id=newest.snapshot_id,
            weights=tradable_weights(weights, bars),
            # With `hold`, the first of these sessions carries weights of earlier ones.
            tranches={} if recorded.missing == "hold" else tranches_of(weights, recorded.horizon),
        )
    )
    log.info("%s", stored)
    return {
        "session": str(stored.session),
        "trade_session": str(stored.trade_session),
        "model_version": stored.model_version,
        "sessions_behind": behind,
        "weights": dict(stored.weights),
    }


def watch(strategy: Strategy) -> dict[str, Any]:
    """Log drift and performance of the champion to MLflow, and return why to train again.

    Returns
    -------
    dict
        Empty if all is well. Else ``reasons``, a sentence for each rule of the champion's `monitor`
        that is broken, and ``occasion``: the champion and the month of the last session.

    Raises
    ------
    AirflowSkipException
        If the strategy has no champion.
    LeakError
        If a feature of a session has another value today than when signals were made of it. The
        strategy's account is halted first.
    TradewindError
        If bars, model or MLflow cannot be had.
    """
    from tradewind.registry.monitoring import log_watch, out_of_sample_returns
    from tradewind.research.features.universe import select_bars
    from tradewind.research.monitoring.monitor import inspect
    from tradewind.trading.signals import refuse_late_bars

    champion, newest = _champion_and_bars(strategy)
    bars = newest.bars
    refuse_late_bars(select_bars(bars, champion.strategy))  # late is not delisted
    found = hindsight.look_back(champion, bars)
    if found.faults:  # first, for what follows may fail
        hindsight.stop_trading(champion, found.faults)
    report = inspect(
        champion.model,
        bars,
        champion.strategy,
        trained_until=champion.data_end,
        expected=out_of_sample_returns(champion.info),
    )
    log_watch(report, champion.info, newest.snapshot_id, found)
    if found.faults:
        raise hindsight.refusal(champion, found.faults)
    for reason in report.reasons:
        log.warning("%s", reason)
    if not report.reasons:
        return {}
    last: date = bars.get_column("session").sort()[-1]
    return {
        "reasons": list(report.reasons),
        "occasion": f"version_{champion.info.version}__{last:%Y-%m}",
    }


def champion_of(strategy: Strategy) -> "RegisteredModel":
    """Return the strategy's champion, after a check that its features' code is unchanged.

    Raises
    ------
    AirflowSkipException
        If the strategy has no champion.
    RegistryError
        If it cannot be had, or the code of its features has changed.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    from tradewind.registry.retrieval import load_registered, refuse_other_features
    from tradewind.registry.versions import aliases_of

    if "champion" not in aliases_of(strategy.name):
        raise AirflowSkipException(f"{strategy.name} has no champion")
    champion = load_registered(strategy.name)
    refuse_other_features(champion)
    return champion


def _champion_and_bars(strategy: Strategy) -> "tuple[RegisteredModel, NewestBars]":
    champion = champion_of(strategy)
    return champion, newest_bars(load_settings(), champion.strategy.universe)
