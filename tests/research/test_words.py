import math

import pytest

from tradewind.research.words import count, percent, probability, ratio, times, words_of


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.1234), "12.3\u00a0%"),
        (percent(-0.474), "\u221247.4\u00a0%"),
        (percent(-0.0001), "0.0\u00a0%"),  # no minus before nothing
        (ratio(0.774), "0.77"),
        (ratio(-1.5, 1), "\u22121.5"),
        (times(10.09), "10.1\u00d7"),
        (count(1072.0), "1,072"),
        (percent(math.nan), "\u2013"),
        (ratio(math.inf), "\u2013"),
        (probability(0.84), "84.0\u00a0%"),
        (probability(0.99999), "> 99.9\u00a0%"),  # never certain
        (probability(0.0), "< 0.1\u00a0%"),
        (probability(math.nan), "\u2013"),
    ],
)
def test_figures_are_written_for_people(shown: str, expected: str) -> None:
    assert shown == expected


def test_a_metric_that_is_not_known_keeps_its_name() -> None:
    name, write = words_of("my_own_figure")
    assert (name, write(1.23456)) == ("my own figure", "1.2346")
