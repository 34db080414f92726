"""What the first task of an execution does, in a Celery worker of Airflow: tell the trading book.

The trading workers know neither bars nor models; what they need of both is written into their
database here. Imports happen when a step runs: this module is read with every DAG file.
"""

import logging
from typing import Any

from tradewind.orchestration.live_steps import champion_of
from tradewind.orchestration.steps import bar_store, ledger_url
from tradewind.research.strategy import Strategy
from tradewind.settings import load_settings

__all__ = ["quote"]

log = logging.getLogger(__name__)


def quote(strategy: Strategy) -> dict[str, Any]:
    """Open the strategy's account, or renew its terms, and store the quotes it is settled by.

    Capital and costs are those that the champion was judged with; the limits of risk are those of
    the strategy file as it is today, so that a desk can tighten them without a training.

    Returns
    -------
    dict
        ``account``; ``session``, after whose close the champion's newest signals were decided;
        its ``model_version``; how many ``quotes`` are new.

    Raises
    ------
    AirflowSkipException
        If the strategy has no champion, or the champion has made no signals yet.
    TradewindError
        If bars, model or database cannot be had.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    from tradewind.trading import quotes, views
    from tradewind.trading.database import open_database
    from tradewind.trading.signals import SignalBook

    settings = load_settings()
    url = ledger_url(settings)
    champion = champion_of(strategy)
    version = champion.info.version
    signals = SignalBook(url).latest(strategy.name, version)
    if signals is None:
        raise AirflowSkipException(f"version {version} of {strategy.name} has made no signals yet")
    recorded = champion.strategy.model_copy(update={"risk": strategy.risk})
    universe = recorded.universe
    with open_database(url) as engine:
        # A former champion may have left positions in symbols that this one does not trade.
        symbols = sorted({*universe.symbols, *views.symbols_in_play(engine, strategy.name)})
        store = bar_store(settings)
        bars = store.read(store.snapshot(universe.source, symbols, calendar=universe.calendar))
        new = quotes.quote(engine, recorded, bars, signals.session)
    log.info("%d new quotes of %s up to %s", new, ", ".join(symbols), signals.session)
    return {
        "account": strategy.name,
        "session": str(signals.session),
        "model_version": version,
        "quotes": new,
    }
