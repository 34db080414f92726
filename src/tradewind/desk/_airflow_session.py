"""Requests to Airflow's web server as a user, with the login, and with patience for outages."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import httpx

from tradewind.errors import OrchestrationError

__all__ = ["AwayError", "Session", "ignore"]

_PAUSE = 1.0
_HEALTH_SECONDS = 10.0
_REFUSED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


class AwayError(OrchestrationError):
    """Airflow does not answer, but may in a moment: it, or its database, restarts."""


def ignore(_: str) -> None:
    """Tell nobody."""


class Session:
    """A user's requests; each is tried again while Airflow is away, as long as patience lasts.

    Parameters
    ----------
    base_url : str
    username, password : str
    timeout : float
        Seconds that one attempt may take.
    patience : float
        Seconds for which a request is tried again. It must do no harm if it is done twice.
    on_outage : callable
        Called once an outage with the reason for waiting.
    """

    def __init__(
        self,
        base_url: str,
        username: str,
        password: str,
        *,
        timeout: float,
        patience: float = 0.0,
        on_outage: Callable[[str], None] = ignore,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._username = username
        self._password = password
        self._patience = patience
        self._on_outage = on_outage
        # trust_env: a proxy of the environment must not see a password meant for this machine.
        self._http = httpx.Client(base_url=self.base_url, timeout=timeout, trust_env=False)
        self._token: str | None = None
        self._known = False

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
        until: float | None = None,
    ) -> httpx.Response:
        """Return the answer to a request.

        The retry loop is written here, not with tenacity: the user is told once of an outage, and
        the error says how long it lasted.

        Parameters
        ----------
        method, path : str
        params, json, headers
            As httpx takes them.
        accept : collection of int
            Status codes, beside those of success, that are no errors.
        until : float, optional
            When patience ends at the latest, on the clock of `time.monotonic`.

        Raises
        ------
        AwayError
            If patience has ended.
        OrchestrationError
            If Airflow refuses.
        """
        began = time.monotonic()
        ends = began + self._patience if until is None else min(began + self._patience, until)
        told = False
        while True:
            try:
                return self._once(method, path, accept, headers, params=params, json=json)
            except AwayError as error:
                now = time.monotonic()
                if now >= ends:
                    if not told:
                        raise
                    raise AwayError(f"{error} It was asked for {now - began:.0f} s") from error
                if not told:
                    told = True
                    self._on_outage(f"{error} It is asked again for {ends - now:.0f} s at most")
            time.sleep(min(_PAUSE, ends - now))

    def _once(
        self,
        method: str,
        path: str,
        accept: Collection[int],
        headers: Mapping[str, str] | None,
        **content: Any,  # noqa: ANN401 - as httpx takes it
    ) -> httpx.Response:
        """Send a request with a token; once more with a new one if the token is refused.

        Airflow answers 401 to a token that has run out, and 403 to one whose time is still to come,
        for the clock was set back since. An `httpx.Auth` would not be plainer: the login has a
        second try, a look at Airflow's health and errors of its own, and all of them are requests
        that would have to be sent from within the flow of another.
        """
        for token in (self._token, None):
            known = {**(headers or {}), "Authorization": f"Bearer {token or self._login()}"}
            response = self._send(method, f"/api/v2{path}", headers=known, **content)
            if response.status_code not in _REFUSED:
                break
        if response.is_success or response.status_code in accept:
            return response
        # Airflow refuses a token that it gave a moment ago when it cannot look it up.
        raise self._refusal(response, away=response.status_code == httpx.codes.UNAUTHORIZED)(
            f"Airflow at {self.base_url} answered {response.status_code} to {method} {path}: "
            f"{_detail(response)}."
        )

    def _login(self) -> str:
        login = {"username": self._username, "password": self._password}
        response = self._send("POST", "/auth/token", json=login)
        if response.status_code == httpx.codes.UNAUTHORIZED:  # perhaps its connection was stale
            response = self._send("POST", "/auth/token", json=login)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            # Without its database Airflow knows no password, and its answer is the same.
            away = self._known or self._database_is_away()
            raise (AwayError if away else OrchestrationError)(
                f"Airflow at {self.base_url} refused the password of user {self._username!r}. "
                + (
                    "Its database is away, or was a moment ago: see `tradewind status`."
                    if away
                    else "Does another stack answer at this address? See `tradewind credentials` "
                    "and `tradewind status`"
                )
            )
        if not response.is_success:
            raise self._refusal(response)(
                f"Airflow at {self.base_url} answered {response.status_code} to the login: "
                f"{_detail(response)}."
            )
        self._token = str(response.json()["access_token"])
        self._known = True
        return self._token

    def _database_is_away(self) -> bool:
        try:
            answer = self._http.get("/api/v2/monitor/health", timeout=_HEALTH_SECONDS)
            return bool(answer.json()["metadatabase"]["status"] != "healthy")
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def _refusal(self, response: httpx.Response, *, away: bool = False) -> type[OrchestrationError]:
        # 429: too many requests; another try in a moment is answered.
        busy = response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS
        return AwayError if away or busy else OrchestrationError

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401
        try:
            return self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            raise AwayError(
                f"Airflow at {self.base_url} is out of reach ({method} {path}: {error!r}). "
                "Is the stack up? See `tradewind status`; start it with `tradewind up --detach`."
            ) from error


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.text[:500]
