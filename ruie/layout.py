"""Writes the IE_INSTRUCTIONS layout that ``ruie.readers.ie_instructions`` reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruie import parquet
from ruie.examples import Annotation, Example, Span

SPLITS = ("train", "dev", "test")


def write(examples: Iterable[Example], folder: Path) -> None:
    """``{split}.json`` for the splits of the examples, in their order, and ``labels.json``.

    The examples are of one task and one dataset. A split that the folder held before and the
    examples do not have is removed.
    """
    members = list(examples)
    _put(_labels(members), folder / "labels.json")
    for split in SPLITS:
        path = folder / f"{split}.json"
        mine = [_record(e) for e in members if e.split == split]
        if mine:
            _put(mine, path)
        else:
            path.unlink(missing_ok=True)


def _labels(examples: list[Example]) -> Any:
    """The label set: a list, or the roles of each event type (EEA: of those that occur)."""
    task = examples[0].task
    if task == "EEA":
        return {e.event.type: list(e.schema) for e in examples if e.event}
    names = list(dict.fromkeys(label for e in examples for label in e.schema))
    return {name: [] for name in names} if task == "EET" else names


def _put(value: Any, path: Path) -> None:
    """One member a line, so that people and version control can read it."""
    if isinstance(value, dict):
        members = [f"{_json(name)}: {_json(member)}" for name, member in value.items()]
        text = "{\n" + ",\n".join(members) + "\n}\n"
    else:
        text = "[\n" + ",\n".join(map(_json, value)) + "\n]\n"
    with parquet.replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _record(e: Example) -> dict[str, Any]:
    if e.task == "NER":
        return {
            "sentence": e.text,
            "entities": [{**_span(a.spans[0]), "type": a.label} for a in e.annotations],
        }
    if e.task == "RE":
        return {"sentence": e.text, "relations": [_relation(a) for a in e.annotations]}
    if e.event is None:
        events = [_event(a.label, a.spans[0], []) for a in e.annotations]
    else:
        arguments = [{**_span(a.spans[0]), "role": a.label} for a in e.annotations]
        events = [_event(e.event.type, e.event.trigger, arguments)]
    return {"sentence": e.text, "events": events}


def _span(span: Span) -> dict[str, Any]:
    return {"name": span.text, "pos": [span.start, span.end]}


def _relation(a: Annotation) -> dict[str, Any]:
    head, tail = map(_span, a.spans)
    return {"type": a.label, "head": head, "tail": tail}


def _event(kind: str, trigger: Span, arguments: list[dict[str, Any]]) -> dict[str, Any]:
    pos = [trigger.start, trigger.end]
    return {"type": kind, "trigger": trigger.text, "pos": pos, "arguments": arguments}
