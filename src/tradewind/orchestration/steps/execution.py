"""The first task of an execution, in a Celery worker of Airflow: it writes quotes into the book.

The trading workers have neither bars nor models. This step writes what they need of both into their
database. Imports happen when a step runs, for this module is read with every DAG file.
"""

import logging
from datetime import UTC, date, datetime
from typing import Any

from tradewind.desk.bars import newest_bars
from tradewind.orchestration.steps.live import champion_of
from tradewind.orchestration.steps.stores import ledger_url
from tradewind.research.strategy.strategy import Strategy
from tradewind.settings import load_settings

__all__ = ["quote", "quoted"]

log = logging.getLogger(__name__)


def quote(strategy: Strategy, *, now: datetime) -> dict[str, Any]:
    """Open the strategy's account, or renew its terms, and store the quotes it is settled by.

    Capital and costs are those that the champion was judged with. Risk limits and `execution` are
    those of the strategy file as it is today, so that a desk can tighten them without a training.

    The account gets quotes up to the last session of the bars, even if the newest signals are
    older: no order may leave for an open that lies before the last bar.

    Parameters
    ----------
    strategy : Strategy
    now : datetime
        With a time zone.

    Returns
    -------
    dict
        ``account``; ``session``, after whose close the champion's newest signals were decided;
        ``settle_to``, the last session of the bars; the champion's ``model_version``; how many
        ``quotes`` are new.

    Raises
    ------
    AirflowSkipException
        If the strategy has no champion, or the champion has made no signals yet, or an account
        that is not open yet could not trade.
    TradewindError
        If bars, model or database cannot be had, or a symbol's bar of the last session is late.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    from tradewind.market.age import coming_opens, said_of_age, sessions_behind
    from tradewind.trading.book import quotes, views
    from tradewind.trading.book.database import open_database
    from tradewind.trading.signals import SignalBook, refuse_late_bars

    settings = load_settings()
    url = ledger_url(settings)
    champion = champion_of(strategy)
    version = champion.info.version
    signals = SignalBook(url).latest(strategy.name, version)
    if signals is None:
        raise AirflowSkipException(f"version {version} of {strategy.name} has made no signals yet")
    today = {"risk": strategy.risk, "execution": strategy.execution}
    recorded = champion.strategy.model_copy(update=today)
    universe = recorded.universe
    with open_database(url) as engine:
        # A former champion may have left positions in symbols that this one does not trade.
        symbols = sorted({*universe.symbols, *views.symbols_in_play(engine, strategy.name)})
        newest = newest_bars(settings, universe, symbols)
        bars, calendar = newest.bars, newest.calendar
        refuse_late_bars(bars)
        last: date = bars.get_column("session").sort()[-1]
        replay = strategy.execution == "replay"
        opens = coming_opens(calendar, signals.session, last if replay else now)
        behind = 0 if replay else sessions_behind(calendar, last, now)
        if old := said_of_age(behind, last, calendar):
            log.warning("%s: ingest %s again", old, universe.source)
        if strategy.name not in views.account_names(engine):
            _skip_what_cannot_trade(strategy, signals.session, len(opens) - 1, old)
        new = quotes.quote(engine, recorded, bars, opens)
    log.info("%d new quotes of %s up to %s", new, ", ".join(symbols), last)
    return {
        "account": strategy.name,
        "session": str(signals.session),
        "settle_to": str(last),
        "model_version": version,
        "quotes": new,
    }


def quoted(strategy: Strategy, said: dict[str, Any]) -> dict[str, Any]:
    """Return what `quote` said in a run; where that was 0.1.0, quote anew.

    It told the account neither up to where to settle nor when the exchange opens, without which no
    order leaves.

    Parameters
    ----------
    strategy : Strategy
    said : dict
        What the run's task ``quote`` returned.

    Returns
    -------
    dict
        As `quote` returns.

    Raises
    ------
    TradewindError
        As `quote` raises.
    """
    return said if "settle_to" in said else quote(strategy, now=datetime.now(UTC))


def _skip_what_cannot_trade(strategy: Strategy, session: date, missed: int, old: str) -> None:
    """Open no account that could not trade, for an order that was refused stays refused.

    Raises
    ------
    AirflowSkipException
        If the file says ``execution: off``, or its signals are older than it allows.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    if strategy.execution == "off":
        raise AirflowSkipException(f"{strategy.name} says `execution: off`: no order leaves")
    most = strategy.risk.max_signal_age
    if missed > most:
        opens = "1 open has" if missed == 1 else f"{missed:,} opens have"
        why = f"; {old}" if old else ""
        past = "" if strategy.execution == "replay" else ", or `execution: replay` plays the past"
        raise AirflowSkipException(
            f"the signals of {strategy.name} are of {session}, and {opens} gone by since{why}. Its "
            f"file allows `risk: {{max_signal_age: {most}}}`: newer bars make newer signals{past}"
        )
