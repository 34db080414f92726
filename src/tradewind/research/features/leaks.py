"""Checks that a feature of session t is known at the close of session t.

A feature can break this in three ways. It may look at bars after t; then it changes when those bars
are taken away. It may remember: it keeps something from the bars of one computation, and uses it in
the next. Or it may use the level of an adjusted price, which every later split and dividend
changes: in a backtest, a stock that will split looks cheap. Then it changes when the symbol's
factors are scaled, as a corporate action after the last bar would scale them.

The first comparison is exact, bit for bit: all windows of polars (rolling, cumulative,
exponentially weighted) run forward in time, so that bars taken away at the end do not change how
earlier values are rounded, and no tolerance can hide a leak. Each symbol is cut at dates of its
own. Many cut copies of it are computed in one frame, which costs little more than one copy.
Features across symbols see whole sessions, so they are compared where all symbols are cut at one
date.

Functions of the user's own are computed in processes that have computed nothing before
(`tradewind.research.features._apart`). One computes a cut frame and then all bars. One computes all
bars alone. One computes the other cuts, the shortest of each symbol first, so that it has never
seen the bars that a cut takes away. Our own features remember nothing: they are computed in this
process, and at few dates.

The last comparison allows for rounding, since a logarithm of a scaled price is not rounded like
that of the price, and for guards such as the 1e-9 that keep a range of prices from being zero. It
allows a ten-thousandth of the feature's own spread. A level changes by much more, since prices are
scaled by 8 and more.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.errors import LeakError, StrategyError
from tradewind.market.bars import KEY
from tradewind.research.features._apart import Apart, Compute, Here, Part
from tradewind.research.features._leak_dates import common_cuts, own_cuts, spans
from tradewind.research.features._tables_compared import (
    Difference,
    are_codes,
    difference,
    rounding,
    same_but_for_codes,
)
from tradewind.research.features.universe import select_bars
from tradewind.research.strategy.features import Across, Compared, Custom, FeatureSpec
from tradewind.research.strategy.strategy import Strategy

__all__ = ["refuse_lookahead"]

_LEAST: Final = 24
_MOST: Final = 124
_ROWS: Final = 840_000
"""Rounds are as many as fit into these rows, between the least and the most."""

_ACROSS: Final = 12  # rounds at least, of features that need one date for all symbols
_OURS: Final = 6  # rounds of our own features: they have tests, so that few dates are enough
_ENOUGH: Final = 252  # bars that are enough for any feature that can be computed of all bars
_AT_ONCE: Final = 1_500_000  # rows computed in one frame
# Powers of two, so that scaling itself rounds nothing; far apart, and another one for each symbol,
# so that a level also changes its place among the others. A split changes prices and shares alike,
# a dividend prices alone.
_SPLITS: Final = (2.0**-2, 2.0**-4, 2.0**-3)
_DIVIDENDS: Final = (2.0**9, 2.0**3, 2.0**7, 2.0**11, 2.0**5)

Scales = tuple[float, ...]


def refuse_lookahead(
    bars: pl.DataFrame, strategy: Strategy, *, rounds: int | None = None, seed: int
) -> None:
    """Compute a strategy's features again without the future, and compare.

    Each symbol is cut at `rounds` dates of its own (`tradewind.research.features._leak_dates`): its
    features up to the cut must be, without the bars after it, what they are with all bars. Then
    they must stay the same when the factors of each symbol are scaled.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, 9)
        Validated bars that hold the strategy's symbols.
    strategy : Strategy
    rounds : int, optional
        Cuts a symbol, at least three; if not given, 24 for many bars and up to 124 for few.
        Features of our own code are cut at six of them.
    seed : int
        Of the choice of dates.

    Raises
    ------
    LeakError
        Which names feature, symbol, session and both values.
    StrategyError
        If a symbol has no bars, or a feature of the user's own cannot be computed, or depends on
        more than its bars: on earlier computations, on the process, on random numbers.
    ResearchError
        If less than three rounds are asked for.
    SettingsError
        If there is a feature of the user's own and the settings cannot be read.
    """
    used = select_bars(bars, strategy)
    fitting = rounds or min(max(_ROWS // used.height, _LEAST), _MOST)
    own = own_cuts(used, rounds=fitting, seed=seed)
    common = common_cuts(used, own, rounds=max(fitting // 2, _ACROSS))
    _Check(used, strategy).run(own, common)


class _TooFewBarsError(StrategyError):
    """A feature cannot be computed where a symbol has few bars."""


class _Check:
    """One check of one strategy."""

    def __init__(self, bars: pl.DataFrame, strategy: Strategy) -> None:
        self._bars = bars
        self._name = strategy.name
        self._strategy = strategy
        self._starts, sizes = spans(bars)
        self._enough = np.clip(sizes - 1, 1, _ENOUGH)
        self._process: Apart | Here = Here(bars)

    def run(self, own: NDArray[np.intp], common: NDArray[np.intp]) -> None:
        """Raise if the features are not what they promise to be."""
        inputs = self._strategy.inputs
        # The input of a rank is a feature of one symbol, which is cut at more dates.
        alone = {part.column: part for spec in inputs for part in spec.parts}.values()
        custom = [spec for spec in alone if isinstance(spec, Custom)]
        across = [spec for spec in inputs if isinstance(spec, Across)]
        here = Here(self._bars)
        with Apart(self._bars) if custom or across else here as apart:
            # Ours first, while the process apart starts.
            self._all_of([spec for spec in alone if spec not in custom], own[:_OURS], here)
            self._all_of(custom, own, apart)
            self._all_of(across, common, apart)
        # Computed in this process, so only after it is known that their inputs remember nothing.
        compared = [spec for spec in inputs if isinstance(spec, Compared)]
        self._all_of(compared, common[:_OURS], here)

    def _all_of(
        self, features: Sequence[FeatureSpec], cuts: NDArray[np.intp], process: Apart | Here
    ) -> None:
        if not features:
            return
        strategy = self._strategy  # whose model may bring its own features
        if strategy.model.brings is None:
            strategy = strategy.model_copy(update={"features": tuple(features)})
        self._process = process
        try:
            self._compare(strategy, cuts)
        except _TooFewBarsError:
            if not any(spec.across_symbols for spec in features):  # these need one date for all
                # A feature that looks ahead may fail for this reason, too: the leak is the graver
                # error.
                self._compare(strategy, np.maximum(cuts, self._enough))
            raise

    def _compare(self, strategy: Strategy, cuts: NDArray[np.intp]) -> None:
        parts = self._parts(cuts)
        first = next(parts)
        compute = self._process.fresh(strategy)
        # A cut first: what a feature remembers of its first frame, such as a scaler, is then of the
        # cut.
        cut, after = self._of_part(compute, strategy, first), compute(None)
        whole = after  # nothing of ours remembers
        if isinstance(self._process, Apart):
            whole = self._process.fresh(strategy)(None)
        if found := difference(whole[first.rows], cut):
            raise self._refusal(strategy, whole, after, found, (cut, first))
        if found := difference(whole, after):
            raise self._refusal(strategy, whole, after, found)
        compute = self._process.fresh(strategy)
        for part in parts:
            cut = self._of_part(compute, strategy, part)
            if found := difference(whole[part.rows], cut):
                raise self._refusal(strategy, whole, after, found, (cut, part))
        self._refuse_levels(compute, whole)
        if isinstance(self._process, Apart):
            here = Here(self._bars).fresh(strategy)(None)
            if found := difference(whole, here):
                raise StrategyError(
                    f"{self._told(found, found.row)} in this process: it depends on more than its "
                    "bars, such as what was computed before, or Python's hash() of a text, which "
                    "is another one in each process"
                )

    def _of_part(self, compute: Compute, strategy: Strategy, part: Part) -> pl.DataFrame:
        """Compute the table of a part, and tell if its bars are too few for a feature."""
        try:
            return compute(part)
        except StrategyError as error:
            try:
                self._process.fresh(strategy)(None)
            except StrategyError:
                raise error from None  # it fails with all bars, too: the first error says why
            raise _TooFewBarsError(
                f"{error}. It can be of all bars, but not where a symbol has only those up to an "
                "earlier date: where there are too few, give null"
            ) from error

    def _refusal(
        self,
        strategy: Strategy,
        whole: pl.DataFrame,
        after: pl.DataFrame,
        found: Difference,
        cut: tuple[pl.DataFrame, Part] | None = None,
    ) -> StrategyError | LeakError:
        """Return why a feature differs: it is random, it remembers, or it looks ahead.

        Parameters
        ----------
        strategy : Strategy
        whole, after : DataFrame
            The features of all bars, and those computed after others by the same code.
        found : Difference
        cut : DataFrame and Part, optional
            Where the difference was found; None if it is between `whole` and `after`.
        """
        again = self._process.fresh(strategy)(None)
        one = whole[found.column]
        of_codes = are_codes(one)
        same = difference(whole, again) is None
        if not same and not (of_codes and same_but_for_codes(one, again[found.column])):
            random = difference(whole, again) or found
            return StrategyError(
                f"{self._told(random, random.row)} when it is computed again from the same bars. "
                "Random numbers need a seed that is fixed, and the time of day is no feature"
            )
        row = found.row if cut is None else int(cut[1].rows[found.row])
        told = self._told(found, row)
        # Codes that differ only in their numbers are the same categories, met in another order.
        relabelled = of_codes and same_but_for_codes(one, after[found.column])
        if relabelled and (
            cut is None or same_but_for_codes(one[cut[1].rows], cut[0][found.column])
        ):
            return StrategyError(
                f"{told} where other bars were computed before: it is the code of a category, and "
                "categories are numbered in the order in which a process meets them. Map them to "
                "numbers of your own, as with `replace_strict`"
            )
        moved = difference(whole[[found.column]], after[[found.column]])
        if moved is not None and not relabelled:
            return LeakError(
                f"{self._told(moved, moved.row)} when it is computed after other bars by the same "
                "code: it remembers. Compute everything from the bars that are given: no global, "
                "cache, file or default argument may keep anything of them"
            )
        lacking = "" if cut is None else self._taken_away(cut[1], found.row)
        return LeakError(
            f"{told} without the bars {lacking}: it looks ahead. A feature may use its own session "
            "and those before it: shift by positive numbers, and take rolling or cumulative "
            "figures, not those of a whole column"
        )

    def _refuse_levels(self, compute: Compute, whole: pl.DataFrame) -> None:
        """Raise if a feature changes when later corporate actions adjust its prices."""
        allowed = rounding(whole)

        def moved(splits: Scales | None, dividends: Scales | None) -> Difference | None:
            factors = _with_later_actions(self._bars, splits or (1.0,), dividends or (1.0,))
            return difference(whole, compute(factors), allowed)

        found = moved(_SPLITS, _DIVIDENDS)
        if found is None:
            return
        told = self._told(found, found.row)
        if moved(_SPLITS, None) is None:
            raise LeakError(
                f"{told} once later dividends have changed the adjustment of all prices: it uses "
                "the level of a price, or of money traded. Use a ratio, such as "
                "close / close.shift(1), or for money traded the column dollar_volume, which they "
                "leave alone"
            )
        raise LeakError(
            f"{told} once later splits and dividends have changed the adjustment of all bars: it "
            "uses the level of a price or volume. Use a ratio, such as close / close.shift(1), "
            "which they leave alone"
        )

    def _told(self, found: Difference, row: int) -> str:
        """Return strategy, feature, symbol, session and both values in words."""
        symbol, session = self._bars.select(KEY).row(row)
        return (
            f"strategy {self._name}: feature {found.column} of {symbol} on {session} is "
            f"{found.values()}"
        )

    def _taken_away(self, part: Part, row: int) -> str:
        """Return in words which bars the frame of a row lacks."""
        frame = part.rows[part.frames == part.frames[row]]
        symbols = self._bars.get_column("symbol")
        known = self._bars.select(KEY)[frame]
        symbol = symbols[int(part.rows[row])]
        last = known.filter(pl.col("symbol") == symbol).get_column("session")[-1]
        return f"of {symbol} after {last}"

    def _parts(self, cuts: NDArray[np.intp]) -> Iterator[Part]:
        """Yield the rows of the first round, then those of all others, many rounds at a time.

        Each symbol's cuts come in ascending order: no earlier round, and no earlier frame of the
        same round, has bars that a later one shall not know.
        """
        cuts = np.sort(cuts, axis=0)
        sizes = cuts.sum(axis=1)
        begin = 0
        while begin < len(cuts):
            end = begin + 1
            while begin > 0 and end < len(cuts) and sizes[begin : end + 1].sum() <= _AT_ONCE:
                end += 1
            kept = cuts[begin:end]
            ends = kept.ravel().cumsum()
            shifts = np.tile(self._starts, len(kept)) - (ends - kept.ravel())
            rows = np.arange(ends[-1]) + np.repeat(shifts, kept.ravel())
            frames = np.repeat(np.arange(len(kept), dtype=np.uint32), kept.sum(axis=1))
            yield Part(rows, frames)
            begin = end


def _with_later_actions(bars: pl.DataFrame, splits: Scales, dividends: Scales) -> pl.DataFrame:
    """Return each symbol's factors as corporate actions after the last bar would leave them."""
    place = pl.col("symbol").rank("dense").cast(pl.Int64) - 1

    def scale(scales: Scales) -> pl.Expr:
        return pl.lit(pl.Series(scales)).gather(place % len(scales))

    return bars.select(
        pl.col("split_factor") * scale(splits),
        pl.col("adjustment_factor") * scale(splits) * scale(dividends),
    )
