"""What a strategy file may say.

Kinds of models are found by entry points while `models` is imported, and their modules import it.
So it is imported before all of them, whichever module of this package a process asks for first.
"""

from tradewind.research.strategy import models

__all__ = ["models"]
