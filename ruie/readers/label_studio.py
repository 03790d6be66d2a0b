"""The JSON and JSON-MIN exports of Label Studio: a list of tasks.

JSON    ``{"data": {"text"}, "annotations": [{"was_cancelled", "result": [{"id", "type": "labels",
"value": {"start", "end", "text", "labels"}}, {"type": "relation", "from_id", "to_id", "labels",
"direction"}]}]}``
JSON-MIN  ``{"text", "label": [{"start", "end", "text", "labels"}]}``, the name of the list being
that of the labelling tag; it holds no relations.

Option ``field``: the name of the text in the tasks' data (``text``). Of several annotations of one
task the first that was not cancelled is taken. Label Studio counted UTF-16 units in some versions
and characters in others; where the annotated string tells, it decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ruie.readers import Bad, Fact, Mention, Record, Skip, Source, checks, files, rows

SUFFIXES = (".json",)
TASKS = ("NER", "RE")
OPTIONS = {"field": ()}
UTF16 = "offsets counted UTF-16 units, as the annotated string shows"
SPACING = "annotated string and text differ in spacing: the text is taken"
UNTOLD = "no annotated string behind a character beyond U+FFFF: offsets taken as characters"
SEVERAL = "several annotations of one task: the first is taken"
NO_LABEL = "region without a label left out"
NO_RELATION = "relation without a label left out"


def records(file: Path, source: Source) -> Iterator[Record | Bad | Skip]:
    field = source.options.get("field", "text")
    seen: set[Any] = set()  # tasks of JSON-MIN, where each annotation is a record
    for where, task in rows.objects(file):
        if isinstance(task, Bad):
            yield task
            continue
        try:
            if "annotations" in task or "completions" in task:
                yield _task(where, task, field, source.task)
                continue
            if source.task == "RE":
                raise ValueError("no annotations (JSON-MIN holds no relations: export as JSON)")
            number = task.get("id")
            if isinstance(number, (int, str)) and number in seen:
                yield Skip(where, SEVERAL)
                continue
            record = _small_task(where, task, field)
            if isinstance(number, (int, str)):
                seen.add(number)
            yield record
        except files.FAULTS as error:
            yield Bad(where, f"{files.why(error)}; expected a {source.task} task of Label Studio")


def _text(data: Any, field: str) -> str:
    if field not in data:
        names = ", ".join(sorted(name for name, value in data.items() if isinstance(value, str)))
        raise ValueError(f"no text in field {field!r}: name it with the option field= ({names})")
    return checks.string(data[field], f"field {field!r}")


def _task(where: str, task: Any, field: str, kind: str) -> Record | Skip:
    name = "annotations" if "annotations" in task else "completions"
    done = [
        annotation
        for annotation in checks.members(task, name)
        if not (annotation.get("was_cancelled") or annotation.get("skipped"))
    ]
    if not done:
        return Skip(where, "task without an annotation that was not cancelled")
    text = _text(task["data"], field)
    notes = [SEVERAL] * (len(done) > 1)
    dropped: list[str] = []
    entities: list[Fact] = []
    regions: dict[str, Mention] = {}
    relations = []
    for result in checks.members(done[0], "result"):
        if result["type"] == "relation":
            relations.append(result)
        elif result["type"] == "labels":
            facts = _region(text, result["value"], notes)
            entities += facts
            regions |= {str(result.get("id")): fact.mentions[0] for fact in facts}
        else:
            form = result["type"]
            # results of other forms label no span
            listed = dropped if str(form).endswith("labels") else notes
            listed.append(f"result of type {form!r} left out")
    if kind == "NER":
        return _record(where, text, entities, notes, NO_LABEL, dropped)
    found = [fact for relation in relations for fact in _relation(relation, regions, notes)]
    return _record(where, text, found, notes, NO_RELATION, dropped)


def _record(
    where: str,
    text: str,
    facts: list[Fact],
    notes: list[str],
    loss: str,
    dropped: Sequence[str] = (),
) -> Record:
    """``loss``: the note that costs an annotation."""
    others = [note for note in notes if note != loss]
    losses = [loss] * (len(notes) - len(others))
    return Record(where, text, facts, notes=others, losses=[*losses, *dropped])


def _small_task(where: str, task: Any, field: str) -> Record:
    text = _text(task, field)
    notes: list[str] = []
    regions = [
        member
        for value in task.values()
        if isinstance(value, list)
        for member in value
        if isinstance(member, dict) and "labels" in member
    ]
    facts = [fact for region in regions for fact in _region(text, region, notes)]
    return _record(where, text, facts, notes, NO_LABEL)


def _region(text: str, value: Any, notes: list[str]) -> list[Fact]:
    """The spans of a region: one for each of its labels."""
    mention = _mention(text, value, notes)
    labels = checks.members(value, "labels")
    if not labels:
        notes.append(NO_LABEL)
    return [checks.fact(label, mention) for label in labels]


def _mention(text: str, value: Any, notes: list[str]) -> Mention:
    start, end = rows.offsets(value["start"], value["end"])
    here = rows.mention(text, start, end)
    said = value.get("text")
    if said is None:
        notes += [UNTOLD] * any(character > "\uffff" for character in text[: max(end, 0)])
        return here
    checks.string(said, "text of a region")
    if here.text == said:
        return here
    units = rows.utf16(text)
    there = rows.mention(text, units.get(start, -1), units.get(end, -1))
    for found, note in ((there, UTF16), (here, SPACING), (there, SPACING)):
        same = found.text.split() == said.split() if note is SPACING else found.text == said
        if same and found.text:
            notes.append(note)
            return found
    return Mention(said, start, end)


def _relation(relation: Any, regions: dict[str, Mention], notes: list[str]) -> Sequence[Fact]:
    ends = [str(relation[name]) for name in ("from_id", "to_id")]
    if unknown := [end for end in ends if end not in regions]:
        raise ValueError(f"a relation names the region {unknown[0]!r}, which has no label here")
    head, tail = (regions[end] for end in ends)
    direction = relation.get("direction") or "right"
    if direction not in ("right", "left", "bi"):
        raise ValueError(f"direction {direction!r} is neither right nor left nor bi")
    labels = checks.members(relation, "labels") if relation.get("labels") else []
    if not labels:
        notes.append(NO_RELATION)
    found = []
    for label in labels:
        if direction != "left":
            found.append(checks.fact(label, head, tail))
        if direction != "right":
            found.append(checks.fact(label, tail, head))
        notes += ["relation in both directions: two annotations"] * (direction == "bi")
    return found
