"""What signals were made of is kept to the last bit, and never changed."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from tradewind.errors import TradingError
from tradewind.trading.signal_inputs import InputBook, SignalInputs

FIRST = SignalInputs(
    strategy="momentum",
    session=dt.date(2013, 2, 28),
    model_version=3,
    snapshot_id="a" * 64,
    features={"AAPL": {"x": 0.1 + 0.2, "y": 5e-324}, "IBM": {"x": None, "y": -1.7e308}},
    predictions={"AAPL": 1e-300},
    code_version=7,
)


def test_what_was_stored_comes_back_to_the_last_bit(database_url: str) -> None:
    book = InputBook(database_url)
    assert book.latest("momentum", 3, sessions=5) == []
    book.store(FIRST)
    assert book.latest("momentum", 3, sessions=5) == [FIRST]
    assert book.latest("momentum", 4, sessions=5) == []
    assert book.latest("other", 3, sessions=5) == []


def test_what_is_stored_is_never_changed(database_url: str) -> None:
    book = InputBook(database_url)
    book.store(FIRST)
    book.store(replace(FIRST, predictions={"AAPL": 9.0}, features={"AAPL": {"x": 1.0}}))
    assert book.latest("momentum", 3, sessions=5) == [FIRST]


def test_the_latest_sessions_come_oldest_first(database_url: str) -> None:
    book = InputBook(database_url)
    days = [dt.date(2013, 2, day) for day in (25, 28, 26, 27)]
    for day in days:
        book.store(replace(FIRST, session=day))
    found = book.latest("momentum", 3, sessions=3)
    assert [inputs.session.day for inputs in found] == [26, 27, 28]


def test_inputs_of_before_there_were_versions_of_the_code_are_read(database_url: str) -> None:
    book = InputBook(database_url)
    book.store(FIRST)
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE signal_inputs DROP COLUMN code_version"))
    old = replace(FIRST, code_version=None)
    assert book.latest("momentum", 3, sessions=5) == [old]
    later = replace(FIRST, session=dt.date(2013, 3, 1))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: InputBook(database_url).store(later), range(4)))
    assert book.latest("momentum", 3, sessions=5) == [old, later]


def test_workers_that_store_at_one_moment_agree(database_url: str) -> None:
    candidates = [replace(FIRST, predictions={"AAPL": float(i)}) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda inputs: InputBook(database_url).store(inputs), candidates))
    [stored] = InputBook(database_url).latest("momentum", 3, sessions=5)
    assert stored in candidates


def test_a_database_out_of_reach_is_said_to_be(database_url: str) -> None:
    away = sa.make_url(database_url).set(port=1).render_as_string(hide_password=False)
    with pytest.raises(TradingError, match="tradewind status"):
        InputBook(away).latest("momentum", 3, sessions=5)
