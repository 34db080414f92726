"""Colours of every picture, so that a strategy is the same blue wherever it is drawn."""

from typing import Final

INK: Final = "#1b2a41"
MUTED: Final = "#8a94a6"
GRID: Final = "#e4e8ee"
FOLD: Final = "#c9d0da"
STRATEGY: Final = "#0b6e99"
LOSS: Final = "#c8553d"
_WHITE: Final = "#ffffff"
_STRONGEST: Final = 0.72  # of a tint; beyond, dark text on it is hard to read


def tint(share: float) -> str:
    """Return a background between loss and gain on which dark text stays legible.

    Parameters
    ----------
    share : float
        From -1.0, the strongest loss, over 0.0, white, to 1.0; values beyond count as the ends.
    """
    target = STRATEGY if share > 0.0 else LOSS
    strength = min(abs(share), 1.0) * _STRONGEST
    mixed = (
        round(white + (colour - white) * strength)
        for white, colour in zip(_rgb(_WHITE), _rgb(target), strict=True)
    )
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
