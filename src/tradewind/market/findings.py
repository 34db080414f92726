"""What validation found, one record a defect."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

__all__ = ["Finding", "Severity"]

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One defect or oddity in bars.

    Attributes
    ----------
    severity : {"error", "warning"}
        An error stops whatever would use the bars; a warning is kept with the run.
    symbol, session
        Where; None when the finding concerns the frame as a whole.
    rule : str
        Short name of the rule, such as ``"ohlc_order"``.
    value : float, str or None
        The offending value.
    message : str
        What is wrong, in words.
    """

    severity: Severity
    symbol: str | None
    session: date | None
    rule: str
    value: float | str | None
    message: str

    def __str__(self) -> str:
        where = " ".join(str(part) for part in (self.symbol, self.session) if part is not None)
        return f"{where or 'bars'}: {self.rule} ({self.value}): {self.message}"
