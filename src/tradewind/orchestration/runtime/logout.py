"""Has the page where people log in by an identity provider answer who logs out.

FAB answers at that address by itself: it knows no provider, and leaves nobody a say in it. The page
(`tradewind.orchestration.runtime.login`) can be reached at the same address with a slash.
"""

from typing import TYPE_CHECKING, Final

from tradewind.settings import load_settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["LeavesByProvider"]

_LOGOUT: Final = "/auth/logout"


class LeavesByProvider:
    """Middleware of Airflow's web server; does nothing where no provider is set.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app
        self._provider = load_settings().oidc_issuer

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Hand a request on, that of a logout to the page."""
        if self._provider and scope["type"] == "http" and scope["path"] == _LOGOUT:
            scope = {**scope, "path": f"{_LOGOUT}/", "raw_path": f"{_LOGOUT}/".encode()}
        await self._app(scope, receive, send)
