"""Logins are checked one at a time, and no request keeps its turn."""

import base64
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask, abort, request
from werkzeug.security import check_password_hash

from tradewind.registry.server import logins
from tradewind.registry.server.logins import OneAtATime

LOGIN = {"Authorization": "Basic " + base64.b64encode(b"somebody:secret").decode()}
CLIENTS = 8


class Checks:
    """Counts how many check a login, and how many are answered, at one time."""

    def __init__(self) -> None:
        self.now, self.most = 0, 0
        self.all_answered = threading.Barrier(CLIENTS)
        self.lock = threading.Lock()

    def check(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(0.02)  # a while in which others would come in
        with self.lock:
            self.now -= 1
        if request.path == "/refused":
            abort(401)
        if request.path == "/broken":
            raise RuntimeError("the database of users is gone")


@pytest.fixture
def checks() -> Checks:
    return Checks()


@pytest.fixture
def app(checks: Checks) -> Flask:
    app = Flask("registry")
    logins = OneAtATime()
    logins.before(app)
    app.before_request(checks.check)
    logins.after(app)

    @app.get("/together")
    def together() -> str:
        checks.all_answered.wait(30)  # none can pass unless all are past their checks
        return "done"

    @app.get("/<anything>")
    def anything(anything: str) -> str:
        return anything

    return app


def get(app: Flask, path: str, headers: dict[str, str] | None = LOGIN) -> int:
    return app.test_client().get(path, headers=headers).status_code


def test_logins_are_checked_one_at_a_time_and_answered_together(app: Flask, checks: Checks) -> None:
    with ThreadPoolExecutor(CLIENTS) as clients:
        assert set(clients.map(lambda _: get(app, "/together"), range(CLIENTS))) == {200}
    assert checks.most == 1


@pytest.mark.parametrize(("path", "status"), [("/refused", 401), ("/broken", 500), ("/x", 200)])
def test_each_request_gives_its_turn_back(app: Flask, path: str, status: int) -> None:
    assert [get(app, path) for _ in range(3)] == [status] * 3


def test_a_check_that_hangs_does_not_stop_the_others(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradewind.registry.server.logins.PATIENCE", 0.05)
    logins = OneAtATime()
    logins.before(app)
    with app.test_request_context("/x", headers=LOGIN):
        logins._begin()  # and never ends
        assert get(app, "/x") == 200


def test_who_has_no_login_waits_for_nobody(app: Flask, checks: Checks) -> None:
    with ThreadPoolExecutor(CLIENTS) as clients:
        assert set(clients.map(lambda _: get(app, "/x", None), range(CLIENTS))) == {200}
    assert checks.most > 1


# MLflow's store of users, and what it imports, use what others deprecate.
@pytest.mark.filterwarnings("ignore")
def test_a_stranger_costs_as_much_as_a_wrong_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the time of an answer would tell which users there are."""
    with warnings.catch_warnings(action="ignore"):  # of MLflow about what it imports itself
        from mlflow.server.auth import sqlalchemy_store

    compared = []

    def compare(kept: str, password: str) -> bool:
        compared.append(kept.partition("$")[0])  # the method, and how much work it is
        return check_password_hash(kept, password)

    store = sqlalchemy_store.SqlAlchemyStore()
    store.init_db(f"sqlite:///{tmp_path}/users.db")
    store.create_user("ada", "a long password")
    logins.compare_for_strangers_too(store)
    for module in (sqlalchemy_store, logins):
        monkeypatch.setattr(module, "check_password_hash", compare)
    for user in ("ada", "nobody", "", "ada' OR 1=1", "x" * 300):
        compared.clear()
        assert not store.authenticate_user(user, "a wrong password")
        found = [*compared]
        compared.clear()
        assert not store.authenticate_user("ada", "a wrong password")
        assert found == compared
        assert len(found) == 1
    assert store.authenticate_user("ada", "a long password")
