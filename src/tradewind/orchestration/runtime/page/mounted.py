"""The page as Airflow mounts it: nothing is imported before somebody opens it.

Every process of Airflow loads the plugin, workers too, and one of them serves pages.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["BUNDLE", "PREFIX", "REACT_APPS", "Page"]

PREFIX: Final = "/tradewind"
BUNDLE: Final = Path(__file__).with_name("assets") / "desk.js"
"""What `web/` is built to (`make web`)."""


class Page:
    """ASGI application of the page's routes, which is made at the first request."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request."""
        if self._app is None:
            from tradewind.orchestration.runtime.page.routes import make_app

            self._app = make_app()
        await self._app(scope, receive, send)


def _react_app(name: str, destination: str, route: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    # A browser keeps the file until another version of it has another address.
    version = hashlib.sha256(BUNDLE.read_bytes()).hexdigest()[:16]
    return {
        "name": name,
        "destination": destination,
        "url_route": route,
        "bundle_url": f"{PREFIX[1:]}/assets/desk.js?v={version}",
        **more,
    }


REACT_APPS: Final = (
    _react_app("Desk", "nav", "desk", nav_top_level=True),
    _react_app("Desk today", "dashboard", "desk-today"),
)
"""Where Airflow shows what of the bundle: by the name that the bundle gives each."""
