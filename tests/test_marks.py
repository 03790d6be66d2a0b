"""Marks in a text: where strings stand, and markup that overlapping spans cannot break."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st
from report_inputs import BAD, Page
from tiny import sample

from ruie import marks, scorers
from ruie.marks import Mark

TEXT = "Ada met Adam in New  York (new york)."


def found(wanted: str, text: str = TEXT) -> list[str]:
    return [text[a:b] for a, b in marks.places(text, scorers.even(wanted))]


def test_strings_are_found_as_words_whatever_their_case_and_spacing() -> None:
    assert marks.places(TEXT, "ada") == [(0, 3)]
    assert found("NEW york.") == ["New  York", "new york"]
    # no word of its own: within one
    assert found("dam") == ["dam"]
    assert found("Paris") == []
    assert found("") == []


def test_folding_that_changes_lengths_keeps_the_places() -> None:
    # casefold writes ß as ss, and İ as two characters
    text = "İn der Straße 🙂 Ada"
    assert found("STRASSE", text) == ["Straße"]
    assert found("ada", text) == ["Ada"]
    assert found("İn", text) == ["İn"]


def test_overlapping_and_nested_marks_are_flat() -> None:
    text = "New York City Hall"
    out = marks.marked(
        text,
        [Mark(0, 13, "right", "city"), Mark(9, 18, "wrong", "hall"), Mark(0, 3, "missed", "x")],
    )
    read = Page(out)
    pieces = [p for p in read.names if p == "mark"]
    # New | York | City | Hall, where City is in both of the long ones
    assert len(pieces) == 4
    assert read.marked("missed") == ["New"]
    assert read.marked("right") == ["York"]
    assert read.marked("wrong") == ["City", "Hall"]
    assert 'title="✓ city; ✗ hall"' in out
    assert out.count("<small>") == 3


@given(
    st.text(max_size=30) | st.just(BAD),
    st.lists(
        st.builds(
            Mark,
            st.integers(-3, 40),
            st.integers(-3, 40),
            st.sampled_from(list(marks.SIGNS)),
            st.text(max_size=5),
        ),
        max_size=6,
    ),
)
def test_the_text_is_kept_whatever_is_marked(text: str, some: list[Mark]) -> None:
    out = marks.marked(text, some)
    Page(out)
    bare = re.sub(r"<small>.*?</small>", "", out, flags=re.DOTALL)
    assert html.unescape(re.sub(r"<[^>]*>", "", bare)) == html.unescape(html.escape(text))


@given(st.text(max_size=40), st.text(max_size=6))
def test_places_lie_in_the_text(text: str, wanted: str) -> None:
    for start, end in marks.places(text, scorers.even(wanted)):
        assert 0 <= start < end <= len(text)
        assert scorers.even(wanted) in " ".join(text[start:end].casefold().split()) + " "


def test_heads_and_tails_are_told_apart_and_an_event_is_given() -> None:
    pair = sample(
        "a", "Ada lives in Rome.", ("lives in", "Ada", "Rome"), task="RE", schema=("lives in",)
    )
    assert marks.of_example(pair) == [
        Mark(0, 3, "gold", "lives in (head)"),
        Mark(13, 17, "gold", "lives in (tail)"),
    ]
    event = sample(
        "b", "Ada left Rome.", ("agent", "Ada"), task="EEA", schema=("agent",),
        event=("move", "left"),
    )  # fmt: skip
    assert Mark(4, 8, "gold", "given event: move") in marks.of_example(event)


def test_items_whose_strings_are_not_all_in_the_text_are_absent() -> None:
    items = {("lives in", "ada", "rome"), ("lives in", "ada", "oslo"), ("", "ada")}
    assert marks.absent("Ada lives in Rome.", items) == [("", "ada"), ("lives in", "ada", "oslo")]
