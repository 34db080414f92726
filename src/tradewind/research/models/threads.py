"""How many cores the libraries of models use."""

import sys
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

__all__ = ["threads_limited_to"]


def threads_limited_to(num_threads: int) -> AbstractContextManager[object]:
    """Limit OpenMP and BLAS to some cores; a model fetched from a registry has no limit."""
    pools = _thread_pools(frozenset({"lightgbm", "sklearn", "xgboost"} & sys.modules.keys()))
    limits: AbstractContextManager[object] = pools.limit(limits=num_threads)
    return limits


@cache
def _thread_pools(_: frozenset[str]) -> Any:  # noqa: ANN401 - threadpoolctl ships no types
    """Find the thread pools of loaded libraries; again only if more are, as it takes 4 ms."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
