"""How much of the same time two records must cover before they are compared."""

from typing import Final

__all__ = ["LEAST_COMMON_SESSIONS"]

LEAST_COMMON_SESSIONS: Final = 60
"""Sessions below which two versions, or two trials, are not compared: a quarter of a year."""
