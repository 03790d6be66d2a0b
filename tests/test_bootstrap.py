"""Resampling: arithmetic, intervals, seeds."""

from __future__ import annotations

import numpy as np
import pytest

from ruie.bootstrap import CELLS, differences, f1, interval, mean, p_value, replicates, resampled

RNG = np.random.default_rng(1)
COUNTS = RNG.integers(0, 4, (60, 3)).astype(float)


def test_f1():
    # 2 * 2 / (2 * 2 + 1 + 2), 0 without any hit, 0 of nothing
    found = f1(np.array([[2.0, 1, 2], [0, 3, 4], [0, 0, 0], [5, 0, 0]]))
    assert found == pytest.approx([400 / 7, 0, 0, 100])


def test_a_resample_has_as_many_queries():
    # every query counts 1 in the first column
    rows = np.column_stack([np.ones(60), RNG.random((60, 2))])
    sums = resampled(rows, 50, 0, "NER", "d")
    assert sums.shape == (50, 3)
    assert (sums[:, 0] == 60).all()
    assert sums[:, 1].std() > 0


def test_equal_queries_have_no_spread():
    found = replicates(np.array([[1.0, 1, 0]] * 7), 20, 0, "NER", "d")
    assert found == pytest.approx([200 / 3] * 20)  # 2 / (2 + 1)


def test_replicates_are_those_of_drawing_queries():
    # against drawing queries one by one: the same mean and the same ends, within what 4,000 tell
    drawn = replicates(COUNTS, 4000, 0, "NER", "d")
    rng = np.random.default_rng(2)
    plain = f1(COUNTS[rng.integers(0, 60, (4000, 60))].sum(axis=1))
    assert drawn.mean() == pytest.approx(plain.mean(), abs=0.4)
    assert drawn.std() == pytest.approx(plain.std(), rel=0.1)
    assert interval(drawn) == pytest.approx(interval(plain), abs=1)


def test_seed_task_and_dataset_choose_the_draw_and_the_order_of_queries_does_not():
    one = replicates(COUNTS, 30, 0, "NER", "d")
    assert (one == replicates(COUNTS[::-1], 30, 0, "NER", "d")).all()
    for other in ((1, "NER", "d"), (0, "RE", "d"), (0, "NER", "e")):
        assert (one != replicates(COUNTS, 30, *other)).any()


def test_many_distinct_rows_are_drawn_in_blocks(monkeypatch):
    rows = RNG.random((100, 3))
    whole = replicates(rows, 20, 0, "NER", "d")
    monkeypatch.setattr("ruie.bootstrap.CELLS", 300)  # three resamples at once
    assert CELLS > 300
    assert replicates(rows, 20, 0, "NER", "d") == pytest.approx(whole)


def test_differences_are_paired():
    # an answer more in one query, nothing else differs: never below 0, and as often above 0 as that
    # query is drawn, 1 - (59/60)^60 = 0.635
    better = COUNTS.copy()
    better[7] += [2, 0, 0]
    drawn = differences(better, COUNTS, 2000, 0, "NER", "d")
    assert (drawn > -1e-9).all()
    assert (drawn > 1e-9).mean() == pytest.approx(0.635, abs=0.05)
    assert differences(COUNTS, better, 2000, 0, "NER", "d") == pytest.approx(-drawn)
    # unpaired draws would differ here
    assert differences(COUNTS, COUNTS, 50, 0, "NER", "d") == pytest.approx([0] * 50)


def test_interval():
    # of 0 ... 1000: 2.5 % and 97.5 %
    assert interval(np.arange(1001.0)) == (25, 975)
    assert interval(None) == interval(np.array([])) == (None, None)


def test_mean_and_its_interval():
    # of 1, 1, 4: resamples whose mean is 1 are 8 of 27, of 4 one of 27
    assert mean(np.array([1.0, 1, 4]), 5000, 0, "NER", "d") == {"value": 2, "low": 1, "high": 4}
    assert mean(np.array([2.0]), 0, 0, "NER", "d") == {"value": 2, "low": None, "high": None}


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ([1.0] * 99, 0.02),  # 2 * (0 + 1) / 100
        ([-1.0] * 99, 0.02),
        ([-1.0] * 9 + [1.0] * 90, 0.2),  # 2 * (9 + 1) / 100
        ([0.0] * 99, 1.0),
        ([1e-14] * 99, 1.0),  # no difference but for rounding
        ([-1.0] * 50 + [1.0] * 49, 1.0),
    ],
)
def test_p_value(values, p):
    assert p_value(np.array(values)) == pytest.approx(p)


def test_no_resample_no_p():
    assert p_value(None) is None
