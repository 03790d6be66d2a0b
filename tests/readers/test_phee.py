"""PHEE's JSON: nested arguments get one name each, nothing goes unnoticed."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path

from breaking import VALUES, survives
from hypothesis import given
from hypothesis import strategies as st
from reading import read, refused

TEXT = "Two men — given A and B for pain — fell ill, badly."


def at(*words: str) -> dict:
    """One mention for each word."""
    return {"text": [[w] for w in words], "start": [[TEXT.index(w)] for w in words]}


EVENT = {
    "event_id": "E1",
    "event_type": "Adverse_event",
    "Trigger": at("fell"),
    "Severity": {**at("badly"), "value": "High"},
    "Effect": at("ill"),
    "Subject": {**at("Two men"), "Gender": at("men")},
    "Treatment": {
        **at("A and B"),
        "Drug": at("A", "B"),
        "Disorder": at("pain"),
        "Combination": [
            {"event_type": "Combination", "Trigger": at("and"), "Drug": at("B", "A")},
        ],
    },
}
RECORD = {"id": "1", "context": TEXT, "annotations": [{"events": [EVENT]}]}


def put(folder: Path, *records: object) -> Path:
    (folder / "test.json").write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


def test_arguments_are_named_with_what_they_stand_in(tmp_path):
    (example,), problems = read("phee", put(tmp_path, RECORD), "EEA")
    assert (example.event.type, example.event.trigger.text) == ("Adverse_event", "fell")
    assert [(a.label, a.spans[0].text) for a in example.annotations] == [
        ("Subject", "Two men"), ("Subject.Gender", "men"), ("Treatment.Drug", "A"),
        ("Combination.Drug", "A"), ("Treatment", "A and B"), ("Treatment.Drug", "B"),
        ("Combination.Drug", "B"), ("Treatment.Disorder", "pain"), ("Effect", "ill"),
    ]  # fmt: skip
    assert problems.counts == {"Severity of an event left out": 1}


def test_triggers(tmp_path):
    (example,), _ = read("phee", put(tmp_path, RECORD), "EET")
    assert [(a.label, a.spans[0].text) for a in example.annotations] == [("Adverse_event", "fell")]


def test_pieces_and_further_triggers_are_counted(tmp_path):
    record = copy.deepcopy(RECORD)
    event = record["annotations"][0]["events"][0]
    event["Trigger"] = at("fell", "ill")
    event["Effect"] = {
        "text": [["fell", "badly"]],
        "start": [[TEXT.index("fell"), TEXT.index("badly")]],
    }
    (example,), problems = read("phee", put(tmp_path, record), "EEA")
    assert example.event.trigger.text == "fell"
    assert [a.spans[0].text for a in example.annotations if a.label == "Effect"] == [
        "fell",
        "badly",
    ]
    assert problems.counts["further trigger of an event left out"] == 1
    assert problems.outcomes["further trigger of an event left out"] == "annotation left out"
    assert problems.counts["discontinuous span: each piece kept by itself"] == 1


def test_an_argument_given_twice_is_kept_once(tmp_path):
    record = copy.deepcopy(RECORD)
    treatment = record["annotations"][0]["events"][0]["Treatment"]
    treatment["Combination"] *= 2
    (example,), problems = read("phee", put(tmp_path, record), "EEA")
    assert [a.label for a in example.annotations].count("Combination.Drug") == 2
    assert problems.counts["annotation given twice: kept once"] == 2


def test_faults(tmp_path):
    refused("phee", put(tmp_path, RECORD), "NER", "holds no NER")
    refused("phee", put(tmp_path, {"context": TEXT}), "EET", "#0", "'annotations' is missing")
    (tmp_path / "test.json").write_text("{")
    refused("phee", tmp_path, "EET", "test.json#0", "line 1: malformed JSON")


def places(value, path=()):
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inner:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


@given(st.sampled_from(sorted(places(RECORD), key=repr)), VALUES, st.booleans(), st.booleans())
def test_corrupted_records_are_refused_or_counted(place, value, delete, repair):
    record = copy.deepcopy(RECORD)
    holder = record
    for key in place[:-1]:
        holder = holder[key]
    if delete:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    with tempfile.TemporaryDirectory() as folder:
        survives("phee", put(Path(folder), record), "EEA", repair)


def test_real_files_say_what_the_processed_ones_do(shared):
    def evened(examples):
        return {
            (" ".join(e.text.split()), e.event.trigger.text):
            sorted((a.label, a.spans[0].text) for a in e.annotations)
            for e in examples
        }  # fmt: skip

    raw = {}
    for split in ("train", "dev", "test"):
        found, _ = read("phee", shared / "data/raw/PHEE", "EEA", repair=True, split=split)
        raw |= evened(found)
    processed = {}
    for split in ("train", "dev", "test"):
        found, _ = read("ie_instructions", shared / "data/ie/EEA/PHEE", "EEA", split=split)
        processed |= evened(found)
    both = raw.keys() & processed.keys()
    same = sum(raw[key] == processed[key] for key in both)
    # one sentence has two events of one trigger, of which each side's table here keeps one
    assert (len(both), same) == (302, 301)
