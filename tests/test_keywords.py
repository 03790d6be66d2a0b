"""Keyword tags around gold spans."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie.examples import Span
from ruie.keywords import keyword_spans, tag


def spans_of(text, *bounds):
    return [Span(text[a:b], a, b) for a, b in bounds]


@pytest.mark.parametrize(
    ("bounds", "tagged"),
    [
        ([], "New York City Hall"),
        ([(3, 3)], "New York City Hall"),  # nothing is no keyword
        ([(0, 8)], "<Keyword>New York</Keyword> City Hall"),
        ([(9, 13), (0, 8)], "<Keyword>New York</Keyword> <Keyword>City</Keyword> Hall"),
        ([(0, 8), (0, 8)], "<Keyword>New York</Keyword> City Hall"),
        # nested: New York City in New York City Hall; one pair covers the union
        ([(0, 13), (0, 18)], "<Keyword>New York City Hall</Keyword>"),
        ([(0, 18), (4, 8)], "<Keyword>New York City Hall</Keyword>"),
        # partial overlap: [0, 8) and [4, 13) make [0, 13)
        ([(0, 8), (4, 13)], "<Keyword>New York City</Keyword> Hall"),
        # a long span, one inside it, then one that overlaps only the long one
        ([(0, 13), (4, 8), (9, 18)], "<Keyword>New York City Hall</Keyword>"),
        # adjacent spans stay apart
        ([(0, 3), (3, 8)], "<Keyword>New</Keyword><Keyword> York</Keyword> City Hall"),
        ([(14, 18)], "New York City <Keyword>Hall</Keyword>"),
    ],
)
def test_tag(bounds, tagged):
    text = "New York City Hall"
    assert tag(text, spans_of(text, *bounds)) == tagged


def test_spans_of_every_task(make_example, ner):
    assert [s.text for s in keyword_spans(ner)] == ["Alice", "Paris"]
    re_example = make_example(
        "Anna runs Acme.", ("work for", "Anna", "Acme"), task="RE", schema=("work for",)
    )
    assert [s.text for s in keyword_spans(re_example)] == ["Anna", "Acme"]
    eea = make_example(
        "Bombs fell.", ("weapon", "Bombs"), task="EEA", schema=("weapon",), event=("attack", "fell")
    )
    assert [s.text for s in keyword_spans(eea)] == ["Bombs", "fell"]
    assert keyword_spans(make_example("Nothing.")) == []


@st.composite
def _tagged(draw):
    # no text that holds a tag of its own: the two could not be told apart
    text = draw(st.text(min_size=1, max_size=40).filter(lambda t: not re.search("</?Keyword>", t)))
    bound = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
    bounds = [sorted(b) for b in draw(st.lists(bound, max_size=8)) if b[0] != b[1]]
    return text, spans_of(text, *bounds)


@given(_tagged())
def test_without_its_tags_it_is_the_text(case):
    text, spans = case
    assert re.sub("</?Keyword>", "", tag(text, spans)) == text


@given(_tagged())
def test_each_character_of_a_span_is_inside_one_pair(case):
    text, spans = case
    pieces = re.split(r"(</?Keyword>)", tag(text, spans))
    # tags alternate: every opening is closed before the next one opens
    tags = [p for p in pieces if p in ("<Keyword>", "</Keyword>")]
    assert tags == ["<Keyword>", "</Keyword>"] * (len(tags) // 2)
    at, inside, covered = 0, False, set()
    for piece in pieces:
        if piece in tags:
            inside = piece == "<Keyword>"
        else:
            covered |= set(range(at, at + len(piece))) if inside else set()
            at += len(piece)
    assert covered == {i for s in spans for i in range(s.start, s.end)}


@given(_tagged())
def test_the_order_of_spans_does_not_matter(case):
    text, spans = case
    assert tag(text, spans) == tag(text, reversed(spans)) == tag(text, spans + spans)
