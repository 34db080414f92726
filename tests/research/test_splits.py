from itertools import combinations, pairwise
from math import comb
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.errors import SplitError
from tradewind.research.evaluation.splits import combinatorial_purged, purged_walk_forward

SESSIONS = np.arange("2024-01-01", "2024-01-11", dtype="datetime64[D]")


def test_folds_match_a_hand_count() -> None:
    folds = purged_walk_forward(SESSIONS, train=3, test=3, purge=1)
    expected = [([0, 1, 2], [4, 5, 6]), ([3, 4, 5], [7, 8, 9])]
    assert [(a.tolist(), b.tolist()) for a, b in folds] == expected


def test_sessions_that_fill_no_window_are_unused() -> None:
    [(train, test)] = purged_walk_forward(SESSIONS, train=4, test=3, purge=1)
    assert (train.tolist(), test.tolist()) == ([0, 1, 2, 3], [5, 6, 7])


def test_expanding_windows_start_at_the_first_session_and_test_the_same() -> None:
    folds = purged_walk_forward(SESSIONS, train=3, test=2, purge=1, window="expanding")
    expected = [
        ([0, 1, 2], [4, 5]),
        ([0, 1, 2, 3, 4], [6, 7]),
        ([0, 1, 2, 3, 4, 5, 6], [8, 9]),
    ]
    assert [(a.tolist(), b.tolist()) for a, b in folds] == expected
    rolling = purged_walk_forward(SESSIONS, train=3, test=2, purge=1)
    assert [b.tolist() for _, b in rolling] == [b for _, b in expected]


@given(
    size=st.integers(1, 300),
    train=st.integers(1, 60),
    test=st.integers(1, 60),
    horizon=st.integers(1, 20),
)
def test_no_training_label_reaches_the_test_window(
    size: int, train: int, test: int, horizon: int
) -> None:
    dates = np.arange(size).astype("datetime64[D]")
    if size < train + horizon + test:
        with pytest.raises(SplitError, match="cannot hold one fold"):
            purged_walk_forward(dates, train=train, test=test, purge=horizon)
        return
    folds = purged_walk_forward(dates, train=train, test=test, purge=horizon)
    assert len(folds) == (size - train - horizon) // test
    for train_at, test_at in folds:
        assert train_at[-1] + horizon == test_at[0] - 1  # the label's last price: the day before
        assert (len(train_at), len(test_at)) == (train, test)
        assert np.all(np.diff(np.concatenate([train_at, test_at])) > 0)
    tested = np.concatenate([test_at for _, test_at in folds])
    assert np.array_equal(tested, np.arange(tested[0], tested[0] + len(tested)))


@pytest.mark.parametrize(
    "dates", [SESSIONS[::-1], SESSIONS.repeat(2), np.append(SESSIONS, np.datetime64("NaT", "D"))]
)
def test_dates_that_do_not_increase_are_refused(dates: np.ndarray) -> None:
    with pytest.raises(SplitError, match="strictly increasing"):
        purged_walk_forward(dates, train=3, test=2, purge=1)


@pytest.mark.parametrize(("train", "test", "purge"), [(0, 2, 1), (3, 0, 1), (3, 2, -1)])
def test_invalid_lengths_are_refused(train: int, test: int, purge: int) -> None:
    with pytest.raises(SplitError, match="invalid lengths"):
        purged_walk_forward(SESSIONS, train=train, test=test, purge=purge)


def test_combinatorial_folds_match_a_hand_count() -> None:
    first, second, third = combinatorial_purged(
        np.arange(13).astype("datetime64[D]"), folds=3, test_folds=2, purge=1, embargo=1
    )
    # Folds 0..3, 4..7 and 8..12. Before a test one session is left out, after it two.
    assert first.train.tolist() == [10, 11, 12]
    assert [(path, at.tolist()) for path, at in first.tests] == [
        (0, [0, 1, 2, 3]),
        (0, [4, 5, 6, 7]),
    ]
    assert second.train.tolist() == [6]
    assert [(path, at.tolist()) for path, at in second.tests] == [
        (1, [0, 1, 2, 3]),
        (0, [8, 9, 10, 11, 12]),
    ]
    assert third.train.tolist() == [0, 1, 2]
    assert [path for path, _ in third.tests] == [1, 1]


def test_combinatorial_folds_of_real_sessions(bars: pl.DataFrame) -> None:
    sessions = bars.get_column("session").unique().sort().to_numpy()
    assert sessions.size == 3270
    folds = combinatorial_purged(sessions, folds=6, test_folds=2, purge=5, embargo=21)
    assert len(folds) == 15
    fold = folds[6]  # the second and the fourth are tested
    spans = [(str(sessions[at[0]]), str(sessions[at[-1]]), path) for path, at in fold.tests]
    assert spans == [("2002-05-06", "2004-07-02", 2), ("2006-08-31", "2008-10-29", 1)]
    ends = np.flatnonzero(np.diff(fold.train) > 1)
    runs = [
        (str(sessions[run[0]]), str(sessions[run[-1]])) for run in np.split(fold.train, ends + 1)
    ]
    assert runs == [
        ("2000-03-01", "2002-04-26"),  # the week before the first test is left out,
        ("2004-08-11", "2006-08-23"),  # and five weeks after it: 26 sessions
        ("2008-12-08", "2013-03-01"),
    ]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), folds=st.integers(3, 8), purge=st.integers(0, 8), embargo=st.integers(0, 8))
def test_no_label_is_shared_and_histories_are_whole(
    data: st.DataObject, folds: int, purge: int, embargo: int
) -> None:
    test_folds = data.draw(st.integers(2, folds - 1))
    length = data.draw(st.integers(purge + embargo + 2, purge + embargo + 12))
    size = length * folds + data.draw(st.integers(0, folds - 1))
    dates = np.arange(size).astype("datetime64[D]")
    found = combinatorial_purged(
        dates, folds=folds, test_folds=test_folds, purge=purge, embargo=embargo
    )
    assert len(found) == comb(folds, test_folds)
    bounds = [*range(0, length * folds, length), size]
    whole = [np.arange(a, b) for a, b in pairwise(bounds)]
    histories: dict[int, list[np.ndarray]] = {}
    for fold, chosen in zip(found, combinations(range(folds), test_folds), strict=True):
        for (path, at), number in zip(fold.tests, chosen, strict=True):
            assert np.array_equal(at, whole[number])
            histories.setdefault(path, []).append(at)
            before, after = fold.train[fold.train < at[0]], fold.train[fold.train > at[-1]]
            assert before.size + after.size == fold.train.size
            assert (before + purge < at[0]).all()  # its label ends before the test
            assert (after > at[-1] + purge + embargo).all()  # the test's labels have ended
        left_out = np.setdiff1d(
            np.arange(size), np.concatenate([fold.train, *(at for _, at in fold.tests)])
        )
        # No more is left out than asked for.
        near = {int(at[0]) - back for _, at in fold.tests for back in range(1, purge + 1)} | {
            int(at[-1]) + on for _, at in fold.tests for on in range(1, purge + embargo + 1)
        }
        assert set(left_out.tolist()) <= near
    assert sorted(histories) == list(range(comb(folds - 1, test_folds - 1)))
    for tested in histories.values():
        assert np.array_equal(np.sort(np.concatenate(tested)), np.arange(size))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"folds": 3, "test_folds": 3}, "invalid numbers"),
        ({"folds": 3, "test_folds": 1}, "invalid numbers"),
        ({"purge": -1}, "invalid numbers"),
        ({"embargo": -1}, "invalid numbers"),
        ({"purge": 1, "embargo": 1}, "3 folds are 3 each, too short to leave out 2"),
        ({"dates": SESSIONS[::-1]}, "strictly increasing"),
    ],
)
def test_combinatorial_folds_that_cannot_be_are_refused(
    arguments: dict[str, Any], reason: str
) -> None:
    asked: dict[str, Any] = {"folds": 3, "test_folds": 2, "purge": 1, "embargo": 0} | arguments
    dates = asked.pop("dates", SESSIONS)
    with pytest.raises(SplitError, match=reason):
        combinatorial_purged(dates, **asked)
