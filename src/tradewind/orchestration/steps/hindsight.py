"""Keeps the inputs of signals, and compares them with today's before the next signals.

Called by the steps in `tradewind.orchestration.steps.live`.
"""

import logging
from datetime import date
from typing import TYPE_CHECKING, Final

from tradewind.desk.bars import bar_store
from tradewind.errors import LeakError
from tradewind.orchestration.steps.stores import ledger_url
from tradewind.settings import load_settings

if TYPE_CHECKING:
    import polars as pl

    from tradewind.registry.retrieval import RegisteredModel
    from tradewind.research.monitoring.hindsight import Hindsight

__all__ = ["keep_inputs", "look_back", "refusal", "refuse_hindsight", "stop_trading"]

_SESSIONS: Final = 25
"""Latest sessions with signals that are looked back at: a month, so that a look ahead by as much
is found."""

log = logging.getLogger(__name__)


def keep_inputs(
    champion: "RegisteredModel", snapshot_id: str, bars: "pl.DataFrame", session: date
) -> None:
    """Store the inputs of a session's signals, once.

    Raises
    ------
    TradewindError
        If they cannot be computed or stored.
    """
    from tradewind.research.monitoring.hindsight import known_of
    from tradewind.trading.signal_inputs import InputBook, SignalInputs

    [known] = known_of(champion.model, bars, champion.strategy, session)
    InputBook(ledger_url(load_settings())).store(
        SignalInputs(
            strategy=champion.info.name,
            session=session,
            model_version=champion.info.version,
            snapshot_id=snapshot_id,
            features=known.features,
            predictions=known.predictions,
            code_version=known.code_version,
        )
    )


def look_back(champion: "RegisteredModel", bars: "pl.DataFrame") -> "Hindsight":
    """Compare the inputs of the champion's latest signals with the same inputs today.

    Raises
    ------
    TradewindError
        If snapshots or database cannot be had.
    """
    from tradewind.research.monitoring.hindsight import Known
    from tradewind.research.monitoring.hindsight import look_back as look_back_at
    from tradewind.trading.signal_inputs import InputBook

    settings = load_settings()
    latest = InputBook(ledger_url(settings)).latest(
        champion.info.name, champion.info.version, sessions=_SESSIONS
    )
    found = look_back_at(
        champion.model,
        champion.strategy,
        [
            (
                inputs.snapshot_id,
                Known(inputs.session, inputs.features, inputs.predictions, inputs.code_version),
            )
            for inputs in latest
        ],
        bars=bars,
        read=bar_store(settings).read,
    )
    for told in (*found.revisions, *found.uncompared):
        log.warning("%s", told)
    return found


def refuse_hindsight(champion: "RegisteredModel", bars: "pl.DataFrame") -> None:
    """Refuse signals of a version whose features knew more than their bars.

    Raises
    ------
    LeakError
        Which names feature, symbol, session, and both values.
    TradewindError
        If snapshots or database cannot be had.
    """
    if faults := look_back(champion, bars).faults:
        raise refusal(champion, faults)


def stop_trading(champion: "RegisteredModel", faults: tuple[str, ...]) -> None:
    """Halt the strategy's account by name, unless that is done.

    This holds during a halt of all accounts, too: the account stays halted when that is taken off.

    Raises
    ------
    TradingError
        If the database refuses or is out of reach.
    """
    from tradewind.trading.book import halts, views
    from tradewind.trading.book.database import open_database

    account = champion.info.name
    reason = str(refusal(champion, faults))
    with open_database(ledger_url(load_settings())) as engine:
        if account in views.account_names(engine):
            with engine.connect() as connection:
                halted = halts.is_halted_by_name(connection, account)
            if not halted:
                halts.halt(engine, account, reason, by="tradewind")


def refusal(champion: "RegisteredModel", faults: tuple[str, ...]) -> LeakError:
    """Return the error that says why a version makes no signals, and what to do."""
    more = f" (and {len(faults) - 1} sessions more)" if len(faults) > 1 else ""
    return LeakError(
        f"strategy {champion.info.name} version {champion.info.version} is stopped: {faults[0]}"
        f"{more}. No signals are made with it. Mend the feature, train again, and take the halt of "
        f"its account off with `tradewind trading resume {champion.info.name}`"
    )
