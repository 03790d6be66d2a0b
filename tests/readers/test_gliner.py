"""Spans with included ends: the JSON of GLiNER."""

from __future__ import annotations

import tempfile
from pathlib import Path

import breaking
import pytest
import reading
from hypothesis import given
from hypothesis import strategies as st

from ruie.examples import Span

# "Zoë 🙂 runs Acme Bar": Zoë 0-3, the emoji 4-5, runs 6-10, Acme 11-15, Bar 16-19
RECORD = {
    "tokenized_text": ["Zoë", "🙂", "runs", "Acme", "Bar"],
    "ner": [[3, 4, "Org"], [0, 0, "Per"], [3, 4, "Org"], [0, 1, "Per"]],
    "relations": [[1, 0, "runs"], [3, 2, "owns"]],
}
REPEATED = "repeated annotation left out"


def test_ends_are_included_and_entities_stand_once(tmp_path):
    folder = reading.write(tmp_path / "test.json", [RECORD])
    ((ner,), problems) = reading.read("gliner", folder, "NER")
    assert ner.text == "Zoë 🙂 runs Acme Bar"
    assert [(a.label, *a.spans) for a in ner.annotations] == [
        ("Org", Span("Acme Bar", 11, 19)),
        ("Per", Span("Zoë", 0, 3)),
        ("Per", Span("Zoë 🙂", 0, 5)),
    ]
    assert problems.counts == {REPEATED: 1}


@pytest.mark.parametrize(
    ("options", "reversed_labels"),
    [({}, ""), ({"reverse": "owns"}, "owns"), ({"reverse": "*"}, "owns runs")],
)
def test_relations_and_their_direction(tmp_path, options, reversed_labels):
    folder = reading.write(tmp_path / "test.json", [RECORD])
    examples, problems = reading.read("gliner", folder, "RE", **options)
    expected = [("runs", "Zoë", "Acme Bar"), ("owns", "Zoë 🙂", "Acme Bar")]
    assert reading.found(examples)[0] == [
        (label, *((tail, head) if label in reversed_labels else (head, tail)))
        for label, head, tail in expected
    ]
    assert not problems.counts


def test_the_same_relation_twice_is_one(tmp_path):
    # entities 0 and 2 are one: so are the relations that differ in nothing else
    record = {**RECORD, "relations": [[1, 0, "runs"], [1, 2, "runs"]]}
    folder = reading.write(tmp_path / "test.json", [record])
    examples, problems = reading.read("gliner", folder, "RE")
    assert reading.found(examples) == [[("runs", "Zoë", "Acme Bar")]]
    assert problems.counts == {REPEATED: 1}


@pytest.mark.parametrize(
    ("change", "task", "part"),
    [
        ({"ner": [[3, 5, "Org"]]}, "NER", "tokens [3, 6) of 5"),
        ({"ner": [[3, 2, "Org"]]}, "NER", "tokens [3, 3) of 5"),
        ({"ner": [[0, 1]]}, "NER", "a member of 'ner' is not a list of three"),
        ({"ner": [[0, "1", "Org"]]}, "NER", "a token number is not a whole number: '1'"),
        ({"ner": {}}, "NER", "'ner' is not a list"),
        ({"relations": [[0, 4, "runs"]]}, "RE", "entity 4 of 4"),
        ({"relations": [["Zoë", 0, "runs"]]}, "RE", "entity 'Zoë' of 4"),
        ({"relations": [[0, 1, None]]}, "RE", "label is not a string: None"),
        ({"tokenized_text": None}, "RE", "not a list of strings"),
    ],
)
def test_faults_of_a_record(tmp_path, change, task, part):
    folder = reading.write(tmp_path / "test.json", [{**RECORD, **change}, RECORD])
    reading.refused("gliner", folder, task, "test.json#0: unreadable record", part)
    examples, _ = reading.read("gliner", folder, task, repair=True)
    assert [e.source for e in examples] == ["test.json#1"]


def test_a_missing_field_is_named(tmp_path):
    folder = reading.write(tmp_path / "test.json", [{"tokenized_text": ["a"], "ner": []}])
    assert reading.read("gliner", folder, "NER", labels={"x": "x"})[0][0].annotations == ()
    reading.refused("gliner", folder, "RE", "field 'relations' is missing")
    reading.refused("gliner", folder, "EEA", "holds no EEA; use it for NER, RE")


@given(st.data(), st.sampled_from(["NER", "RE"]), st.booleans())
def test_broken_records_are_refused_or_counted(data, task, repair):
    records = data.draw(breaking.broken([RECORD, RECORD]))
    with tempfile.TemporaryDirectory() as folder:
        path = reading.write(Path(folder) / "test.json", records)
        outcome = breaking.survives("gliner", path, task, repair)
    if outcome:
        examples, problems = outcome
        field = "ner" if task == "NER" else "relations"
        # nothing vanishes without being counted
        assert reading.listed(records, field) == reading.counts(examples)[1] or problems.counts


@given(breaking.VALUES | st.binary(max_size=20))
def test_anything_in_the_place_of_the_file(content):
    with tempfile.TemporaryDirectory() as folder:
        path = reading.write(Path(folder) / "test.json", content)
        breaking.survives("gliner", path, "RE", True)


#: Instances, relations, repeated relations, sentences that the release's sample holds, entities.
REAL = {
    "train": (150, 221, 2, 113, 366), "dev": (150, 240, 4, 51, 377), "test": (150, 224, 3, 71, 372),
}  # fmt: skip


@pytest.mark.parametrize("split", REAL)
def test_real_files_agree_with_the_processed_release(shared, split):
    instances, relations, repeated, held, entities = REAL[split]
    raw = shared / "data" / "raw" / "ADE_corpus"
    known = reading.release(shared, "RE/ADE_corpus", "train", "dev", "test")
    examples, problems = reading.read(
        "gliner", raw, "RE", split=split, labels={"causes": "Adverse effect"},
        reverse="causes",
    )  # fmt: skip
    assert reading.counts(examples) == (instances, relations)
    assert problems.counts == {REPEATED: repeated}
    assert reading.compare(examples, known) == (held, [])
    examples, _ = reading.read("gliner", raw, "NER", split=split)
    assert reading.counts(examples) == (instances, entities)
