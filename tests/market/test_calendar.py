import datetime as dt

import pytest

from tradewind.errors import MarketDataError
from tradewind.market.calendar import closes_between, sessions_between


def test_holidays_and_weekends_are_no_sessions() -> None:
    # 2012-10-29 and 30: hurricane Sandy closed New York
    found = sessions_between("XNYS", dt.date(2012, 10, 26), dt.date(2012, 11, 1))
    assert found.to_list() == [dt.date(2012, 10, 26), dt.date(2012, 10, 31), dt.date(2012, 11, 1)]


def test_both_ends_are_included_and_need_not_be_sessions() -> None:
    assert sessions_between("XNYS", dt.date(2000, 3, 1), dt.date(2013, 3, 1)).len() == 3270
    assert sessions_between("XNYS", dt.date(2012, 5, 19), dt.date(2012, 5, 20)).is_empty()


def test_an_unknown_calendar_is_refused() -> None:
    with pytest.raises(MarketDataError, match="no exchange calendar named 'NYSE2'"):
        sessions_between("NYSE2", dt.date(2012, 1, 1), dt.date(2012, 2, 1))


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(MarketDataError, match="lies before start"):
        sessions_between("XNYS", dt.date(2012, 2, 1), dt.date(2012, 1, 1))


def test_a_session_ends_when_the_exchange_closes() -> None:
    closes = closes_between("XNYS", dt.date(2005, 11, 23), dt.date(2005, 11, 28))
    # Thanksgiving is no session, and the day after it ends at 13:00 in New York.
    assert closes.rows() == [
        (dt.date(2005, 11, 23), dt.datetime(2005, 11, 23, 21, tzinfo=dt.UTC)),
        (dt.date(2005, 11, 25), dt.datetime(2005, 11, 25, 18, tzinfo=dt.UTC)),
        (dt.date(2005, 11, 28), dt.datetime(2005, 11, 28, 21, tzinfo=dt.UTC)),
    ]


def test_a_calendar_that_begins_within_a_year_gives_what_it_knows() -> None:
    # Shanghai's calendar begins on 1990-12-03.
    found = sessions_between("XSHG", dt.date(1990, 12, 20), dt.date(1990, 12, 24))
    assert found.to_list() == [dt.date(1990, 12, day) for day in (20, 21, 24)]
    with pytest.raises(MarketDataError, match="calendar XSHG, 1990-01-01"):
        sessions_between("XSHG", dt.date(1990, 1, 1), dt.date(1990, 12, 31))
