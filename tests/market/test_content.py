import datetime as dt

import polars as pl
import pytest

from tradewind.errors import SnapshotError
from tradewind.market.store.bar_store import content_hash


def test_the_hash_is_that_of_the_content_for_ever(bars: pl.DataFrame) -> None:
    one = pl.DataFrame(
        [("A", dt.date(2020, 1, 2), 1.0, 2.0, 0.5, 1.5, 10, 1.0, 1.0)],
        schema=bars.schema,
        orient="row",
    )
    assert content_hash(one) == "77618f7050fac098e7f97c4f0b66193655eb65dd96c93b8b73f26db0d4ffc305"


def test_every_column_changes_the_hash_and_the_order_of_rows_does_not(bars: pl.DataFrame) -> None:
    ibm = bars.filter(pl.col("symbol") == "IBM")
    changed = [
        ibm.with_columns(symbol=pl.lit("IBN")),
        ibm.with_columns(pl.col("session").dt.offset_by("1d")),
        *(
            ibm.with_columns((pl.col(name) + pl.lit(1, ibm.schema[name])).alias(name))
            for name in ibm.columns[2:]
        ),
        ibm.tail(-1),
    ]
    assert len({content_hash(bars) for bars in [ibm, *changed]}) == 1 + 9 + 1
    assert content_hash(ibm.sample(fraction=1.0, shuffle=True, seed=1)) == content_hash(ibm)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (pl.col("close").cast(pl.Float32), "not the columns of bars"),
        (pl.lit(None, pl.Float64).alias("close"), "missing values"),
        (pl.lit(float("nan")).alias("close"), "'close' holds values that are not finite"),
    ],
)
def test_what_are_no_bars_has_no_hash(bars: pl.DataFrame, spoil: pl.Expr, reason: str) -> None:
    with pytest.raises(SnapshotError, match=reason):
        content_hash(bars.head(10).with_columns(spoil))
