"""The reader of the ACE preprocessing's JSON: tokens, brackets, words that disagree."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from breaking import corrupted, survives
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import agreement, instances, read, refused

RECORD: dict[str, Any] = {
    "sentence": "...",
    "words": ["Öl", "-LRB-", "Brent", "-RRB-", "rose", "$", "5", "."],
    "golden-entity-mentions": [
        {"text": "Öl -LRB- Brent -RRB-", "start": 0, "end": 4, "entity-type": "Commodity"},
        {"text": "$5", "start": 5, "end": 7, "entity-type": "Money"},
    ],
    "golden-event-mentions": [
        {
            "event_type": "Movement-up-gain",
            "trigger": {"text": "rose", "start": 4, "end": 5},
            "arguments": [
                {"text": "Brent", "start": 2, "end": 3, "role": "Item"},
                {"text": "$5", "start": 5, "end": 7, "role": "Difference2"},
            ],
        }
    ],
}
TEXT = "Öl ( Brent ) rose $ 5 ."


def put(folder: Path, *records: Any) -> Path:
    data = records[0] if isinstance(records[0], bytes) else json.dumps(records).encode()
    (folder / "test.json").write_bytes(data)
    return folder


def test_each_task(tmp_path):
    put(tmp_path, RECORD)
    up = "Movement-up-gain"
    for task, event, rest in (
        ("NER", None, [("Commodity", "Öl ( Brent )"), ("Money", "$ 5")]),
        ("EET", None, [(up, "rose")]),
        ("EEA", (up, "rose"), [("Item", "Brent"), ("Difference2", "$ 5")]),
    ):
        examples, problems = read("ace_json", tmp_path, task)
        assert instances(examples) == [(TEXT, event, rest)]
        assert examples[0].source == "test.json#0"
        assert not problems.counts
    refused("ace_json", tmp_path, "RE", "holds no RE")
    refused("ace_json", tmp_path, "NER", "no option 'unit' in this format; options: none", unit="x")


def test_words_that_disagree_with_the_tokens_are_a_fault(tmp_path):
    record = copy.deepcopy(RECORD)
    record["golden-entity-mentions"][0]["text"] = "Brent"
    record["golden-entity-mentions"][1]["text"] = "$6"
    refused("ace_json", put(tmp_path, record), "NER", "test.json#0: wrong offsets", "'Brent'")
    examples, problems = read("ace_json", tmp_path, "NER", repair=True)
    assert instances(examples)[0][2] == [("Commodity", "Brent")]
    assert problems.counts == {
        "wrong offsets (found by literal search)": 1,
        "span not in text (annotation left out)": 1,
    }


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"words": ["a", 5]}, "a token is not a string: 5"),
        ({"words": None}, "'words' is not a list: None"),
        (
            {"golden-entity-mentions": [{"entity-type": "b", "text": "a", "start": 7, "end": 9}]},
            "no tokens [7, 9]",
        ),
        (
            {"golden-entity-mentions": [{"entity-type": "b", "text": "a", "start": 0}]},
            "field 'end' is missing",
        ),
        ({"golden-entity-mentions": {}}, "'golden-entity-mentions' is not a list: {}"),
    ],
)
def test_malformed_records(tmp_path, change, part):
    put(tmp_path, RECORD, {**RECORD, **change})
    refused("ace_json", tmp_path, "NER", "test.json#1: unreadable record", part)
    examples, problems = read("ace_json", tmp_path, "NER", repair=True)
    assert len(examples) == 1
    assert problems.counts == {"unreadable record (record left out)": 1}


@settings(max_examples=100)
@given(corrupted([RECORD, RECORD]), st.sampled_from(["NER", "EET", "EEA"]), st.booleans())
def test_corrupted_files_are_refused_or_counted(data, task, repair):
    with tempfile.TemporaryDirectory() as folder:
        survives("ace_json", put(Path(folder), data), task, repair)


def _names(folder: Path) -> dict[str, str | None]:
    """Labels as the conversion writes them: lower case, spaces."""
    names = set()
    for path in folder.rglob("*.json"):
        for record in json.loads(path.read_text()):
            for event in record["golden-event-mentions"]:
                names |= {event["event_type"], *(a["role"] for a in event["arguments"])}
    return {n: n.lower().replace("-", " ").replace("_", " ") for n in sorted(names)}


# What differs: three times the words are not those of the tokens (the conversion kept the tokens,
# the reader searches the words); a misspelt trigger is nowhere in its sentence; three events share
# type and trigger with another, and the sample holds that one
@pytest.mark.parametrize(
    ("files", "events", "arguments", "eet", "eea"),
    [
        ("Gold-standard/*.json", 17, 29, (13, 13), (8, 8)),
        ("Gold-standard/Test_Set_ADJ/*.json", 247, 577, (115, 114), (119, 118)),
        ("Active_Learning/*.json", 82, 168, (36, 36), (43, 38)),
    ],
)
def test_real_files(shared, files, events, arguments, eet, eea):
    folder = shared / "data/raw/CrudeOilNews"
    more: dict[str, Any] = {"files": {"test": [files]}, "labels": _names(folder), "repair": True}
    examples, _ = read("ace_json", folder, "EEA", **more)
    assert len(examples) == events
    assert sum(len(e.annotations) for e in examples) == arguments
    assert agreement(examples, shared / "data/ie/EEA/CrudeOilNews") == eea
    examples, _ = read("ace_json", folder, "EET", **more)
    assert agreement(examples, shared / "data/ie/EET/CrudeOilNews") == eet
