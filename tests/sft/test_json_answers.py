"""Items of answers in JSON: what claims nothing makes none, what is odd is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie.sft import json_answers
from ruie.sft.reading import Reading


def labelled(text: str) -> Reading:
    found = Reading()
    json_answers.add_labelled(json_answers.whole(text, found), found)
    return found


def test_spans_of_labels() -> None:
    found = labelled('{"person": ["Bob", "", "NAN"], "place": "Paris", "group": null, "a": []}')
    assert found.items == [("person", "Bob"), ("place", "Paris")]
    assert (found.unread, found.notes) == ([], {})


@pytest.mark.parametrize(
    ("text", "notes", "unread"),
    [
        ("None", {"nothing said": 1}, []),
        ("no idea", {"no JSON": 1}, ["no idea"]),
        ('{"person": ["Bob"', {"cut off": 1}, ['{"person": ["Bob"']),
        ('["Bob"]', {json_answers.NOT_ASKED: 1}, ["[Bob]"]),
        ('{"person": [{"name": "Bob"}]}', {json_answers.NOT_TEXT: 1}, ["person: {name: Bob}"]),
        ("[]", {}, []),
    ],
)
def test_what_is_odd_is_kept_and_counted(text: str, notes: dict, unread: list) -> None:
    found = labelled(text)
    assert (found.items, dict(found.notes), found.unread) == ([], notes, unread)


def test_text_around_the_json_is_a_fault_beside_its_items() -> None:
    found = labelled('Sure: {"person": "Bob"}')
    assert (found.items, found.unread) == ([("person", "Bob")], ["Sure:"])


def test_relations() -> None:
    found = Reading()
    json_answers.add_relation("owns", "Bob", "Acme", None, found)
    json_answers.add_relation("owns", "", "NAN", None, found)
    json_answers.add_relation("owns", "Bob", None, ["Bob"], found)
    assert found.items == [("owns", "Bob", "Acme")]
    assert (found.unread, found.notes) == (["[Bob]"], {json_answers.NOT_TEXT: 1})


@given(text=st.text(alphabet='{}[]":, abnul\\\n', max_size=40))
def test_any_text_is_items_or_counted(text: str) -> None:
    found = labelled(text)
    assert len(found.unread) + found.notes["nothing said"] == found.notes.total()
    assert all(label or span for label, span in found.items)
