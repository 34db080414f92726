"""A model that is fitted elsewhere: its predictions are handed in."""

from typing import ClassVar, Literal

from tradewind.errors import StrategyError
from tradewind.research.strategy.features import FeatureSpec
from tradewind.research.strategy.models import ModelFields

__all__ = ["ExternalModel"]


class ExternalModel(ModelFields):
    """Predictions that the desk's own workflow makes; see docs/own-training.md.

    `walk_forward` then says which sessions are judged: those after the first `train` and the purge.
    """

    code: ClassVar[str] = "tradewind.research.models.external"
    external: ClassVar[bool] = True

    kind: Literal["external"]

    @property
    def brings(self) -> tuple[FeatureSpec, ...]:
        """Nothing: what its predictions are made of is not known here."""
        return ()

    def why_not_swept(self, name: str) -> str:
        """Return that it has no parameters here."""
        del name
        return "an external model is fitted elsewhere, and swept there: hand in each trial"

    def check_code(self, strategy: str) -> None:
        """Refuse to train what is trained elsewhere.

        Raises
        ------
        StrategyError
            Which says how its predictions are handed in.
        """
        raise StrategyError(
            f"strategy {strategy}: model.kind is external, so there is nothing to train here. Its "
            f"predictions are handed in from Python: judged = tradewind.Desk().judge("
            f"{strategy!r}, predictions), then desk.register(judged)"
        )
