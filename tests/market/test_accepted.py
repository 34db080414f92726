"""Real oddities that a person has looked into, on real bars with a real crash made ordinary."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from tradewind.errors import BarValidationError
from tradewind.market.validation.accepted import NEVER, Acceptance, Accepted, concerning
from tradewind.market.validation.findings import Finding
from tradewind.market.validation.validate import check, validate

DAY = dt.date(2010, 6, 15)


def accepted(**changes: Any) -> Accepted:
    fields = {
        "symbol": "IBM", "session": DAY, "rule": "unadjusted_split", "reason": "profit warning",
    }  # fmt: skip
    return Accepted.model_validate({**fields, **changes})


@pytest.fixture(scope="module")
def fallen(bars: pl.DataFrame) -> pl.DataFrame:
    """IBM opens a fifth lower one day and stays there, on the usual turnover."""
    since = (pl.col("symbol") == "IBM") & (pl.col("session") >= DAY)
    return bars.with_columns(
        pl.when(since).then(pl.col(name) * 0.8).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )


def test_a_real_fall_is_accepted_with_its_reason(fallen: pl.DataFrame) -> None:
    with pytest.raises(BarValidationError, match="IBM 2010-06-15: unadjusted_split") as caught:
        check(fallen, "XNYS")
    assert str(caught.value).endswith(
        "accept: [{symbol: IBM, session: 2010-06-15, rule: unadjusted_split, "
        "reason: what happened}]"
    )
    found = check(fallen, "XNYS", accepted=[accepted()])
    [told] = [one for one in found if one.rule == "unadjusted_split"]
    assert (told.severity, told.symbol, told.session) == ("warning", "IBM", DAY)
    assert told.value == pytest.approx(0.8, abs=0.01)
    assert told.message.endswith("; accepted: profit warning")
    assert "accepted" not in {one.rule for one in found}
    # All else is told as before.
    others = [one for one in validate(fallen, "XNYS") if one.rule != "unadjusted_split"]
    assert [one for one in found if one.rule != "unadjusted_split"] == others


@pytest.mark.parametrize(
    "elsewhere",
    [{"symbol": "MSFT"}, {"session": dt.date(2010, 6, 16)}, {"rule": "unit_shift"}],
)
def test_an_entry_accepts_its_own_symbol_session_and_rule_only(
    fallen: pl.DataFrame, elsewhere: dict[str, Any]
) -> None:
    found = validate(fallen, "XNYS", accepted=[accepted(**elsewhere)])
    assert [(one.symbol, one.session) for one in found if one.severity == "error"] == [("IBM", DAY)]
    entry = accepted(**elsewhere)
    [stale] = [one for one in found if one.rule == "accepted"]
    assert (stale.severity, stale.symbol, stale.session) == ("warning", entry.symbol, entry.session)
    assert stale.value == entry.rule
    assert "(profit warning), which are a part of the source's" in stale.message


def test_an_entry_that_is_no_longer_needed_is_a_warning(bars: pl.DataFrame) -> None:
    found = check(bars, "XNYS", accepted=[accepted()])
    assert [one.rule for one in found if one not in validate(bars, "XNYS")] == ["accepted"]


def test_a_warning_can_be_explained_too(bars: pl.DataFrame) -> None:
    entry = accepted(
        symbol="AAPL", session=dt.date(2000, 9, 29), rule="large_move", reason="it really fell"
    )
    [told] = [one for one in check(bars, "XNYS", accepted=[entry]) if one.rule == "large_move"]
    assert told.message.endswith("; accepted: it really fell")


def test_bars_that_are_no_bars_are_told_as_that_alone(bars: pl.DataFrame) -> None:
    found = validate(bars.drop("close"), "XNYS", accepted=[accepted()])
    assert [one.rule for one in found] == ["schema"]


@pytest.mark.parametrize("rule", sorted(NEVER))
def test_what_cannot_be_cannot_be_accepted(rule: str) -> None:
    with pytest.raises(ValidationError, match=f"'{rule}' cannot be accepted: "):
        accepted(rule=rule)


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_an_entry_needs_a_reason(reason: str | None) -> None:
    with pytest.raises(ValidationError, match="reason"):
        accepted(reason=reason)


def test_what_concerns_a_part_of_the_bars() -> None:
    first, second = accepted(), accepted(symbol="MSFT", session=dt.date(2012, 1, 3))
    both = (first, second)
    assert concerning(both, ["IBM", "MSFT"]) == both
    assert concerning(both, ["IBM"]) == (first,)
    assert concerning(both, ["IBM", "MSFT"], start=dt.date(2010, 6, 16)) == (second,)
    assert concerning(both, ["IBM", "MSFT"], start=DAY, end=DAY) == (first,)


def test_one_entry_accepts_all_that_the_rule_says_there() -> None:
    twice = [Finding("error", "IBM", DAY, "range", value, "wide") for value in (6.0, 7.0)]
    told = Acceptance([accepted(rule="range")]).apply(twice)
    assert [(one.severity, one.value) for one in told] == [("warning", 6.0), ("warning", 7.0)]


def test_an_entry_names_its_symbols_in_order() -> None:
    names = [f"S{number:02d}" for number in range(30)]
    assert str(accepted(symbol=None, symbols=names)).startswith(", ".join(names))


def test_an_entry_may_be_about_several_or_all_symbols_and_a_range() -> None:
    odd = [
        Finding("error", symbol, dt.date(2010, 6, day), "range", 6.0, "wide")
        for symbol, day in (("IBM", 14), ("IBM", 15), ("MSFT", 16), ("FB", 30))
    ]
    broad: dict[str, Any] = {"symbol": None, "rule": "range"}

    def accepted_of(**fields: Any) -> list[bool]:
        acceptance = Acceptance([accepted(**broad, **fields)])
        return [one.severity == "warning" for one in acceptance.apply(odd)]

    assert accepted_of(symbols=["IBM", "MSFT"]) == [False, True, False, False]
    assert accepted_of(symbols="all") == [False, True, False, False]
    june = {"session": None, "from": "2010-06-15", "to": "2010-06-16"}
    assert accepted_of(symbols="all", **june) == [False, True, True, False]
    assert accepted_of(symbols=["FB", "MSFT"], **june) == [False, False, True, False]


def test_a_part_of_the_bars_need_not_show_what_is_accepted_of_all() -> None:
    entry = accepted(symbol=None, symbols="all")
    assert Acceptance([entry]).useless() == []
    [told] = Acceptance([entry], whole=True).useless()
    assert (told.symbol, told.session, told.rule) == (None, DAY, "accepted")
    assert "(profit warning); take the entry out" in told.message
    # Of a copied symbol the original may be left out: that is no reason to give the entry up.
    [of_a_part] = Acceptance([accepted(rule="copied_symbol")]).useless()
    assert "take" not in of_a_part.message
    several = accepted(symbol=None, symbols=["IBM", "MSFT"])
    [narrowed] = concerning([several], ["IBM", "FB"])
    assert narrowed.names == frozenset({"IBM"})
    assert concerning([several], ["FB"]) == ()
