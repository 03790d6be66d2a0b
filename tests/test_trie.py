"""Segments against a count of all distinct beginnings, and by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ruie import trie
from ruie.trie import Segment


def commons(rows):
    neighbours = zip(rows, rows[1:], strict=False)
    found = [trie.shared(np.array(a, int), np.array(b, int)) for a, b in neighbours]
    return ([0] + found)[: len(rows)]


def test_shared_by_hand():
    a, b = np.array([1, 2, 3]), np.array([1, 2, 4, 5])
    assert (trie.shared(a, b), trie.shared(a, a), trie.shared(a, a[:1])) == (2, 3, 1)
    assert trie.shared(a, np.array([], int)) == 0


def test_segments_by_hand():
    # "ab" is shared by all four, "abc" by the first three, "abcd" by the first two
    rows = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [1, 2, 3, 7], [1, 2, 8]]
    found, last = trie.segments(commons(rows), least=1)
    assert found == [Segment(-1, 0, 0, 2, 0), Segment(0, 0, 2, 3, 1), Segment(1, 0, 3, 4, 2)]
    assert last == [2, 2, 1, 0]


def test_a_segment_that_saves_too_little_is_left_to_those_below():
    # of "a" (two runs below, saves 1 x 1) nothing is held: "ab" and "ac" begin at the start
    rows = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [1, 7, 8, 9, 5], [1, 7, 8, 9, 6]]
    found, last = trie.segments(commons(rows), least=2)
    assert found == [Segment(-1, 0, 0, 4, 0), Segment(-1, 2, 0, 4, 0)]
    assert last == [0, 0, 1, 1]


def test_nothing_and_one():
    assert trie.segments([]) == ([], [])
    assert trie.segments([0]) == ([], [-1])


@given(
    st.lists(st.lists(st.integers(0, 2), max_size=7), max_size=12),
    st.integers(1, 5),
)
def test_segments_make_up_the_sequences(rows, least):
    rows = sorted(rows)
    found, last = trie.segments(commons(rows), least)
    for row, segment in zip(rows, last, strict=True):
        tokens, end, level = [], None, None
        while segment >= 0:
            s = found[segment]
            assert end in (None, s.end)  # each goes on where the one above ends
            assert level in (None, s.level + 1)
            tokens = rows[s.of][s.start : s.end] + tokens
            end, level, segment = s.start, s.level, s.parent
        assert end in (None, 0)
        assert tokens == row[: len(tokens)]
    assert all(s.end > s.start and s.parent < i for i, s in enumerate(found))
    if least == 1:  # then every beginning of two sequences or more is computed once
        counts: dict[tuple[int, ...], int] = {}
        for row in rows:
            for n in range(1, len(row) + 1):
                counts[tuple(row[:n])] = counts.get(tuple(row[:n]), 0) + 1
        shared = sum(1 for c in counts.values() if c > 1)
        assert sum(s.end - s.start for s in found) == shared
