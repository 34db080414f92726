"""Defects as vendors make them, injected into real bars: each is caught, and named."""

import datetime as dt
import math
import re
from collections.abc import Callable

import polars as pl
import pytest

from tradewind.market.bars import PRICES
from tradewind.market.validation.accepted import ACCEPTABLE, NEVER
from tradewind.market.validation.validate import validate

KNOWN_AT = dt.datetime(2013, 3, 1, 22, 0, tzinfo=dt.UTC)  # an hour after the last close
DAY = dt.date(2010, 6, 15)  # IBM: 128.93, 129.95, 128.37, 129.79; 6,652,500 shares
NEXT = dt.date(2010, 6, 16)
IBM = pl.col("symbol") == "IBM"
AT = IBM & (pl.col("session") == DAY)
SINCE = IBM & (pl.col("session") >= DAY)
BEFORE = IBM & (pl.col("session") < DAY)

Spoil = Callable[[pl.DataFrame], pl.DataFrame]


def put(column: str, value: object, where: pl.Expr = AT) -> Spoil:
    """Replace a column's values."""
    return lambda bars: bars.with_columns(
        pl.when(where).then(pl.lit(value)).otherwise(column).cast(bars.schema[column]).alias(column)
    )


def times(factor: float, *columns: str, where: pl.Expr = AT) -> Spoil:
    """Multiply columns."""
    return lambda bars: bars.with_columns(
        (pl.when(where).then(pl.col(name) * factor).otherwise(name))
        .cast(bars.schema[name])
        .alias(name)
        for name in columns
    )


def added(change: Spoil, where: pl.Expr = AT) -> Spoil:
    """Add changed copies of bars."""
    return lambda bars: pl.concat([bars, change(bars.filter(where))]).sort("symbol", "session")


def copied(*columns: str, where: pl.Expr) -> Spoil:
    """Let the bar of `DAY` stand in other places."""

    def spoil(bars: pl.DataFrame) -> pl.DataFrame:
        held = bars.row(by_predicate=AT, named=True)
        for name in columns:
            bars = put(name, held[name], where)(bars)
        return bars

    return spoil


def both(first: Spoil, second: Spoil) -> Spoil:
    return lambda bars: second(first(bars))


def span(length: int) -> pl.Expr:
    """Return the sessions of IBM from `DAY` on, as many calendar days as given."""
    return SINCE & (pl.col("session") < DAY + dt.timedelta(days=length))


def moved(days: int) -> Spoil:
    return lambda bars: bars.with_columns(
        pl.when(AT)
        .then(pl.lit(DAY + dt.timedelta(days=days)))
        .otherwise("session")
        .alias("session")
    ).sort("symbol", "session")


def renamed(name: str, where: pl.Expr) -> Spoil:
    return lambda bars: bars.with_columns(
        symbol=pl.when(where).then(pl.lit(name)).otherwise("symbol")
    ).sort("symbol", "session")


def swapped(one: str, other: str) -> Spoil:
    return lambda bars: bars.with_columns(
        pl.when(AT).then(pl.col(other)).otherwise(one).alias(one),
        pl.when(AT).then(pl.col(one)).otherwise(other).alias(other),
    )


def shuffled(bars: pl.DataFrame) -> pl.DataFrame:
    rows = bars.with_row_index()
    place = rows.filter(AT).item(0, "index")
    order = pl.when(pl.col("index") == place).then(place + 1.5).otherwise("index")
    return rows.sort(order).drop("index")


ERRORS: dict[str, tuple[Spoil, str]] = {
    "no close": (put("close", None), r"IBM 2010-06-15: null \(None\): close is missing"),
    "no volume": (put("volume", None), r"IBM 2010-06-15: null \(None\): volume is missing"),
    "no session": (put("session", None), r"IBM: null \(None\): session is missing"),
    "no symbol": (put("symbol", None), r"2010-06-15: null \(None\): symbol is missing"),
    "no factor": (put("split_factor", None), r"IBM 2010-06-15: null .*split_factor is missing"),
    "not a number": (put("open", math.nan), r"IBM 2010-06-15: finite \(nan\): open"),
    "infinite": (put("high", math.inf), r"IBM 2010-06-15: finite \(inf\): high"),
    "zero price": (put("low", 0.0), r"IBM 2010-06-15: positive \(0.0\): low must be above"),
    "negative price": (put("close", -129.79), r"IBM 2010-06-15: positive \(-129.79\): close"),
    "sentinel": (put("open", -9999.0), r"IBM 2010-06-15: positive \(-9999.0\): open"),
    "negative volume": (put("volume", -1), r"IBM 2010-06-15: non_negative \(-1.0\): volume"),
    "zero split factor": (put("split_factor", 0.0), r"positive \(0.0\): split_factor"),
    "negative factor": (put("adjustment_factor", -1.0), r"positive \(-1.0\): adjustment_factor"),
    "low above close": (put("low", 129.8), r"IBM 2010-06-15: ohlc_order \(128.93/129.95/129.8/129"),
    "high below close": (put("high", 129.5), r"IBM 2010-06-15: ohlc_order \(128.93/129.5/128.37/"),
    "high and low swapped": (swapped("high", "low"), r"ohlc_order \(128.93/128.37/129.95/129.79\)"),
    "open and volume of another": (put("open", 37.0), r"IBM 2010-06-15: ohlc_order \(37/129.95"),
    "slipped point in the high": (times(10, "high"), r"range \(10.12\d+\): the high, 1299.5, is"),
    "slipped point in the low": (times(0.1, "low"), r"range \(10.12\d+\): .*the low, 12.837"),
    "duplicate": (added(lambda bars: bars), r"IBM 2010-06-15: duplicate \(2\): the bar is there 2"),
    "two versions": (added(times(1.001, *PRICES)), r"IBM 2010-06-15: duplicate \(2\)"),
    "unsorted": (shuffled, r"IBM 2010-06-15: unsorted \(2010-06-15\): bars must be sorted"),
    "missing session": (
        lambda bars: bars.filter(~AT),
        r"IBM 2010-06-15: missing_session \(2010-06-15\): XNYS was open that day",
    ),
    "missing month": (
        lambda bars: bars.filter(~span(30)),
        r"IBM 2010-06-15: missing_session \(2010-06-15 to 2010-07-14\): XNYS was open on the 21 se",
    ),
    "Saturday": (
        added(put("session", dt.date(2010, 6, 19))),
        r"IBM 2010-06-19: extra_session \(2010-06-19\): XNYS was closed that day, a Saturday",
    ),
    "Sunday": (moved(5), r"IBM 2010-06-20: extra_session .* a Sunday"),
    "holiday": (
        added(put("session", dt.date(2010, 7, 5))),
        r"IBM 2010-07-05: extra_session \(2010-07-05\): XNYS was closed that day, a holiday",
    ),
    "closed after the attacks of 2001": (
        added(put("session", dt.date(2001, 9, 12))),
        r"IBM 2001-09-12: extra_session \(2001-09-12\): .*a holiday",
    ),
    "dates a day late": (
        lambda bars: bars.with_columns(
            pl.when(IBM).then(pl.col("session").dt.offset_by("1d")).otherwise("session").alias(
                "session"
            )
        ),
        r"IBM 2010-06-19: extra_session \(2010-06-19\): .*a Saturday",
    ),
    "future": (
        added(put("session", dt.date(2013, 3, 4))),
        r"IBM 2013-03-04: future_session \(2013-03-04\): at 2013-03-01 22:00 UTC XNYS had closed",
    ),
    "split left out": (
        both(times(0.5, *PRICES, where=SINCE), times(2, "volume", where=SINCE)),
        r"IBM 2010-06-15: unadjusted_split \(0.50\d+\): the open stands at 0.50\d+ of the close",
    ),
    "reverse split left out": (
        both(times(10, *PRICES, where=SINCE), times(0.1, "volume", where=SINCE)),
        r"IBM 2010-06-15: unadjusted_split \(10.0\d+\)",
    ),
    "split that never was": (
        times(0.5, "split_factor", "adjustment_factor", where=BEFORE),
        r"IBM 2010-06-15: unadjusted_split \(2.0\d+\)",
    ),
    "pounds, then pence": (
        times(100, *PRICES, where=SINCE),
        r"IBM 2010-06-15: unit_shift \(100.\d+\): .*pence for pounds",
    ),
    "pence, then pounds": (times(0.01, *PRICES, where=SINCE), r"IBM 2010-06-15: unit_shift \(0.01"),
    "thousands": (times(1000, *PRICES, where=SINCE), r"IBM 2010-06-15: unit_shift \(100\d.\d+\)"),
    "slipped point for a day": (times(10, *PRICES), r"IBM 2010-06-15: unit_shift \(10.0\d+\)"),
    "factor falls": (
        times(1.1, "adjustment_factor", where=BEFORE),
        r"IBM 2010-06-15: factor_step \(-0.0909\d*\): adjustment_factor falls by 9.09%",
    ),
    "dividend that never was": (
        times(0.7, "adjustment_factor", where=BEFORE),
        r"IBM 2010-06-15: factor_step \(0.42857\d*\): adjustment_factor rises by 42.86%",
    ),
    "split missing in one factor": (
        lambda bars: bars.with_columns(adjustment_factor=pl.lit(1.0)),
        r"AAPL 2000-06-21: factor_step \(-0.5\): adjustment_factor falls by 50.00%",
    ),
    "feed repeats a bar": (
        copied(*PRICES, "volume", where=IBM & (pl.col("session") == NEXT)),
        r"IBM 2010-06-15: repeated_bar \(6652500\): prices and volume are the same on 2 sessions, "
        r"to 2010-06-16",
    ),
    "feed stopped": (
        both(
            copied(*PRICES, "volume", where=span(40)),
            put("volume", 0, span(40)),
        ),
        r"IBM 2010-06-15: stale_close \(129.79\): the close is the same on 28 sessions, to "
        r"2010-07-23, without volume",
    ),
    "close stopped": (
        both(
            copied("close", where=span(40)),
            lambda bars: bars.with_columns(
                low=pl.min_horizontal("low", "open", "close"),
                high=pl.max_horizontal("high", "open", "close"),
            ),
        ),
        r"IBM 2010-06-15: stale_close \(129.79\): the close is the same on 28 .* with volume",
    ),
    "one instrument under two names": (
        lambda bars: pl.concat(
            [bars, bars.filter(IBM).with_columns(symbol=pl.lit("IBX"))]
        ).sort("symbol", "session"),
        r"IBX 2000-03-01: copied_symbol \(IBM\): prices and volume equal those of IBM on 3270",
    ),
    "absurd price": (put("close", 1e308), r"IBM 2010-06-15: magnitude .*from 1e-12 to 1e\+12"),
    "vanishing price": (put("low", 1e-300), r"IBM 2010-06-15: magnitude .*low is no low of"),
    "absurd volume": (put("volume", 10**17), r"IBM 2010-06-15: magnitude .*1e\+15 at most"),
    "path as a symbol": (renamed("../../x", IBM), r"symbol_spelling .*a symbol is no path"),
    "space in a symbol": (
        renamed("IBM ", IBM),
        r"IBM : symbol_spelling \('IBM '\): a symbol has no space",
    ),
    "look-alike symbol": (renamed("\uff29BM", IBM), r"symbol_spelling .*only look like others"),
    "lower case": (
        renamed("ibm", SINCE),
        r"IBM: symbol_spelling \(IBM, ibm\): these differ in nothing but case",
    ),
}  # fmt: skip

WARNINGS: dict[str, tuple[Spoil, str]] = {
    "misprint": (
        times(1.42, "close", "high"),
        r"IBM 2010-06-15: outlier \(\d+.\d+\): .*the next session took it back: likely a misprint",
    ),
    "large move": (
        times(1.42, "close", "high"),
        r"IBM 2010-06-15: large_move \(0.4\d+\): the close moved \+4\d.\d% in one session",
    ),
    "wide range": (times(1.8, "high"), r"IBM 2010-06-15: range \(1.8\d+\): the high, 233.91, is"),
    "no volume": (
        put("volume", 0),
        r"IBM 2010-06-15: zero_volume \(1\): no volume on 1 sessions, .*though prices moved",
    ),
    "volume in lots": (
        times(0.01, "volume", where=SINCE),
        r"IBM 2010-06-15: volume_jump \(66525\): 0.0\d+ times the usual volume",
    ),
    "volume in thousandths": (
        times(1000, "volume"),
        r"IBM 2010-06-15: volume_jump \(6652500000\): \d+ times the usual volume",
    ),
    "stale week": (
        both(
            copied("close", where=span(7)),
            lambda bars: bars.with_columns(
                low=pl.min_horizontal("low", "open", "close"),
                high=pl.max_horizontal("high", "open", "close"),
            ),
        ),
        r"IBM 2010-06-15: stale_close \(129.79\): the close is the same on 5 sessions, to "
        r"2010-06-21, with volume",
    ),
    "ends early": (
        lambda bars: bars.filter(~SINCE),
        r"IBM 2010-06-14: ended_early \(683\): the last bar, while others go on for 683 sessions",
    ),
    "odd split": (
        times(0.963, "split_factor", "adjustment_factor", where=BEFORE),
        r"IBM 2010-06-15: split_ratio \(1.038422\): split_factor steps by no ratio",
    ),
    "dividend too high": (
        times(0.92, "adjustment_factor", where=BEFORE),
        r"IBM 2010-06-15: factor_step \(0.08695\d\): adjustment_factor rises by 8.70%",
    ),
}  # fmt: skip


def test_there_are_enough_kinds_of_defects() -> None:
    assert len(ERRORS) >= 40
    assert len(WARNINGS) == 10


@pytest.mark.parametrize(("spoil", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_a_defect_is_an_error_that_names_it(bars: pl.DataFrame, spoil: Spoil, message: str) -> None:
    found = validate(spoil(bars), "XNYS", known_at=KNOWN_AT)
    errors = [str(one) for one in found if one.severity == "error"]
    assert_one_matches(errors, message)
    assert {one.rule for one in found} <= ACCEPTABLE | NEVER  # somebody decided which


@pytest.mark.parametrize(("spoil", "message"), WARNINGS.values(), ids=WARNINGS.keys())
def test_an_oddity_is_a_warning_and_no_error(
    bars: pl.DataFrame, spoil: Spoil, message: str
) -> None:
    found = validate(spoil(bars), "XNYS", known_at=KNOWN_AT)
    assert not [str(one) for one in found if one.severity == "error"]
    assert_one_matches([str(one) for one in found], message)
    assert {one.rule for one in found} <= ACCEPTABLE


def assert_one_matches(found: list[str], message: str) -> None:
    assert any(re.search(message, one) for one in found), found


@pytest.mark.parametrize(
    ("symbol", "session"),
    [
        ("AAPL", dt.date(2000, 9, 29)),  # -51.9 % on a profit warning: a warning, as below
        ("MSFT", dt.date(2004, 11, 15)),  # a dividend of 11 % of the price
        ("AAPL", dt.date(2005, 2, 28)),  # a split, accounted for
        ("IBM", dt.date(2001, 9, 17)),  # the first session after the attacks
        ("IBM", dt.date(2012, 10, 31)),  # the first session after the hurricane
        ("IBM", dt.date(2002, 12, 24)),  # half a day
        ("AAPL", dt.date(2010, 5, 6)),  # the flash crash: the high 1.30 of the low
        ("FB", dt.date(2012, 5, 18)),  # listed that day
        ("GOOG", dt.date(2004, 8, 19)),  # listed that day
    ],
)
def test_what_really_happened_is_no_error(
    bars: pl.DataFrame, symbol: str, session: dt.date
) -> None:
    assert bars.filter(pl.col("symbol") == symbol, pl.col("session") == session).height == 1
    found = validate(bars, "XNYS", known_at=KNOWN_AT)
    assert len(found) == 5
    assert {one.severity for one in found} == {"warning"}
    rules = {one.rule for one in found if (one.symbol, one.session) == (symbol, session)}
    crash = (symbol, session) == ("AAPL", dt.date(2000, 9, 29))
    assert rules == ({"large_move", "outlier"} if crash else set())


def test_a_bar_before_the_close_is_not_final(bars: pl.DataFrame) -> None:
    during = dt.datetime(2013, 3, 1, 20, 59, tzinfo=dt.UTC)
    found = validate(bars, "XNYS", known_at=during)
    future = [(one.symbol, one.session) for one in found if one.rule == "future_session"]
    assert future == [(one, dt.date(2013, 3, 1)) for one in ("AAPL", "FB", "GOOG", "IBM", "MSFT")]
    closed = dt.datetime(2013, 3, 1, 21, 0, tzinfo=dt.UTC)
    assert not [one for one in validate(bars, "XNYS", known_at=closed) if one.severity == "error"]


def test_a_stock_that_hardly_trades_may_repeat_a_flat_bar(bars: pl.DataFrame) -> None:
    flat = IBM & pl.col("session").is_in([DAY, NEXT])
    thin = bars
    for column in PRICES:
        thin = put(column, 129.79, flat)(thin)
    found = validate(put("volume", 1_000_000, flat)(thin), "XNYS")
    assert not [str(one) for one in found if one.severity == "error"]


def adjusted_prices(bits: int) -> Spoil:
    """Prices divided by what dividends took, as a vendor of adjusted prices writes them."""

    def spoil(bars: pl.DataFrame) -> pl.DataFrame:
        kept = pl.Float32 if bits == 32 else pl.Float64
        split, dividends = 1 / 3, 0.7310585786
        scaled = [(pl.col(name) * (split * dividends)).cast(kept) for name in PRICES[:3]]
        scaled.append((pl.col("close") * split * dividends).cast(kept))
        return bars.with_columns(one.cast(pl.Float64) for one in scaled)

    return spoil


@pytest.mark.parametrize("bits", [64, 32])
def test_a_high_below_the_close_by_rounding_is_no_error(bars: pl.DataFrame, bits: int) -> None:
    scaled = adjusted_prices(bits)(bars)
    outside = scaled.filter(
        (pl.col("high") < pl.max_horizontal("open", "close"))
        | (pl.col("low") > pl.min_horizontal("open", "close"))
    )
    if bits == 64:  # 32 bits round monotonically
        assert outside.height > 0
    assert not [str(one) for one in validate(scaled, "XNYS") if one.severity == "error"]


def test_a_high_in_cents_may_be_half_a_cent_below_the_close(bars: pl.DataFrame) -> None:
    cents = (
        bars.filter(SINCE)
        .with_columns(pl.col("high").round(2))
        .with_columns(pl.min_horizontal("low", "high"), pl.min_horizontal("open", "high"))
    )
    finer = put("close", 129.9542)(cents)  # the high is 129.95
    assert not [one for one in validate(finer, "XNYS") if one.rule == "ohlc_order"]
    beyond = put("close", 129.9552)(cents)
    assert [one.value for one in validate(beyond, "XNYS") if one.rule == "ohlc_order"] == [
        "128.93/129.95/128.37/129.9552"
    ]


@pytest.mark.parametrize(
    ("high", "told"),
    [(129.78, "the high, 129.78, is below the close, 129.79"), (129.7899, "129.7899, is below")],
)
def test_a_cent_is_an_error_with_all_its_digits(bars: pl.DataFrame, high: float, told: str) -> None:
    found = [one for one in validate(put("high", high)(bars), "XNYS") if one.rule == "ohlc_order"]
    assert len(found) == 1
    assert found[0].severity == "error"
    assert told in found[0].message


@pytest.mark.parametrize("share", [0.25, 0.3, 1 / 3, 0.5, 0.6, 0.75, 0.9])
def test_a_special_dividend_that_the_factor_explains_is_a_warning(
    bars: pl.DataFrame, share: float
) -> None:
    paid = both(
        times(1.0 - share, *PRICES, where=SINCE),
        times(1.0 - share, "adjustment_factor", where=BEFORE),
    )(bars)
    found = validate(paid, "XNYS")
    assert not [str(one) for one in found if one.severity == "error"]
    told = [one for one in found if (one.symbol, one.session) == ("IBM", DAY)]
    assert [one.rule for one in told] == ["factor_step"]
    assert f"dividend of {share:.2%} of the price" in told[0].message


def test_a_split_that_a_dividend_hides_is_still_an_error(bars: pl.DataFrame) -> None:
    """A dividend of 1 % explains no fall to the half."""
    halved = both(times(0.5, *PRICES, where=SINCE), times(0.99, "adjustment_factor", where=BEFORE))(
        bars
    )
    assert_one_matches(
        [str(one) for one in validate(halved, "XNYS") if one.severity == "error"],
        r"IBM 2010-06-15: unadjusted_split \(0.50\d+\)",
    )


def test_a_split_and_a_dividend_on_one_day_are_told(bars: pl.DataFrame) -> None:
    split = both(
        both(times(0.49, *PRICES, where=SINCE), times(2, "volume", where=SINCE)),
        both(
            times(0.5, "split_factor", where=BEFORE),
            times(0.49, "adjustment_factor", where=BEFORE),
        ),
    )(bars)
    found = validate(split, "XNYS")
    assert not [str(one) for one in found if one.severity == "error"]
    told = [one.message for one in found if (one.symbol, one.session) == ("IBM", DAY)]
    assert len(told) == 1
    assert told[0].startswith("a split of 2:1 and a dividend of 2.00% of the price on one day")


@pytest.mark.parametrize("ratio", [0.01, 0.04, 0.1, 0.125, 0.2, 1.25, 25.0, 50.0])
def test_a_split_of_any_size_that_the_factors_tell_is_neither(
    bars: pl.DataFrame, ratio: float
) -> None:
    split = both(
        both(times(1 / ratio, *PRICES, where=SINCE), times(ratio, "volume", where=SINCE)),
        times(1 / ratio, "split_factor", "adjustment_factor", where=BEFORE),
    )(bars)
    assert not [
        one for one in validate(split, "XNYS") if one.symbol == "IBM" and one.session == DAY
    ]


CLOSES = [pl.col("close").alias(name) for name in ("open", "high", "low")]


@pytest.mark.parametrize("volume", [0, 1_000_000, None])
def test_closes_alone_are_a_warning_by_name_and_nothing_else_cries(
    bars: pl.DataFrame, volume: int | None
) -> None:
    closes = bars.with_columns(*CLOSES)
    if volume is not None:
        closes = closes.with_columns(volume=pl.lit(volume, pl.Int64))
    found = validate(closes, "XNYS")
    assert not [str(one) for one in found if one.severity == "error"]
    told = [one for one in found if one.rule == "closes_only"]
    assert [one.symbol for one in told] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert all("trades at the next close" in one.message for one in told)
    assert all(("no volume is known" in one.message) == (volume == 0) for one in told)
    assert {one.rule for one in found} == {"closes_only", "large_move", "outlier"}


def test_bars_with_a_range_are_not_called_closes(bars: pl.DataFrame) -> None:
    flat = IBM & (pl.col("session") != DAY)
    mixed = bars.with_columns(
        pl.when(flat).then(one).otherwise(one.meta.output_name()).alias(one.meta.output_name())
        for one in CLOSES
    )
    assert not [one for one in validate(mixed, "XNYS") if one.rule == "closes_only"]


@pytest.mark.parametrize(
    ("factor", "volume", "rule"),
    [
        (0.5, None, "unadjusted_split"), (10.0, 0, "unit_shift"), (0.01, None, "unit_shift"),
        (0.5, 0, None), (0.67, None, None),
    ],
)  # fmt: skip
def test_of_closes_only_what_is_sure_is_an_error(
    bars: pl.DataFrame, factor: float, volume: int | None, rule: str | None
) -> None:
    closes = times(factor, *PRICES, where=SINCE)(bars.with_columns(*CLOSES))
    if volume is not None:
        closes = closes.with_columns(volume=pl.lit(volume, pl.Int64))
    elif rule == "unadjusted_split":
        closes = times(2, "volume", where=SINCE)(closes)
    errors = {one.rule for one in validate(closes, "XNYS") if one.severity == "error"}
    assert errors == (set() if rule is None else {rule})


def test_a_fund_that_stands_still_is_a_warning(bars: pl.DataFrame) -> None:
    still = bars.with_columns(pl.lit(1.0).alias(name) for name in PRICES).with_columns(
        volume=pl.lit(0, pl.Int64)
    )
    found = validate(still.filter(IBM).with_columns(adjustment_factor=pl.lit(1.0)), "XNYS")
    assert [(one.severity, one.rule) for one in found] == [
        ("warning", "closes_only"), ("warning", "stale_close"),
    ]  # fmt: skip
