"""What stands before a candidate that is scored."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from ruie import context, prompt


def test_first_are_those_of_the_smallest_ranks():
    # query 4 has ranks 2, 0, 1, query 0 a single one
    query, shown = np.array([4, 0, 4, 4]), np.array([7, 8, 9, 6])
    found = context.first(query, shown, np.array([2, 0, 0, 1]), 2)
    assert found == {4: [9, 6], 0: [8]}
    assert context.first(query[:0], shown[:0], np.array([]), 2) == {}


def test_fitting_shows_the_best_next_to_the_candidate():
    length = [5, 10, 20, 40]
    assert context.fitting([1, 0, 2, 3], 3, length, 2, 1000) == (0, 1)
    # the candidate is one of them: the next takes its place
    assert context.fitting([1, 0, 2, 3], 1, length, 2, 1000) == (2, 0)
    # 40 for the candidate, 10 and 5: exactly; one token less and the farther one goes
    assert context.fitting([1, 0, 2], 3, length, 2, 55) == (0, 1)
    assert context.fitting([1, 0, 2], 3, length, 2, 54) == (1,)
    assert context.fitting([1, 0, 2], 3, length, 2, 49) == ()
    assert context.fitting([], 3, length, 2, 55) == ()


@given(st.lists(st.integers(1, 30), min_size=3, max_size=6), st.integers(0, 4),
       st.integers(0, 120))  # fmt: skip
def test_fitting_leaves_out_what_inference_would(lengths, n, room):
    # a demonstration of n characters and prompts counted by them
    texts = [chr(97 + i) * size for i, size in enumerate(lengths)]
    assume(lengths[0] <= room)  # else the candidate itself is not shown
    others = [*range(1, len(lengths))][:n]

    def count(text: str) -> int:
        return len(text.replace("\n", ""))

    _, used = prompt.fit("", [texts[i] for i in (*others[::-1], 0)], "", count, room)
    kept = context.fitting(range(len(lengths)), 0, lengths, n, room)
    assert kept == tuple([*others[::-1], 0][len(others) + 1 - used :][:-1])


def test_shared_counts_whole_demonstrations_from_the_front():
    length = [5, 10, 20]
    contexts = [(0, 1), (0, 1), (0, 2), (1,), (), (2,)]
    assert context.shared(contexts, length) == [0, 15, 5, 0, 0, 0]
    assert context.shared([], length) == []
