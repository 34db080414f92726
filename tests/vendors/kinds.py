"""Every kind that asks a vendor, with the vendor of our own that it is tried against."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.vendors.alpaca_server import AlpacaServer
from tests.vendors.databento_server import DatabentoServer
from tests.vendors.massive_server import MassiveServer
from tests.vendors.tiingo_server import TiingoServer
from tests.vendors.yahoo_server import YahooServer
from tradewind.market.sources import databento

__all__ = ["KINDS", "VendorKind"]


@dataclass(frozen=True)
class VendorKind:
    """One kind.

    Attributes
    ----------
    name : str
    server : type of VendorServer
        Made from bars.
    bars_of : str
        By which the vendor's faults know a question for the bars of ``{symbol}``.
    enough : int
        Questions that are answered before the quota is used up, so that some symbols are had.
    has_key : bool
        Whether it asks for a key.
    options : mapping
        Beside the symbols, the start and the address.
    few : callable
        Lets a question be about few symbols, where it is about many.
    """

    name: str
    server: Any
    bars_of: str
    enough: int
    has_key: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    few: Callable[[pytest.MonkeyPatch, Any], None] = lambda *_: None


KINDS = {
    each.name: each
    for each in (
        VendorKind(
            "alpaca",
            AlpacaServer,
            "bars:",
            4,
            few=lambda patch, server: patch.setattr(server, "page", 100),
        ),
        VendorKind(
            "databento",
            DatabentoServer,
            "bars",
            9,
            few=lambda patch, _: patch.setattr(databento, "_AT_ONCE", 1),
        ),
        VendorKind("massive", MassiveServer, "{symbol}", 8),
        VendorKind("tiingo", TiingoServer, "{symbol}", 2),
        VendorKind(
            "yahoo", YahooServer, "{symbol}", 2, has_key=False, options={"personal_use": True}
        ),
    )
}
