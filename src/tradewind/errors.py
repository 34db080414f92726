"""Every error a caller of tradewind can catch, in one place.

::

    TradewindError
    ├── SettingsError (ValueError)         a setting is unknown, missing or out of range
    ├── WorkspaceError                     a workspace cannot be made there
    ├── RequirementsError                  packages of the desk's own cannot be had as asked
    ├── MarketDataError
    │   ├── SourceError                    a source of bars is missing or cannot be read
    │   │   ├── PartialSourceError         some symbols could not be had; it brings the others' bars
    │   │   └── VendorError                a vendor refuses, or its answer cannot be used
    │   ├── BarValidationError (ValueError)  bars broke a rule; nothing was stored
    │   ├── StoreError                     bars cannot be stored or read, or contradict the store
    │   └── SnapshotError                  a snapshot is missing, damaged or not what its id says
    ├── ResearchError
    │   ├── StrategyError (ValueError)     a strategy file is wrong: file, field, reason
    │   ├── LeakError (ValueError)         a feature changes with what comes after its session
    │   ├── SplitError (ValueError)        folds that cannot be made, or would leak
    │   ├── FitError                       a model cannot be fitted with these parameters
    │   │   └── PredictionsError (ValueError)  predictions made elsewhere cannot be judged
    │   ├── BacktestError (ValueError)     signals and prices that cannot be traded
    │   ├── SweepError                     a sweep is unfinished, empty or not the one asked for
    │   └── LedgerError                    the ledger of trials is out of reach or refuses
    ├── RegistryError                      MLflow refused, is out of reach or holds no such model
    │   ├── PromotionError                 a version may not become the champion
    │   └── ReproductionError              a model does not predict what it predicted in training
    ├── TradingError                       signals or orders that cannot be stored or sent
    │   ├── OrderRejectedError             a broker will not take an order, and says why
    │   ├── OrderStateError (ValueError)   an order cannot be what it is said to become
    │   ├── ReconciliationError            the book and the broker differ; each difference is named
    │   └── TradingHaltedError             the kill switch is on: no order leaves
    ├── LoginError                         somebody is not let in, by the identity provider or by us
    │   └── IdentityProviderError          it is out of reach, or not what the setting says
    ├── OrchestrationError                 Airflow refused, is out of reach or a run failed
    ├── NewFileError                       a file to begin with cannot be written under that name
    ├── HousekeepingError                  something old could not be removed, or a disk fills up
    └── StackError                         the local stack cannot do what was asked
        ├── BackupError                    a backup cannot be made, is damaged or does not fit
        ├── PortTakenError                 another process holds a port that a service needs
        ├── ServiceFailedError             a service died or did not become healthy
        └── SecretsError                   secrets are missing, readable by others or disagree

A message names what went wrong, where, and how to mend it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "BacktestError",
    "BackupError",
    "BarValidationError",
    "FitError",
    "HousekeepingError",
    "IdentityProviderError",
    "LeakError",
    "LedgerError",
    "LoginError",
    "MarketDataError",
    "NewFileError",
    "OrchestrationError",
    "OrderRejectedError",
    "OrderStateError",
    "PartialSourceError",
    "PortTakenError",
    "PredictionsError",
    "PromotionError",
    "ReconciliationError",
    "RegistryError",
    "ReproductionError",
    "RequirementsError",
    "ResearchError",
    "SecretsError",
    "ServiceFailedError",
    "SettingsError",
    "SnapshotError",
    "SourceError",
    "SplitError",
    "StackError",
    "StoreError",
    "StrategyError",
    "SweepError",
    "TradewindError",
    "TradingError",
    "TradingHaltedError",
    "VendorError",
    "WorkspaceError",
]

_TOLD: Final = 10  # symbols or reasons that a message names


def _names(symbols: list[str]) -> str:
    more = f" and {len(symbols) - _TOLD} more" if len(symbols) > _TOLD else ""
    return ", ".join(symbols[:_TOLD]) + more


class TradewindError(Exception):
    """Base of all errors that tradewind raises on purpose."""


class SettingsError(TradewindError, ValueError):
    """A setting is unknown, missing or out of range."""


class WorkspaceError(TradewindError):
    """A workspace cannot be made there; nothing was written."""


class RequirementsError(TradewindError):
    """Packages of the desk's own cannot be had as ``requirements.txt`` asks for them."""


class MarketDataError(TradewindError):
    """Base of errors about bars and where they come from."""


class SourceError(MarketDataError):
    """A source of bars is missing or cannot be read."""


class PartialSourceError(SourceError):
    """Some symbols of a source could not be had; the others' bars are in `bars`.

    Parameters
    ----------
    source : str
        Its name.
    failed : mapping of str to str
        Why, by symbol.
    bars : DataFrame, optional
        Of the other symbols that were asked for. Whoever does not look at it has them not, and
        takes no part for the whole.
    again_at : datetime, optional
        With a time zone: before it the source answers nothing, for its quota is used up.
    """

    def __init__(
        self,
        source: str,
        failed: Mapping[str, str],
        *,
        bars: "pl.DataFrame | None" = None,
        again_at: datetime | None = None,
    ) -> None:
        self.failed = dict(sorted(failed.items()))
        self.bars = bars
        self.again_at = again_at
        alike: dict[str, list[str]] = {}
        for symbol, why in self.failed.items():
            alike.setdefault(why, []).append(symbol)
        lines = [f"\n  {_names(symbols)}: {why}" for why, symbols in alike.items()]
        more = f"\n  and {len(lines) - _TOLD} more reasons" if len(lines) > _TOLD else ""
        super().__init__(
            f"source {source!r} could not give {len(self.failed)} symbols, of which nothing new is "
            f"stored:{''.join(lines[:_TOLD])}{more}"
        )


class VendorError(SourceError):
    """A vendor refuses, does not answer, or its answer cannot be used.

    Parameters
    ----------
    message : str
    for_all : bool
        Whether no other question would be answered, either.
    passing : bool
        Whether the same question may be answered in a moment.
    doubtful : bool
        Whether it is unknown if other questions would be answered.
    absent : bool
        Whether the vendor says that there is nothing of what was asked for.
    again_at : datetime, optional
        With a time zone: before it nothing is answered.
    """

    def __init__(
        self,
        message: str,
        *,
        for_all: bool = False,
        passing: bool = False,
        doubtful: bool = False,
        absent: bool = False,
        again_at: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.for_all = for_all
        self.passing = passing
        self.doubtful = doubtful or passing
        self.absent = absent
        self.again_at = again_at


class BarValidationError(MarketDataError, ValueError):
    """Bars broke a rule of validation; nothing was stored."""


class StoreError(MarketDataError):
    """Bars cannot be stored or read, or contradict what the store holds."""


class SnapshotError(MarketDataError):
    """A snapshot is missing, damaged, or not what its id says."""


class ResearchError(TradewindError):
    """Base of errors about strategies, folds and backtests."""


class StrategyError(ResearchError, ValueError):
    """A strategy file is wrong; the message names file, field and reason."""


class LeakError(ResearchError, ValueError):
    """A feature of a session changes with bars or corporate actions after it."""


class SplitError(ResearchError, ValueError):
    """Folds cannot be made as asked, or would leak labels into the test window."""


class FitError(ResearchError):
    """A model cannot be fitted to these rows with these parameters."""


class PredictionsError(FitError, ValueError):
    """Predictions that were made elsewhere cannot be judged as they are."""


class BacktestError(ResearchError, ValueError):
    """Signals and prices that cannot be traded."""


class SweepError(ResearchError):
    """A sweep is unfinished, has no result, or is not the one that was asked for."""


class LedgerError(ResearchError):
    """The database of sweeps and of the ledger of trials is out of reach, or refuses."""


class RegistryError(TradewindError):
    """MLflow refused, is out of reach, or holds no such model."""


class PromotionError(RegistryError):
    """A version may not become the champion: the gate, or what happened before, forbids it."""


class ReproductionError(RegistryError):
    """A model from the registry does not predict what it predicted in training."""


class TradingError(TradewindError):
    """Signals or orders that cannot be stored or sent."""


class OrderRejectedError(TradingError):
    """A broker will not take an order; the message is its reason."""


class OrderStateError(TradingError, ValueError):
    """An order cannot be what it is said to become."""


class ReconciliationError(TradingError):
    """The book and the broker differ; the message names each difference."""


class TradingHaltedError(TradingError):
    """The kill switch is on: no order leaves until it is taken off."""


class LoginError(TradewindError):
    """Somebody is not let in; the message is for that person."""


class IdentityProviderError(LoginError):
    """The identity provider is out of reach, or is not the one that the setting names."""


class OrchestrationError(TradewindError):
    """Airflow refused, is out of reach, or a run failed."""


class NewFileError(TradewindError):
    """A file to begin with cannot be written under that name; nothing was written."""


class HousekeepingError(TradewindError):
    """Something old could not be removed, or a disk is about to be full."""


class StackError(TradewindError):
    """The local stack cannot do what was asked."""


class BackupError(StackError):
    """A backup cannot be made, is damaged, or cannot be restored here."""


class PortTakenError(StackError):
    """Another process holds a port that a service needs."""


class ServiceFailedError(StackError):
    """A service died or did not become healthy in time."""


class SecretsError(StackError):
    """Secrets are missing, readable by others, or disagree between components."""
