import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from tradewind.errors import MarketDataError
from tradewind.market.calendar import last_closed_session, sessions_between, time_zone_of


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


@pytest.mark.parametrize(
    ("moment", "session"),
    [
        (dt.datetime(2013, 3, 1, 20, 59, tzinfo=dt.UTC), dt.date(2013, 2, 28)),
        (dt.datetime(2013, 3, 1, 21, 0, tzinfo=dt.UTC), dt.date(2013, 3, 1)),  # 16:00 in New York
        (dt.datetime(2012, 10, 30, 23, 0, tzinfo=dt.UTC), dt.date(2012, 10, 26)),  # hurricane
        (dt.datetime(2002, 12, 24, 18, 0, tzinfo=dt.UTC), dt.date(2002, 12, 24)),  # half a day
        # 17:00 of the day before in New York
        (dt.datetime(2010, 6, 16, 6, 0, tzinfo=ZoneInfo("Asia/Tokyo")), dt.date(2010, 6, 15)),
    ],
)
def test_the_last_closed_session(moment: dt.datetime, session: dt.date) -> None:
    assert last_closed_session("XNYS", moment) == session


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(MarketDataError, match="has no time zone"):
        last_closed_session("XNYS", dt.datetime(2013, 3, 1))  # noqa: DTZ001 - that is the point


def test_time_zones() -> None:
    assert time_zone_of("XNYS") == "America/New_York"
    assert time_zone_of("XTKS") == "Asia/Tokyo"
    with pytest.raises(MarketDataError, match="no exchange calendar named 'NYSE2'"):
        time_zone_of("NYSE2")
