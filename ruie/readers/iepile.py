"""The two forms of IEPile, JSON lines.

Instructions  ``{"task", "source", "instruction", "output"}``, the latter two JSON in a string:
``{"instruction", "schema", "input"}`` and NER ``{type: [entity]}``, RE ``{relation: [{"subject",
"object"}]}``, EE ``{type: [{"trigger", "arguments": {role: argument or arguments}}]}``, EET
``{type: [trigger]}``, EEA ``{type: [{role: argument or arguments}]}`` with the trigger in the
schema. A text's labels are asked for a few at a time, so the rows of one text and source are put
together; those of a file are held in memory.

Raw  ``{"text", "entity": [{"entity", "entity_type"}], "relation": [{"head", "relation", "tail"}],
"event": [{"event_trigger", "event_type", "arguments": [{"argument", "role"}]}]}``, with a
``schema.json`` of three lines beside it (types, roles, ``{event type: [roles]}``); an instruction
file for tests holds these lists as ``label``.

There are no offsets. ``"NAN"`` stands for nothing. Events (EE) serve both EET and EEA, where each
event is a record. Option ``source``: only the rows of this source.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ruie.cli import UserError
from ruie.readers import (
    Bad,
    Fact,
    Mention,
    Record,
    Schema,
    Skip,
    Source,
    build,
    checks,
    files,
    rows,
)

SUFFIXES = (".json", ".jsonl")
TASKS = ("NER", "RE", "EET", "EEA")
OPTIONS = {"source": ()}
T = TypeVar("T")
#: Tasks of rows that a task can be read from, and where a raw record holds it.
ROWS = {"NER": ("NER",), "RE": ("RE",), "EET": ("EE", "EET"), "EEA": ("EE", "EEA")}
RAW = {"NER": "entity", "RE": "relation", "EET": "event", "EEA": "event"}
NOTHING = ("NAN", "")
STRIPPED = "spaces around a span's string stripped"
NO_TRIGGER = "event without a trigger left out"
TOGETHER = "instructions of one text put together"


class Part(NamedTuple):
    """What one row says: the facts of NER, RE, EET, or one EEA event and its arguments."""

    event: Fact | None
    facts: tuple[Fact, ...]


def schema(source: Source) -> Schema | None:
    """What ``schema.json`` says, or what the instructions ask for."""
    folder = source.path if source.path.is_dir() else source.path.parent
    if (folder / "schema.json").is_file():
        return _stated(folder / "schema.json", source.task)
    splits = {*build.SPLIT_NAMES, source.split}
    paths = {path for split in splits for path in build.split_files(source, SUFFIXES, split)}
    asked: dict[str, set[str]] = {}
    for path in sorted(paths):
        for _, row in rows.objects(path):
            try:
                if not _unwanted(row, source):
                    for label, roles in _asked(rows.inner(row["instruction"])["schema"]):
                        asked.setdefault(label, set()).update(roles)
            except files.FAULTS:
                continue  # said when the records are read
    found = {label: sorted(asked[label]) for label in sorted(asked)}
    return (found if source.task == "EEA" else list(found)) or None


def _stated(path: Path, task: str) -> Schema:
    lines = [files.value(line, str(path)) for _, line in files.lines(path) if line.strip()]
    fits = [isinstance(line, kind) for line, kind in zip(lines, (list, list, dict), strict=False)]
    if len(lines) != 3 or not all(fits):
        raise UserError(f"{path}: must hold a list of types, one of roles and an object of roles")
    types, _, roles = lines
    lists = [types, *roles.values()]
    try:
        for label in [label for members in lists for label in checks.listed(members)]:
            checks.string(label)
        for event in roles:
            checks.string(event)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: types and roles must be lists of strings: {error}") from None
    found: Schema = roles if task == "EEA" else types
    return found


def _asked(labels: Any) -> Iterator[tuple[str, list[str]]]:
    """Labels of an instruction's schema, with the roles of an event type."""
    for label in labels if isinstance(labels, list) else []:
        if isinstance(label, dict):
            roles = label.get("arguments") or []
            names = [checks.string(role, "role") for role in roles if isinstance(role, str)]
            yield checks.string(label["event_type"], "event_type"), names
        else:
            yield checks.string(label, "label"), []


def _unwanted(row: Any, source: Source) -> str:
    """Why a row of instructions is not read; empty for one that is."""
    if "source" in source.options and row.get("source") != source.options["source"]:
        return "row of another source"
    task = row.get("task", source.task)
    return "" if task in ROWS[source.task] else f"row of the task {task!r}"


def records(file: Path, source: Source) -> Iterator[Record | Bad | Skip]:
    texts: dict[tuple[str, str], tuple[str, list[list[Part]], list[str]]] = {}
    for where, row in rows.objects(file):
        if isinstance(row, Bad):
            yield row
            continue
        try:
            if unwanted := _unwanted(row, source):
                yield Skip(where, unwanted)
            elif "instruction" in row:
                notes: list[str] = []
                text, parts = _instruction(row, source.task, notes)
                key = (str(row.get("source")), text)
                _, before, all_notes = texts.setdefault(key, (where, [], []))
                all_notes += [TOGETHER] * (bool(before) and TOGETHER not in all_notes) + notes
                before.append(parts)
            elif RAW[source.task] in row:
                notes = []
                text = checks.string(row["text"], "the text")
                parts = _raw(checks.members(row, RAW[source.task]), source.task, notes)
                yield from _records(where, text, parts, notes)
            else:
                checks.string(row["text"], "the text")
                yield Skip(where, f"record without {RAW[source.task]!r}")
        except files.FAULTS as error:
            yield Bad(where, f"{files.why(error)}; expected a {source.task} record of IEPile")
    for (_, text), (where, told, notes) in texts.items():
        yield from _records(where, text, _united(told, source.task), notes)


def _united(told: list[list[Part]], task: str) -> list[Part]:
    """The parts of several rows: what an earlier row said is the same and said once."""
    if task == "EEA":
        return _once(told)
    facts = [[fact for part in parts for fact in part.facts] for parts in told]
    return [Part(None, tuple(_once(facts)))]


def _once(told: list[list[T]]) -> list[T]:
    found: list[T] = []
    for members in told:
        before = set(found)
        found += [member for member in members if member not in before]
    return found


def _records(where: str, text: str, parts: list[Part], notes: list[str]) -> Iterator[Record | Skip]:
    if not parts:
        yield from (Skip(where, note) for note in notes or ["text without an event"])
    for number, part in enumerate(parts):
        said = notes if number == 0 else []
        others = [note for note in said if note != NO_TRIGGER]
        losses = [NO_TRIGGER] * (len(said) - len(others))
        yield Record(where, text, part.facts, part.event, others, losses)


def _mention(value: Any, notes: list[str]) -> Mention:
    name = checks.string(value, "span")
    notes += [STRIPPED] * (name != name.strip())
    return Mention(name.strip())


def _instruction(row: Any, task: str, notes: list[str]) -> tuple[str, list[Part]]:
    asked = _json(row["instruction"])
    text = checks.string(asked["input"], "the input")
    list(_asked(asked.get("schema")))  # a label that is none makes the row bad
    if "output" not in row:
        label = _json(row["label"])
        return text, _raw(checks.members({"label": label}, "label"), task, notes)
    output = _json(row["output"])
    if isinstance(output, list) and task in ("EET", "EEA"):
        return text, _raw(output, task, notes)
    if not isinstance(output, dict):
        raise TypeError("the output is not an object")
    if task in ("NER", "RE"):
        facts = [
            checks.fact(label, *_ends(member, task, notes))
            for label in output
            for member in checks.members(output, label)
            if member not in NOTHING
        ]
        return text, [Part(None, tuple(facts))]
    events = []
    for kind in output:
        told = [e for e in checks.members(output, kind) if e not in NOTHING]
        triggers = _triggers(asked.get("schema"), kind) if task == "EEA" else []
        if len(triggers) == 1 and len(told) <= 1:  # an event without arguments is not told
            told = [_with_trigger(e, triggers[0]) for e in told or [{}]]
        events += [_event(kind, event) for event in told]
    return text, _parts(events, task, notes)


def _json(value: Any) -> Any:
    return rows.inner(value) if isinstance(value, str) else value


def _ends(member: Any, task: str, notes: list[str]) -> list[Mention]:
    named = [member] if task == "NER" else [member["subject"], member["object"]]
    return [_mention(name, notes) for name in named]


def _triggers(labels: Any, kind: str) -> list[str]:
    """The triggers that an EEA instruction names for an event type."""
    for label in labels if isinstance(labels, list) else []:
        if isinstance(label, dict) and label.get("event_type") == kind:
            named = label.get("trigger")
            triggers = named if isinstance(named, list) else [named]
            return [trigger for trigger in triggers if isinstance(trigger, str)]
    return []


def _with_trigger(event: Any, trigger: str) -> Any:
    if not isinstance(event, dict) or "trigger" in event or "event_trigger" in event:
        return event
    return {"trigger": trigger, "arguments": event.get("arguments", event)}


def _event(kind: str, event: Any) -> Any:
    """An event of an output as a raw record has it."""
    if isinstance(event, str):
        event = {"trigger": event}
    return {"arguments": [], **event, "event_type": kind}


def _raw(members: list[Any], task: str, notes: list[str]) -> list[Part]:
    if task == "NER":
        facts = [checks.fact(e["entity_type"], _mention(e["entity"], notes)) for e in members]
        return [Part(None, tuple(facts))]
    if task == "RE":
        facts = [
            checks.fact(r["relation"], _mention(r["head"], notes), _mention(r["tail"], notes))
            for r in members
        ]
        return [Part(None, tuple(facts))]
    return _parts(members, task, notes)


def _parts(events: list[Any], task: str, notes: list[str]) -> list[Part]:
    found = []
    for event in events:
        trigger = event.get("event_trigger", event.get("trigger"))
        if trigger is None or trigger in NOTHING:
            notes.append(NO_TRIGGER)
            continue
        fact = checks.fact(event["event_type"], _mention(trigger, notes))
        facts = _arguments(event["arguments"], notes) if task == "EEA" else []
        found.append(Part(fact, tuple(facts)))
    if task == "EEA":
        return found
    return [Part(None, tuple(part.event for part in found if part.event))]


def _arguments(arguments: Any, notes: list[str]) -> list[Fact]:
    if isinstance(arguments, dict):
        pairs = [
            (role, argument)
            for role, told in arguments.items()
            for argument in (told if isinstance(told, list) else [told])
        ]
    elif isinstance(arguments, list):
        pairs = [(a["role"], a["argument"]) for a in arguments]
    else:
        raise TypeError("'arguments' is neither a list nor an object")
    return [
        checks.fact(role, _mention(argument, notes))
        for role, argument in pairs
        if argument not in NOTHING
    ]
