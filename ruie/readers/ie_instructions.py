"""The IE_INSTRUCTIONS layout: ``{train,dev,test}.json`` and ``labels.json`` in one folder.

NER  ``{"sentence", "entities": [{"name", "type", "pos": [start, end)}]}``
RE   ``{"sentence", "relations": [{"type", "head": {"name", "pos"}, "tail": {"name", "pos"}}]}``
EET, EEA  ``{"sentence", "events": [{"type", "trigger", "pos", "arguments":
[{"name", "role", "pos"}]}]}``; an EEA record holds exactly one event.
``labels.json`` is a list, or ``{event type: [roles]}`` for events.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ruie.cli import UserError
from ruie.examples import Annotation, Event, Example, Span
from ruie.readers import Problems, Source

#: Types that stand for "nothing" in real files; skipped and counted.
SKIPPED_TYPES = ("NA", "")


_Built = tuple[Event | None, list[str], list[Annotation]]


def read(source: Source, problems: Problems) -> Iterator[Example]:
    """Examples of one split, in file order.

    Raises ``UserError`` for a missing folder or file, malformed JSON or a missing field, and, when
    nothing is to be repaired, for a span that does not match its text or an undeclared label.
    """
    folder = source.path
    if not folder.is_dir():
        raise UserError(f"{folder}: no such data folder; mend the path in the dataset registry")
    labels = _load(folder / "labels.json")
    events = source.task in ("EET", "EEA")
    lists = list(labels.values()) if events and isinstance(labels, dict) else [labels]
    if not labels or isinstance(labels, dict) != events or not all(map(_are_labels, lists)):
        form = "{event type: [roles]}" if events else "a list of labels"
        raise UserError(f"{folder / 'labels.json'}: must be {form}, and not empty; correct it")
    path = folder / f"{source.split}.json"
    records = _load(path)
    if not isinstance(records, list):
        raise UserError(f"{path}: must hold a list of records")
    build = BUILDERS[source.task]
    for number, record in enumerate(records):
        where = f"{path}#{number}"
        try:
            text = record["sentence"]
            if not isinstance(text, str):
                raise TypeError("the sentence is not a string")
            text.encode()  # half a surrogate pair is no text, and could not be written
            event, schema, found = build(record, labels, _Finder(text, where, problems))
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            what = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{where}: {what}; expected a {source.task} record") from None
        if not text.strip():
            problems.add("empty sentence", where, repr(text), "record left out")
            continue
        yield Example(
            id=f"{source.dataset}/{source.split}/{number:06d}",
            task=source.task,
            dataset=source.dataset,
            split=source.split,
            text=text,
            schema=tuple(schema),
            annotations=tuple(found),
            event=event,
            source=f"{path.name}#{number}",
        )


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file; mend the path in the dataset registry") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); convert the file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: malformed JSON: {error}; correct the file") from None


def _are_labels(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(label, str) for label in value)


def _members(record: Any, field: str) -> list[Any]:
    """A record's list of annotations."""
    value = record[field]
    if not isinstance(value, list):
        raise TypeError(f"{field!r} is not a list")
    return value


class _Finder:
    """Finds a record's spans in its text and checks its labels."""

    def __init__(self, text: str, where: str, problems: Problems) -> None:
        self.text, self.where, self.problems = text, where, problems
        self.taken: set[tuple[int, int]] = set()

    def span(self, name: Any, pos: Any) -> Span | None:
        """The span at ``pos``, or, repaired, at the first free literal occurrence of ``name``."""
        if not isinstance(name, str):
            raise TypeError(f"span name {name!r} is not a string")
        if (
            isinstance(pos, list)
            and len(pos) == 2
            and all(type(p) is int for p in pos)
            and 0 <= pos[0] < pos[1]
            and self.text[pos[0] : pos[1]] == name
        ):
            self.taken.add((pos[0], pos[1]))
            return Span(name, pos[0], pos[1])
        what = f"span {name!r} does not stand at {pos}"
        at = self.text.find(name) if name else -1
        first = at
        while at >= 0 and (at, at + len(name)) in self.taken:
            at = self.text.find(name, at + 1)
        at = first if at < 0 else at
        if at < 0:
            self.problems.add("span not in text", self.where, what, "annotation left out")
            return None
        self.problems.add("wrong offsets", self.where, what, "found by literal search")
        self.taken.add((at, at + len(name)))
        return Span(name, at, at + len(name))

    def label(self, label: Any, declared: Any) -> bool:
        """Whether an annotation of this label is kept."""
        if not isinstance(label, str):
            raise TypeError(f"label {label!r} is not a string")
        if label in SKIPPED_TYPES:
            self.problems.note(f"type {label!r} skipped", self.where, repr(label))
            return False
        if label not in declared:
            detail = f"label {label!r} is not in labels.json"
            self.problems.add("unknown label", self.where, detail, "annotation left out")
            return False
        return True


def _entities(record: Any, labels: list[str], finder: _Finder) -> _Built:
    found = []
    for entity in _members(record, "entities"):
        if finder.label(entity["type"], labels):
            span = finder.span(entity["name"], entity.get("pos"))
            if span:
                found.append(Annotation(entity["type"], (span,)))
    return None, labels, found


def _relations(record: Any, labels: list[str], finder: _Finder) -> _Built:
    found = []
    for relation in _members(record, "relations"):
        if finder.label(relation["type"], labels):
            ends = [relation["head"], relation["tail"]]
            spans = [finder.span(end["name"], end.get("pos")) for end in ends]
            head, tail = spans
            if head and tail:
                found.append(Annotation(relation["type"], (head, tail)))
    return None, labels, found


def _triggers(record: Any, labels: dict[str, list[str]], finder: _Finder) -> _Built:
    found = []
    for event in _members(record, "events"):
        if finder.label(event["type"], labels):
            span = finder.span(event["trigger"], event.get("pos"))
            if span:
                found.append(Annotation(event["type"], (span,)))
    return None, list(labels), found


def _arguments(record: Any, labels: dict[str, list[str]], finder: _Finder) -> _Built:
    events = _members(record, "events")
    if len(events) != 1:
        raise ValueError(f"an EEA record holds exactly one event, this one {len(events)}")
    event = events[0]
    if event["type"] not in labels:
        raise ValueError(f"event type {event['type']!r} is not in labels.json")
    trigger = finder.span(event["trigger"], event.get("pos"))
    if trigger is None:
        raise ValueError(f"the given trigger {event['trigger']!r} is not in the sentence")
    roles, found = labels[event["type"]], []
    for argument in _members(event, "arguments"):
        if finder.label(argument["role"], roles):
            span = finder.span(argument["name"], argument.get("pos"))
            if span:
                found.append(Annotation(argument["role"], (span,)))
    return Event(event["type"], trigger), list(roles), found


BUILDERS: dict[str, Callable[[Any, Any, _Finder], _Built]] = {
    "NER": _entities,
    "RE": _relations,
    "EET": _triggers,
    "EEA": _arguments,
}
