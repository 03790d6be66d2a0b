"""JSON lines of sentences with relation mentions by their strings, in two forms.

``{"sentText", "relationMentions": [{"em1Text", "em2Text", "label"}], "entityMentions": [{"text",
"label"}]}``: RE and, by the latter list, NER. Its ``start`` numbers the mentions and is not read.
``{"sentext", "relations": [{"em1", "em2", "rtext"}]}``: RE alone; its tags by token are not read.

em1 is the head. There are no offsets. The label ``None`` says that there is no relation; what a
sentence says twice is said once. Both are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruie.readers import Bad, Fact, Mention, Record, Source, checks, files, rows

SUFFIXES = (".json", ".jsonl")
TASKS = ("NER", "RE")
OPTIONS: dict[str, tuple[str, ...]] = {}
#: Name of the text -> of the relations' list, and in each: label, head, tail.
FORMS = {
    "sentText": ("relationMentions", "label", "em1Text", "em2Text"),
    "sentext": ("relations", "rtext", "em1", "em2"),
}
NONE = "label 'None' skipped: no relation, no entity"
AGAIN = "repeated annotation left out"


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    for where, record in rows.objects(file):
        if isinstance(record, Bad):
            yield record
            continue
        try:
            text, facts = _read(record, source.task)
        except files.FAULTS as error:
            yield Bad(where, f"{files.why(error)}; expected a sentence with {source.task} mentions")
            continue
        told = [fact for fact in facts if fact.label != "None"]
        once = list(dict.fromkeys(told))
        notes = [NONE] * (len(facts) - len(told)) + [AGAIN] * (len(told) - len(once))
        yield Record(where, text, once, notes=notes)


def _read(record: Any, task: str) -> tuple[str, list[Fact]]:
    form = next((name for name in FORMS if name in record), "sentText")
    text = checks.string(record[form], repr(form)).strip()
    if task == "NER":
        entities = checks.members(record, "entityMentions")
        return text, [checks.fact(e["label"], _mention(e, "text")) for e in entities]
    field, label, head, tail = FORMS[form]
    return text, [
        checks.fact(r[label], _mention(r, head), _mention(r, tail))
        for r in checks.members(record, field)
    ]


def _mention(given: Any, field: str) -> Mention:
    return Mention(checks.string(given[field], repr(field)).strip())
