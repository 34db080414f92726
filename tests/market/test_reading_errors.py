"""Whatever stands in a file: it is read, or refused with place, column, value and what to write."""

import datetime as dt
import decimal
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tradewind.errors import SourceError
from tradewind.market.sources.files import Files
from tradewind.market.sources.source import SourceSpec

HEADER = "Date,open,high,low,close,volume\n"
BAR = "2020-01-02,1,2,1,2,10\n"


def load(folder: Path, content: str | bytes | pl.DataFrame, **changes: Any) -> pl.DataFrame:
    """Write a file of one symbol and read it."""
    options: dict[str, Any] = {
        "path": "T.*",
        "symbol": {"file_name": "stem"},
        "session": {"column": "Date"},
        "adjustment": "none",
        **changes,
    }
    calendar = options.pop("calendar", "XNYS")
    if isinstance(content, pl.DataFrame):
        content.write_parquet(folder / "T.parquet")
    else:
        text = content.encode() if isinstance(content, str) else content
        (folder / "T.csv").write_bytes(text)
    files = Files(SourceSpec(name="x", kind="files", calendar=calendar, options=options), folder)
    return files.load(files.symbols())


def refusal(folder: Path, content: str | bytes | pl.DataFrame, **changes: Any) -> str:
    with pytest.raises(SourceError) as caught:
        load(folder, content, **changes)
    return str(caught.value)


def session(form: str | None, zone: str | None = None) -> dict[str, str]:
    given = {"column": "Date", "format": form, "time_zone": zone}
    return {name: value for name, value in given.items() if value is not None}


def dated(value: str) -> str:
    return f"{HEADER}{value},1,2,1,2,10\n"


SESSIONS: dict[str, tuple[str, dict[str, str], str]] = {
    "nanoseconds as milliseconds": (
        "1609736400000000000", session("unix_ms"),
        r"milliseconds since 1970 .*in nanoseconds it is 2021-01-04: write .*\"unix_ns\"",
    ),
    "milliseconds as seconds": ("1609736400000", session("unix_s"), r"2021-01-04: .*\"unix_ms\""),
    "seconds as milliseconds": (
        "1609736400", session("unix_ms"), r"is 1970-01-19 in unix_ms; write .*\"unix_s\""
    ),
    "seconds as nanoseconds": ("1609736400", session("unix_ns"), r"1969-12-31 .*\"unix_s\""),
    "beyond 64 bits": ("9" * 20, session("unix_ms"), r"nor of any other unit; correct the value"),
    "the largest number": (str(2**63 - 1), session("unix_s"), r"nor of any other unit"),
    "the smallest number": (str(-(2**63)), session("unix_s"), r"nor of any other unit"),
    "beyond floats": ("1e400", session("unix_s"), r"'1e400' is no number of seconds since 1970"),
    "infinite": ("inf", session("unix_s"), r"'inf' is no number of seconds"),
    "a date as milliseconds": ("2021-01-04", session("unix_ms"), r"write .*\"%Y-%m-%d\""),
    "a number as a date": ("1609736400", session(None), r"write .*format: \"unix_s\""),
    "no date at all": ("0000-00-00", session(None), r"correct the value, or remove the line"),
    "the year 99999": ("99999-01-01", session(None), r"'99999-01-01' is no date of the form"),
    "a month 13": ("2021-13-01", session(None), r"'2021-13-01' is no date of the form"),
    "two digits": ("21-01-04", session(None), r"the year 21 is not between .* write %y"),
    "other order": ("04.01.2021", session(None), r"write session: .*\"%d.%m.%Y\""),
    "either order": ("1/4/2021", session(None), r"\"%m/%d/%Y\"} or .*\"%d/%m/%Y\""),
    "a time of day": (
        "2021-01-04 05:00:00", session(None),
        r"write session: {column: Date, format: \"%Y-%m-%d %H:%M:%S\", time_zone: as_written}",
    ),
    "with an offset": ("2021-01-04T05:00:00Z", session(None), r"\"%Y-%m-%dT%H:%M:%S%z\""),
    "no such directive": ("2021-01-04", session("%Q"), r"no date of the form %Q; .*\"%Y-%m-%d\""),
    "half a directive": ("2021-01-04", session("%"), r"no date of the form %; "),
    "not enough of a date": ("2021-01-04", session("%Y"), r"no date of the form %Y; "),
    "words": ("Total", session(None), r"a remark or a footer, write csv: {comment: \"Total\"}"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "column", "reason"), SESSIONS.values(), ids=SESSIONS.keys())
def test_a_value_that_is_no_session_is_named_with_what_to_write(
    tmp_path: Path, value: str, column: dict[str, str], reason: str
) -> None:
    message = refusal(tmp_path, dated(value), session=column)
    assert re.search(reason, message), message
    assert "T.csv, line 2, column 'Date': " in message
    assert value in message


@pytest.mark.parametrize(
    ("value", "zone", "calendar", "what"),
    [
        ("2018-11-04 00:00", "America/Sao_Paulo", "BVMF", "does not exist"),
        ("2018-02-17 23:30", "America/Sao_Paulo", "BVMF", "is there twice"),
        ("2020-03-29 00:00", "Asia/Beirut", "XNYS", "does not exist"),
        ("2020-03-08 02:30", "America/New_York", "XNYS", "does not exist"),
        ("2020-11-01 01:30", "America/New_York", "XNYS", "is there twice"),
    ],
)
@pytest.mark.parametrize("parquet", [False, True])
def test_a_time_that_the_clocks_leave_out_or_repeat_is_told_as_that(
    tmp_path: Path, value: str, zone: str, calendar: str, what: str, *, parquet: bool
) -> None:
    form = "%Y-%m-%d %H:%M"
    column = session(None if parquet else form, zone)
    content: str | pl.DataFrame = dated(value)
    if parquet:
        content = bars_of(Date=[dt.datetime.strptime(value, form)])  # noqa: DTZ007 - no zone is held
    message = refusal(tmp_path, content, session=column, calendar=calendar)
    assert f"{what} in {zone}" in message
    assert message.endswith("time_zone: as_written}")
    mended = yaml.safe_load(message[message.index("session: {") :])
    found = load(tmp_path, content, calendar=calendar, **mended)
    assert found["session"].to_list() == [dt.date.fromisoformat(value[:10])]


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("1609736400", "unix_s"), ("1609736400.0", "unix_s"), ("1.6097364e9", "unix_s"),
        ("1609736400.75", "unix_s"), ("1609736400000", "unix_ms"), ("1609736400000000", "unix_us"),
        ("1609736400000000000", "unix_ns"), (" 1609736400 ", "unix_s"),
        ("2021-01-04T05:00:00Z", "%Y-%m-%dT%H:%M:%S%z"), ("20210104", "%Y%m%d"),
        ("2021-01-04 05:00:00z", "%Y-%m-%d %H:%M:%S%:z"),
        ("2021-01-04T05:00:00.123Z", "%Y-%m-%dT%H:%M:%S%.f%z"),
        ("2021-01-04T00:00:00-0500", "%Y-%m-%dT%H:%M:%S%z"),
    ],
)  # fmt: skip
def test_sessions_of_all_forms_are_read(tmp_path: Path, value: str, form: str) -> None:
    found = load(tmp_path, dated(value), session=session(form))
    assert found["session"].to_list() == [dt.date(2021, 1, 4)]


def test_a_midnight_under_z_that_is_a_date_is_told(tmp_path: Path) -> None:
    message = refusal(
        tmp_path, dated("2021-01-05T00:00:00Z"), session=session("%Y-%m-%dT%H:%M:%S%z")
    )
    assert "2021-01-05T00:00:00Z is 2021-01-04 at the exchange (XNYS)" in message


NUMBERS: dict[str, tuple[str, str, str]] = {
    "a fraction of a share": ("10.5", "volume", r"the store counts whole shares; .*: rounded"),
    "a comma in a fraction": ("1,5", "open", r"write csv: {decimal: \",\"}"),
    "groups": ("1,234.5", "open", r"write csv: {thousands: \",\"}"),
    "groups of a whole": ("1,234", "volume", r"write csv: {thousands: \",\"}"),
    "German": ("1.234,5", "open", r"write csv: {decimal: \",\", thousands: \"\.\"}"),
    "Swiss": ("1'234.5", "open", r"write csv: {thousands: \"'\"}"),
    "a space that does not break": ("1\u00a0234", "open", r"thousands: \"\\u00a0\""),
    "a currency": ("$1.5", "open", r"take '\$' away"),
    "a percentage": ("1.5%", "open", r"take '%' away"),
    "millions": ("1.2M", "volume", r"write it out in full, without 'M'"),
    "N/A": ("N/A", "open", r"write csv: {null_values: \[\"N/A\"\]}"),
    "a dash": ("-", "open", r"write csv: {null_values: \[\"-\"\]}"),
    "nan of shares": ("nan", "volume", r"null_values: \[\"nan\"\]"),
    "other quotes": ("'1.5'", "open", r"write csv: {quote: \"'\"}"),
    "brackets": ("(1.5)", "open", r"minus sign instead of the brackets"),
    "too many shares": ("1e30", "volume", r"no whole number below 2\^63; correct"),
    "hexadecimal": ("0x10", "open", r"'0x10' is no number .*mend the value"),
    "other digits": ("\u0661\u0662", "open", r"is no number .*mend the value"),
    "a word": ("True", "volume", r"'True' is no whole number"),
}


@pytest.mark.parametrize(("value", "name", "reason"), NUMBERS.values(), ids=NUMBERS.keys())
def test_a_value_that_is_no_number_is_named_with_what_to_write(
    tmp_path: Path, value: str, name: str, reason: str
) -> None:
    bar = {"open": "1", "volume": "10", name: f'"{value}"'}
    message = refusal(tmp_path, f"{HEADER}{BAR}2020-01-03,{bar['open']},2,1,2,{bar['volume']}\n")
    assert re.search(reason, message), message
    assert f"T.csv, line 3, column '{name}': {value!r} is no " in message


@pytest.mark.parametrize("value", ["1,5", "1,234.5", "1.234,5", "1'234.5", "N/A", "1\u202f234"])
def test_the_proposed_line_mends_the_file(tmp_path: Path, value: str) -> None:
    content = f'{HEADER}2020-01-02,"{value}",9999,1,2,10\n'
    message = refusal(tmp_path, content)
    line = message[message.index("csv: {") : message.rindex("}") + 1]
    found = load(tmp_path, content, **yaml.safe_load(line))
    digits = re.sub(r"\D", "", value)
    told = found["open"][0]
    assert (told is None) if not digits else (re.sub(r"\D", "", f"{told:g}") == digits)


def test_volume_is_rounded_if_that_is_asked(tmp_path: Path) -> None:
    lines = "".join(f"2020-01-{2 + i:02},1,2,1,2,{v}\n" for i, v in enumerate([1.4, 2.5, 0.4, 7]))
    found = load(tmp_path, HEADER + lines, volume="rounded")
    assert found["volume"].to_list() == [1, 3, 0, 7]
    assert "below 2^63" in refusal(tmp_path, f"{HEADER}2020-01-02,1,2,1,2,1e30\n", volume="rounded")


def bars_of(**columns: Any) -> pl.DataFrame:
    rows = len(next(iter(columns.values())))
    prices = {"open": 1.0, "high": 2.0, "low": 1.0, "close": 2.0}
    plain = {name: [price] * rows for name, price in prices.items()}
    days = [dt.date(2020, 1, 2 + row) for row in range(rows)]
    return pl.DataFrame({"Date": days, **plain, "volume": [10] * rows, **columns})


def counted(*values: int, dtype: pl.DataType) -> pl.Series:
    return pl.Series(values, dtype=pl.Int64).cast(dtype)


FAR = (2**62, -(2**63))


@pytest.mark.parametrize(
    ("values", "column", "reason"),
    [
        (counted(*FAR, dtype=pl.Datetime("us", "UTC")), None, r"row 1, .*: 46116860184\d+, as"),
        (counted(*FAR, dtype=pl.Datetime("ns", "Asia/Tokyo")), None, r"row 2, .*: -922337\d+, as"),
        (counted(*FAR, dtype=pl.Datetime("ms")), session(None, "UTC"), r"row 1, .*: 461168\d+, as"),
        (counted(*FAR, dtype=pl.Datetime("us")), session(None, "as_written"), r"file anew in the"),
        (
            counted(1609736400 * 10**9, dtype=pl.Datetime("ms", "UTC")), None,
            r"in nanoseconds it is 2021-01-04: write the file anew in the right unit",
        ),
        (
            pl.Series([2**31 - 1], dtype=pl.Int32).cast(pl.Date), None,
            r"row 1, column 'Date': 2147483647, as Date, is no time between 1800 and 2200",
        ),
        (pl.Series([20210104]), None, r"Int64 holds neither .* for 20210104 write .*\"%Y%m%d\""),
        (pl.Series([1609736400 * 10**9]), None, r"write session: .*\"unix_ns\""),
        (pl.Series([20211305]), session("%Y%m%d"), r"'20211305' is no date of the form %Y%m%d"),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), session("unix_ns"), r"'18446744073\d+' is no"),
        (pl.Series([float("inf"), 1e300]), session("unix_s"), r"row 1, .*'inf' is no number of"),
        (pl.Series([float("nan")]), session("unix_s"), r"'NaN' is no number of seconds since 1970"),
        (pl.Series([dt.time(1)]), None, r"Time holds neither dates nor timestamps"),
        (pl.Series([dt.timedelta(1)]), None, r"Duration.* holds neither dates nor timestamps"),
        (pl.Series([[1]]), None, r"List\(Int64\) holds neither dates nor timestamps"),
        (pl.Series([{"a": 1}]), None, r"Struct.* holds neither dates nor timestamps"),
        (pl.Series([b"2020-01-02"]), None, r"Binary holds neither dates nor timestamps"),
    ],
)  # fmt: skip
def test_parquet_of_dates_that_are_none_is_named(
    tmp_path: Path, values: pl.Series, column: dict[str, str] | None, reason: str
) -> None:
    message = refusal(tmp_path, bars_of(Date=values), session=column or session(None))
    assert re.search(reason, message), message


@pytest.mark.parametrize(
    ("values", "column"),
    [
        (pl.Series(["2021-01-04"]).cast(pl.Categorical), None),
        (pl.Series([20210104]), session("%Y%m%d")),
        (pl.Series([1609736400.5]), session("unix_s")),
        (pl.Series([decimal.Decimal(1609736400)]), session("unix_s")),
        (pl.Series([1609736400 * 10**9], dtype=pl.Int128), session("unix_ns")),
    ],
)
def test_parquet_of_other_types_of_dates_is_read(
    tmp_path: Path, values: pl.Series, column: dict[str, str] | None
) -> None:
    found = load(tmp_path, bars_of(Date=values), session=column or session(None))
    assert found["session"].to_list() == [dt.date(2021, 1, 4)]


@pytest.mark.parametrize(
    ("values", "name", "reason"),
    [
        (pl.Series([True]), "open", "holds Boolean, not numbers; mend columns.open, or the file"),
        (pl.Series([dt.timedelta(1)]), "volume", "not numbers; mend columns.volume, or the file"),
        (pl.Series([[1.0]]), "close", "holds List(Float64), not numbers"),
        (pl.Series([b"1"]), "low", "holds Binary, not numbers"),
        (pl.Series([dt.date(2020, 1, 1)]), "high", "holds Date, not numbers"),
        (pl.Series(["x"]).cast(pl.Categorical), "open", "row 1, column 'open': 'x' is no number"),
        (pl.Series([10.5]), "volume", "row 1, column 'volume': '10.5' is no whole number"),
        (pl.Series([float("nan")]), "volume", "'NaN' is no whole number; correct the value"),
        (pl.Series([2**100], dtype=pl.Int128), "volume", "is no whole number below 2^63"),
    ],
)
def test_parquet_of_numbers_that_are_none_is_named(
    tmp_path: Path, values: pl.Series, name: str, reason: str
) -> None:
    assert reason in refusal(tmp_path, bars_of(**{name: values}))


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([decimal.Decimal("1.25")]), pl.Series([1], dtype=pl.Int128),
        pl.Series(["1.5"]).cast(pl.Categorical), pl.Series([1.5], dtype=pl.Float32),
        pl.Series([None]),
    ],
)  # fmt: skip
def test_parquet_of_other_types_of_numbers_is_read(tmp_path: Path, values: pl.Series) -> None:
    found = load(tmp_path, bars_of(open=values))
    expected = values.cast(pl.String).cast(pl.Float64).to_list()
    assert found["open"].to_list() == expected


@pytest.mark.parametrize(
    "values",
    [pl.Series([["A"]]), pl.Series([True]), pl.Series([b"A"]), pl.Series([dt.date(2020, 1, 1)])],
)
def test_symbols_that_are_no_text_are_named(tmp_path: Path, values: pl.Series) -> None:
    message = refusal(tmp_path, bars_of(s=values), symbol={"column": "s"})
    assert "column 's' holds" in message
    assert "not the text of symbols" in message


FORMS = st.sampled_from(
    [None, "unix_s", "unix_ms", "unix_us", "unix_ns", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S%z", "%Y%m%d"]
)
TEXTS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
    st.datetimes().map(str),
    st.dates().map(str),
    st.text(st.characters(exclude_characters='\r\n,"\0', codec="utf-8"), min_size=1, max_size=20),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TEXTS, FORMS)
@example("-0001-01-01", None)
@example("300000-01-01 00:00:00+0000", "%Y-%m-%d %H:%M:%S%z")
def test_no_text_ends_in_anything_but_a_session_or_a_named_value(
    tmp_path: Path, value: str, form: str | None
) -> None:
    try:
        found = load(tmp_path, dated(value), session=session(form))
    except SourceError as error:
        assert "T.csv, line 2, column 'Date': " in str(error)  # noqa: PT017 - either will do
    else:
        assert found.height in {0, 1}  # a line of spaces alone is none
        assert all(1800 <= one.year <= 2200 for one in found["session"].drop_nulls())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(["ms", "us", "ns"]),
    st.sampled_from([None, "UTC", "America/Sao_Paulo"]),
)
def test_no_timestamp_ends_in_anything_but_a_session_or_a_named_value(
    tmp_path: Path, value: int, unit: Any, zone: str | None
) -> None:
    frame = bars_of(Date=counted(value, dtype=pl.Datetime(unit, zone)))
    column = session(None, None if zone else "America/Sao_Paulo")
    try:
        found = load(tmp_path, frame, session=column, calendar="BVMF")
    except SourceError as error:
        assert "T.parquet, row 1, column 'Date': " in str(error)  # noqa: PT017 - either will do
    else:
        assert 1800 <= found["session"][0].year <= 2200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TEXTS, st.sampled_from(["open", "volume"]), st.sampled_from([".", ","]))
def test_no_text_ends_in_anything_but_a_number_or_a_named_value(
    tmp_path: Path, value: str, name: str, decimal_sign: str
) -> None:
    bar = {"open": "1", "volume": "10", name: value}
    content = f"{HEADER}2020-01-02,{bar['open']},2,1,2,{bar['volume']}\n"
    try:
        found = load(tmp_path, content, csv={"decimal": decimal_sign})
    except SourceError as error:
        assert f"T.csv, line 2, column '{name}': " in str(error)  # noqa: PT017 - either will do
    else:
        assert found.height == 1
