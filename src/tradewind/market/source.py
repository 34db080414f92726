"""Where `tradewind.market.sources.source` was before version 0.2; to be gone in 0.3.

Sources of a team's own import from here.
"""

import warnings

from tradewind.market.sources.source import *  # noqa: F403 - whatever was here is there

warnings.warn(
    "tradewind.market.source is tradewind.market.sources.source now, and will be gone in 0.3",
    DeprecationWarning,
    stacklevel=2,
)
