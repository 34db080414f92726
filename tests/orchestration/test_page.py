"""What the desk's page takes, shares and is told, without an Airflow around it."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Iterator
from itertools import count
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from fastapi import HTTPException
from starlette.requests import Request

from tests.page_routes import ROUTES
from tests.postgres import RunningPostgres, running_postgres
from tests.support import wait_until
from tradewind.errors import TradingError
from tradewind.orchestration.runtime.page.live import Channel, Live, end_with_server
from tradewind.orchestration.runtime.page.mounted import BUNDLE, PREFIX, REACT_APPS, Page
from tradewind.orchestration.runtime.page.same_site import refuse_other_sites
from tradewind.orchestration.runtime.page.shared_answer import SharedAnswer

HERE = "desk.example.org:8080"


def request(**headers: str) -> Request:
    found = {"host": HERE} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(
        {
            "type": "http", "method": "POST", "scheme": "http", "path": "/tradewind/api/halt",
            "server": ("127.0.0.1", 8080), "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in found.items()],
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin", "origin": f"http://{HERE}"},
        {"origin": f"http://{HERE}"},  # a browser says no more without TLS
        {"origin": f"HTTP://{HERE.upper()}"},
        {"authorization": "Bearer x", "origin": "https://elsewhere.example.org"},
    ],
)
def test_a_change_is_taken_from_the_page_itself(headers: dict[str, str]) -> None:
    refuse_other_sites(request(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "cross-site", "origin": f"http://{HERE}"},
        {"sec_fetch_site": "same-site", "origin": f"http://{HERE}"},  # a neighbour's page
        {"sec_fetch_site": "none"},
        {"origin": "null"},
        {"origin": "https://elsewhere.example.org"},
        {"origin": f"http://{HERE}.elsewhere.org"},
        {"origin": "http://desk.example.org:8081"},  # another service of the same machine
        {"authorization": "Basic eDp5"},
    ],
)
def test_a_change_that_another_site_asks_for_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(HTTPException, match="403"):
        refuse_other_sites(request(**headers))


def test_who_asks_at_once_shares_an_answer() -> None:
    asked = count()
    let_go = threading.Event()

    def ask() -> int:
        let_go.wait(30)
        return next(asked)

    async def scene() -> None:
        answer = SharedAnswer(ask, 3600)
        pages = [asyncio.create_task(answer.get()) for _ in range(20)]
        await asyncio.sleep(0)
        let_go.set()
        assert await asyncio.gather(*pages) == [0] * 20
        answer.forget()
        assert await answer.get() == 1

    asyncio.run(scene())


def test_pages_that_wait_for_a_database_share_its_error_and_hold_no_thread() -> None:
    """Each asking in its turn, they would keep the web server from Airflow's tasks for hours."""
    asked = count()
    let_go = threading.Event()

    def ask() -> int:
        next(asked)
        let_go.wait(30)
        raise TradingError("the database does not answer")

    async def scene() -> None:
        answer = SharedAnswer(ask, 0)
        before = threading.active_count()
        pages = [asyncio.create_task(answer.get()) for _ in range(200)]
        await asyncio.sleep(0)
        assert threading.active_count() <= before + 1
        let_go.set()
        found = await asyncio.gather(*pages, return_exceptions=True)
        assert {str(each) for each in found} == {"the database does not answer"}
        assert next(asked) == 1

    asyncio.run(scene())


def test_an_answer_that_was_asked_for_before_the_news_is_not_kept() -> None:
    asked = count()

    def ask() -> int:
        answer.forget()  # news come while the database is asked
        return next(asked)

    answer = SharedAnswer(ask, 3600)

    async def scene() -> None:
        assert (await answer.get(), await answer.get()) == (0, 1)

    asyncio.run(scene())


def test_an_error_is_not_kept() -> None:
    found = iter([ValueError("away"), "back"])

    def ask() -> object:
        each = next(found)
        if isinstance(each, ValueError):
            raise each
        return each

    async def scene() -> None:
        answer = SharedAnswer(ask, 3600)
        with pytest.raises(ValueError, match="away"):
            await answer.get()
        assert await answer.get() == "back"

    asyncio.run(scene())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPostgres]:
    with running_postgres(tmp_path_factory.mktemp("live")) as made:
        yield made


def notify(server: RunningPostgres) -> None:
    connection = psycopg2.connect(server.url.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("NOTIFY news")
    connection.close()


def listeners(server: RunningPostgres) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN news'"
    with sa.create_engine(server.url, poolclass=sa.NullPool).connect() as connection:
        return int(connection.execute(sa.text(query)).scalar_one())


async def heard(news: list[str], times: int = 1) -> None:
    """Wait until somebody listens, who says so by news."""
    await asyncio.to_thread(wait_until, lambda: len(news) >= times, 120)


async def told(stream: AsyncGenerator[str]) -> str:
    """Return the next event of a stream, which it has two minutes for."""
    async with asyncio.timeout(120):
        while True:
            text = await anext(stream)
            if text.startswith("event: "):
                return text.splitlines()[0].removeprefix("event: ")


def test_all_pages_hear_of_news_by_one_connection_which_goes_with_the_last(
    server: RunningPostgres,
) -> None:
    forgotten: list[str] = []

    async def scene() -> None:
        live = Live({"book": Channel(server.url, "news")}, forgotten.append)
        pages = [live.stream() for _ in range(50)]
        for page in pages:
            assert (await anext(page)).startswith("retry: ")
        await heard(forgotten)
        assert [await told(page) for page in pages] == ["book"] * 50
        assert await asyncio.to_thread(listeners, server) == 1
        before = len(forgotten)
        await asyncio.to_thread(notify, server)
        assert [await told(page) for page in pages] == ["book"] * 50
        assert len(forgotten) == before + 1
        for page in pages:
            await page.aclose()
        assert live.pages == 0
        await asyncio.to_thread(wait_until, lambda: listeners(server) == 0, 60)

    asyncio.run(scene())


def test_a_page_that_comes_again_is_told_at_once_for_it_may_have_missed_something(
    server: RunningPostgres,
) -> None:
    async def scene() -> None:
        news: list[str] = []
        live = Live({"book": Channel(server.url, "news")}, news.append)
        stays, leaves = live.stream(), live.stream()
        assert [(await anext(page))[:5] for page in (stays, leaves)] == ["retry"] * 2
        await heard(news)
        await leaves.aclose()
        await asyncio.to_thread(notify, server)  # while it is away
        await heard(news, 2)
        back = live.stream()
        assert await told(back) == "book"
        for page in (stays, back):
            await page.aclose()

    asyncio.run(scene())


def test_no_news_is_lost_to_a_page_that_is_slow_to_take_up_others() -> None:
    async def scene() -> None:
        away = Channel("postgresql+psycopg2://x@127.0.0.1:1/x", "news")
        live = Live({"book": away, "runs": away}, lambda _: None)
        page = live.stream()
        await anext(page)
        assert (await anext(page)).count("event: ") == 2  # what it may have missed
        for _ in range(100):
            live.tell("runs")
        live.tell("book")
        assert await anext(page) == "event: runs\ndata: \n\nevent: book\ndata: \n\n"
        await page.aclose()

    asyncio.run(scene())


def test_a_page_hears_again_after_the_database_was_killed(server: RunningPostgres) -> None:
    async def scene() -> None:
        news: list[str] = []
        live = Live({"book": Channel(server.url, "news")}, news.append)
        page = live.stream()
        await anext(page)
        await heard(news)
        assert await told(page) == "book"
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        assert await told(page) == "book"  # it may have missed something
        await asyncio.to_thread(notify, server)
        assert await told(page) == "book"
        await page.aclose()

    asyncio.run(scene())


def test_a_connection_that_breaks_often_is_made_again_as_soon_as_at_first(
    server: RunningPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradewind.orchestration.runtime.page.live._AGAIN", (0.01, 3600.0))

    def end_listener() -> None:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN news'"
        with sa.create_engine(server.url, poolclass=sa.NullPool).connect() as connection:
            connection.execute(sa.text(query))

    async def scene() -> None:
        news: list[str] = []
        live = Live({"book": Channel(server.url, "news")}, news.append)
        page = live.stream()
        await anext(page)
        await heard(news)
        assert await told(page) == "book"
        for _ in range(16):  # 0.01 s doubled as often is longer than anybody waits here
            await asyncio.to_thread(end_listener)
            assert await told(page) == "book"
        await page.aclose()

    asyncio.run(scene())


def test_pages_are_let_go_when_the_server_stops(server: RunningPostgres) -> None:
    async def scene() -> None:
        live = Live({"book": Channel(server.url, "news")}, lambda _: None)
        page = live.stream()
        await anext(page)
        end_with_server(live)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StopAsyncIteration):
            await told(page)

    noticed: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, lambda number, _: noticed.append(number))
    try:
        asyncio.run(scene())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert noticed == [signal.SIGTERM]  # the server's own handler comes after


def test_every_process_of_airflow_loads_the_plugin_and_only_the_page_its_routes() -> None:
    assert not hasattr(Page(), "app")
    assert [app["destination"] for app in REACT_APPS] == ["nav", "dashboard"]
    assert {app["bundle_url"].partition("?")[0] for app in REACT_APPS} == {
        f"{PREFIX[1:]}/assets/desk.js"
    }


def test_the_bundle_gives_what_airflow_looks_up_and_has_no_react_of_its_own() -> None:
    text = BUNDLE.read_text(encoding="utf-8")
    assert all(app["name"] in text for app in REACT_APPS)
    assert len(text) < 100_000
    assert "react.dev/errors" not in text
    assert "http://" not in text
    assert Path(BUNDLE).name == "desk.js"


# Of Starlette, which Airflow imports the test client of.
OTHERS_WARN = pytest.mark.filterwarnings("ignore")


@OTHERS_WARN
def test_each_route_is_among_those_that_are_tried_as_every_role(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`tests/stack/test_page.py` tries them."""
    from fastapi.routing import APIRoute

    from tradewind.orchestration.runtime.page.routes import make_app

    monkeypatch.setenv("TRADEWIND_DATABASE_URL", "postgresql+psycopg2://desk:x@127.0.0.1/tradewind")
    found = {
        (method, route.path)
        for route in make_app().routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert found - {("GET", "/assets/desk.js")} == set(ROUTES)
    assert len(make_app().routes) == len(ROUTES) + 1


@OTHERS_WARN
def test_what_no_text_can_be_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a character, no number, the character 0: neither JSON nor PostgreSQL takes them."""
    from fastapi.testclient import TestClient

    from tradewind.orchestration.runtime.page import allowed
    from tradewind.orchestration.runtime.page.routes import make_app

    monkeypatch.setenv(
        "TRADEWIND_DATABASE_URL", "postgresql+psycopg2://desk:x@127.0.0.1:1/tradewind"
    )
    app = make_app()
    for role in (allowed._reader, allowed._trader):
        app.dependency_overrides[role] = lambda: None
    headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
    with TestClient(app, headers=headers) as somebody:
        answers = [
            *(
                somebody.post("/api/halt", content=asked)
                for asked in (
                    b'{"account": "\\ud800", "reason": "x"}',
                    b'{"account": null, "reason": "\\ud800"}',
                    b'{"account": null, "reason": NaN}',
                    b'{"account": null, "reason": "x", "\\ud800": 1}',
                )
            ),
            somebody.get("/api/orders/a%00b"),
            somebody.get("/api/accounts/a%00b/positions"),
        ]
        assert [each.status_code for each in answers] == [422] * len(answers)
        assert all(isinstance(each.json()["detail"], str) for each in answers)


@OTHERS_WARN
def test_a_database_of_airflow_that_is_away_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fastapi.testclient import TestClient

    from tradewind.orchestration.runtime.page import allowed, routes

    def away() -> None:
        raise sa.exc.OperationalError("SELECT secret", {}, Exception("host db.example.org is away"))

    monkeypatch.setenv(
        "TRADEWIND_DATABASE_URL", "postgresql+psycopg2://desk:x@127.0.0.1:1/tradewind"
    )
    monkeypatch.setattr(routes, "day", away)
    app = routes.make_app()
    app.dependency_overrides[allowed._reader] = lambda: None
    with TestClient(app) as somebody:
        answer = somebody.get("/api/day")
    assert answer.status_code == 503
    assert "tradewind status" in answer.json()["detail"]
    assert "SELECT" not in answer.text


@OTHERS_WARN
def test_a_web_server_without_a_login_to_the_book_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from tradewind.orchestration.runtime.page.routes import make_app

    monkeypatch.delenv("TRADEWIND_DATABASE_URL", raising=False)
    with pytest.raises(TradingError, match="tradewind down and up"):
        make_app()
