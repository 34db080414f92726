import datetime as dt
import math
from collections.abc import Callable

import polars as pl
import pytest

from tradewind.errors import BarValidationError, MarketDataError
from tradewind.market.validation.findings import Finding
from tradewind.market.validation.validate import check, refuse_errors, validate

DAY = dt.date(2010, 6, 15)
AT = (pl.col("symbol") == "IBM") & (pl.col("session") == DAY)
# What really happened and looks odd: a crash and three days of earnings.
ODD = [
    ("warning", "AAPL", dt.date(2000, 9, 29), "large_move"),
    ("warning", "AAPL", dt.date(2000, 9, 29), "outlier"),
    ("warning", "IBM", dt.date(2005, 4, 15), "outlier"),
    ("warning", "MSFT", dt.date(2000, 10, 19), "outlier"),
    ("warning", "MSFT", dt.date(2006, 4, 28), "outlier"),
]


def where(findings: list[Finding]) -> list[tuple[str, str | None, dt.date | None, str]]:
    return [(one.severity, one.symbol, one.session, one.rule) for one in findings]


def put(bars: pl.DataFrame, column: str, value: object) -> pl.DataFrame:
    """Replace one value of IBM on `DAY`."""
    changed = pl.when(AT).then(pl.lit(value)).otherwise(column)
    return bars.with_columns(changed.cast(bars.schema[column]).alias(column))


def test_the_shipped_bars_pass_with_five_warnings_for_what_really_happened(
    bars: pl.DataFrame,
) -> None:
    assert where(check(bars, "XNYS")) == ODD


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("close", None, "null"),
        ("volume", None, "null"),
        ("adjustment_factor", None, "null"),
        ("open", math.nan, "finite"),
        ("split_factor", math.nan, "finite"),
        ("high", math.inf, "finite"),
        ("low", 0.0, "positive"),
        ("close", -1.0, "positive"),
        ("split_factor", 0.0, "positive"),
        ("adjustment_factor", -0.5, "positive"),
        ("volume", -1, "non_negative"),
        ("low", 129.0, "ohlc_order"),  # that day: open 128.93, high 129.95, low 128.37
        ("high", 129.0, "ohlc_order"),  # close 129.79
    ],
)
def test_a_bad_value_is_found_where_it_is(
    bars: pl.DataFrame, column: str, value: float | None, rule: str
) -> None:
    found = validate(put(bars, column, value), "XNYS")
    assert ("error", "IBM", DAY, rule) in where(found)
    assert {one.rule for one in found if one.severity == "error"} == {rule}


def test_a_missing_session_is_found(bars: pl.DataFrame) -> None:
    found = validate(bars.filter(~AT), "XNYS")
    assert where(found) == [("error", "IBM", DAY, "missing_session"), *ODD]


@pytest.mark.parametrize("closed", [dt.date(2010, 6, 19), dt.date(2010, 7, 5)])  # Saturday, holiday
def test_a_session_on_a_closed_day_is_found(bars: pl.DataFrame, closed: dt.date) -> None:
    extra = bars.filter(AT).with_columns(session=pl.lit(closed))
    found = validate(pl.concat([bars, extra]).sort("symbol", "session"), "XNYS")
    assert where(found) == [("error", "IBM", closed, "extra_session"), *ODD]


def test_a_repeated_bar_is_found(bars: pl.DataFrame) -> None:
    found = validate(pl.concat([bars, bars.filter(AT)]).sort("symbol", "session"), "XNYS")
    assert where(found) == [("error", "IBM", DAY, "duplicate"), *ODD]
    assert found[0].value == 2


def test_unsorted_sessions_are_found_once_a_symbol(bars: pl.DataFrame) -> None:
    reversed_ibm = bars.filter(pl.col("symbol") == "IBM").reverse()
    others = bars.filter(pl.col("symbol") != "IBM")
    found = validate(
        pl.concat(
            [
                others.filter(pl.col("symbol") < "IBM"),
                reversed_ibm,
                others.filter(pl.col("symbol") > "IBM"),
            ]
        ),
        "XNYS",
    )
    assert where(found) == [("error", "IBM", dt.date(2013, 2, 28), "unsorted"), *ODD]


def test_unsorted_symbols_are_found(bars: pl.DataFrame) -> None:
    found = validate(bars.sort("session", "symbol"), "XNYS")
    assert "unsorted" in {one.rule for one in found}


def test_splits_that_both_factors_leave_out_are_errors(bars: pl.DataFrame) -> None:
    dividends = pl.col("adjustment_factor") / pl.col("split_factor")
    found = validate(
        bars.with_columns(split_factor=pl.lit(1.0), adjustment_factor=dividends), "XNYS"
    )
    errors = [one for one in where(found) if one[0] == "error"]
    assert errors == [
        ("error", "AAPL", dt.date(2000, 6, 21), "unadjusted_split"),
        ("error", "AAPL", dt.date(2005, 2, 28), "unadjusted_split"),
        ("error", "MSFT", dt.date(2003, 2, 18), "unadjusted_split"),
    ]
    assert set(ODD) <= set(where(found))


def test_splits_that_one_factor_leaves_out_are_warnings(bars: pl.DataFrame) -> None:
    """The adjustment explains them, as it would special dividends."""
    found = validate(bars.with_columns(split_factor=pl.lit(1.0)), "XNYS")
    assert not [one for one in found if one.severity == "error"]
    assert {
        ("warning", "AAPL", dt.date(2000, 6, 21), "factor_step"),
        ("warning", "AAPL", dt.date(2005, 2, 28), "factor_step"),
        ("warning", "MSFT", dt.date(2003, 2, 18), "factor_step"),
        *ODD,
    } == set(where(found))


@pytest.mark.parametrize("ratio", [2.0, 3.0, 1.5, 7.0, 10.0, 0.5, 0.1, 4 / 3])
def test_an_injected_split_is_found(bars: pl.DataFrame, ratio: float) -> None:
    since = (pl.col("symbol") == "IBM") & (pl.col("session") >= DAY)
    split = bars.with_columns(
        *(
            pl.when(since).then(pl.col(name) / ratio).otherwise(name).alias(name)
            for name in ("open", "high", "low", "close")
        ),
        pl.when(since).then((pl.col("volume") * ratio).cast(pl.Int64)).otherwise("volume"),
    )
    found = validate(split, "XNYS")
    assert ("error", "IBM", DAY, "unadjusted_split") in where(found)
    assert len([one for one in found if one.severity == "error"]) == 1


def test_a_split_factor_without_a_split_is_found(bars: pl.DataFrame) -> None:
    before = (pl.col("symbol") == "IBM") & (pl.col("session") < DAY)
    phantom = pl.when(before).then(0.5).otherwise("split_factor").alias("split_factor")
    found = validate(bars.with_columns(phantom), "XNYS")
    assert ("error", "IBM", DAY, "unadjusted_split") in where(found)


def test_a_large_move_is_a_warning_with_its_size(bars: pl.DataFrame) -> None:
    found = validate(bars, "XNYS")[0]
    assert found.value == pytest.approx(25.75 / 53.5 - 1, abs=1e-6)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda bars: bars.drop("close"), "'close' must be of type Float64"),
        (lambda bars: bars.with_columns(pl.col("volume").cast(pl.Float64)), "'volume' must be"),
        (lambda bars: bars.with_columns(pl.col("session").cast(pl.Datetime)), "'session' must"),
        (lambda bars: bars.with_columns(extra=1), "'extra' is not one of bars"),
        (lambda bars: bars.clear(), "there are no bars"),
    ],
)
def test_wrong_columns_are_named(
    bars: pl.DataFrame, spoil: Callable[[pl.DataFrame], pl.DataFrame], expected: str
) -> None:
    found = validate(spoil(bars), "XNYS")
    assert [one.rule for one in found] == ["schema"]
    assert expected in found[0].message


@pytest.mark.parametrize("column", ["symbol", "session"])
def test_a_bar_without_its_key_is_found(bars: pl.DataFrame, column: str) -> None:
    found = validate(put(bars, column, None), "XNYS")
    assert "null" in {one.rule for one in found if one.severity == "error"}


def test_check_names_symbol_session_rule_and_value(bars: pl.DataFrame) -> None:
    with pytest.raises(BarValidationError, match=r"IBM 2010-06-15: positive \(-1\.0\): close"):
        check(put(bars, "close", -1.0), "XNYS")


def test_check_lists_ten_errors_and_counts_the_rest(bars: pl.DataFrame) -> None:
    with pytest.raises(BarValidationError) as caught:
        check(bars.with_columns(volume=pl.lit(-1, dtype=pl.Int64)), "XNYS")
    lines = str(caught.value).splitlines()
    assert lines[0] == "12154 errors in the bars:"
    assert len(lines) == 12
    assert lines[-1] == "  and 12144 more"


def test_what_one_error_stands_for_is_not_counted_twice() -> None:
    found = [
        Finding("error", "A", dt.date(2020, 1, 2), "null", None, "close is missing"),
        Finding("error", None, None, "null", 11, "and 11 more of the kind above", 11),
    ]
    with pytest.raises(BarValidationError) as caught:
        refuse_errors(found)
    lines = str(caught.value).splitlines()
    assert (lines[0], len(lines)) == ("12 errors in the bars:", 3)


def test_beyond_a_thousand_findings_of_a_kind_one_stands_for_the_rest(bars: pl.DataFrame) -> None:
    found = validate(bars.with_columns(volume=pl.lit(-1, dtype=pl.Int64)), "XNYS")
    assert len(found) == 1001
    assert found[-1].count == 12154 - 1000
    found = validate(bars.with_columns(high=pl.col("low") * 1.6), "XNYS")
    ranges = [one for one in found if one.rule == "range"]
    assert (len(ranges), ranges[-1].severity, ranges[-1].value) == (1001, "warning", 11_154)


def test_an_unknown_calendar_is_refused(bars: pl.DataFrame) -> None:
    with pytest.raises(MarketDataError, match="XXXX"):
        validate(bars, "XXXX")
