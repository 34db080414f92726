"""Features that mean nothing, of three kinds; laid into the strategies folder of a placebo run."""

import hashlib

import polars as pl

KEPT = 0.95  # of a value from one session to the next


def noise(kind: str, seed: int) -> pl.Expr:
    """Return noise that forgets at once (iid), slowly (ar1) or never (random_walk)."""

    def draw(texts: pl.Series) -> pl.Series:
        digests = (hashlib.sha256(text.encode()).digest() for text in texts)
        return pl.Series(
            [int.from_bytes(digest[:8], "big") / 2**64 - 0.5 for digest in digests],
            dtype=pl.Float64,
        )

    text = pl.format("{} {} {}", pl.lit(seed), "symbol", pl.col("session").cast(pl.String))
    fresh = text.map_batches(draw, return_dtype=pl.Float64, is_elementwise=True)
    if kind == "iid":
        return fresh
    if kind == "ar1":
        return fresh.ewm_mean(alpha=1.0 - KEPT, adjust=False)
    return fresh.cum_sum()
