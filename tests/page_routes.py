"""The routes of the desk's page, and who may use each; `make_app` has no others."""

from typing import Final

PREFIX: Final = "/tradewind"
READ: Final = ("viewer", "researcher", "trader", "admin")
TRADE: Final = ("trader", "admin")
ROUTES: Final = {
    ("GET", "/api/me"): READ,
    ("GET", "/api/day"): READ,
    ("GET", "/api/accounts"): READ,
    ("GET", "/api/accounts/{account}/positions"): READ,
    ("GET", "/api/accounts/{account}/orders"): READ,
    ("GET", "/api/accounts/{account}/fills"): READ,
    ("GET", "/api/accounts/{account}/pnl"): READ,
    ("GET", "/api/orders/{order}"): READ,
    ("GET", "/api/live"): READ,
    ("POST", "/api/halt"): TRADE,
    ("POST", "/api/resume"): TRADE,
}
"""Besides `/assets/desk.js`, the program itself, which anybody may have."""
