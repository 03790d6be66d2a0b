"""What holds of every format: half a surrogate pair, which JSON can say, is no text anywhere."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from breaking import places, survives

from ruie.readers import FORMATS

HALF = "a\ud800"
SPAN = {"start": 0, "end": 3, "label": "x"}
PIECES = {"text": [["Ann"]], "start": [[0]]}
#: Format -> files with JSON in them, by name ("lines" of it for .jsonl), and the task and options
#: that read them.
CASES: dict[str, list[tuple[dict[str, Any], str, dict[str, str]]]] = {
    "ace_json": [
        ({"test.json": [{
            "words": ["Ann", "met"],
            "golden-entity-mentions": [
                {"entity-type": "x", "text": "Ann", "start": 0, "end": 1}],
            "golden-event-mentions": [{
                "event_type": "meet",
                "trigger": {"text": "met", "start": 1, "end": 2},
                "arguments": [{"role": "who", "text": "Ann", "start": 0, "end": 1}]}],
        }]}, task, {}) for task in ("NER", "EET", "EEA")
    ],
    "casie": [
        ({"test.json": {"content": "Ann met", "cyberevent": {"hopper": [{"events": [{
            "subtype": "Meet",
            "nugget": {"text": "met", "startOffset": 4, "endOffset": 7},
            "argument": [
                {"role": {"type": "Who"}, "text": "Ann", "startOffset": 0, "endOffset": 3}],
        }]}]}}}, task, {}) for task in ("EET", "EEA")
    ],
    "doccano": [
        ({"test.jsonl": {"text": "Ann", "label": [[0, 3, "x"]]}}, "NER", {}),
        ({"test.jsonl": {
            "text": "Ann",
            "entities": [{"id": "1", "label": "x", "start_offset": 0, "end_offset": 3}],
            "relations": [{"from_id": "1", "to_id": "1", "type": "is"}],
        }}, "RE", {}),
    ],
    "fewrel": [
        ({"test.json": {"P1": [
            {"tokens": ["Ann", "met"], "h": ["Ann", "Q", [[0]]], "t": ["met", "Q", [[1]]]}]},
          "names.json": {"P1": ["name", "what"]}}, "RE", options)
        for options in ({}, {"names": "names.json"}, {"join": "-"})
    ],
    "gliner": [
        ({"test.json": [
            {"tokenized_text": ["Ann"], "ner": [[0, 0, "x"]], "relations": [[0, 0, "is"]]}]},
         task, {}) for task in ("NER", "RE")
    ],
    "iepile": [
        ({"test.json": {
            "text": "Ann met", "entity": [{"entity": "Ann", "entity_type": "x"}],
            "relation": [{"head": "Ann", "relation": "is", "tail": "met"}],
            "event": [{"event_trigger": "met", "event_type": "meet",
                       "arguments": [{"argument": "Ann", "role": "who"}]}]},
          **stated}, task, {})
        for task in ("NER", "RE", "EET", "EEA")
        for stated in ({}, {"schema.json": [["x", "is", "meet"], ["who"], {"meet": ["who"]}]})
    ] + [
        ({"test.json": {
            "task": "EE", "source": "s",
            "instruction": {"schema": [{"event_type": "meet", "trigger": True,
                                        "arguments": ["who"]}], "input": "Ann met"},
            "output": {"meet": [{"trigger": "met", "arguments": {"who": ["Ann"]}}]}}}, task, {})
        for task in ("EET", "EEA")
    ],
    "label_studio": [
        ({"test.json": [{"data": {"text": "Ann"}, "annotations": [{"result": [
            {"id": "1", "type": "labels",
             "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["x"]}},
            {"type": "relation", "from_id": "1", "to_id": "1", "labels": ["is"],
             "direction": "right"}]}]}]}, task, {}) for task in ("NER", "RE")
    ] + [({"test.json": [{"text": "Ann", "label": [
        {"start": 0, "end": 3, "text": "Ann", "labels": ["x"]}]}]}, "NER", {})],
    "phee": [
        ({"test.json": {"context": "Ann met", "annotations": [{"events": [{
            "event_type": "Meet", "Trigger": {"text": [["met"]], "start": [[4]]},
            "Who": {**PIECES, "Age": PIECES}, "Severity": {}}]}]}}, task, {})
        for task in ("EET", "EEA")
    ],
    "rams": [
        ({"test.jsonl": {
            "sentences": [["Ann", "met"]], "evt_triggers": [[1, 1, [["meet", 1.0]]]],
            "gold_evt_links": [[[1, 1], [0, 0], "evt1arg1who"]]},
          "o.json": [["meet", ["evt1arg1who"]]]}, task, options)
        for task in ("EET", "EEA") for options in ({}, {"ontology": "o.json"})
    ],
    "relation_mentions": [
        ({"test.json": {
            "sentText": "Ann met", "relationMentions": [
                {"em1Text": "Ann", "em2Text": "met", "label": "is"}],
            "entityMentions": [{"text": "Ann", "label": "x"}]}}, task, {})
        for task in ("NER", "RE")
    ] + [({"test.json": {
        "sentext": "Ann met", "relations": [{"em1": "Ann", "em2": "met", "rtext": "is"}]}},
        "RE", {})],
    "spans": [
        ({"test.jsonl": {"text": "Ann met", field: [
            {**SPAN, "text": "Ann", "trigger": SPAN, "head": SPAN, "tail": {"text": "Ann"}}]}},
         task, {})
        for task, field in (("NER", "spans"), ("RE", "relations"), ("EET", "events"))
    ] + [({"test.jsonl": {
        "text": "Ann", "event": {"trigger": SPAN, "label": "x"}, "arguments": [SPAN]}},
        "EEA", {})],
    "spert": [
        ({"test.json": [{
            "tokens": ["Ann"], "entities": [{"type": "x", "start": 0, "end": 1}],
            "relations": [{"type": "is", "head": 0, "tail": 0}]}], **types}, task, {})
        for task in ("NER", "RE")
        for types in ({}, {"a_types.json": {"entities": {"x": {}}, "relations": {"is": {}}}})
    ] + [({"test.json": [{"tokens": ["Ann"], "tags": ["B-x"]}]}, "NER", {})],
    "triplets": [
        ({"test.json": {"triplets": [
            {"tokens": ["Ann", "met"], "head": [0], "tail": [1], "label": "is"}]}}, "RE", {})
    ],
    "wikievents": [
        ({"test.jsonl": {
            "sentences": [[[["Ann", 0, 3], ["met", 4, 7]], "Ann met"]],
            "entity_mentions": [{"id": "e", "entity_type": "x", "start": 0, "end": 1}],
            "event_mentions": [{"event_type": "meet", "trigger": {"start": 1, "end": 2},
                                "arguments": [{"entity_id": "e", "role": "who"}]}]},
          "o.json": {"meet": {"roles": ["who"]}}}, task, options)
        for task in ("NER", "EET", "EEA") for options in ({}, {"ontology": "o.json"})
    ],
}  # fmt: skip
#: Their files are UTF-8 alone, which has no halves, or (ie_instructions) tested by themselves.
OTHERS = {"bio", "bionlp", "brat", "entity_pairs", "ie_instructions", "semeval"}


def test_no_format_is_forgotten():
    assert set(CASES) | OTHERS == set(FORMATS)


def _halved(value: Any) -> list[Any]:
    """The value with each of its strings and names in turn as half a pair."""
    found = []
    for *path, last in places({"": value}):
        changed = {"": copy.deepcopy(value)}
        holder: Any = changed
        for key in path:
            holder = holder[key]
        if isinstance(holder[last], str):
            holder[last] = HALF
            found.append(changed[""])
        elif isinstance(last, str) and last:
            holder[HALF] = holder.pop(last)
            found.append(changed[""])
    return found


def _write(folder: Path, files: dict[str, Any], format: str) -> None:
    for name, value in files.items():
        if name == "schema.json":
            content = "\n".join(map(json.dumps, value))
        elif format == "iepile" and "instruction" in value:
            parts = {key: json.dumps(value[key]) for key in ("instruction", "output")
                     if key in value}  # fmt: skip
            content = json.dumps({**value, **parts})
        else:
            content = json.dumps(value)
        (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("format", "case"), [(name, n) for name in CASES for n in range(len(CASES[name]))]
)
def test_half_a_surrogate_pair_is_refused_or_not_read(tmp_path, format, case):
    files, task, options = CASES[format][case]
    _write(tmp_path, files, format)
    whole = survives(format, tmp_path, task, repair=False, **options)
    assert whole is not None
    assert sum(len(e.annotations) for e in whole[0]) >= 1
    tried = 0
    for name, value in files.items():
        for changed in _halved(value):
            _write(tmp_path, {**files, name: changed}, format)
            for repair in (False, True):
                survives(format, tmp_path, task, repair, **options)
            tried += 1
    assert tried >= 3
