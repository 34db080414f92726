"""How a strategy is judged: labels, folds, costs, benchmark, gate and monitor."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tradewind.market.spec_types import Symbol
from tradewind.research.strategy.fields import CostBps, Part, Probability, Sessions, Share

__all__ = [
    "Backtest",
    "Combinatorial",
    "Gate",
    "Label",
    "Monitor",
    "SymbolBenchmark",
    "WalkForward",
]


class Label(Part):
    """What is predicted, over `horizon` sessions.

    Attributes
    ----------
    kind : {"forward_return", "direction"}
        The return from the next open to the close `horizon` sessions ahead, or its sign.
    after_costs : bool
        Whether the return is brought nearer to zero by the costs of buying and selling.
    """

    kind: Literal["forward_return", "direction"] = "forward_return"
    after_costs: bool = False


class WalkForward(Part):
    """Lengths of the windows, in sessions.

    With ``expanding`` windows training starts at the first session and `train` is the least.
    """

    window: Literal["rolling", "expanding"] = "rolling"
    train: Sessions = Field(description="sessions a model is fitted on")
    test: Sessions = Field(description="sessions it is then judged on")
    purge: int | None = Field(
        default=None,
        strict=True,
        ge=0,
        le=2520,
        description="sessions left out between train and test; the horizon if not given",
    )
    spread: bool = Field(
        default=False,
        strict=True,
        description="fit the folds of a training in tasks of their own, over all workers; changes "
        "no result",
    )


class Combinatorial(Part):
    """Combinatorial purged cross-validation beside the walk-forward: many histories, not one.

    Attributes
    ----------
    folds, test_folds : int
        The sessions are cut into `folds`; every choice of `test_folds` of them is a test once.
    embargo : int
        Sessions left out after each test fold; before and after it the purge is left out, too.
    """

    folds: int = Field(default=6, strict=True, ge=3, le=20)
    test_folds: int = Field(default=2, strict=True, ge=2, le=10)
    embargo: int = Field(default=0, strict=True, ge=0, le=252)

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.test_folds >= self.folds:
            raise ValueError(f"test_folds ({self.test_folds}) must be less than {self.folds} folds")
        return self


class Backtest(Part):
    """How predictions become positions, and what trading costs.

    Attributes
    ----------
    positions : {"long_flat", "long_short", "sign", "proportional", "weights"}
        ``long_flat`` holds an equal share of each symbol with a positive prediction.
        ``long_short`` holds shares in proportion to the rank of the prediction within the
        session, as much short as long, 1.0 in total. ``sign`` holds an equal share of each
        symbol, short where the prediction is negative, none where it is zero. ``proportional``
        holds shares in proportion to the predictions, 1.0 in total. With ``weights`` the
        predictions are the shares; where they are more than 1.0 in total, all are scaled down.
    commission_bps, slippage_bps : float
        Basis points of the traded notional, each way.
    borrow_bps : float
        Basis points a year (365 calendar days) of the notional that is short overnight.
    max_weight : float
        Largest share of equity in one symbol, long or short.
    max_gross : float
        Largest sum of long and short shares; above it all are scaled down.
    capital : float
        What the account holds before the first session, in the listing's currency.
    delisting_return : float
        What a position is sold at when its symbol's bars end, as a return on the last close.
        Zero is right for takeovers, which end most listings of large companies. For failures it
        is too good: they lost another 30 % on NYSE and AMEX (Shumway, 1997) and 55 % on Nasdaq
        (Shumway and Warther, 1999), so a universe of small companies should say -0.3 or -0.55.
        It is a price: below zero, short positions gain by it.
    """

    positions: Literal["long_flat", "long_short", "sign", "proportional", "weights"] = "long_flat"
    commission_bps: CostBps
    slippage_bps: CostBps
    borrow_bps: CostBps = 0.0
    max_weight: Share = 1.0
    max_gross: float = Field(default=1.0, strict=True, ge=0.0001, le=10.0)
    capital: float = Field(default=1_000_000.0, strict=True, ge=1.0, le=1e12)
    delisting_return: float = Field(default=0.0, strict=True, ge=-1.0, le=1.0)


class SymbolBenchmark(Part):
    """One symbol as the benchmark, such as a fund on an index; the strategy need not trade it."""

    symbol: Symbol = Field(description="a symbol of the same source")


class Gate(Part):
    """What a version must show before it may become the champion; None leaves a rule out.

    Attributes
    ----------
    min_deflated_sharpe : float
        Least probability that the true Sharpe ratio beats the best of as many worthless trials.
    min_alpha_probability : float
        Least probability that the returns less beta times the benchmark's have a true Sharpe
        ratio above the best of as many worthless trials: that there is more to the strategy than
        being invested. The same is asked of the returns less beta times those of the position
        that it held on average: that there is more to it than a mix which happened to rise. The
        lower of the two counts. Against cash the first is what `min_deflated_sharpe` asks.
    max_pbo : float
        Largest probability of backtest overfitting; asked of strategies with a sweep.
    max_drawdown : float
        Deepest fall from a peak that is borne, as a positive fraction.
    min_trades : int
        Positions opened out of sample.
    champion_margin, champion_level : float
        How much higher than the champion's the annualised Sharpe ratio must be on the sessions
        that both were tested on, at the lower end of an interval of this level. From zero up
        the version must be better by more than the margin; below zero it must not be worse by
        more than that, so that -0.5 lets a version in whose ratio is surely not 0.5 lower.
        The champion's own strategy trained on newer bars is not asked.
    reproducible : bool
        Whether two fits on the same rows must predict the same; asked of models that are not
        tradewind's own.
    checked_for_leaks : bool
        Whether predictions must have been checked for looking ahead; asked of external models,
        whose predictions cannot be.
    promotion : {"automatic", "approval"}
        Whether a version that passed becomes champion by itself or when a person says so.
    """

    min_deflated_sharpe: Probability | None = 0.95
    min_alpha_probability: Probability | None = 0.95
    max_pbo: Probability | None = 0.5
    max_drawdown: Share | None = 0.5
    min_trades: int | None = Field(default=30, strict=True, ge=1, le=1_000_000)
    champion_margin: float | None = Field(default=0.0, strict=True, ge=-10.0, le=10.0)
    champion_level: float = Field(default=0.9, strict=True, ge=0.0001, le=0.9999)
    reproducible: bool = Field(default=True, strict=True)
    checked_for_leaks: bool = Field(default=True, strict=True)
    promotion: Literal["automatic", "approval"] = "automatic"


class Monitor(Part):
    """When a champion must be trained again; None leaves a rule out.

    Attributes
    ----------
    sessions : int
        How many of the latest sessions are compared with those of the training.
    max_psi : float
        Largest population stability index of a feature; 0.25 is the usual sign of a shift.
    max_ks : float
        Largest distance between a feature's two distribution functions, between 0 and 1.
        Both count only where they are also unusual for the feature: above 95 % of what windows
        of the same length showed up to the training.
    min_performance : float
        Least probability that the backtest leaves to a result as bad as the one since training.
    """

    sessions: int = Field(default=126, strict=True, ge=20, le=2520)
    max_psi: float | None = Field(default=0.25, strict=True, ge=0.0001, le=100.0)
    max_ks: Share | None = 0.25
    min_performance: Probability | None = 0.05
