"""Real bars, written out as vendors write them, come back as they were."""

import codecs
import datetime as dt
import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.support import typed
from tradewind.errors import SourceError
from tradewind.market.bars import PRICES, SCHEMA
from tradewind.market.sources import files as files_module
from tradewind.market.sources.csv_text import scan_csv
from tradewind.market.sources.files import Files
from tradewind.market.sources.source import SourceSpec, open_source

BASE: dict[str, Any] = {
    "path": "bars.csv",
    "symbol": {"column": "symbol"},
    "session": {"column": "session"},
    "columns": {"split_factor": "split_factor", "adjustment_factor": "adjustment_factor"},
    "adjustment": "factors",
}

TINY = (
    "symbol,session,open,high,low,close,volume\nA,2020-01-02,1,2,1,2,10\nA,2020-01-03,2,2,1,1,11\n"
)
PLAIN = {"adjustment": "none", "columns": {}}


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)  # else a test would have another name each second


def options(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {**BASE, **(changes or {})}


def source(folder: Path, changes: Mapping[str, Any] | None = None) -> Files:
    spec = SourceSpec(name="mine", kind="files", calendar="XNYS", options=options(changes))
    return Files(spec, folder)


def refusal(folder: Path, text: str | bytes, changes: Mapping[str, Any]) -> str:
    """Write bars.csv and return why the source refuses it."""
    content = text.encode() if isinstance(text, str) else text
    (folder / "bars.csv").write_bytes(content)
    files = source(folder, changes)
    with pytest.raises(SourceError) as caught:
        files.load(files.symbols())
    return str(caught.value)


@pytest.fixture(scope="session")
def some(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars around both splits of AAPL, and all of FB."""
    return pl.concat(
        [bars.filter(pl.col("symbol") == "AAPL").slice(0, 1500), bars.slice(3270, 196)]
    )


@pytest.fixture(scope="session")
def relative(some: pl.DataFrame) -> pl.DataFrame:
    """The same with factors that are one on the last session, as a source hands them out."""
    names = ("split_factor", "adjustment_factor")
    return some.with_columns((pl.col(one) / pl.col(one).last()).over("symbol") for one in names)


def german(bars: pl.DataFrame) -> str:
    """Write numbers as 1.234,56 and dates as 31.12.2010."""

    def written(value: object) -> str:
        if isinstance(value, float):
            return f"{value:,.17g}".translate(str.maketrans(",.", ".,"))
        if isinstance(value, dt.date):
            return value.strftime("%d.%m.%Y")
        return f"{value:,}".replace(",", ".") if isinstance(value, int) else str(value)

    lines = [";".join(bars.columns), *(";".join(map(written, row)) for row in bars.iter_rows())]
    return "\n".join(lines)


GERMAN = {
    "session": {"column": "session", "format": "%d.%m.%Y"},
    "csv": {"separator": ";", "decimal": ",", "thousands": "."},
}


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        (lambda bars: bars.write_csv().encode(), {}),
        (lambda bars: bars.reverse().write_csv().encode(), {}),
        (lambda bars: codecs.BOM_UTF8 + bars.write_csv().encode(), {}),
        (lambda bars: bars.write_csv(line_terminator="\r\n").encode(), {}),
        (lambda bars: packed(bars.write_csv().encode()), {}),
        (lambda bars: bars.write_csv(quote_style="always").encode(), {}),
        (lambda bars: bars.write_csv().replace("\nFB", "\n\n\nFB").encode(), {}),
        (lambda bars: b"Inc.\n\n" + bars.write_csv().encode(), {"csv": {"skip_lines": 2}}),
        (lambda bars: bars.write_csv(separator="\t").encode(), {"csv": {"separator": "\t"}}),
        (lambda bars: bars.write_csv().encode("utf-16"), {"csv": {"encoding": "utf-16"}}),
        (lambda bars: german(bars).encode(), GERMAN),
        (
            lambda bars: packed(german(bars.rename({"high": "Höchst"})).encode("cp1252")),
            {
                **GERMAN,
                "csv": {**GERMAN["csv"], "encoding": "cp1252"},
                "columns": {**BASE["columns"], "high": "Höchst"},
            },
        ),
        (
            lambda bars: bars.write_csv(date_format="%m/%d/%y").encode(),
            {"session": {"column": "session", "format": "%m/%d/%y"}},
        ),
        (
            lambda bars: bars.with_columns(pl.col("volume").cast(pl.Float64)).write_csv().encode(),
            {},
        ),
        (lambda bars: bars.write_csv(line_terminator="\r").encode(), {}),
        (lambda bars: packed(bars.write_csv(line_terminator="\r").encode()), {}),
        (
            lambda bars: bars.write_csv(include_header=False).encode(),
            {"csv": {"header": list(SCHEMA.names())}},
        ),
        (
            lambda bars: f"# 1\n{bars.write_csv()}# end,,\n".replace("\nFB", "\n# 2\nFB").encode(),
            {"csv": {"comment": "# "}},
        ),
    ],
    ids=[
        "plain", "newest first", "byte order mark", "carriage returns", "gzip", "quoted",
        "blank lines", "preamble", "tabs", "utf-16", "german", "german, cp1252, gzip",
        "american dates", "volume as 9616100.0", "carriage returns alone", "both, packed",
        "no header", "remarks and a footer",
    ],
)  # fmt: skip
def test_csv_in_any_dialect_comes_back_equal(
    some: pl.DataFrame,
    relative: pl.DataFrame,
    tmp_path: Path,
    content: Any,
    changes: dict[str, Any],
) -> None:
    (tmp_path / "bars.csv").write_bytes(content(some))
    files = source(tmp_path, changes)
    assert files.symbols() == ("AAPL", "FB")
    assert files.load(["FB", "AAPL", "FB"]).equals(relative)


def instants(bars: pl.DataFrame, zone: str | None, hour: int) -> pl.DataFrame:
    """Replace sessions by New York's clock time, told in a zone."""
    local = pl.col("session").cast(pl.Datetime("us")).dt.offset_by(f"{hour}h")
    moment = local.dt.replace_time_zone("America/New_York").dt.convert_time_zone(zone or "UTC")
    return bars.with_columns(session=moment if zone else moment.dt.replace_time_zone(None))


@pytest.mark.parametrize(
    ("spoil", "session"),
    [
        (lambda bars: bars, {}),
        (lambda bars: instants(bars, "UTC", 16), {}),
        (lambda bars: instants(bars, "Asia/Tokyo", 16), {}),  # the next day there
        (lambda bars: instants(bars, "America/New_York", 0), {}),
        (lambda bars: instants(bars, None, 16), {"time_zone": "UTC"}),
        (
            lambda bars: bars.with_columns(pl.col("session").cast(pl.Datetime("us", "UTC"))),
            {"time_zone": "as_written"},
        ),
        (
            lambda bars: instants(bars, "UTC", 16).with_columns(pl.col("session").dt.epoch("s")),
            {"format": "unix_s"},
        ),
        (
            lambda bars: bars.with_columns(pl.col("session").cast(pl.Datetime).dt.epoch("ms")),
            {"format": "unix_ms", "time_zone": "as_written"},
        ),
        (lambda bars: bars.cast({"symbol": pl.Categorical, "volume": pl.Float64}), {}),
        (lambda bars: bars.cast({"open": pl.String}), {}),
    ],
    ids=[
        "as they are", "UTC", "Tokyo", "midnight at the exchange", "naive", "dates as UTC",
        "seconds", "milliseconds", "categories", "text",
    ],
)  # fmt: skip
def test_parquet_of_any_type_comes_back_equal(
    some: pl.DataFrame, relative: pl.DataFrame, tmp_path: Path, spoil: Any, session: dict[str, Any]
) -> None:
    spoil(some).write_parquet(tmp_path / "bars.parquet")
    changes = {"path": "bars.parquet", "session": {"column": "session", **session}}
    files = source(tmp_path, changes)
    assert files.symbols() == ("AAPL", "FB")
    assert files.load(["AAPL", "FB"]).equals(relative)


@pytest.mark.parametrize(
    ("form", "session"),
    [
        ("%Y-%m-%dT%H:%M:%S%z", {"format": "%Y-%m-%dT%H:%M:%S%z"}),
        ("%Y-%m-%d %H:%M", {"format": "%Y-%m-%d %H:%M", "time_zone": "America/New_York"}),
        ("%d/%m/%Y %H:%M", {"format": "%d/%m/%Y %H:%M", "time_zone": "as_written"}),
    ],
)
def test_timestamps_in_csv_become_sessions_of_the_exchange(
    some: pl.DataFrame, relative: pl.DataFrame, tmp_path: Path, form: str, session: dict[str, Any]
) -> None:
    told = instants(some, "America/New_York", 20)  # after midnight in UTC
    told.with_columns(pl.col("session").dt.strftime(form)).write_csv(tmp_path / "bars.csv")
    files = source(tmp_path, {"session": {"column": "session", **session}})
    assert files.load(["AAPL", "FB"]).equals(relative)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("{}.csv", {"file_name": "stem"}),
        ("{}.csv.gz", {"file_name": "stem"}),
        ("us_{}_daily.csv", {"file_name": r"us_(\w+)_daily\.csv"}),
        ("deep/er/{}.csv", {"file_name": "stem"}),
    ],
)
def test_one_file_a_symbol(
    some: pl.DataFrame, relative: pl.DataFrame, tmp_path: Path, name: str, symbol: dict[str, str]
) -> None:
    for (one,), group in some.group_by("symbol"):
        path = tmp_path / name.format(one)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = group.drop("symbol").write_csv().encode()
        path.write_bytes(packed(text) if path.suffix == ".gz" else text)
    files = source(tmp_path, {"path": "**/*.csv*", "symbol": symbol})
    assert files.symbols() == ("AAPL", "FB")
    assert files.load(["FB"]).equals(relative.filter(pl.col("symbol") == "FB"))


def test_files_of_other_types_are_put_together(
    some: pl.DataFrame, relative: pl.DataFrame, tmp_path: Path
) -> None:
    early, late = some.slice(0, 700), some.slice(700)
    early.cast({"open": pl.Float32, "volume": pl.Int32}).cast({"open": pl.Float64}).write_parquet(
        tmp_path / "1.parquet"
    )
    late.cast({"volume": pl.Float64}).write_parquet(tmp_path / "2.parquet")
    found = source(tmp_path, {"path": "*.parquet"}).load(["AAPL", "FB"])
    assert found.drop("open").equals(relative.drop("open"))


def test_a_vendors_adjusted_close_gives_the_factors_of_the_sample(
    bars: pl.DataFrame, tmp_path: Path
) -> None:
    adj_close = pl.col("close") * pl.col("adjustment_factor")
    vendor = bars.with_columns(adj_close.alias("Adj Close"))
    vendor.drop("split_factor", "adjustment_factor").write_csv(tmp_path / "bars.csv")
    changes = {"columns": {"adj_close": "Adj Close"}, "adjustment": "adj_close"}
    files = source(tmp_path, changes)
    found = files.load(files.symbols())
    assert found.get_column("split_factor").equals(bars.get_column("split_factor"))
    error = found.get_column("adjustment_factor") / bars.get_column("adjustment_factor") - 1
    assert typed(error.abs().max(), float) < 1e-14


@pytest.mark.parametrize(
    ("adjustment", "columns", "factors"),
    [
        ("none", {}, (1.0, 1.0)),
        ("already_adjusted", {}, (1.0, 1.0)),
        ("splits", {"split_factor": "split_factor"}, (0.25, 0.25)),
    ],
)
def test_other_adjustments(
    bars: pl.DataFrame, tmp_path: Path, adjustment: str, columns: Any, factors: tuple[float, float]
) -> None:
    bars.write_csv(tmp_path / "bars.csv")
    found = source(tmp_path, {"adjustment": adjustment, "columns": columns}).load(["AAPL"])
    assert found.select("split_factor", "adjustment_factor").row(0) == factors


@pytest.mark.parametrize(
    ("text", "changes", "reason"),
    [
        ("", {}, r"bars\.csv: the file is empty, without even a header"),
        ("\n", {}, r"bars\.csv, line 1: no header there; mend csv\.skip_lines"),
        (TINY.replace("close", "Close"), {}, r"no column 'close'; did you mean 'Close'\?"),
        (TINY.replace("symbol", "Ticker"), {}, r"no column 'symbol'; .*There are 'Ticker', 'ses"),
        (TINY.replace("high", "open"), {}, r"line 1: the header names 'open' more than once"),
        (TINY.replace(",", ";"), {}, r"line 1: no ',' in the header .*; set csv\.separator: ';'"),
        (TINY.replace(",11", ",11x"), {}, r"line 3, column 'volume': '11x' is no whole number"),
        (TINY.replace(",11", ",11.5"), {}, r"line 3, column 'volume': '11\.5' is no whole number"),
        (TINY.replace(",11", ",1e30"), {}, r"line 3, column 'volume': '1e30' is no whole number"),
        (TINY.replace("3,2,2", "3,2,n/a"), {}, r"line 3, column 'high': 'n/a' is no number"),
        (TINY.replace("3,2,2", '3,2,"1,5"'), {}, r"'1,5' is no number \(decimal sign '\.'"),
        (
            TINY.replace("3,2,2", '3,2,"1,5"'),
            {"csv": {"thousands": ","}},
            r"column 'high': '1,5' is no number .*write csv: {decimal: \",\", thousands: null}",
        ),
        (TINY.replace("01-03", "13-03"), {}, r"line 3, column 'session': '2020-13-03' is no date"),
        (TINY.replace("2020-01-03", "20-01-03"), {}, r"'20-01-03' is no date of the form %Y-%m-%d"),
        (TINY.replace("2020-01-03", "2020-02-30"), {}, r"'2020-02-30' is no date"),
        ("# 1\n" + TINY.replace(",11", ",?"), {"csv": {"skip_lines": 1}}, r"line 4, .*'\?' is no"),
        (TINY.replace("A,2020-01-02", '"A\nB",2020-01-02').replace("11", "?"), {}, r"line 4, "),
        (TINY + "A,2020-01-06,1,2,3,4,5,6\n", {}, r"line 4: 8 fields under a header of 7, the"),
        (TINY + ",2020-01-06,1,2,1,1,5\n", {}, r"line 4, column 'symbol': a bar without a symbol"),
        (
            TINY + "File Creation Time: 11292021\n",
            {},
            r"line 4, .*'File Creation Time: 11292021' stands alone, .*\"File Creation Time: \"}",
        ),
        (
            TINY + "A,N/A,1,2,1,2,10\n",  # a comment of A would leave out all of A
            {},
            r"line 4, .*'N/A' is no date .*; correct the value, or remove the line$",
        ),
        (
            TINY.replace("A,", "AAPL,") + "AAPL,0000-00-00,,,,,\n",
            {},
            r"line 4, .*'0000-00-00' is no .*; correct the value, or remove the line$",
        ),
        (
            TINY + "Made, by Vendor Inc.,,,,,\n",
            {},
            r"line 4, .*write csv: {comment: \"Made, by Vendor Inc.,,,,,\"}, which is what such",
        ),
        ("symbol,x,y\nA,2020-01-02,1\n", {}, r"no column 'session'; .*'symbol', 'x', 'y'"),
        (TINY.replace(",10\n", ",1_000\n"), {}, r"'1_000' is no whole number \(decimal sign"),
        (TINY.replace(",10\n", ",\u0661\u0662\n"), {}, r"is no whole number \(decimal sign"),
        (TINY.replace(",10\n", ",1.5\n"), {}, r"'1\.5' is no whole number: it has a fraction"),
        (
            TINY.replace(",10\n", ',"12,34"\n'),
            {"csv": {"thousands": ","}},
            r"'12,34' is no whole number \(decimal sign '\.'\); write csv: {decimal: \",\", thou",
        ),
        (TINY + "# \n" + TINY.replace("11", "x"), {"csv": {"comment": "#"}}, r"line 5, "),
        (TINY.replace("2,10\n", '2,"10\n'), {}, r"line 2: a quote \(\"\) is opened and never clo"),
        (TINY.split("\n", 1)[1], {}, r"line 1: a bar stands .*{header: \[symbol, session, op"),
        (
            TINY.split("\n", 1)[1],
            {"csv": {"header": ["symbol", "session", "open", "high"]}},
            r"line 1: 7 fields, and csv.header names 4; name all: .*high, column_5, column_6, col",
        ),
        (
            TINY,
            {"csv": {"header": TINY.split("\n", 1)[0].split(",")}},
            r"line 1, column 'session': that is the column's name; leave out csv\.header",
        ),
        (TINY.replace(",", " "), {}, r"no ',' in the header .*; set csv\.separator: ' '"),
        (codecs.BOM_UTF8 + TINY.encode(), {"csv": {"encoding": "cp1252"}}, r"csv.encoding: utf"),
        (TINY.encode("utf-16-le"), {}, r"zero bytes, .*set csv\.encoding: utf-16-le"),
        (TINY.encode("utf-16-be"), {}, r"zero bytes, .*set csv\.encoding: utf-16-be"),
        (
            TINY.replace("open,high,low,", "").replace(",2,1,2,", ",").replace(",2,1,1,", ","),
            {},
            r"no column 'open'; if the file has one price a session, write bars: closes",
        ),
        (b"\xff\xfe" + TINY.encode("utf-16-le"), {}, r"UTF-16, not utf-8; set csv\.encoding: utf"),
        (TINY.encode("utf-16"), {"csv": {"encoding": "cp1252"}}, r"UTF-16, not cp1252"),
        (TINY.replace("A,", "Ä,").encode("cp1252"), {}, r"bars\.csv, line 2: not text in utf-8"),
        (packed(TINY.encode())[:-12], {}, r"cannot be unpacked: .*download it again"),
        (b"PAR1" + TINY.encode(), {}, r"no CSV text, but a Parquet file; set format: parquet"),
        (b"PK\x03\x04" + TINY.encode(), {}, r"a ZIP archive; unpack it"),
        (TINY, {"format": "parquet"}, r"bars\.csv: cannot be read: "),
        (TINY, {"path": "none.csv"}, r"no file matches .*none\.csv; mend options\.path"),
        (TINY, {"path": "*.txt"}, r"no file matches .*\*\.txt"),
        (TINY, {"path": "bars.*", "symbol": {"file_name": r"(\d+)\.csv"}}, r"does not match sy"),
        (
            TINY.replace("2020-01-03", "2020-01-03 00:00"),
            {"session": {"column": "session", "format": "%Y-%m-%d %H:%M", "time_zone": "UTC"}},
            r"line 2, column 'session': '2020-01-02' is no date of the form %Y-%m-%d %H:%M",
        ),
        (
            TINY.replace("2020-01-02", "2020-01-02 00:00").replace("01-03", "01-03 21:00"),
            {"session": {"column": "session", "format": "%Y-%m-%d %H:%M", "time_zone": "UTC"}},
            r"line 2, .*2020-01-02 00:00 is 2020-01-01 at the exchange \(XNYS\); if the date is",
        ),
        (
            TINY.replace("01-02", "03-02 16:00").replace("01-03", "03-08 02:30"),
            {
                "session": {
                    "column": "session", "format": "%Y-%m-%d %H:%M",
                    "time_zone": "America/New_York",
                }
            },
            r"'2020-03-08 02:30' does not exist in America/New_York",  # from 2:00 to 3:00
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(
    tmp_path: Path, text: str | bytes, changes: dict[str, Any], reason: str
) -> None:
    message = refusal(tmp_path, text, {**PLAIN, **changes})
    assert re.search(reason, message), message
    assert str(tmp_path) in message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": ""}, "options.path: must be text of 1 to 1000 characters, not ''"),
        ({"adjustment": "no"}, "options.adjustment: must be one of adj_close, factors, spl"),
        ({"adjustment": "adj_close"}, "options.columns.adj_close: adjustment 'adj_close' needs"),
        ({"adjustment": "none"}, "options.columns.adjustment_factor: adjustment 'none' does not"),
        ({"symbol": {}}, "options.symbol: give either column or file_name"),
        (
            {"columns": dict.fromkeys(PRICES, "Close"), "adjustment": "none"},
            "options.columns.high: column 'Close' is open already; the file has one price a "
            "session: write bars: closes",
        ),
        (
            {"columns": {"open": "Close"}, "bars": "closes"},
            "options.columns.open: leave it out: ba",
        ),
        ({"columns": {"volume": None}, "adjustment": "none"}, "options.columns.volume: is missing"),
        ({"symbol": {"columns": "all"}}, "options.bars: symbol.columns reads one price a session"),
        (
            {"symbol": {"columns": "all"}, "bars": "closes", "columns": {"close": "x"}},
            "options.columns.close: leave it out: symbol.columns names the closes",
        ),
        (
            {"symbol": {"columns": "all"}, "bars": "closes", "columns": {}},
            "options.adjustment: a wide file has closes alone; none or already_adjusted",
        ),
        ({"csv": {"header": ["a", "a"]}}, "options.csv.header: names 'a' more than o"),
        ({"symbol": {"file_name": "x"}}, "options.symbol.file_name: must have one gr"),
        ({"symbol": {"file_name": "(x"}}, "options.symbol.file_name: no regular exp"),
        (
            {"symbol": {"file_name": r"(?!us)(\w+)\.csv"}},
            "options.symbol.file_name: cannot be matched in a time that is known before: "
            "look-around, including look-ahead and look-behind, is not supported; write it without",
        ),
        (
            {"symbol": {"file_name": "(a{1000}){1000}"}},
            "options.symbol.file_name: cannot be matched in a time that is known before: Compiled",
        ),
        ({"symbol": {"column": "open"}}, "options.symbol.column: column 'open' is open already"),
        ({"columns": {**BASE["columns"], "low": "high"}}, "options.columns.low: column 'high' is"),
        ({"session": {"time_zone": "New York"}}, "options.session.time_zone: no time"),
        ({"session": {"format": "%H:%M"}}, "options.session.time_zone: %H:%M holds a time of day"),
        (
            {"session": {"format": "%Y%m%d", "time_zone": "UTC"}},
            "options.session.time_zone: leave it out: %Y%m%d reads dates",
        ),
        (
            {"session": {"format": "unix_s", "time_zone": "UTC"}},
            "options.session.time_zone: leave it out: unix_s says it by itself",
        ),
        ({"csv": {"encoding": "utf-9"}}, "options.csv.encoding: no encoding named"),
        ({"csv": {"decimal": ",", "thousands": ","}}, "options.csv.thousands: ',' is the decimal"),
        (
            {"csv": {"seperator": ";"}},
            "options.csv.seperator: unknown field. Did you mean separator?",
        ),
    ],
)
def test_wrong_options_are_named_by_file_and_field(changes: dict[str, Any], reason: str) -> None:
    spec = SourceSpec(name="mine", kind="files", options=options(changes))
    with pytest.raises(SourceError) as caught:
        open_source(spec)
    assert str(caught.value).startswith("source 'mine': ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("column", "changes", "reason"),
    [
        (pl.lit(value=True).alias("open"), {}, "column 'open': holds Boolean, not numbers"),
        (pl.lit(700).alias("symbol"), {}, "'symbol' holds numbers, which lose leading zeros"),
        (pl.lit(1.5).alias("session"), {}, "column 'session': Float64 holds neither dates nor"),
        (
            pl.col("session").cast(pl.Datetime),
            {},
            "the timestamps have no time zone; set session.time_zone",
        ),
        (
            pl.col("session").cast(pl.Datetime("us", "Europe/London")),
            {"session": {"time_zone": "UTC"}},
            "the timestamps are in Europe/London; leave out session.time_zone",
        ),
        (
            pl.col("session").cast(pl.Datetime("us", "UTC")),
            {},
            "bars.parquet, row 1, column 'session': 2000-03-01",
        ),
        (
            pl.col("session"),
            {"session": {"format": "%Y"}},
            "holds dates; leave out session.format",
        ),
    ],
)
def test_parquet_of_the_wrong_types_is_named(
    some: pl.DataFrame, tmp_path: Path, column: pl.Expr, changes: dict[str, Any], reason: str
) -> None:
    some.with_columns(column).write_parquet(tmp_path / "bars.parquet")
    with pytest.raises(SourceError) as caught:
        source(tmp_path, {"path": "bars.parquet", **changes}).load(["AAPL"])
    assert reason in str(caught.value)


def test_a_damaged_parquet_file_is_named(some: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    some.write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"bars\.parquet: cannot be read: "):
        source(tmp_path, {"path": "*.parquet"}).symbols()


def test_unknown_symbols_are_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(TINY)
    with pytest.raises(SourceError, match=r"bars\.csv has no symbols \['B'\]; there are 'A'"):
        source(tmp_path, PLAIN).load(["A", "B"])
    with pytest.raises(SourceError, match="was asked for no symbols"):
        source(tmp_path, PLAIN).load([])


def test_missing_values_are_left_to_validation(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(TINY.replace(",11", ",-").replace("3,2,2", "3,,2"))
    found = source(tmp_path, {**PLAIN, "csv": {"null_values": ["-"]}}).load(["A"])
    assert found.select("open", "volume").rows() == [(1.0, 10), (None, None)]


def test_a_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(TINY)
    files = source(tmp_path, PLAIN)
    files.symbols()

    def scan(*arguments: Any) -> pl.LazyFrame:
        with path.open("a") as file:
            file.write("A,2020-01-06,1,2,1,2,10\n")
        return scan_csv(*arguments)

    monkeypatch.setattr(files_module, "scan_csv", scan)
    with pytest.raises(SourceError, match=r"bars\.csv: changed while it was read; write a new"):
        files.load(["A"])


def test_a_file_that_changed_since_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(TINY)
    files = source(tmp_path, PLAIN)
    assert files.symbols() == ("A",)
    path.write_text(TINY + "B,2020-01-02,1,2,1,2,10\n")
    assert files.symbols() == ("A", "B")
    path.rename(tmp_path / "other.csv")
    with pytest.raises(SourceError, match="no file matches"):
        files.symbols()


def test_a_file_of_closes_has_bars_of_one_price(bars: pl.DataFrame, tmp_path: Path) -> None:
    closes = bars.select(
        "symbol", "session", NAV="close", adj=pl.col("close") * pl.col("adjustment_factor")
    )
    closes.write_csv(tmp_path / "bars.csv")
    changes = {
        "bars": "closes",
        "columns": {"close": "NAV", "adj_close": "adj"},
        "adjustment": "adj_close",
    }
    found = source(tmp_path, changes).load(["AAPL", "FB", "GOOG", "IBM", "MSFT"])
    for name in ("open", "high", "low", "close"):
        assert found[name].equals(bars["close"])
    assert found["split_factor"].equals(bars["split_factor"])
    assert found["volume"].unique().to_list() == [0]


def test_a_file_of_closes_may_have_volumes(some: pl.DataFrame, tmp_path: Path) -> None:
    some.drop("open", "high", "low").write_csv(tmp_path / "bars.csv")
    changes = {"bars": "closes", "columns": {"volume": "volume"}, "adjustment": "none"}
    assert source(tmp_path, changes).load(["AAPL", "FB"])["volume"].equals(some["volume"])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("wanted", ["all", ["IBM", "FB", "AAPL", "GOOG", "MSFT"]])
def test_a_wide_file_comes_back_as_a_long_one(
    bars: pl.DataFrame, tmp_path: Path, suffix: str, wanted: Any
) -> None:
    wide = bars.pivot("symbol", index="session", values="close").sort("session")
    path = tmp_path / f"wide.{suffix}"
    wide.write_csv(path) if suffix == "csv" else wide.write_parquet(path)
    files = source(
        tmp_path,
        {
            "path": path.name,
            "symbol": {"columns": wanted},
            "bars": "closes",
            "columns": {},
            "adjustment": "already_adjusted",
        },
    )
    assert files.symbols() == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    found = files.load(["FB", "IBM"])
    expected = bars.filter(pl.col("symbol").is_in(["FB", "IBM"]))
    assert found.select("symbol", "session", "close").equals(
        expected.select("symbol", "session", "close")
    )
    assert found["open"].equals(found["close"])


WIDE = {"symbol": {"columns": "all"}, "bars": "closes", "columns": {}, "adjustment": "none"}


@pytest.mark.parametrize(
    ("text", "changes", "reason"),
    [
        ("session,A,B\n2020-01-02,1,x\n", {}, "line 2, column 'B': 'x' is no number"),
        ("session,A,B\n2020-01-02,1,2\nMean,1,2\n", {}, "line 3, column 'session': 'Mean' is no"),
        ("session;A\n2020-01-02;1,5\n", {"csv": {"separator": ";"}}, "column 'A': '1,5' is no num"),
        (",A\n2020-01-02,1\n", {}, "no column 'session'; if the column without a name holds the"),
        ("session,A,\n2020-01-02,1,2\n", {}, "a column has no name, so no symbol"),
        ("session,A\n2020-01-02,1\n", {"symbol": {"columns": ["B"]}}, "no column 'B'"),
    ],
)
def test_what_cannot_be_read_of_a_wide_file_is_named(
    tmp_path: Path, text: str, changes: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(tmp_path, text, {**WIDE, **changes})


def test_an_index_without_a_name_dates_a_wide_file(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(",A,B\n2020-01-02,1.5,\n2020-01-03,1.6,2.5\n")
    found = source(tmp_path, {**WIDE, "session": {"column": ""}}).load(["A", "B"])
    assert found.select("symbol", "close").rows() == [("A", 1.5), ("A", 1.6), ("B", 2.5)]


@pytest.mark.parametrize(
    "footer",
    [
        "File Creation Time: 0102202418:01",
        "File Creation Time: 0102202418:01,,,,,,",
        "END OF FILE,",
        "\u00a9 2024 Vendor,,,,,,",
    ],
)
def test_a_footer_is_named_by_line_and_text(tmp_path: Path, footer: str) -> None:
    (tmp_path / "bars.csv").write_text(TINY + footer + "\n", encoding="utf-8")
    files = source(tmp_path, PLAIN)
    said = f"line 4, column 'symbol': {footer.split(',', maxsplit=1)[0]!r} stands alone"
    for ask in (files.symbols, lambda: files.load(["A"])):
        with pytest.raises(SourceError, match=re.escape(said)):
            ask()


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AB",
        "AB,",
        "AB,,",
        "A B",
        "AB,N/A,,,,,",
        "AB,,,,,,",
        "END OF FILE",
        "END OF FILE,,,,,,",
    ],
)
@pytest.mark.parametrize("separator", [",", ";"])
def test_no_remark_is_proposed_that_would_leave_out_a_bar(
    tmp_path: Path, text: str, separator: str
) -> None:
    later = TINY.splitlines()[1].replace("A,", "ABC,") + "\n"
    bars = later.replace("ABC", "A BC") + later.replace("ABC", "ABC Q") + later
    content = TINY.replace("A,", "B,") + text + "\n" + bars
    told = refusal(
        tmp_path, content.replace(",", separator), {**PLAIN, "csv": {"separator": separator}}
    )
    proposed = re.search(r"comment: (\".*\")}", told)
    assert (proposed is not None) == (text.startswith("END") or ",," in text)
    if proposed is not None:
        csv = {"separator": separator, "comment": json.loads(proposed[1])}
        symbols = source(tmp_path, {**PLAIN, "csv": csv}).symbols()
        assert symbols == ("A BC", "ABC", "ABC Q", "B")


def test_no_remark_is_proposed_where_dates_begin_with_words(tmp_path: Path) -> None:
    content = "day,open,high,low,close,volume\nJan 02 2020,1,1,1,1,1\nJan,,,,,\n"
    (tmp_path / "T.csv").write_text(content)
    options = {
        "path": "T.csv", "symbol": {"file_name": "stem"},
        "session": {"column": "day", "format": "%b %d %Y"}, "adjustment": "none", "columns": {},
    }  # fmt: skip
    with pytest.raises(SourceError, match=r"'Jan' is no date .*comment: \"Jan,,,,,\""):
        source(tmp_path, options).load(["T"])


def test_lines_without_values_are_passed_over_where_the_symbol_has_bars(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TINY + "A,,,,,,\nB,,,,,,\n")
    (tmp_path / "b.csv").write_text(TINY.replace("A,", "B,"))
    files = source(tmp_path, {**PLAIN, "path": "*.csv"})
    assert files.symbols() == ("A", "B")
    assert files.load(["A", "B"]).height == 4


def test_the_state_of_files_changes_with_each_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TINY)
    files = source(tmp_path, {**PLAIN, "path": "*.csv"})
    states = [files.state()]
    (tmp_path / "b.csv").write_text(TINY)
    states.append(files.state())
    (tmp_path / "a.csv").write_text(TINY + "\n")
    states.append(files.state())
    (tmp_path / "b.csv").unlink()
    states.append(files.state())
    assert len(set(states)) == 4
    assert files.state() == states[-1]
