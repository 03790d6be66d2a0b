"""Entities and relations by token numbers: SpERT's JSON."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import breaking
import pytest
import reading
from hypothesis import given
from hypothesis import strategies as st

from ruie.examples import Span
from ruie.readers import tokens

# "Zoë 🙂 runs Acme Bar": Zoë 0-3, the emoji 4-5, runs 6-10, Acme 11-15, Bar 16-19
RECORD = {
    "tokens": ["Zoë", "🙂", "runs", "Acme", "Bar"],
    "entities": [  # neither sorted nor apart
        {"type": "Org", "start": 3, "end": 5},
        {"type": "Per", "start": 0, "end": 1},
        {"type": "Org", "start": 3, "end": 4},
    ],
    "relations": [{"type": "Run", "head": 1, "tail": 0}],
    "orig_id": 7,
}
TAGGED = {
    "tokens": ["Zoë", "runs", "Acme", "Bar"],
    "tags": ["U-Per", "O", "B-Org", "L-Org"],
    "relations": [{"type": "Run", "head": 0, "tail": 1}],
}
PER, BAR = Span("Zoë", 0, 3), Span("Acme Bar", 11, 19)


def test_entities_and_relations(tmp_path):
    folder = reading.write(tmp_path / "x_test.json", [RECORD])
    ((ner,), problems) = reading.read("spert", folder, "NER")
    assert ner.text == "Zoë 🙂 runs Acme Bar"
    assert ner.schema == ("Org", "Per")
    assert [(a.label, *a.spans) for a in ner.annotations] == [
        ("Org", BAR), ("Per", PER), ("Org", Span("Acme", 11, 15)),
    ]  # fmt: skip
    assert not problems.counts
    ((re,), problems) = reading.read("spert", folder, "RE")
    assert [(a.label, *a.spans) for a in re.annotations] == [("Run", PER, BAR)]
    assert not problems.counts


def test_tags_in_the_place_of_entities(tmp_path):
    folder = reading.write(tmp_path / "test.json", [TAGGED])
    examples, _ = reading.read("spert", folder, "NER")
    assert reading.found(examples) == [[("Per", "Zoë"), ("Org", "Acme Bar")]]
    examples, _ = reading.read("spert", folder, "RE")
    assert reading.found(examples) == [[("Run", "Zoë", "Acme Bar")]]
    lone = {**TAGGED, "tags": ["I-Per", "O", "B-Org", "I-Org"]}
    folder = reading.write(tmp_path / "test.json", [lone])
    _, problems = reading.read("spert", folder, "NER")
    assert problems.counts == {tokens.NO_START: 1}


def test_the_file_of_types_is_the_schema(tmp_path):
    reading.write(tmp_path / "toy_types.json", {"entities": {"Per": {}, "Org": {}, "Loc": {}},
                                                "relations": {"Run": {}, "Own": {}}})  # fmt: skip
    folder = reading.write(tmp_path / "toy_test.json", [RECORD])
    for task, schema in (("NER", ("Per", "Org", "Loc")), ("RE", ("Run", "Own"))):
        examples, _ = reading.read("spert", folder, task)
        assert examples[0].schema == schema
    reading.write(tmp_path / "toy_types.json", {"entities": ["Per"], "relations": {}})
    reading.refused("spert", folder, "NER", "toy_types.json", "'entities'")
    reading.write(tmp_path / "toy_types.json", {"entities": {"\ud800": {}}, "relations": {}})
    reading.refused("spert", folder, "NER", "toy_types.json", "surrogate")
    # no relation is stated: the files' own are the schema, as they are with two files of types
    assert reading.read("spert", folder, "RE")[0][0].schema == ("Run",)
    reading.write(tmp_path / "old_types.json", {})
    assert reading.read("spert", folder, "NER")[0][0].schema == ("Org", "Per")


def test_nothing_to_find(tmp_path):
    folder = reading.write(tmp_path / "test.json", [{**RECORD, "relations": {}}])
    examples, problems = reading.read("spert", folder, "RE", labels={"x": "x"})
    assert examples[0].annotations == ()
    assert not problems.counts


@pytest.mark.parametrize(
    ("change", "task", "part"),
    [
        ({"entities": [{"type": "Org", "start": 3, "end": 6}]}, "NER", "tokens [3, 6) of 5"),
        ({"entities": [{"type": "Org", "start": 3, "end": 3}]}, "NER", "tokens [3, 3) of 5"),
        ({"entities": [{"type": "Org", "start": -1, "end": 1}]}, "NER", "tokens [-1, 1) of 5"),
        ({"entities": [{"type": 1, "start": 0, "end": 1}]}, "NER", "label is not a string: 1"),
        ({"entities": [{"type": "Org", "end": 1}]}, "NER", "field 'start' is missing"),
        ({"entities": "Org"}, "NER", "'entities' is not a list"),
        ({"entities": None}, "NER", "'entities' is not a list"),
        ({"relations": [{"type": "Run", "head": 3, "tail": 0}]}, "RE", "entity 3 of 3"),
        ({"relations": [{"type": "Run", "head": -1, "tail": 0}]}, "RE", "entity -1 of 3"),
        ({"relations": [{"type": "Run", "head": True, "tail": 0}]}, "RE", "entity True of 3"),
        ({"relations": None}, "RE", "'relations' is not a list"),
        ({"tokens": "Zoë runs"}, "RE", "not a list of strings"),
    ],
)
def test_faults_of_a_record(tmp_path, change, task, part):
    folder = reading.write(tmp_path / "test.json", [RECORD, {**RECORD, **change}])
    reading.refused("spert", folder, task, "test.json#1: unreadable record", part)
    examples, problems = reading.read("spert", folder, task, repair=True)
    assert [e.source for e in examples] == ["test.json#0"]
    assert problems.counts == {"unreadable record (record left out)": 1}


def test_tags_must_be_as_many_as_tokens(tmp_path):
    folder = reading.write(tmp_path / "test.json", [{**TAGGED, "tags": ["O"]}])
    reading.refused("spert", folder, "NER", "#0", "1 tags for 4 tokens")


def test_events_are_none_of_the_format(tmp_path):
    folder = reading.write(tmp_path / "test.json", [RECORD])
    reading.refused("spert", folder, "EET", "holds no EET; use it for NER, RE")
    reading.refused("spert", folder, "NER", "option 'tag'", tag="1")


@given(st.data(), st.sampled_from(["NER", "RE"]), st.booleans())
def test_broken_records_are_refused_or_counted(data, task, repair):
    records = data.draw(breaking.broken([copy.deepcopy(RECORD), TAGGED, RECORD]))
    with tempfile.TemporaryDirectory() as folder:
        path = reading.write(Path(folder) / "test.json", records)
        outcome = breaking.survives("spert", path, task, repair)
    if outcome and task == "RE":
        examples, problems = outcome
        # nothing vanishes without being counted
        assert (
            reading.listed(records, "relations") == reading.counts(examples)[1] or problems.counts
        )


@given(breaking.VALUES | st.binary(max_size=20), breaking.VALUES)
def test_anything_in_the_place_of_the_files(content, types):
    with tempfile.TemporaryDirectory() as folder:
        path = reading.write(Path(folder) / "test.json", content)
        breaking.survives("spert", path, "NER", True)
        reading.write(path / "types.json", types)
        reading.write(path / "test.json", [RECORD])
        breaking.survives("spert", path, "RE", True)


#: Folder -> (label names, (instances, relations, known sentences) of train, dev, test, entities).
REAL = {
    "conll04": (
        {"OrgBased_In": "Organization based in", "Located_In": "Located in", "Live_In": "Live in",
         "Work_For": "Work for", "Kill": "Kill"},
        [(150, 208, 150), (231, 343, 205), (288, 422, 288)],
        [520, 893, 1079],
    ),
    "SciERC": (
        {"Used-for": "used for", "Feature-of": "feature of", "Hyponym-of": "hyponym of",
         "Part-of": "part of", "Evaluate-for": "evaluate for", "Compare": "compare",
         "Conjunction": "conjunction"},
        [(150, 266, 116), (275, 455, 187), (150, 285, 91)],
        [471, 811, 469],
    ),
}  # fmt: skip


@pytest.mark.parametrize("folder", REAL)
def test_real_files_agree_with_the_processed_release(shared, folder):
    names, expected, entities = REAL[folder]
    raw = shared / "data" / "raw" / folder
    known = reading.release(shared, f"RE/{folder}", "train", "dev", "test")
    for split, figures, n in zip(("train", "dev", "test"), expected, entities, strict=True):
        examples, problems = reading.read("spert", raw, "RE", split=split, labels=names)
        both, differing = reading.compare(examples, known)
        assert (*reading.counts(examples), both) == figures
        assert differing == []
        assert set(problems.counts) <= {"annotation repeated in its record"}
        found, problems = reading.read("spert", raw, "NER", split=split)
        assert reading.counts(found) == (figures[0], n)
        assert not problems.counts


def test_a_real_file_of_nested_entities(shared):
    examples, problems = reading.read("spert", shared / "data" / "raw" / "GENIA_NER", "NER")
    assert reading.counts(examples) == (150, 508)
    assert len(examples[0].schema) == 5
    assert not problems.counts
    nested = [
        (a, b)
        for e in examples
        for a in e.annotations
        for b in e.annotations
        if a != b and a.spans[0].start <= b.spans[0].start and b.spans[0].end <= a.spans[0].end
    ]
    assert nested
