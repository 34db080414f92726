"""What an order must keep to before it leaves for the broker."""

from pydantic import Field

from tradewind.research.strategy.fields import Part, Share

__all__ = ["Risk"]


class Risk(Part):
    """What an order must keep to before it leaves for the broker.

    A refused order is kept with its reasons, and the position stays as it is. Exposure is reckoned
    at the last close; an order that brings a position nearer to nothing is never refused for its
    weight, and orders that leave the account with less exposure never for its sum.

    Attributes
    ----------
    max_weight : float
        Largest share of equity in one symbol, long or short.
    max_gross, max_net : float
        Largest sum of long and short shares of equity, and largest difference of the two, with
        all of a session's orders filled. Prices move between the close and the next open, so
        that what is filled may come out a little above.
    max_order_volume : float
        Largest order, as a share of the symbol's median volume of the last 20 sessions.
    max_price_move : float
        How far the price that an order is reckoned with may be from the close before, as a
        fraction and after splits. A move beyond it is more often a broken price than a real one;
        0.4 finds a split that the vendor forgot.
    max_signal_age : int
        How many opens of the exchange may lie between the session that a signal was decided on and
        the open it is traded at: 0 trades at the very next open or not at all. Bars that are old
        make signals that are old, so this is also how old bars may be.
    lot_size : int
        Shares that can be traded are multiples of this; what is left of a position goes at once.
    max_participation : float
        Largest share of a session's volume that the paper broker fills; the rest of the order
        expires.
    """

    max_weight: float = Field(default=1.0, strict=True, ge=0.0001, le=10.0)
    max_gross: float = Field(default=1.0, strict=True, ge=0.0001, le=10.0)
    max_net: float = Field(default=1.0, strict=True, ge=0.0001, le=10.0)
    max_order_volume: float = Field(default=0.1, strict=True, ge=1e-6, le=1000.0)
    max_price_move: float = Field(default=0.4, strict=True, ge=0.0001, le=1000.0)
    max_signal_age: int = Field(default=0, strict=True, ge=0, le=20)
    lot_size: int = Field(default=1, strict=True, ge=1, le=1_000_000)
    max_participation: Share = 0.1
