"""Features that mean nothing: what the workflow must not fall for. See noise.yaml.

Also an example of features of one's own: a function takes the parameters that the strategy file
gives it, and returns a polars expression over the bars of one symbol.
"""

import hashlib

import polars as pl


def noise(seed: int) -> pl.Expr:
    """Return a number from -0.5 to 0.5 for each symbol and session, independent of all others.

    It is made of a SHA-256, so it is the same on any machine and with any version of any library,
    as no random number generator promises to be.
    """

    def draw(texts: pl.Series) -> pl.Series:
        digests = (hashlib.sha256(text.encode()).digest() for text in texts)
        return pl.Series(
            [int.from_bytes(digest[:8], "big") / 2**64 - 0.5 for digest in digests],
            dtype=pl.Float64,
        )

    text = pl.format("{} {} {}", pl.lit(seed), "symbol", pl.col("session").cast(pl.String))
    return text.map_batches(draw, return_dtype=pl.Float64, is_elementwise=True)
