"""The sets of parameters a sweep tries, all drawn before the first is run.

So they depend on the strategy file alone, not on how many workers share the work, which of them
dies, or what the trials find.
"""

import math
from itertools import islice, product
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from tradewind.errors import SweepError
from tradewind.research.strategy.strategy import Strategy
from tradewind.research.strategy.sweep import Choices, Range

__all__ = ["draw"]

_DIGITS: Final = 6  # significant ones: enough to tell trials apart, and few enough to type
_DRAWS_A_TRIAL: Final = 64

Parameters = dict[str, Any]


def draw(strategy: Strategy) -> list[Parameters]:
    """Return distinct sets of parameters that the strategy's model accepts.

    Parameters
    ----------
    strategy : Strategy
        With a sweep; its seed decides the draw.

    Returns
    -------
    list of dict
        `sweep.trials` of them, spread evenly over the ranges; fewer where there are no more.

    Raises
    ------
    SweepError
        If there is no sweep, or the model refuses nearly all that could be drawn.

    References
    ----------
    Owen (1998), Scrambling Sobol' and Niederreiter-Xing Points.
    """
    from scipy.stats import qmc

    sweep = strategy.sweep
    if sweep is None:
        raise SweepError(f"strategy {strategy.name}: the file asks for no sweep")
    spaces = list(sweep.parameters.values())
    sizes = [_size(space) for space in spaces]
    if math.prod(sizes) <= 2 * sweep.trials:
        return _from_all(strategy, sweep.trials)
    points = qmc.Sobol(len(spaces), scramble=True, rng=np.random.default_rng(strategy.seed))
    found: dict[tuple[Any, ...], Parameters] = {}
    block = math.ceil(math.log2(sweep.trials))
    drawn = 0
    while len(found) < sweep.trials:
        if drawn > _DRAWS_A_TRIAL * sweep.trials:
            raise SweepError(
                f"strategy {strategy.name}: sweep: of {drawn} sets drawn only {len(found)} differ "
                f"and are accepted by the model, and {sweep.trials} are asked for; ask for fewer "
                "trials, or change the ranges so that fewer combinations are refused"
            )
        for point in points.random(2**block):  # whole powers of two stay evenly spread
            values = [_value(space, at) for space, at in zip(spaces, point, strict=True)]
            parameters = dict(zip(sweep.parameters, values, strict=True))
            if _accepted(strategy, parameters):
                found.setdefault(tuple(values), parameters)
        drawn += 2**block
    return list(islice(found.values(), sweep.trials))


def _from_all(strategy: Strategy, trials: int) -> list[Parameters]:
    """Choose from all sets of a small space, in which draws would repeat themselves."""
    assert strategy.sweep is not None  # noqa: S101 - for the type checker
    spaces = strategy.sweep.parameters
    every = [
        parameters
        for values in product(*(_values(space) for space in spaces.values()))
        if _accepted(strategy, parameters := dict(zip(spaces, values, strict=True)))
    ]
    if not every:
        raise SweepError(
            f"strategy {strategy.name}: sweep: the model accepts no combination of parameters"
        )
    order = np.random.default_rng(strategy.seed).permutation(len(every))
    return [every[at] for at in order[:trials]]


def _accepted(strategy: Strategy, parameters: Parameters) -> bool:
    try:
        type(strategy.model).model_validate(strategy.model.replaced(parameters))
    except ValidationError:  # such as a fast average that is slower than the slow one
        return False
    return True


def _size(space: Range | Choices) -> float:
    if isinstance(space, Choices):
        return len(space.choices)
    return space.high - space.low + 1 if space.whole else math.inf


def _values(space: Range | Choices) -> list[Any]:
    if isinstance(space, Choices):
        return list(space.choices)
    return list(range(int(space.low), int(space.high) + 1))


def _value(space: Range | Choices, at: float) -> Any:  # noqa: ANN401
    """Return the value at a fraction of a space, at least 0 and less than 1."""
    if isinstance(space, Choices):
        return space.choices[int(at * len(space.choices))]
    low, high = float(space.low), float(space.high) + (1.0 if space.whole else 0.0)
    if space.log:
        value = math.exp(math.log(low) + at * (math.log(high) - math.log(low)))
    else:
        value = low + at * (high - low)
    if space.whole:
        return min(max(math.floor(value), int(space.low)), int(space.high))
    return min(max(float(f"{value:.{_DIGITS}g}"), float(space.low)), float(space.high))
