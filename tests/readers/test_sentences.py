"""The sentence splitter: where it cuts, where it does not, and what it never loses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie.readers.sentences import split


def pieces(text: str, spans=(), unit="sentence"):
    return [text[start:end] for start, end in split(text, spans, unit)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("It rose. Oil fell! Why? 5 more.", 4),
        ("He left.” “Why?” she said.", 2),  # after a closing quote, before an opening one
        ("It ended (badly.) Then it rained.", 2),
        ("Ärger kam. Österreich verlor.", 2),
        ("Growth of 1.5 percent vs. Asia.", 1),
        ("Dr. Smith met J. R. Ewing in the U.S. Senate.", 1),
        ("See Fig. 3 and No. 5 of vol. 7.", 1),
        ("He said no. They left.", 2),  # an abbreviation before a number alone
        ("Meet at 5 p.m. Bring food.", 1),
        ("It fell. then rose.", 1),  # no upper-case letter
        ("It fell.Then rose.", 1),  # no space
        ("A headline\nIts text\r\n\r\n more", 3),
        ("   ", 0),
        ("", 0),
    ],
)
def test_where_it_cuts(text, count):
    assert len(pieces(text)) == count


def test_units():
    text = "One. Two.\nThree. Four.\n"
    assert pieces(text) == ["One.", "Two.", "Three.", "Four."]
    assert pieces(text, unit="line") == ["One. Two.", "Three. Four."]
    assert pieces(text, unit="document") == ["One. Two.\nThree. Four."]


def test_an_annotation_is_never_cut():
    text = "Yahoo! Inc. sued. It\nlost."
    assert pieces(text) == ["Yahoo!", "Inc. sued.", "It", "lost."]
    assert pieces(text, [(18, 25), (0, 11)]) == ["Yahoo! Inc. sued.", "It\nlost."]
    # a span that takes in space alone keeps it, at the borders of the text too
    assert pieces(" a. B ", [(0, 2), (3, 4)]) == [" a. B"]


_TEXT = st.text(st.sampled_from(list('aAB.!? \n\r\t"”’)1ß😀')), max_size=40)


@given(
    _TEXT,
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=4),
    st.sampled_from(["sentence", "line", "document"]),
)
def test_nothing_but_space_is_left_out_and_spans_stay_whole(text, lengths, unit):
    spans = [(s, s + n) for s, n in lengths if s + n <= len(text)]
    found = split(text, spans, unit)
    assert all(s < e for s, e in found)
    assert all(a[1] < b[0] for a, b in zip(found, found[1:], strict=False))
    inside = {i for s, e in found for i in range(s, e)}
    assert not "".join(c for i, c in enumerate(text) if i not in inside).strip()
    assert all(any(s <= a and b <= e for s, e in found) for a, b in spans)
