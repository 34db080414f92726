"""The routes of the desk's page: each calls the use case that the command line calls.

They read the book and write halts, in a role of the database that may no more than that.
"""

import json
import logging
from datetime import date
from functools import cache
from typing import Annotated, Any, Final

from airflow.configuration import conf
from fastapi import APIRouter, Body, Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy.exc import SQLAlchemyError

from tradewind.desk import trading
from tradewind.errors import TradewindError, TradingError
from tradewind.orchestration.runtime.bell import CHANNEL as RUNS
from tradewind.orchestration.runtime.page.allowed import Reader, Trader, may_trade
from tradewind.orchestration.runtime.page.day import day
from tradewind.orchestration.runtime.page.live import Channel, Live, end_with_server
from tradewind.orchestration.runtime.page.mounted import BUNDLE
from tradewind.orchestration.runtime.page.same_site import refuse_other_sites
from tradewind.orchestration.runtime.page.shared_answer import SharedAnswer
from tradewind.settings import Settings, load_settings
from tradewind.strict_json import dumps
from tradewind.trading.book.outbox import CHANNEL as BOOK

__all__ = ["make_app"]

_FRESH: Final = 1.0  # seconds for which pages share an answer, where no news comes before
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SERVER_ERROR: Final = 503
_REFUSED: Final = 400
_MISREAD: Final = 422

log = logging.getLogger(__name__)

# PostgreSQL has no text with the character 0.
Name = Annotated[str, Path(pattern=r"^[^\x00]+$")]


class Switch(BaseModel):
    """A halt or a resumption: who says so is told by the login, never by the request."""

    model_config = ConfigDict(extra="forbid", strict=True)

    account: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]


class Text(Response):
    """A text in JSON that no browser keeps."""

    media_type = "application/json"

    def __init__(self, text: str) -> None:
        super().__init__(text, headers={"Cache-Control": "no-store"})


class Answer(Text):
    """Strict JSON, in which amounts of money are text."""

    def __init__(self, content: Any) -> None:  # noqa: ANN401
        super().__init__(dumps(content))


def make_app() -> FastAPI:
    """Return the application that is mounted at `mounted.PREFIX`.

    Raises
    ------
    TradingError
        If the web server was told of no database.
    """
    settings = load_settings()
    if settings.database_url is None:
        raise TradingError(
            "Airflow's web server has no login to the trading book (TRADEWIND_DATABASE_URL): "
            "tradewind down and up hands it out"
        )
    app = FastAPI(title="tradewind", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(_routes(settings, settings.database_url))
    app.add_exception_handler(TradewindError, _refused)
    app.add_exception_handler(SQLAlchemyError, _airflow_is_away)
    app.add_exception_handler(RequestValidationError, _misread)

    @app.middleware("http")
    async def _(request: Request, call_next: Any) -> Response:  # noqa: ANN401
        response: Response = await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return app


def _routes(settings: Settings, database_url: str) -> APIRouter:
    routes = APIRouter()
    accounts = SharedAnswer(lambda: dumps(trading.accounts(settings)), _FRESH)

    runs = SharedAnswer(lambda: dumps(day()), _FRESH)

    def forget(name: str) -> None:
        (accounts if name == "book" else runs).forget()

    airflow = conf.get_mandatory_value("database", "sql_alchemy_conn")
    live = Live({"book": Channel(database_url, BOOK), "runs": Channel(airflow, RUNS)}, forget)

    ends = cache(lambda: end_with_server(live))

    @routes.get("/assets/desk.js")
    def bundle() -> FileResponse:
        # The same for everybody, and nothing secret in it.
        kept = {"Cache-Control": "public, max-age=31536000, immutable"}
        return FileResponse(BUNDLE, media_type="text/javascript", headers=kept)

    @routes.get("/api/me")
    def me(user: Reader) -> Answer:
        """Who is logged in, and what of the page they may use."""
        return Answer({"name": user.get_name(), "may_trade": may_trade(user)})

    @routes.get("/api/day")
    async def read_day(_: Reader) -> Text:
        return Text(await runs.get())

    @routes.get("/api/accounts")
    async def read_accounts(_: Reader) -> Text:
        return Text(await accounts.get())

    @routes.get("/api/accounts/{account}/positions")
    def read_positions(_: Reader, account: Name) -> Answer:
        return Answer(trading.positions(settings, account))

    @routes.get("/api/accounts/{account}/orders")
    def read_orders(_: Reader, account: Name, since: date) -> Answer:
        return Answer(trading.orders(settings, account, since))

    @routes.get("/api/accounts/{account}/fills")
    def read_fills(_: Reader, account: Name, since: date) -> Answer:
        return Answer(trading.fills(settings, account, since))

    @routes.get("/api/accounts/{account}/pnl")
    def read_pnl(
        _: Reader, account: Name, sessions: Annotated[int, Query(ge=1, le=5000)] = 250
    ) -> Answer:
        return Answer(trading.pnl(settings, account)[-sessions:])

    @routes.get("/api/orders/{order}")
    def explain_order(_: Reader, order: Name) -> Answer:
        return Answer(trading.explain(settings, order))

    @routes.post("/api/halt", dependencies=[Depends(refuse_other_sites)])
    def halt(user: Trader, asked: Annotated[Switch, Body()]) -> Answer:
        trading.halt(settings, asked.account, reason=asked.reason, by=user.get_name())
        accounts.forget()
        return Answer({"halted": True, "account": asked.account})

    @routes.post("/api/resume", dependencies=[Depends(refuse_other_sites)])
    def resume(user: Trader, asked: Annotated[Switch, Body()]) -> Answer:
        trading.resume(settings, asked.account, reason=asked.reason, by=user.get_name())
        accounts.forget()
        return Answer({"halted": False, "account": asked.account})

    @routes.get("/api/live")
    async def read_live(_: Reader) -> StreamingResponse:
        ends()
        # Nginx would keep it back until there is a bufferful.
        told = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(live.stream(), media_type="text/event-stream", headers=told)

    return routes


async def _refused(_: Request, error: Exception) -> JSONResponse:
    """Say what is wrong as the command line does."""
    away = isinstance(error.__cause__, SQLAlchemyError)
    return JSONResponse({"detail": str(error)}, _SERVER_ERROR if away else _REFUSED)


async def _airflow_is_away(_: Request, error: Exception) -> JSONResponse:
    """Leave the statement to the log: the book's errors are ours, so this one is of Airflow's."""
    log.warning("Airflow's database was asked for the day: %s", error)
    said = "Airflow's database refused or is out of reach: see `tradewind status`"
    return JSONResponse({"detail": said}, _SERVER_ERROR)


async def _misread(_: Request, error: Exception) -> Response:
    """Say what cannot be read, and not what was sent, which may be nothing that JSON can hold."""
    wrong = error.errors() if isinstance(error, RequestValidationError) else []
    said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong)
    # In ASCII: the name of a field, too, may be half a character.
    return Response(json.dumps({"detail": said}), _MISREAD, media_type="application/json")
