"""Triplets by token numbers, a sentence a line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import breaking
import pytest
import reading
from hypothesis import given
from hypothesis import strategies as st

from ruie.examples import Span

WORDS = ["Zoë", "🙂", "runs", "Acme", "Bar"]
ONE = {"tokens": WORDS, "head": [0], "tail": [3, 4], "label": "runs", "label_id": "P9"}
TWO = {**ONE, "head": [3, 4], "tail": [0, 2], "label": "run by"}
SEVERAL = "entity of several mentions: the first is taken"


def lines(*values):
    return "".join(json.dumps(value) + "\n" for value in values)


LINES = lines({"triplets": [ONE]}, {"triplets": [ONE, TWO]})


@pytest.mark.parametrize("name", ["test.jsonl", "seed_0__test.json"])
def test_a_line_is_a_sentence(tmp_path, name):
    folder = reading.write(tmp_path / name, LINES.replace("\n", "\r\n\r\n"))
    examples, problems = reading.read("triplets", folder, "RE")
    assert [e.text for e in examples] == ["Zoë 🙂 runs Acme Bar"] * 2
    assert [e.source for e in examples] == [f"{name}#0", f"{name}#1"]
    # Zoë 0-3, the emoji 4-5, runs 6-10, Acme 11-15, Bar 16-19
    zoe, bar = Span("Zoë", 0, 3), Span("Acme Bar", 11, 19)
    assert [[(a.label, *a.spans) for a in e.annotations] for e in examples] == [
        [("runs", zoe, bar)],
        [("runs", zoe, bar), ("run by", bar, zoe)],
    ]
    assert examples[0].schema == ("run by", "runs")
    assert problems.counts == {SEVERAL: 1}


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({"triplets": [ONE, {**ONE, "tokens": WORDS[:4]}]}, "differ in their tokens"),
        ({"triplets": []}, "'triplets' is empty"),
        ({"triplets": {"tokens": WORDS}}, "'triplets' is not a list"),
        ({"triplets": [{**ONE, "head": []}]}, "without any token"),
        ({"triplets": [{**ONE, "head": [4, 5]}]}, "tokens [4, 6) of 5"),
        ({"triplets": [{**ONE, "label": None}]}, "label is not a string: None"),
        ({"triplets": [{"tokens": WORDS, "head": [0]}]}, "is missing"),
        ([], "expected a line of triplets"),
        ({}, "'triplets' is missing"),
    ],
)
def test_faults_of_a_line(tmp_path, value, part):
    folder = reading.write(tmp_path / "test.jsonl", LINES + lines(value))
    reading.refused("triplets", folder, "RE", "test.jsonl#2: unreadable record", part)
    examples, problems = reading.read("triplets", folder, "RE", repair=True)
    assert [e.source for e in examples] == ["test.jsonl#0", "test.jsonl#1"]
    assert problems.counts["unreadable record (record left out)"] == 1


def test_what_is_no_json(tmp_path):
    for line in ("{", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000):
        folder = reading.write(tmp_path / "test.jsonl", LINES + line)
        reading.refused("triplets", folder, "RE", "test.jsonl#2", "line 3: malformed JSON")
    reading.refused("triplets", folder, "NER", "holds no NER; use it for RE")


@given(st.data(), st.booleans())
def test_broken_records_are_refused_or_counted(data, repair):
    values = data.draw(breaking.broken([{"triplets": [ONE]}, {"triplets": [ONE, TWO]}]))
    with tempfile.TemporaryDirectory() as folder:
        path = reading.write(Path(folder) / "test.jsonl", lines(*values))
        outcome = breaking.survives("triplets", path, "RE", repair)
    if outcome:
        examples, problems = outcome
        assert reading.listed(values, "triplets") == reading.counts(examples)[1] or problems.counts


@given(st.data(), st.booleans())
def test_torn_files_are_refused_or_read(data, repair):
    content = data.draw(breaking.torn(LINES.encode()))
    with tempfile.TemporaryDirectory() as folder:
        path = reading.write(Path(folder) / "test.jsonl", content)
        breaking.survives("triplets", path, "RE", repair)


def test_real_files_agree_with_the_processed_release(shared):
    known = reading.release(shared, "RE/FewRel", "train", "test")
    for split, files, figures in (
        ("dev", "*_2__dev*", (459, 477, 7)),
        ("test", "*__test*", (947, 959, 19)),
    ):
        examples, problems = reading.read(
            "triplets", shared / "data" / "raw" / "FewRel", "RE", split=split,
            files={split: [files]},
        )  # fmt: skip
        both, differing = reading.compare(examples, known)
        assert (*reading.counts(examples), both) == figures
        assert differing == []
        assert not problems.counts


def test_real_files_with_an_entity_that_is_nowhere(shared):
    examples, problems = reading.read(
        "triplets", shared / "data" / "raw" / "Wiki-ZSL", "RE", repair=True
    )
    # 200 and 483 lines, one with an empty head
    assert reading.counts(examples) == (682, 772)
    assert problems.counts == {SEVERAL: 1, "unreadable record (record left out)": 1}
