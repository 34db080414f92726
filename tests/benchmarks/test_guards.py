"""What CI makes of the quick benchmarks."""

import pytest

from benchmarks.__main__ import GUARDS, ROWS, lost_leads
from benchmarks.table import Times, row


def test_a_lead_that_is_lost_is_named_with_its_figure() -> None:
    found = [
        row(1, "chain", "s", {"ours": [10.0, 11.0, 12.0], "stock": [44.0]}),
        row(6, "runs, 1 client", "1/s", {"ours": [10.0], "stock": [4.0]}, more_is_better=True),
        row(6, "runs, 8 clients", "1/s", {"ours": [7.0], "stock": [4.0]}, more_is_better=True),
        row(7, "model", "s", {"ours": [0.4]}),
    ]
    assert lost_leads(found) == [
        "chain (4x stock, 5x is the least)",
        "runs, 8 clients (1.8x stock, 2x is the least)",
    ]


def test_what_is_guarded_can_be_measured() -> None:
    assert GUARDS.keys() <= ROWS.keys()


@pytest.mark.parametrize(("ours", "met"), [([1.0, 9.0, 1.1], True), ([3.0, 9.0, 1.1], False)])
def test_a_goal_is_held_to_the_median(ours: list[float], met: bool) -> None:
    made = row(2, "fan", "s", {"ours": ours, "stock": [3.4]}, [Times("stock", 3.0)])
    assert made.met is met
    assert made.spread["ours"] == [min(ours), max(ours)]
