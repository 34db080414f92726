import re

import pytest

from tradewind.market.sources.name_patterns import symbol_in_name, why_no_name_pattern


@pytest.mark.parametrize(
    ("pattern", "name", "symbol"),
    [
        (r"(\w+)_daily\.csv", "IBM_daily.csv", "IBM"),
        (r"(\w+)_daily\.csv", "IBM_daily.csv.gz", None),  # the whole name
        (r"(\w+)_daily\.csv", "x/IBM_daily.csv", None),
        (r"(\w+)\.csv", "IBM.csv\n", None),
        (r"a|(\w+)\.csv", "IBM.csv", "IBM"),  # the whole pattern
        (r"(?i)us_(\w+)\.CSV", "US_ibm.csv", "ibm"),
        (r"(?P<symbol>[A-Z.]+)-(?:1d|1h)\.parquet", "BRK.B-1d.parquet", "BRK.B"),
        (r"(.*)\.csv", "Ä.csv", "Ä"),
        (r".*_(\w+)\.csv", "\udce4_IBM.csv", "IBM"),  # a name that is not UTF-8
    ],
)
def test_the_group_of_a_pattern_is_the_symbol(pattern: str, name: str, symbol: str | None) -> None:
    assert why_no_name_pattern(pattern) == ""
    assert symbol_in_name(pattern, name) == symbol
    found = re.fullmatch(pattern, name)
    assert (found and found[1]) == symbol


@pytest.mark.parametrize("pattern", [r"(a+)+b", r"((?:a|a)+)+b", r"((?:a|aa)+)+$b", r"((a*)*)*c"])
def test_no_name_takes_longer_than_others(pattern: str) -> None:
    """Python's engine would go on for longer than the sun does."""
    assert symbol_in_name(pattern, "a" * 200) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(?=x)(\w+)", "look-around"),
        (r"(\w)\1", "backreferences are not supported"),
        (r"(\w+)\Z", "unrecognized escape sequence"),
        (r"(a{1000}){1000}", "Compiled regex exceeds size limit"),
    ],
)
def test_what_needs_such_a_search_is_refused(pattern: str, reason: str) -> None:
    found = why_no_name_pattern(pattern)
    assert found.startswith("cannot be matched in a time that is known before: ")
    assert reason in found
    assert "\n" not in found
