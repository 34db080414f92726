"""Connections of type `celery`."""

from typing import Any

from airflow.sdk import BaseHook

from tradewind.bridge._address import AppAddress
from tradewind.bridge._celery import RemoteApp
from tradewind.bridge.errors import BridgeError

__all__ = ["CeleryHook"]


class CeleryHook(BaseHook):
    """A Celery app that a connection leads to.

    Parameters
    ----------
    celery_conn_id : str
        Host, port, login and password are the broker's; the schema is the number of a Redis
        database, or the virtual host of another broker. The extra may hold `global_keyprefix`,
        `default_queue`, `result_backend`, `result_keyprefix`, `broker_scheme`, `poll_seconds` and,
        for a broker of scheme `rediss`, the file `ssl_ca_certs` of its CA.
    """

    conn_name_attr = "celery_conn_id"
    default_conn_name = "celery_default"
    conn_type = "celery"
    hook_name = "Celery app"

    def __init__(self, celery_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.celery_conn_id = celery_conn_id

    def address(self) -> AppAddress:
        """Return where the app is.

        Raises
        ------
        ConnectionSettingsError
            If the connection does not say.
        """
        return AppAddress.from_connection(self.get_connection(self.celery_conn_id))

    async def aaddress(self) -> AppAddress:
        """Return where the app is, asked for inside an event loop."""
        return AppAddress.from_connection(await self.aget_connection(self.celery_conn_id))

    def get_conn(self) -> RemoteApp:
        """Return the app, to be closed after use."""
        return RemoteApp(self.address())

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether broker and results answer, and which workers do: the page's test button."""
        try:
            with RemoteApp(self.address(), patient=False) as app:
                return True, app.check()
        except BridgeError as error:
            return False, str(error)
