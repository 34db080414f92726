"""The front door for Python users: `tradewind.Desk`, all that the command line can, as objects."""

import getpass
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import date, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, overload

from tradewind.desk import shown_lists
from tradewind.errors import MarketDataError, SettingsError
from tradewind.settings import Settings, load_settings

if TYPE_CHECKING:
    import polars as pl

    from tradewind.desk.backtest_result import Backtest
    from tradewind.desk.model_version import ModelVersion
    from tradewind.desk.shown import Rows
    from tradewind.market.sources.source import SourceSpec
    from tradewind.registry.comparison import Comparison
    from tradewind.registry.version_info import ModelSummary
    from tradewind.research.strategy.strategy import Strategy
    from tradewind.trading.book.views import Day, Fill, Order, Position
    from tradewind.trading.signals import SignalSet

__all__ = ["Desk"]


class Desk:
    """A workspace and its stack.

    Bars, sources and strategies need no stack; all else does: ``tradewind up --detach``. Every
    error is a `tradewind.TradewindError` that says how to mend what is wrong.

    Parameters
    ----------
    path : str or PathLike, optional
        A workspace, or a folder in one. If not given: ``TRADEWIND_HOME`` if that is set, else the
        nearest workspace from the current folder up.

    Raises
    ------
    SettingsError
        If there is no workspace, its path cannot be read as UTF-8, or a setting is wrong.

    Examples
    --------
    ::

        desk = tradewind.Desk()
        result = desk.backtest("momentum")
        result.metrics["sharpe"], result.equity, result.tear_sheet("momentum.html")
    """

    def __init__(self, path: str | PathLike[str] | None = None) -> None:
        self.settings: Settings = load_settings(home=None if path is None else Path(path))
        _refuse_other_encodings(self.home)

    def __repr__(self) -> str:
        return f"Desk({str(self.home)!r})"

    @property
    def home(self) -> Path:
        """The workspace: holds sources/ and strategies/."""
        return self.settings.home

    def sources(self) -> "Rows[SourceSpec]":
        """Return the sources of bars, by name.

        Raises
        ------
        SourceError
            If a source file is wrong.
        """
        from tradewind.desk import data

        return shown_lists.sources(data.sources(self.settings))

    def strategies(self) -> "Rows[Strategy]":
        """Return the strategies, by name.

        Raises
        ------
        StrategyError
            If a strategy file is wrong.
        """
        from tradewind.desk import research

        return shown_lists.strategies(research.strategies(self.settings))

    def bars(
        self,
        source: str,
        symbols: Sequence[str] | None = None,
        as_of: datetime | str | None = None,
        start: date | str | None = None,
        end: date | str | None = None,
    ) -> "pl.DataFrame":
        """Return a source's bars: the newest, or those that were known at a time.

        The newest are stored first, once they have passed every rule, as a backtest stores them.

        Parameters
        ----------
        source : str
        symbols : sequence of str, optional
            All that the source has if not given.
        as_of : datetime or str, optional
            With a time zone, such as ``"2010-06-04T22:00+00:00"``: only what was known then is
            read, and nothing is stored.
        start, end : date or str, optional
            First and last session, both included, such as ``"2010-06-04"``.

        Returns
        -------
        DataFrame of shape (n_bars, 9)
            Raw prices and their adjustment factors, sorted by symbol and session.

        Raises
        ------
        MarketDataError
            If there is no such source, it cannot give the bars, they break a rule, a time is none,
            or nothing was stored yet that could have been known.
        """
        from tradewind.desk.bars import bar_store, store_new_bars
        from tradewind.market.sources.source import find_source

        wanted = [symbols] if isinstance(symbols, str) else symbols
        moment = _moment(as_of)
        first, last = _day(start, "start"), _day(end, "end")
        spec = find_source(source, self.settings.sources_dir)
        if moment is None:
            store_new_bars(self.settings, spec, wanted).refuse_failed(spec.name)
        store = bar_store(self.settings)
        return store.bars(spec.name, wanted, start=first, end=last, as_of=moment)

    def backtest(self, name: str, on_fold: Callable[[int, int], None] | None = None) -> "Backtest":
        """Judge a strategy as its file is now; nothing is registered.

        It is a trial like any other: it enters the ledger, and counts against the best result.

        Parameters
        ----------
        name : str
            The strategy's.
        on_fold : callable, optional
            Called with (folds done, folds in all) after each fold.

        Raises
        ------
        StrategyError
            If there is no such strategy file, or it is wrong.
        MarketDataError
            If its source cannot give bars, or they break a rule.
        ResearchError
            If it cannot be judged, or the ledger is out of reach.
        StackError
            If the stack, which has the ledger, does not run.
        """
        from tradewind.desk import own_training, research
        from tradewind.desk.backtest_result import Backtest

        judged = research.judge(self.settings, name, on_fold)
        return Backtest(judged, asdict(own_training.provenance_of(self.settings, judged)))

    def judge(self, name: str, predictions: "pl.DataFrame") -> "Backtest":
        """Judge predictions that your own workflow has made; nothing is registered.

        They are a trial like any other. Whether they were made without the future cannot be known
        here.

        Parameters
        ----------
        name : str
            The strategy's, whose file says ``model: {kind: external}``.
        predictions : DataFrame of shape (n_rows, 3)
            symbol, session (dates), prediction (numbers): one for each symbol with a bar, in each
            session from the first test window to the last that is predicted. Bars after that are
            not looked at.

        Raises
        ------
        PredictionsError
            If they are no such frame, or one of them is wrong or missing.
        StrategyError
            If there is no such strategy file, it is wrong, or its model is not external.
        MarketDataError, ResearchError, StackError
            As `backtest` does.
        """
        from tradewind.desk import own_training
        from tradewind.desk.backtest_result import Backtest

        judged = own_training.judge(self.settings, name, predictions)
        return Backtest(judged, asdict(own_training.provenance_of(self.settings, judged)))

    def register(
        self, judged: "Backtest", *, model: str | PathLike[str] | None = None
    ) -> "ModelVersion":
        """Register what `judge` or `backtest` has returned, and have the gate judge the version.

        A task of Airflow's that is tried again finds the version that it registered before. Nothing
        is promoted: see `promote`.

        Parameters
        ----------
        judged : Backtest
        model : path-like, optional
            A file or a folder of yours, such as the model that has predicted. It is kept with the
            version, with its SHA-256, and nobody reads it.

        Raises
        ------
        RegistryError
            If that file cannot be read, or MLflow is out of reach or refuses.
        StackError
            If the stack does not run.
        """
        from tradewind.desk import own_training
        from tradewind.desk.model_version import ModelVersion
        from tradewind.registry.provenance import Provenance

        found = own_training.register(
            self.settings, judged.judged, Provenance(**judged.provenance),
            attached=None if model is None else Path(model),
        )  # fmt: skip
        return ModelVersion(self.settings, found)

    def promote(self, version: "ModelVersion", *, reason: str, override: str | None = None) -> bool:
        """Make a version the champion, and return whether its signals are being made.

        In a task of Airflow's they are not: name ``Asset.ref(name="champion_<strategy>")`` among
        the task's outlets, and they are made when it ends.

        Parameters
        ----------
        version : ModelVersion
        reason : str
            Why; is kept in the model's history.
        override : str, optional
            Why, although the gate refused it; is kept, too.

        Raises
        ------
        PromotionError
            If the gate refused it and nothing overrides that, or nothing may; in a task, if the
            strategy file says that a person decides (``promotion: approval``).
        RegistryError
            If MLflow is out of reach.
        OrchestrationError
            If Airflow is out of reach: it is champion, but without signals.
        StackError
            If the stack does not run.
        """
        from tradewind.desk import registry

        done = registry.promote(
            self.settings, version.name, version.version,
            reason=reason, by=_user(), override=override,
        )  # fmt: skip
        return done.told

    def train(
        self,
        name: str,
        on_note: Callable[[str], None] | None = None,
        *,
        timeout: float = 1800.0,
    ) -> "ModelVersion":
        """Train a strategy through Airflow, wait for the end, and return the version.

        A version that passes its gate may become the champion, whose signals are made and traded
        as the strategy file says; `ModelVersion.passed` tells.

        Parameters
        ----------
        name : str
            The strategy's.
        on_note : callable, optional
            Told, in a sentence, what is waited for; such as ``print``.
        timeout : float
            Seconds.

        Raises
        ------
        StrategyError
            If there is no such strategy file, or it is wrong.
        OrchestrationError
            If the run fails, or Airflow is out of reach or does not know the strategy.
        RegistryError
            If MLflow is out of reach.
        StackError
            If the stack does not run.
        """
        from tradewind.desk import registry, training
        from tradewind.desk.model_version import ModelVersion

        run = training.train(self.settings, name, on_note=on_note, timeout=timeout)
        return ModelVersion(self.settings, registry.version_of_run(self.settings, name, run.run_id))

    @overload
    def models(self) -> "Rows[ModelSummary]": ...

    @overload
    def models(self, name: str) -> "Rows[ModelVersion]": ...

    def models(self, name: str | None = None) -> "Rows[ModelSummary] | Rows[ModelVersion]":
        """Return the registered models; with a name, the versions of that one, newest first.

        Raises
        ------
        RegistryError
            If there is no such model, or MLflow is out of reach.
        StackError
            If the stack does not run.
        """
        from tradewind.desk import registry
        from tradewind.desk.model_version import ModelVersion

        if name is None:
            return shown_lists.models(registry.models(self.settings))
        found = registry.versions(self.settings, name)
        return shown_lists.versions([ModelVersion(self.settings, each) for each in found], name)

    def champion(self, name: str) -> "ModelVersion":
        """Return the version of a model that signals are made with.

        Raises
        ------
        RegistryError
            If there is no such model, none of its versions is the champion, or MLflow is out of
            reach.
        StackError
            If the stack does not run.
        """
        from tradewind.desk import registry
        from tradewind.desk.model_version import ModelVersion

        return ModelVersion(self.settings, registry.champion(self.settings, name))

    def compare(self, name: str, version_a: int, version_b: int) -> "Comparison":
        """Compare two versions of a model: figures, what differs, whether one is really better.

        Raises
        ------
        RegistryError
            If there is no such version, its files are gone, or MLflow is out of reach.
        StackError
            If the stack does not run.
        """
        from tradewind.desk import registry
        from tradewind.desk.shown_results import ShownComparison

        found = registry.compare(self.settings, name, version_a, version_b)
        return ShownComparison(**{each.name: getattr(found, each.name) for each in fields(found)})

    def signals(self, name: str, session: date | str | None = None) -> "SignalSet | None":
        """Return what a strategy's champion wants to hold, as it was stored last; None if never.

        Parameters
        ----------
        name : str
            The strategy's.
        session : date or str, optional
            Signals that were decided after that session, whichever version made them last.

        Raises
        ------
        StrategyError
            If there is no such strategy file, or it is wrong.
        RegistryError
            If MLflow, which knows the champion, is out of reach.
        TradingError
            If the database is out of reach.
        StackError
            If the stack does not run.
        """
        from tradewind.desk import research
        from tradewind.desk.shown_results import ShownSignals

        found = research.signals(self.settings, name, _day(session, "session"))
        if found is None:
            return None
        return ShownSignals(**{each.name: getattr(found, each.name) for each in fields(found)})

    def positions(self, account: str | None = None) -> "Rows[Position]":
        """Return what is held at the last close, by one account or by all.

        An account has the name of its strategy. Amounts are `decimal.Decimal`, to the cent.

        Raises
        ------
        TradingError
            If there is no such account, or the database is out of reach.
        StackError
            If the stack does not run.
        """
        from tradewind.desk import trading

        return shown_lists.positions(trading.positions(self.settings, account))

    def orders(self, account: str | None = None, since: date | str | None = None) -> "Rows[Order]":
        """Return orders, and what became of each, for sessions from `since` on.

        Raises as `positions` does.
        """
        from tradewind.desk import trading

        return shown_lists.orders(trading.orders(self.settings, account, _day(since, "since")))

    def fills(self, account: str | None = None, since: date | str | None = None) -> "Rows[Fill]":
        """Return trades of sessions from `since` on.

        Raises as `positions` does.
        """
        from tradewind.desk import trading

        return shown_lists.fills(trading.fills(self.settings, account, _day(since, "since")))

    def pnl(self, account: str | None = None) -> "Rows[Day]":
        """Return each session's profit and costs.

        Raises as `positions` does.
        """
        from tradewind.desk import trading

        return shown_lists.pnl(trading.pnl(self.settings, account))

    def halt(self, account: str | None = None, *, reason: str) -> None:
        """Let no further order leave, of one account or of any; it holds within a second.

        Raises as `positions` does.
        """
        from tradewind.desk import trading

        trading.halt(self.settings, account, reason=reason, by=_user())

    def resume(self, account: str | None = None, *, reason: str) -> None:
        """Take a halt off: an account's, or the one of all.

        Raises as `positions` does.
        """
        from tradewind.desk import trading

        trading.resume(self.settings, account, reason=reason, by=_user())


def _user() -> str:
    """Return who asks: the DAG of a task, or the login name."""
    return os.environ.get("AIRFLOW_CTX_DAG_ID") or getpass.getuser()


def _refuse_other_encodings(home: Path) -> None:
    """Refuse a path that this Python has read as another text than all others do."""
    try:
        str(home).encode()
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"{str(home)!r}: this Python does not read names of files as UTF-8, but as "
            f"{sys.getfilesystemencoding()}; start it with PYTHONUTF8=1 in its environment"
        ) from error


def _day(value: date | str | None, name: str) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise MarketDataError(f"{name}: {value!r} is no date; write YYYY-MM-DD") from error


def _moment(value: datetime | str | None) -> datetime | None:
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise MarketDataError(
            f"as_of: {value!r} is no time; write it as in 2010-06-04T22:00+00:00"
        ) from error
