"""Features binned once for many models of trees.

LightGBM sorts each feature into bins before it grows a tree. Most parameters do not affect that.
Models that differ only in those can share the binned rows, and predict the same to the bit.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import lightgbm

__all__ = ["Bins", "binning"]

_NO_SAY: Final = frozenset(
    {
        "learning_rate",
        "num_leaves",
        "feature_fraction",
        "bagging_fraction",
        "bagging_freq",
        "lambda_l2",
        "num_threads",
        "verbosity",
    }
)
_LEAST: Final = "min_data_in_leaf"
_FILTER: Final = "feature_pre_filter"

Make = Callable[[Mapping[str, Any]], "lightgbm.Dataset"]


def binning(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of LightGBM's parameters that may affect how rows are binned or labelled.

    A parameter counts unless it is known to have no effect, so that a new parameter never makes two
    models share rows by mistake. `min_data_in_leaf` is left out, too: see `Bins`.
    """
    return {name: value for name, value in settings.items() if name not in _NO_SAY | {_LEAST}}


class Bins:
    """The binned rows of one training window, made when they are first asked for.

    LightGBM leaves out features of which no split could leave `min_data_in_leaf` rows on both
    sides, and draws each tree's share of features (`feature_fraction`) from those that are left.
    Shared rows are binned without that filter. So they are shared only up to a `min_data_in_leaf`
    for which the filter was seen to leave the same features; beyond it, each model bins its own
    rows.

    It holds one byte a row and feature, with up to 255 bins, and some twelve a row for labels
    and groups.
    """

    def __init__(self) -> None:
        self._shared: lightgbm.Dataset | None = None
        self._binning: dict[str, Any] = {}
        self._kept_up_to = 0  # the largest min_data_in_leaf that is known to filter nothing

    def binned(
        self, settings: Mapping[str, Any], make: Make
    ) -> tuple["lightgbm.Dataset", dict[str, Any]]:
        """Return rows to train on, and the parameters to train with.

        Parameters
        ----------
        settings : mapping of str to Any
            LightGBM's parameters for this model.
        make : callable
            Makes the rows, not binned yet, for given parameters. It must give the same rows and
            labels for the same `binning`.
        """
        if self._shared is None or self._binning != binning(settings):
            self._shared = make({**settings, _FILTER: False}).construct()
            self._binning, self._kept_up_to = binning(settings), 0
        least = settings[_LEAST]
        if least > self._kept_up_to:
            # Twice as many are tried first: if they change nothing, few later models need to check.
            for up_to in (2 * least, least):
                own = make({**settings, _LEAST: up_to}).construct()
                if _features(own) == _features(self._shared):
                    self._kept_up_to = up_to
                    break
            else:
                return own, dict(settings)
        return self._shared, {**settings, _FILTER: False}


def _features(data: "lightgbm.Dataset") -> list[int]:
    """Return the bins of each feature; a feature that is left out has none."""
    return [data.feature_num_bin(at) for at in range(data.num_feature())]
