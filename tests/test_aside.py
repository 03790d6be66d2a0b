"""Queries held aside, and the rank of the LLM's best among their candidates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import aside

IDS = [f"d/train/{i:06d}" for i in range(200)]


def test_held_aside_is_seeded_and_a_tenth_at_most():
    found = aside.held_aside(IDS, 8, 1)
    assert len(found) == 8
    assert found < set(IDS)
    assert found == aside.held_aside(reversed(IDS * 2), 8, 1) != aside.held_aside(IDS, 8, 2)
    assert len(aside.held_aside(IDS, 64, 1)) == 20
    assert aside.held_aside(IDS[:9], 64, 1) == aside.held_aside(IDS, 0, 1) == set()


def test_more_queries_change_few_of_them():
    some, more = aside.held_aside(IDS[:190], 8, 1), aside.held_aside(IDS, 8, 1)
    # those that leave are displaced by new ones
    assert more - some <= set(IDS[190:])
    assert len(some & more) >= 6


def test_reciprocal_rank_by_hand():
    # the best of [1, 5, 3] is the second; its score 0.4 is the lowest of three
    assert aside.reciprocal_rank([1, 5, 3], [0.9, 0.4, 0.5]) == pytest.approx(1 / 3)
    # two that score alike at ranks 1 and 2 have rank 1.5 each
    assert aside.reciprocal_rank([1, 5, 3], [0.4, 0.4, 0.1]) == pytest.approx(1 / 1.5)
    assert aside.reciprocal_rank([2, 2], [1, 0]) == 1  # the first of equals


@given(st.lists(st.tuples(st.floats(-9, 0), st.sampled_from([0.0, 1.0, 2.0])), min_size=1))
def test_reciprocal_rank_is_the_mean_over_the_orders_of_ties(rows):
    preference, scores = zip(*rows, strict=True)
    best = preference.index(max(preference))
    above = sum(s > scores[best] for s in scores)
    alike = scores.count(scores[best])
    ranks = range(above + 1, above + alike + 1)
    assert aside.reciprocal_rank(preference, scores) == pytest.approx(1 / (sum(ranks) / alike))
