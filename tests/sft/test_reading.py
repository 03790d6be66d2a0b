"""What was read, written in Appendix D's grammar: no piece is lost, and none makes items of two."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ruie.answers import parse
from ruie.examples import Example
from ruie.sft import reading
from ruie.sft.reading import Reading

TEXTS = st.text(alphabet="ab;,: .\n[]", max_size=12)


def test_items_are_written_in_order(ner: Example) -> None:
    found = Reading(items=[("person", "Alice"), ("location", "Paris")])
    assert reading.answer(found, ner) == "person: Alice; location: Paris."
    assert reading.answer(Reading(), ner) == "None"
    assert reading.answer(Reading(items=[("person", "x")], written="as it is"), ner) == "as it is"


def test_what_has_no_label_of_the_schema_comes_first(ner: Example) -> None:
    found = Reading(items=[("person", "Alice"), ("animal", "Bob"), ("a: b", "c")], unread=["{oh"])
    assert reading.answer(found, ner) == (
        "[unreadable] {oh; animal: Bob; [unreadable] a: b: c; person: Alice."
    )


def test_a_fault_is_kept_and_counted() -> None:
    found = Reading()
    found.fault("cut off", "a")
    found.fault("cut off", "b")
    assert (found.unread, found.notes) == (["a", "b"], {"cut off": 2})


@given(pieces=st.lists(TEXTS, max_size=4))
def test_each_unreadable_piece_is_one_wrong_item(ner: Example, pieces: list[str]) -> None:
    said = reading.answer(Reading(items=[("person", "Alice")], unread=pieces), ner)
    items = parse(said, ner.task, ner.schema, ner.text)
    assert items.count(("person", "alice")) == 1
    assert len(items) == 1 + len(pieces)


@given(span=TEXTS)
def test_a_span_makes_one_item_at_most(ner: Example, span: str) -> None:
    said = reading.answer(Reading(items=[("person", span)]), ner)
    assert len(parse(said, ner.task, ner.schema, ner.text)) <= 1


def test_saying_nothing_and_being_held() -> None:
    assert all(map(reading.says_nothing, ("", " None. ", "none")))
    assert not reading.says_nothing("person: None of us")
    assert reading.held("ALICE  met", "Alice met Bob")
    assert not reading.held("Eve", "Alice met Bob")
