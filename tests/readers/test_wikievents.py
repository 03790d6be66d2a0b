"""The WikiEvents reader: sentences with their own texts, tokens counted through the document."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from breaking import corrupted, sound, survives
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import instances, read, refused

#: Tokens 0-5 and 6-9, ends excluded; character offsets go on over the document.
DOCUMENT: dict[str, Any] = {
    "doc_id": "a",
    "sentences": [
        [
            [["Al", 0, 2], ["-", 2, 3], ["Monitor", 3, 10], ["hit", 11, 14], ["Zoë", 15, 18],
             [".", 18, 19]],
            "Al-Monitor hit Zoë.",
        ],
        [[["She", 20, 23], ["fled", 24, 28], ["Aden", 29, 33], [".", 33, 34]], "She fled Aden.\n"],
    ],
    "entity_mentions": [
        {"id": "T1", "start": 0, "end": 3, "entity_type": "ORG", "text": "Al-Monitor"},
        {"id": "T2", "start": 4, "end": 5, "entity_type": "PER", "text": "Zoë"},
        {"id": "T3", "start": 8, "end": 9, "entity_type": "GPE", "text": "Aden"},
    ],
    "event_mentions": [
        {
            "event_type": "Conflict.Attack.Unspecified",
            "trigger": {"start": 3, "end": 4, "text": "hit"},
            "arguments": [
                {"entity_id": "T1", "role": "Attacker", "text": "Al-Monitor"},
                {"entity_id": "T3", "role": "Place", "text": "Aden"},
            ],
        },
        {
            "event_type": "Movement.Transportation.Evacuation",
            "trigger": {"start": 7, "end": 8, "text": "fled"},
            "arguments": [{"entity_id": "T3", "role": "Origin", "text": "Aden"}],
        },
    ],
}  # fmt: skip
ONE, TWO = "Al-Monitor hit Zoë.", "She fled Aden."
ONTOLOGY = {
    "Conflict.Attack.Unspecified": {"roles": ["Attacker", "Place"]},
    "Conflict.Defeat.Unspecified": {"roles": ["Victor", "Place"]},
    "Movement.Transportation.Evacuation": {"roles": ["Origin"]},
}


def put(folder: Path, *documents: Any) -> Path:
    lines = [
        d if isinstance(d, bytes) else json.dumps(d).encode() for d in documents or (DOCUMENT,)
    ]
    (folder / "test.jsonl").write_bytes(b"\n".join(lines))
    (folder / "ontology.json").write_text(json.dumps(ONTOLOGY))
    return folder


def test_each_task(tmp_path):
    examples, problems = read("wikievents", put(tmp_path), "NER")
    assert instances(examples) == [
        (ONE, None, [("ORG", "Al-Monitor"), ("PER", "Zoë")]),
        (TWO, None, [("GPE", "Aden")]),
    ]
    assert not problems.counts
    attack, evacuation = "Conflict.Attack.Unspecified", "Movement.Transportation.Evacuation"
    examples, problems = read("wikievents", put(tmp_path), "EET")
    assert [f[2] for f in instances(examples)] == [[(attack, "hit")], [(evacuation, "fled")]]
    assert not problems.counts
    examples, problems = read("wikievents", put(tmp_path), "EEA")
    assert instances(examples) == [
        (ONE, (attack, "hit"), [("Attacker", "Al-Monitor")]),
        (TWO, (evacuation, "fled"), [("Origin", "Aden")]),
    ]
    assert problems.counts == {"argument in another sentence left out": 1}
    refused("wikievents", tmp_path, "RE", "holds no RE")


def test_the_ontology_is_the_schema(tmp_path):
    examples, _ = read("wikievents", put(tmp_path), "EET", ontology="ontology.json")
    assert examples[0].schema == tuple(ONTOLOGY)
    examples, _ = read("wikievents", tmp_path, "EET", ontology="ontology.json", types="coarse")
    assert examples[0].schema == ("Conflict", "Movement")
    assert [e.annotations[0].label for e in examples] == ["Conflict", "Movement"]
    examples, _ = read("wikievents", tmp_path, "EEA", ontology="ontology.json", types="coarse")
    assert examples[0].schema == ("Attacker", "Place", "Victor")
    # entities are in no ontology
    examples, _ = read("wikievents", tmp_path, "NER", ontology="ontology.json", types="coarse")
    assert examples[0].schema == ("GPE", "ORG", "PER")


def test_a_sentence_that_does_not_hold_its_tokens(tmp_path):
    document = copy.deepcopy(DOCUMENT)
    document["sentences"][0][1] = "Al‐Monitor hit Zoë."  # another hyphen
    examples, problems = read("wikievents", put(tmp_path, document), "NER")
    assert instances(examples)[0] == (
        "Al - Monitor hit Zoë .", None, [("ORG", "Al - Monitor"), ("PER", "Zoë")]
    )  # fmt: skip
    assert problems.counts == {"sentence that does not hold its tokens: tokens joined by spaces": 1}


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        (("sentences",), 1, "'sentences' is not a list: 1"),
        (("event_mentions", 0, "trigger"), {"start": 9, "end": 11}, "there are no tokens [9, 11]"),
        (("event_mentions", 0, "trigger"), {"start": 3, "end": 3}, "there are no tokens [3, 3]"),
        (("event_mentions", 0, "arguments", 0, "entity_id"), "T9", "'T9' is no entity"),
        (("event_mentions", 0, "event_type"), None, "event_type is not a string: None"),
        (("event_mentions", 0, "trigger", "start"), True, "start is not a whole number: True"),
    ],
)
def test_malformed_documents(tmp_path, path, value, part):
    document = copy.deepcopy(DOCUMENT)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    put(tmp_path, DOCUMENT, document)
    refused("wikievents", tmp_path, "EET", "test.jsonl#1: unreadable record", part)
    examples, problems = read("wikievents", tmp_path, "EET", repair=True)
    assert len(examples) == 2
    assert problems.counts == {"unreadable record (record left out)": 1}


@settings(max_examples=100)
@given(corrupted(DOCUMENT), st.sampled_from(["NER", "EET", "EEA"]), st.booleans())
def test_corrupted_files_are_refused_or_counted(data, task, repair):
    with tempfile.TemporaryDirectory() as folder:
        survives("wikievents", put(Path(folder), DOCUMENT, data), task, repair)


# five events of dev and one of test have a type that the ontology lacks
@pytest.mark.parametrize(
    ("split", "sentences", "entities", "events", "arguments", "unknown", "elsewhere"),
    [("dev", 378, 2256, 345, 418, 5, 2), ("test", 492, 2673, 365, 560, 1, 3)],
)
def test_real_files(
    shared, split, sentences, entities, events, arguments, unknown, elsewhere
):  # fmt: skip
    folder = shared / "data/raw/WikiEvents"
    examples, problems = read("wikievents", folder, "NER", split=split)
    assert (len(examples), problems.counts) == (sentences, {})
    assert sum(len(e.annotations) for e in examples) == entities
    ontology = {"ontology": "event_role_KAIROS.json"}
    refused("wikievents", folder, "EET", "Contact.RequestCommand", split=split, **ontology)
    examples, problems = read("wikievents", folder, "EET", split=split, repair=True, **ontology)
    assert sum(len(e.annotations) for e in examples) == events - unknown
    assert all(what.startswith("unknown label 'Contact.") for what in problems.counts)
    assert sum(problems.counts.values()) == unknown
    examples, problems = read("wikievents", folder, "EEA", split=split, repair=True, **ontology)
    assert len(examples) == events - unknown
    assert sum(len(e.annotations) for e in examples) == arguments
    assert problems.counts["argument in another sentence left out"] == elsewhere
    examples, problems = read(
        "wikievents", folder, "EET", split=split
    )  # the types that stand in the files
    assert sum(len(e.annotations) for e in examples) == events
    sound(examples, "EET")
