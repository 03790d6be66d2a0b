"""Relations by token numbers: the JSON of FewRel."""

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
    "tokens": ["Zoë", "🙂", "runs", "Acme", "Bar"],
    "h": ["zoë", "Q1", [[0]]],
    "t": ["acme bar", "Q2", [[3, 4]]],
}
OTHER = {**RECORD, "h": RECORD["t"], "t": ["zoë", "Q1", [[0], [1]]]}
RELATIONS = {"P9": [RECORD, RECORD], "P1": [OTHER]}
ZOE, BAR = Span("Zoë", 0, 3), Span("Acme Bar", 11, 19)
SEVERAL = "entity of several mentions: the first is taken"


def test_relations_and_their_order(tmp_path):
    folder = reading.write(tmp_path / "test.json", RELATIONS)
    examples, problems = reading.read("fewrel", folder, "RE")
    assert {e.text for e in examples} == {"Zoë 🙂 runs Acme Bar"}
    assert [e.source for e in examples] == [f"test.json#{i}" for i in range(3)]
    assert [(a.label, *a.spans) for e in examples for a in e.annotations] == [
        ("P9", ZOE, BAR), ("P9", ZOE, BAR), ("P1", BAR, ZOE),
    ]  # fmt: skip
    assert examples[0].schema == ("P1", "P9")
    assert problems.counts == {SEVERAL: 1}


@pytest.mark.parametrize("name", [["ruler", "who runs it"], "ruler"])
def test_names_of_relations(tmp_path, name):
    reading.write(tmp_path / "names.json", {"P9": name, "P7": "unused"})
    folder = reading.write(tmp_path / "test.json", RELATIONS)
    examples, problems = reading.read("fewrel", folder, "RE", names="names.json")
    assert reading.labels(examples) == {"ruler": 2, "P1": 1}
    assert examples[0].schema == ("P1", "ruler")
    assert problems.counts == {SEVERAL: 1, "relation 'P1' has no name: it stays as it is": 1}


@pytest.mark.parametrize("names", [{}, [], {"P9": 7}, {"P9": []}, None, "P9"])
def test_names_must_be_names(tmp_path, names):
    reading.write(tmp_path / "names.json", names)
    folder = reading.write(tmp_path / "test.json", RELATIONS)
    reading.refused("fewrel", folder, "RE", "names.json", names="names.json")
    reading.refused("fewrel", folder, "RE", "no such file", names="nowhere.json")


@pytest.mark.parametrize(
    ("place", "span", "notes"),
    [
        ([[3, 4]], "Acme Bar", 0),
        ([3, 4], "Acme Bar", 0),
        ([[3], [4]], "Acme", 1),  # two mentions, though side by side
        ([[0, 1, 3]], "Zoë 🙂", 1),
        ([[4, 3]], "Bar", 1),
    ],
)
def test_the_first_mention_is_taken(tmp_path, place, span, notes):
    folder = reading.write(tmp_path / "test.json", {"P9": [{**RECORD, "t": ["", "", place]}]})
    examples, problems = reading.read("fewrel", folder, "RE")
    assert reading.found(examples) == [[("P9", "Zoë", span)]]
    assert problems.counts[SEVERAL] == notes


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"t": ["", "", [[5]]]}, "tokens [5, 6) of 5"),
        ({"t": ["", "", []]}, "without any token"),
        ({"t": ["", "", [[]]]}, "without any token"),
        ({"t": ["", "", [[1.0]]]}, "whole numbers"),
        ({"t": ["", "", None]}, "whole numbers"),
        ({"t": ["", ""]}, "index out of range"),
        ({"t": 1}, "not subscriptable"),
        ({"tokens": [1]}, "not a list of strings"),
    ],
)
def test_faults_of_a_record(tmp_path, change, part):
    folder = reading.write(tmp_path / "test.json", {"P9": [RECORD, {**RECORD, **change}, RECORD]})
    reading.refused("fewrel", folder, "RE", "test.json#1: unreadable record", part)
    examples, _ = reading.read("fewrel", folder, "RE", repair=True)
    assert [e.source for e in examples] == ["test.json#0", "test.json#2"]


@pytest.mark.parametrize("content", [[RECORD], {"P9": RECORD}, {"P9": ["name", "x"], "P1": "y"}, 1])
def test_what_is_none_of_the_format(tmp_path, content):
    folder = reading.write(tmp_path / "test.json", content)
    reading.refused("fewrel", folder, "RE", "test.json", "a list of records for each relation")
    reading.refused("fewrel", folder, "NER", "holds no NER; use it for RE")


@given(st.data(), st.booleans())
def test_broken_records_are_refused_or_counted(data, repair):
    relations = data.draw(breaking.broken(RELATIONS))
    with tempfile.TemporaryDirectory() as folder:
        path = reading.write(Path(folder) / "test.json", relations)
        outcome = breaking.survives("fewrel", path, "RE", repair)
    if outcome:
        examples, problems = outcome
        said = sum(map(len, relations.values()))
        assert said == reading.counts(examples)[1] or problems.counts


@given(breaking.VALUES | st.binary(max_size=20), breaking.VALUES)
def test_anything_in_the_place_of_the_files(content, names):
    with tempfile.TemporaryDirectory() as folder:
        path = reading.write(Path(folder) / "test.json", content)
        breaking.survives("fewrel", path, "RE", True)
        reading.write(path / "names.json", names)
        reading.write(path / "test.json", RELATIONS)
        breaking.survives("fewrel", path, "RE", True, names="names.json")


def test_a_real_file(shared):
    raw = shared / "data" / "raw" / "FewRel__thunlp"
    examples, problems = reading.read("fewrel", raw, "RE", split="dev", names="pid2name.json")
    # 16 relations of 12 sentences each
    assert reading.counts(examples) == (192, 192)
    assert set(reading.labels(examples).values()) == {12}
    assert len(examples[0].schema) == 16
    assert "crosses" in examples[0].schema
    assert problems.counts == {SEVERAL: 10}
