"""A position that differs is explained by the action that one side lacks."""

import datetime as dt
from fractions import Fraction

import pytest

from tests.trading.books import DAYS, Desk, weights_of
from tradewind.errors import ReconciliationError
from tradewind.trading.position_words import BookedSplit, position_differences

SPLITS = {
    "AAPL": [
        BookedSplit(dt.date(2005, 2, 28), Fraction(2), 150),
        BookedSplit(dt.date(2000, 6, 21), Fraction(2), 40),
    ]
}


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ({"AAPL": 300}, {"AAPL": 150}, "the split of 2005-02-28, 2 for 1, is booked here"),
        ({"AAPL": 320}, {"AAPL": 170}, "trade +150 there by hand"),  # traded since
        (
            {"AAPL": 300}, {"AAPL": 110},
            "the split of 2005-02-28, 2 for 1 and the split of 2000-06-21, 2 for 1, is booked",
        ),
        ({"IBM": 10}, {"IBM": 30}, "as after a split, 3 for 1, of which the bars say nothing"),
        ({"IBM": -40}, {"IBM": -4}, "as after a split, 1 for 10"),
        ({"FB": 10}, {"META": 10}, "it has as many of META, as if FB were called so now"),
    ],
)  # fmt: skip
def test_an_action_that_fits_is_named(
    ours: dict[str, int], theirs: dict[str, int], said: str
) -> None:
    assert said in "; ".join(position_differences(ours, theirs, SPLITS))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"AAPL": 300}, {"AAPL": 299}),
        ({"IBM": 10}, {"IBM": 0}),
        ({"IBM": 10}, {"IBM": -10}),
        ({"IBM": 1}, {"IBM": 5}),
        ({"IBM": 7}, {"IBM": 12}),
        ({"FB": 10}, {"META": 9}),
        ({"FB": 10}, {"META": 10, "MVRS": 10}),
    ],
)
def test_where_none_fits_none_is_named(ours: dict[str, int], theirs: dict[str, int]) -> None:
    said = list(position_differences(ours, theirs, SPLITS))
    assert said
    assert all(sentence.endswith("at the broker") for sentence in said)


def test_the_split_that_a_broker_skips_is_named(desk: Desk) -> None:
    for number in range(5):  # AAPL splits on the fifth
        desk.run(DAYS[number], weights_of(number))
    desk.change("DELETE FROM paper.adjustments WHERE symbol = 'AAPL'")
    with pytest.raises(ReconciliationError, match="the split of 2005-02-28, 2 for 1, is booked"):
        desk.reconcile()
