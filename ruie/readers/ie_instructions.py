"""The IE_INSTRUCTIONS layout: ``{train,dev,test}.json`` and ``labels.json`` in one folder.

NER  ``{"sentence", "entities": [{"name", "type", "pos": [start, end)}]}``
RE   ``{"sentence", "relations": [{"type", "head": {"name", "pos"}, "tail": {"name", "pos"}}]}``
EET, EEA  ``{"sentence", "events": [{"type", "trigger", "pos", "arguments":
[{"name", "role", "pos"}]}]}``; an EEA record holds exactly one event.
``labels.json`` is a list, or ``{event type: [roles]}`` for events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ruie.cli import UserError
from ruie.readers import Bad, Fact, Mention, Record, Schema, Source, files

SUFFIXES = (".json",)
TASKS = ("NER", "RE", "EET", "EEA")
OPTIONS: dict[str, tuple[str, ...]] = {}
LABELS = "labels.json"


def schema(source: Source) -> Schema:
    """What ``labels.json`` says."""
    folder = source.path if source.path.is_dir() else source.path.parent
    path = folder / LABELS
    labels: Schema = files.document(path)
    events = source.task in ("EET", "EEA")
    lists = list(labels.values()) if events and isinstance(labels, dict) else [labels]
    if not labels or isinstance(labels, dict) != events or not all(map(_are_labels, lists)):
        form = "{event type: [roles]}" if events else "a list of labels"
        raise UserError(f"{path}: must be {form}, and not empty; correct it")
    return labels


def _are_labels(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(label, str) for label in value)


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    build, name = BUILDERS[source.task], str(file)
    for number, record in enumerate(files.array(file)):
        where = f"{name}#{number}"
        try:
            text = record["sentence"]
            if not isinstance(text, str):
                raise TypeError("the sentence is not a string")
            event, facts = build(record)
        except files.FAULTS as error:
            yield Bad(where, f"{files.why(error)}; expected a {source.task} record")
            continue
        yield Record(where, text, facts, event)


def _members(record: Any, field: str) -> list[Any]:
    """A record's list of annotations."""
    value = record[field]
    if not isinstance(value, list):
        raise TypeError(f"{field!r} is not a list")
    return value


def _mention(name: Any, pos: Any) -> Mention:
    """``pos`` is empty in files that never had offsets."""
    if not isinstance(name, str):
        raise TypeError(f"span name {name!r} is not a string")
    if isinstance(pos, list) and len(pos) == 2 and type(pos[0]) is type(pos[1]) is int:
        return Mention(name, pos[0], pos[1])
    if pos is None or pos == []:
        return Mention(name)
    return Mention(name, -1, -1)  # nothing stands there


def _fact(label: Any, *mentions: Mention) -> Fact:
    if not isinstance(label, str):
        raise TypeError(f"label {label!r} is not a string")
    return Fact(label, mentions)


_Built = tuple[Fact | None, list[Fact]]


def _entities(record: Any) -> _Built:
    return None, [
        _fact(e["type"], _mention(e["name"], e.get("pos"))) for e in _members(record, "entities")
    ]


def _relations(record: Any) -> _Built:
    return None, [
        _fact(r["type"], *(_mention(r[end]["name"], r[end].get("pos")) for end in ("head", "tail")))
        for r in _members(record, "relations")
    ]


def _trigger(event: Any) -> Fact:
    return _fact(event["type"], _mention(event["trigger"], event.get("pos")))


def _triggers(record: Any) -> _Built:
    return None, [_trigger(event) for event in _members(record, "events")]


def _arguments(record: Any) -> _Built:
    events = _members(record, "events")
    if len(events) != 1:
        raise ValueError(f"an EEA record holds exactly one event, this one {len(events)}")
    found = [
        _fact(a["role"], _mention(a["name"], a.get("pos")))
        for a in _members(events[0], "arguments")
    ]
    return _trigger(events[0]), found


BUILDERS: dict[str, Callable[[Any], _Built]] = {
    "NER": _entities,
    "RE": _relations,
    "EET": _triggers,
    "EEA": _arguments,
}
