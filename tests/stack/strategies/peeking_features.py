"""A feature that must be refused: it is known a day late."""

import polars as pl


def tomorrow() -> pl.Expr:
    """Return the return of the next session."""
    return pl.col("close").shift(-1) / pl.col("close") - 1.0
