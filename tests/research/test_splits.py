import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.errors import SplitError
from tradewind.research.splits import purged_walk_forward

SESSIONS = np.arange("2024-01-01", "2024-01-11", dtype="datetime64[D]")


def test_folds_match_a_hand_count() -> None:
    folds = purged_walk_forward(SESSIONS, train=3, test=3, purge=1)
    expected = [([0, 1, 2], [4, 5, 6]), ([3, 4, 5], [7, 8, 9])]
    assert [(a.tolist(), b.tolist()) for a, b in folds] == expected


def test_sessions_that_fill_no_window_are_unused() -> None:
    [(train, test)] = purged_walk_forward(SESSIONS, train=4, test=3, purge=1)
    assert (train.tolist(), test.tolist()) == ([0, 1, 2, 3], [5, 6, 7])


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
