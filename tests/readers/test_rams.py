"""The RAMS reader: windows, sentences, the ontology and its coarse mode."""

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

#: Tokens 0-4 and 5-8; spans include their last token.
WINDOW: dict[str, Any] = {
    "doc_key": "a",
    "sentences": [["Zoë", "Lee", "bombed", "Aden", "."], ["She", "fled", "to", "Oman"]],
    "evt_triggers": [[2, 2, [["conflict.attack.bombing", 1.0]]]],
    "ent_spans": [[0, 1, [["evt007arg01attacker", 1.0]]]],
    "gold_evt_links": [
        [[2, 2], [0, 1], "evt007arg01attacker"],
        [[2, 2], [8, 8], "evt007arg04place"],
    ],
}
ONTOLOGY = [
    ["conflict.attack.bombing", ["evt007arg01attacker", "evt007arg04place"]],
    ["conflict.yield.n/a", ["evt012arg01yielder", "evt012arg04place"]],
    ["life.die.n/a", ["evt089arg01victim"]],
]
TEXT = "Zoë Lee bombed Aden . She fled to Oman"


def put(folder: Path, *windows: Any, ontology: Any = ONTOLOGY) -> Path:
    lines = [w if isinstance(w, bytes) else json.dumps(w).encode() for w in windows or (WINDOW,)]
    (folder / "test.jsonlines").write_bytes(b"\n".join(lines))
    (folder / "meta.json").write_text(json.dumps(ontology))
    return folder


def test_the_whole_window(tmp_path):
    for task, event, rest in (
        ("EET", None, [("conflict.attack.bombing", "bombed")]),
        (
            "EEA",
            ("conflict.attack.bombing", "bombed"),
            [("attacker", "Zoë Lee"), ("place", "Oman")],
        ),
    ):
        examples, problems = read("rams", put(tmp_path), task)
        assert instances(examples) == [(TEXT, event, rest)]
        assert not problems.counts
    assert examples[0].schema == ("attacker", "place")
    assert examples[0].source == "test.jsonlines#0"


def test_sentences(tmp_path):
    examples, problems = read("rams", put(tmp_path), "EEA", window="sentence")
    event = ("conflict.attack.bombing", "bombed")
    assert instances(examples) == [("Zoë Lee bombed Aden .", event, [("attacker", "Zoë Lee")])]
    assert problems.counts == {"argument in another sentence left out": 1}
    examples, _ = read("rams", put(tmp_path), "EET", window="sentence")
    assert [e.text for e in examples] == ["Zoë Lee bombed Aden .", "She fled to Oman"]


def test_the_ontology_is_the_schema(tmp_path):
    (example,), _ = read("rams", put(tmp_path), "EET", ontology="meta.json")
    assert example.schema == ("conflict.attack.bombing", "conflict.yield.n/a", "life.die.n/a")
    (example,), _ = read("rams", tmp_path, "EET", ontology="meta.json", types="coarse")
    assert example.schema == ("conflict", "life")
    assert example.annotations[0].label == "conflict"
    (example,), _ = read("rams", tmp_path, "EEA", ontology="meta.json", types="coarse")
    assert example.schema == ("attacker", "place", "yielder")  # of bombing and of yield
    (example,), _ = read("rams", tmp_path, "EEA", types="coarse")
    assert example.event.type == "conflict"
    assert example.schema == ("attacker", "place")


@pytest.mark.parametrize(
    "ontology", [[], {}, 5, [["a"]], [["a", [1]]], {"a": {"x": []}}, [1], None]
)
def test_a_bad_ontology(tmp_path, ontology):
    put(tmp_path, ontology=ontology)
    refused("rams", tmp_path, "EET", "meta.json: must be [[type, [roles]]]", ontology="meta.json")


def test_bad_options(tmp_path):
    refused("rams", put(tmp_path), "EET", "window=one: must be all or sentence", window="one")
    refused("rams", put(tmp_path), "EET", "types=rough: must be fine or coarse", types="rough")
    refused("rams", put(tmp_path), "EET", "absent.json: no such file", ontology="absent.json")
    refused("rams", put(tmp_path), "RE", "holds no RE")


def test_what_the_rest_of_a_window_says_is_counted(tmp_path):
    window = copy.deepcopy(WINDOW)
    window["evt_triggers"][0][2].append(["life.die.n/a", 0.5])
    window["gold_evt_links"][1][0] = [6, 6]
    examples, problems = read("rams", put(tmp_path, window), "EEA")
    assert instances(examples)[0][2] == [("attacker", "Zoë Lee")]
    assert problems.counts == {
        "further type of an event left out": 1,
        "argument of no event left out": 1,
    }
    assert set(problems.outcomes.values()) == {"annotation left out"}
    assert problems.bad == 0  # nothing is wrong with the data


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("sentences", "a b", "'sentences' is not a list: 'a b'"),
        ("sentences", [["a", 1]], "a token is not a string: 1"),
        ("evt_triggers", [[2, 2]], "list index out of range"),
        ("evt_triggers", [[7, 9, [["x", 1]]]], "there are no tokens [7, 9]"),
        ("evt_triggers", [[2.0, 2.0, [["x", 1]]]], "a token number is not a whole number: 2.0"),
        ("gold_evt_links", [[[2, 2], [3, 1], "x"]], "there are no tokens [3, 1]"),
    ],
)
def test_malformed_windows(tmp_path, field, value, part):
    put(tmp_path, WINDOW, b"", {**WINDOW, field: value})
    refused("rams", tmp_path, "EET", "test.jsonlines#1: unreadable record", part)
    examples, problems = read("rams", tmp_path, "EET", repair=True)
    assert len(examples) == 1
    assert problems.counts == {"unreadable record (record left out)": 1}


def test_malformed_json(tmp_path):
    refused("rams", put(tmp_path, WINDOW, b'{"a": NaN}'), "EET", "#1", "line 2: malformed JSON")
    refused("rams", put(tmp_path, b'{"a": 1, "a": 2}'), "EET", "'a' stands twice")


@settings(max_examples=100)
@given(
    corrupted(WINDOW), st.sampled_from(["EET", "EEA"]),
    st.sampled_from(["all", "sentence"]), st.booleans(),
)  # fmt: skip
def test_corrupted_files_are_refused_or_counted(data, task, window, repair):
    with tempfile.TemporaryDirectory() as folder:
        survives("rams", put(Path(folder), WINDOW, data), task, repair, window=window)


# EET: the windows that differ recur with another event, one record each, and the sample holds
# the other record of the window; EEA pairs events and not windows
@pytest.mark.parametrize(
    ("split", "count", "arguments", "eet", "eea"),
    [("dev", 119, 265, (30, 24), (24, 24)), ("test", 118, 261, (46, 40), (40, 40))],
)
def test_real_files(shared, split, count, arguments, eet, eea):
    folder = shared / "data/raw/RAMS"
    examples, problems = read("rams", folder, "EET", split=split, ontology="meta.json")
    labels = json.loads((shared / "data/ie/EEA/RAMS/labels.json").read_text())
    assert (len(examples), problems.counts) == (count, {})
    assert sorted(examples[0].schema) == sorted(labels)  # 139 types
    assert agreement(examples, shared / "data/ie/EET/RAMS") == eet
    examples, problems = read("rams", folder, "EEA", split=split, ontology="meta.json")
    repeated = {"annotation repeated in its record": 1} if split == "test" else {}
    assert (len(examples), problems.counts) == (count, repeated)
    assert sum(len(e.annotations) for e in examples) == arguments
    # the conversion names a role twice where its type has two, and adds one that it met
    assert all({*labels[e.event.type]} ^ {*e.schema} <= {"result"} for e in examples)
    assert agreement(examples, shared / "data/ie/EEA/RAMS") == eea
