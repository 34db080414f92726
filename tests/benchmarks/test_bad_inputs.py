"""The short form of the bad inputs: some of each kind, through the real command line."""

from collections import Counter

from benchmarks.bad_input_cases import cases
from benchmarks.bad_inputs import run, sample


def test_bad_inputs_are_refused_by_name_and_hurt_no_other() -> None:
    asked = sample(24, seed=7)
    found = run(asked)
    assert len(found) == 24
    assert {case.kind for case in asked} == {case.kind for case in cases(7)}
    assert {f"{one.case.kind} {one.case.what}": one.wrong for one in found if one.wrong} == {}


def test_there_are_hundreds_and_they_follow_from_the_seed() -> None:
    first, again, others = ([(c.kind, c.what) for c in cases(seed)] for seed in (7, 7, 8))
    assert first == again != others
    counts = Counter(kind for kind, _ in first)
    assert sum(counts.values()) >= 300
    assert min(counts.values()) >= 25
