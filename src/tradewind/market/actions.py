"""What corporate actions look like: one long frame, a row for each.

==============  =======  ========================================================================
column          type     meaning
==============  =======  ========================================================================
``symbol``      String   the instrument
``kind``        String   one of `KINDS`
``ex_date``     Date     the first session that is traded without, or under the new name; of a
                         listing the first session there is, of a delisting the last
``announced``   Date     when it became public; null where the vendor does not say
``value``       Float64  of a split: shares after it for each one before; of a dividend: cash for a
                         share of the ex-date; null of all others
``other``       String   of a rename: the new symbol; null of all others
==============  =======  ========================================================================
"""

from typing import Final

import polars as pl

__all__ = ["KINDS", "SCHEMA", "SORTED_BY"]

KINDS: Final = ("delisting", "dividend", "listing", "rename", "split")
SORTED_BY: Final = ("symbol", "ex_date", "kind")
SCHEMA: Final = pl.Schema(
    {
        "symbol": pl.String(),
        "kind": pl.String(),
        "ex_date": pl.Date(),
        "announced": pl.Date(),
        "value": pl.Float64(),
        "other": pl.String(),
    }
)
