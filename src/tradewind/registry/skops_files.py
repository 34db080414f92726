"""The library skops, which writes fitted models as files that are no pickles."""

import warnings
from typing import Any

__all__ = ["import_skops"]


def import_skops() -> Any:  # noqa: ANN401 - skops has no types
    """Import skops without the warnings that it provokes.

    At import it asks every module that is loaded for each function of SciPy; old names of Airflow
    answer that with a warning, which a task's log would show as an error.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import skops.io
        import skops.io.exceptions
    return skops.io
