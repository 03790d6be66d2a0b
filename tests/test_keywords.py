"""Keyword tags: each gold span once, overlaps as one, and the text comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tiny import sample

from ruie.examples import Span
from ruie.keywords import keyword_spans, tag, untag

texts = st.text(alphabet=st.characters(exclude_characters="<>"), max_size=60)


def test_nested_overlapping_and_repeated_spans() -> None:
    text = "Bank of England, $50 and C++"
    spans = [Span("", 0, 15), Span("", 8, 15), Span("", 13, 20), Span("", 25, 28), Span("", 25, 28)]
    assert tag(text, spans) == (
        "<Keyword>Bank of England, $50</Keyword> and <Keyword>C++</Keyword>"
    )


def test_touching_spans_stay_two() -> None:
    assert tag("ab", [Span("a", 0, 1), Span("b", 1, 2)]) == (
        "<Keyword>a</Keyword><Keyword>b</Keyword>"
    )


def test_an_events_trigger_is_tagged_with_its_arguments() -> None:
    e = sample("1", "Bo fled Faro", ("who", "Bo"), task="EEA", schema=("who",),
               event=("flight", "fled"))  # fmt: skip
    assert tag(e.text, keyword_spans(e)) == ("<Keyword>Bo</Keyword> <Keyword>fled</Keyword> Faro")


@given(texts, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8))
def test_untag_gives_the_text_back(text: str, ends: list[tuple[int, int]]) -> None:
    inside = [(min(a, b), min(max(a, b), len(text))) for a, b in ends]
    spans = [Span(text[a:b], a, b) for a, b in inside if a < b]
    tagged = tag(text, spans)
    assert untag(tagged) == text
    assert tagged.count("<Keyword>") == tagged.count("</Keyword>") <= len(spans)
