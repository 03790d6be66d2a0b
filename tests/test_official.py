"""The published scorer: the shared vectors, and each of its oddities with its arithmetic."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie.official import even, labels, official, predicted, true
from ruie.scorers import Counts

QUERY = (
    "Task: t\nSchema: [person, location, job title, title]\n"
    'Input: "Ann Lee [chief] of Oslo."\nOutput:'
)


def test_parity_with_the_shared_vectors(shared):
    folder = shared / "parity/scorer"
    expected = json.loads((folder / "expected.json").read_text())
    assert len(expected) == 10
    for e in expected:
        lines = (folder / f"{e['task']}_{e['dataset']}.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        counts = [official(r["prediction"], r["gold"], r["task"], r["query"]) for r in rows]
        sums = [sum(c) for c in zip(*((c.tp, c.fp, c.fn) for c in counts), strict=True)]
        assert sums == [e["tp"], e["fp"], e["fn"]], e["dataset"]
        own = [official(r["gold"], r["gold"], r["task"], r["query"]) for r in rows]
        tp, fp, fn = (sum(getattr(c, n) for c in own) for n in ("tp", "fp", "fn"))
        assert 2 * tp / (2 * tp + fp + fn) == pytest.approx(e["gold_as_prediction_f1"])


def test_what_is_evened_out():
    assert even(" New  York ( NY ) , the {Big} Apple .. ") == "new york(ny),the big apple."
    assert even("Location ; O’Neil - x_y") == "located;o'neil-x_y"


def test_the_schema_is_what_the_query_shows():
    assert labels(QUERY) == ["job title", "located", "person", "title"]


@pytest.mark.parametrize(
    ("answer", "items"),
    [
        ("person: Ann Lee; location: Oslo", {"person:ann lee"}),  # "located:oslo": see below
        ("I think person: Ann Lee\nlocation: none", {"person:ann lee"}),  # anywhere in a line
        ("person: Bob", set()),  # not in the query
        ("firm: Ann Lee", set()),  # no label
        ("job title: chief", {"job title:chief"}),  # the longest label first
        ("person: Ann\n\nperson: Lee", {"person:lee"}),  # behind the last blank line alone
    ],
)
def test_items_of_a_prediction(answer, items):
    assert predicted(answer, "NER", QUERY) - {"located:oslo"} == items


def test_a_label_location_can_be_right():
    assert predicted("Location: Oslo", "NER", QUERY) == {"located:oslo"}
    assert true("location: Oslo", "NER") == {"located:oslo"}


def test_gold_is_split_at_every_semicolon():
    assert true("person: A;B; location: C", "NER") == {"person:a", "b", "located:c"}
    assert true("None", "NER") == set()
    assert true("None.", "NER") == {"none."}  # so a full stop costs a false negative
    assert true("attack: A;B", "EET") == {"attack:a"}


def test_a_final_full_stop_makes_a_difference():
    # the item with the stop is wrong (FP) and the gold one is missed (FN)
    assert official("person: Ann Lee.", "person: Ann Lee", "EET", QUERY) == Counts(0, 1, 1)
    assert official("person: Ann Lee", "person: Ann Lee", "EET", QUERY) == Counts(1, 0, 0)


def test_arguments_begin_with_a_label_and_others_need_not():
    query = "Schema: [a(b)?]"
    # the label is a pattern: it finds "ab:", which is no label of the schema
    assert predicted("ab: x", "EET", query) == {"ab:x"}
    assert predicted("ab: x", "EEA", query) == set()


def test_a_label_that_is_no_pattern_is_taken_literally():
    assert predicted("a(: x", "EET", "Schema: [a(]") == {"a(:x"}


def test_relations_without_a_relation():
    query = "Schema: [kin]"
    # "kin:a,na,b" is right unless the answer names something else in its place ...
    assert official("None", "kin: a, na, b", "RE", query) == Counts(1, 0, 0)
    assert official("kin: a, son, b", "kin: a, na, b", "RE", query) == Counts(0, 1, 0)
    # ... and as a prediction it is wrong only where the gold answer does
    assert official("kin: a, na, b", "kin: a, son, b", "RE", query) == Counts(0, 1, 1)
    assert official("kin: a, na, b", "kin: c, d", "RE", query) == Counts(0, 0, 1)


@pytest.mark.parametrize("task", ["NER", "RE", "EET", "EEA"])
@pytest.mark.parametrize("answer", ["", " \n\n ", "None", "none.", ";", ": x", "\n\n\n"])
def test_answers_that_say_nothing(task, answer):
    assert predicted(answer, task, QUERY) == set()


def test_empty_gold_answers():
    # NER: the one piece of an empty answer is missed; the other tasks want a colon
    assert official("None", "", "NER", QUERY) == Counts(0, 0, 1)
    assert [official("", "", task, QUERY) for task in ("RE", "EET", "EEA")] == [Counts(0, 0, 0)] * 3


def test_duplicates_are_one_item():
    answer = "title: x; title: x; TITLE :  X"
    # the space before the colon keeps the third from being found
    assert official(answer, "title: x;title:x", "EET", QUERY) == Counts(1, 0, 0)


def test_pieces_without_a_colon_that_a_label_finds():
    # the label is "a" or "b:..."
    query = "Schema: [a|b, a]\nInput: a"
    assert predicted("say a", "NER", query) == set()
    assert predicted("so a", "RE", query) == set()
    assert predicted("so a", "EET", query) == {"a"}
    assert predicted("so a", "EEA", query) == {"a"}
    assert predicted("b: x", "NER", query) == set()
    # an empty piece is none
    assert predicted("xyz", "EET", "Schema: [|]") == set()


def test_the_schema_ends_at_the_first_bracket():
    assert labels("Schema: [a [b], c]") == ["a [b"]
    # without brackets the whole query but its last sign is read
    assert labels("a, b.") == ["a", "b"]


@pytest.mark.parametrize("label", ["a(", "*a", "a{99999999999}", "[[a", "a\\", "(?P<x"])
@pytest.mark.parametrize("task", ["NER", "RE", "EET", "EEA"])
def test_no_label_stops_the_scorer(label, task):
    query = f"Schema: [{label}]\nInput: x, y"
    counts = official(f"{label}: x", f"{label}: x", task, query)
    assert counts.tp + counts.fn == 1


_text = st.text(alphabet="ab1 :;,.()+[]{}|\\*?^$'-_&\nNone", max_size=20)


@given(_text, _text, st.sampled_from(["NER", "RE", "EET", "EEA"]), _text)
def test_nothing_stops_the_scorer(prediction, gold, task, query):
    counts = official(prediction, gold, task, query)
    assert min(counts) >= 0
