"""The desk's page of the running stack: its routes as every role, and in a real browser."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.page_routes import PREFIX, READ, ROUTES, TRADE
from tests.stack.airflow import Airflow, login
from tests.stack.conftest import CHECKOUT, Stack

if TYPE_CHECKING:
    from tests.stack.playing import Played

PASSWORD = "a password of a test"
WEB = CHECKOUT / "web"
CHROMIUM = shutil.which("chromium")
# A reason that would end a statement, or a page's text, that was put together of strings.
REASON = "a drill '); DROP TABLE trading.halts; -- <script>alert(1)</script> äß"

People = dict[str, httpx.Client]


@pytest.fixture(scope="module")
def people(stack: Stack, airflow: Airflow) -> Iterator[People]:
    """A session of somebody of each role; of a role that nobody let to the page; of nobody."""
    address = stack.json("credentials")["airflow"]["address"]
    # As Airflow's pages make one: it may look at DAGs, and nobody said anything of the desk.
    made = airflow.http.post(
        "/auth/fab/v1/roles",
        json={"name": "Stranger", "actions": [{"action": {"name": "can_read"},
                                              "resource": {"name": "DAGs"}}]},
    )  # fmt: skip
    assert made.is_success, made.text
    with ExitStack() as sessions:
        found = {"admin": airflow.http}
        for role in ("viewer", "researcher", "trader", "stranger"):
            answer = airflow.http.post(
                "/auth/fab/v1/users",
                json={
                    "username": f"desk_{role}", "password": PASSWORD, "first_name": "A",
                    "last_name": role, "email": f"desk_{role}@example.org",
                    "roles": [{"name": role.title()}],
                },
            )  # fmt: skip
            assert answer.is_success, answer.text
            found[role] = sessions.enter_context(login(address, f"desk_{role}", PASSWORD)).http
        found["nobody"] = sessions.enter_context(httpx.Client(base_url=address, timeout=60))
        yield found


def halts(stack: Stack) -> list[Any]:
    return stack.rows("SELECT account, halted, reason, said_by FROM trading.halts ORDER BY id")


def status(session: httpx.Client, method: str, path: str, **more: Any) -> int:
    """Return with what an address answers; a stream is left after its first words."""
    path = PREFIX + path.format(account="playing", order="none")
    query = {"since": "2000-01-01"} if path.endswith(("/orders", "/fills")) else {}
    with session.stream(method, path, params=query, **more) as answer:
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        return answer.status_code


def test_every_route_lets_in_whom_it_is_for_and_nobody_else(stack: Stack, people: People) -> None:
    before = halts(stack)
    for (method, path), allowed in ROUTES.items():
        # Of an account that there is not: who may is told so, and nothing is halted.
        body = {"json": {"account": "no such account", "reason": "x"}} if method == "POST" else {}
        for role, session in people.items():
            found = status(session, method, path, **body)
            if role in allowed:
                assert found in {200, 400}, (method, path, role, found)
                assert found == 400 or method == "GET"
            else:
                refused = {401, 403} if role == "nobody" else {403}
                assert found in refused, (method, path, role, found)
    assert halts(stack) == before
    assert set(READ) | {"stranger", "nobody"} == set(people)


def test_what_the_page_is_made_of_is_in_the_list_that_every_role_reads(people: People) -> None:
    for role in READ:
        answer = people[role].get("/api/v2/plugins")
        assert answer.is_success, role
        [plugin] = [each for each in answer.json()["plugins"] if each["name"] == "tradewind"]
        [desk] = [each for each in plugin["react_apps"] if each["destination"] == "nav"]
        bundle = people["nobody"].get(f"/{desk['bundle_url']}")
        assert bundle.is_success
        assert bundle.headers["content-type"].startswith("text/javascript")
        assert "immutable" in bundle.headers["cache-control"]
        assert people[role].get(f"{PREFIX}/api/me").json()["may_trade"] == (role in TRADE)


def test_a_halt_says_who_is_logged_in_and_not_who_the_request_says(
    stack: Stack, people: People
) -> None:
    trader, viewer = people["trader"], people["viewer"]
    asked = {"account": None, "reason": f" {REASON} "}
    forged = trader.post(f"{PREFIX}/api/halt", json={**asked, "by": "admin"})
    assert forged.status_code == 422
    unsaid = trader.post(f"{PREFIX}/api/halt", json={"account": None, "reason": " "})
    assert unsaid.status_code == 400
    assert trader.post(f"{PREFIX}/api/halt", json=asked).is_success
    try:
        halt = viewer.get(f"{PREFIX}/api/accounts").json()["halt"]
        assert (halt["reason"], halt["by"]) == (REASON, "desk_trader")
        assert stack.json("trading", "accounts")["halt"] == halt
    finally:
        assert trader.post(f"{PREFIX}/api/resume", json=asked).is_success
    assert halts(stack)[-2:] == [
        (None, True, REASON, "desk_trader"), (None, False, REASON, "desk_trader"),
    ]  # fmt: skip
    assert viewer.get(f"{PREFIX}/api/accounts").json()["halt"] is None


def test_another_site_cannot_have_a_browser_halt(stack: Stack, people: People) -> None:
    """The cookie alone is not enough, nor is a form, which has no JSON."""
    token = people["trader"].headers["Authorization"].removeprefix("Bearer ")
    address = str(people["trader"].base_url)
    before = halts(stack)
    asked = {"account": None, "reason": "by another site"}
    with httpx.Client(base_url=address, cookies={"_token": token}, timeout=60) as browser:
        for headers in (
            {},
            {"Origin": "https://elsewhere.example.org"},
            {"Origin": address, "Sec-Fetch-Site": "cross-site"},
        ):
            answer = browser.post(f"{PREFIX}/api/halt", json=asked, headers=headers)
            assert answer.status_code == 403, (headers, answer.text)
        own = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
        text = {**own, "Content-Type": "text/plain"}
        sent = browser.post(f"{PREFIX}/api/halt", content=json.dumps(asked), headers=text)
        assert sent.status_code == 422
        assert browser.post(f"{PREFIX}/api/halt", data={"reason": "x"}, headers=own).is_error
    assert halts(stack) == before


def test_the_day_is_what_airflow_s_database_says(people: People) -> None:
    run_id = Airflow(people["admin"]).trigger("ingest_sample")
    Airflow(people["admin"]).finished("ingest_sample", run_id)
    day = people["viewer"].get(f"{PREFIX}/api/day").json()
    assert run_id in {run["run"] for run in day["runs"]}
    assert {"name", "session", "stored"} == set(day["sources"][0])
    [sample] = [source for source in day["sources"] if source["name"] == "sample"]
    assert sample["session"] == "2013-03-01"
    assert all(each["at"] > "2000" for each in day["next"])


def test_the_book_of_an_account_is_shown_as_the_command_line_shows_it(
    stack: Stack, people: People, played: "Played"
) -> None:
    account = stack.json("trading", "accounts")["accounts"][0]["account"]
    path = f"{PREFIX}/api/accounts/{account}"
    viewer = people["viewer"]
    assert viewer.get(f"{path}/positions").json() == stack.json("trading", "positions", account)
    assert viewer.get(f"{path}/pnl").json() == stack.json("trading", "pnl", account)
    assert viewer.get(f"{PREFIX}/api/accounts").json() == stack.json("trading", "accounts")
    found = viewer.get(f"{path}/orders", params={"since": "2000-01-01"}).json()
    assert found == stack.json("trading", "orders", account)
    order = found[0]["client_order_id"]
    explained = viewer.get(f"{PREFIX}/api/orders/{order}")
    assert explained.json() == stack.json("trading", "explain", order)
    assert played is not None


@pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="no chromium on PATH"
)  # where the tests must run, they fail without it
def test_the_page_in_a_browser(
    stack: Stack, people: People, played: "Played", tmp_path: Path
) -> None:
    """Both themes, as wide as a desk and a phone; a halt that another open page shows at once."""
    assert played is not None  # so there are accounts, and orders
    assert CHROMIUM is not None, "apt-get install chromium"
    if not (WEB / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=WEB, check=True)
    token = people["trader"].headers["Authorization"].removeprefix("Bearer ")
    address = str(people["trader"].base_url)
    done = subprocess.run(
        ["node", "look.mjs", address, CHROMIUM, str(os.environ.get("DESK_PICTURES", tmp_path))],
        cwd=WEB, input=token, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["violations"] == []
    assert found["errors"] == []
    assert found["views"] == ["light 1280", "light 390", "dark 1280", "dark 390"]
    assert found["wider_than_the_screen"] == []
    assert found["told_others_ms"] < 1000
    assert found["resumed"] is True
    assert halts(stack)[-1] == (None, False, "the drill is over", "desk_trader")
