"""The strict scorer, with its arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie.scorers import Counts, measures, parse, strict

TEXT = "Ana Lima of Grão & Co.; Lisbon paid $1,200; see Mission: Impossible, Paris."


def ner(answer: str, schema: tuple[str, ...] = ("person", "org", "title", "price")) -> set:
    return parse(answer, "NER", schema, TEXT)


def test_counts() -> None:
    gold = "person: Ana Lima; price: $1,200; org: Lisbon; title: Paris."
    said = "person: ana  lima; org: Lisbon; org: Faro"
    # said 3 items, 2 of them among the 4 true ones: TP 2, FP 1, FN 2
    assert strict(said, gold, "NER", ("person", "org", "title", "price"), TEXT) == Counts(2, 1, 2)
    # P = 2/3, R = 2/4, F1 = 2 * (2/3 * 1/2) / (2/3 + 1/2) = 4/7
    assert measures(2, 1, 2) == pytest.approx((200 / 3, 50.0, 400 / 7))
    assert measures(0, 0, 0) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("nothing", ["None", "None.", "none", "", "  "])
def test_nothing_is_an_empty_list(nothing: str) -> None:
    assert ner(nothing) == set()


def test_spans_hold_separators_as_far_as_the_input_does() -> None:
    assert ner("org: Grão & Co.; Lisbon; price: $1,200; title: Mission: Impossible.") == {
        ("org", "grão & co.; lisbon"), ("price", "$1,200"), ("title", "mission: impossible"),
    }  # fmt: skip


def test_what_continues_no_span_is_a_wrong_item() -> None:
    assert ner("person: Ana Lima; wizard: Bo; and so on") == {
        ("person", "ana lima"), ("", "wizard: bo"), ("", "and so on"),
    }  # fmt: skip
    assert ner("The answer is Ana") == {("", "the answer is ana")}


def test_labels_hold_colons_brackets_plus_and_commas() -> None:
    schema = ("a: b", "c (d)", "e+", "f, g", "a")
    said = "a: b: Ana; c (d): Lima; e+: Lisbon; f, g: Paris; a: Co"
    assert parse(said, "NER", schema, TEXT) == {
        ("a: b", "ana"), ("c (d)", "lima"), ("e+", "lisbon"), ("f, g", "paris"), ("a", "co"),
    }  # fmt: skip


def test_relations_are_cut_where_both_sides_stand_in_the_input() -> None:
    schema = ("work for", "pays")
    said = "work for: Ana Lima, Grão & Co.; Lisbon; pays: Mission: Impossible, Paris, $1,200"
    assert parse(said, "RE", schema, TEXT) == {
        ("work for", "ana lima", "grão & co.; lisbon"),
        ("pays", "mission: impossible, paris", "$1,200"),
    }
    # no cut fits: the first comma; no comma: no tail, so it can match nothing
    assert parse("pays: Bo, Co, Do", "RE", schema, TEXT) == {("pays", "bo", "co, do")}
    assert parse("pays: Ana", "RE", schema, TEXT) == {("pays", "ana", "")}


def test_head_and_tail_are_not_exchangeable() -> None:
    schema = ("work for",)
    gold, said = "work for: Ana Lima, Lisbon.", "work for: Lisbon, Ana Lima."
    assert strict(said, gold, "RE", schema, TEXT) == Counts(0, 1, 1)


def test_repeated_items_count_once() -> None:
    assert strict("person: Ana; person: Ana", "person: Ana", "NER", ("person",), TEXT) == Counts(
        1, 0, 0
    )


def test_final_full_stop_makes_no_difference() -> None:
    assert ner("org: Grão & Co.") == ner("org: Grão & Co..") == {("org", "grão & co")}


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=8), max_size=4))
def test_any_answer_can_be_read_and_equals_itself(answer: str, schema: list[str]) -> None:
    for task in ("NER", "RE", "EET", "EEA"):
        counts = strict(answer, answer, task, schema, answer)
        assert (counts.fp, counts.fn) == (0, 0)
