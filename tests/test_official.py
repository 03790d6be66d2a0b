"""The published scorer: the shared vectors, and each of its oddities with its arithmetic."""

from __future__ import annotations

import json

import pytest

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
