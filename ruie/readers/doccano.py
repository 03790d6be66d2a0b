"""JSON lines as doccano exports them.

``{"text", "label": [[start, end, type]]}`` (also ``labels``), or with relations ``{"text",
"entities": [{"id", "label", "start_offset", "end_offset"}], "relations": [{"from_id", "to_id",
"type"}]}``.

Option ``offsets``: what doccano counted, which its file does not tell: ``utf16`` (the default: its
editor counts as JavaScript does), ``graphemes`` (a project that counts grapheme clusters as one
character) or ``characters`` (code points: old versions, before relations). Without it, texts where
this matters are noted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from ruie.readers import Bad, Fact, Mention, Record, Source, files, rows

SUFFIXES = (".jsonl", ".json")
TASKS = ("NER", "RE")
OPTIONS = {"offsets": ("utf16", "graphemes", "characters")}
ASSUMED = "offsets behind a character beyond U+FFFF taken as UTF-16 units (option offsets)"


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    counting = source.options.get("offsets")
    for where, record in rows.objects(file):
        if isinstance(record, Bad):
            yield record
            continue
        try:
            text = rows.string(record["text"], "the text")
            places = Places(text, counting or "utf16")
            entities = _entities(record, places)
            facts = [fact for _, fact in entities]
            if source.task == "RE":
                facts = _relations(record, entities)
        except files.FAULTS as error:
            yield Bad(where, f"{files.why(error)}; expected a {source.task} record of doccano")
            continue
        yield Record(where, text, facts, notes=[ASSUMED] * (counting is None and places.moved))


class Places:
    """Offsets of one text, turned into those of its characters."""

    def __init__(self, text: str, counting: str) -> None:
        self.text, self.moved = text, False
        self.at: dict[int, int] | None = None  # None: offsets are those of the characters
        if counting == "graphemes":
            self.at = _graphemes(text)
        elif counting == "utf16" and any(character > "\uffff" for character in text):
            self.at = rows.utf16(text)

    def mention(self, start: Any, end: Any) -> Mention:
        start, end = rows.offsets(start, end)
        if self.at is None:
            return rows.mention(self.text, start, end)
        first, last = self.at.get(start, 0), self.at.get(end, 0)
        if start not in self.at or first >= last:
            return Mention("", start, end)  # behind the text, or inside a character
        self.moved |= last != end
        return rows.mention(self.text, first, last)


def _graphemes(text: str) -> dict[int, int]:
    """Grapheme clusters before a place -> characters before it."""
    import regex  # type: ignore[import-untyped]

    sizes = map(len, regex.findall(r"\X", text))
    return dict(enumerate(accumulate(sizes, initial=0)))


def _entities(record: Any, places: Places) -> list[tuple[Any, Fact]]:
    """Ids (None where there are none) and spans."""
    field = next((name for name in ("label", "labels", "entities") if name in record), "label")
    found = []
    for member in rows.members(record, field):
        if isinstance(member, list):
            start, end, label = member
            found.append((None, rows.fact(label, places.mention(start, end))))
            continue
        mention = places.mention(member["start_offset"], member["end_offset"])
        found.append((_id(member.get("id")), rows.fact(member["label"], mention)))
    return found


def _id(value: Any) -> Any:
    if value is not None and not isinstance(value, (int, str)):
        raise TypeError(f"id {value!r} is neither a number nor a string")
    return value


def _relations(record: Any, members: list[tuple[Any, Fact]]) -> list[Fact]:
    found, entities = [], dict(members)
    if None not in entities and len(entities) != len(members):
        raise ValueError("two entities have the same id")
    for relation in rows.members(record, "relations"):
        ends = [_id(relation[name]) for name in ("from_id", "to_id")]
        if unknown := [end for end in ends if end is None or end not in entities]:
            raise ValueError(f"a relation names the entity {unknown[0]!r}, which is not there")
        found.append(rows.fact(relation["type"], *(entities[end].mentions[0] for end in ends)))
    return found
