"""JSON lines as doccano exports them.

``{"text", "label": [[start, end, type]]}`` (also ``labels``), or with relations ``{"text",
"entities": [{"id", "label", "start_offset", "end_offset"}], "relations": [{"from_id", "to_id",
"type"}]}``.

Option ``offsets``: what they count, which the file does not say: ``characters`` (code points),
``utf-16`` (units of JavaScript, two for most emoji) or ``graphemes`` (a project that counts
grapheme clusters as one character). doccano counted code points in old versions and UTF-16 units in
later ones, and files made elsewhere mostly count code points. Without the option the spans behind
characters beyond U+FFFF decide, over the whole file: under the right counting they stand inside the
text and neither begin nor end at a space or inside a word. Where they do not tell, the file is
refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from ruie.cli import UserError
from ruie.readers import Bad, Fact, Mention, Record, Source, checks, files, rows

SUFFIXES = (".jsonl", ".json")
TASKS = ("NER", "RE")
OPTIONS = {"offsets": ("", "characters", "utf-16", "graphemes")}
#: Said of a text in which the counting matters and was found out.
FOUND = {
    "characters": "offsets behind a character beyond U+FFFF count characters, as the spans show",
    "utf-16": "offsets behind a character beyond U+FFFF count UTF-16 units, as the spans show",
}


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    stated = source.options.get("offsets")
    counting = stated or _found_out(file)
    for where, record in rows.objects(file):
        if isinstance(record, Bad):
            yield record
            continue
        try:
            text = checks.string(record["text"], "the text")
            places = Places(text, counting)
            entities = _entities(record, places)
            facts = [fact for _, fact in entities]
            if source.task == "RE":
                facts = _relations(record, entities)
        except files.FAULTS as error:
            yield Bad(where, f"{files.why(error)}; expected a {source.task} record of doccano")
            continue
        notes = [FOUND[counting]] if places.matters and not stated else []
        yield Record(where, text, facts, notes=notes)


def _found_out(file: Path) -> str:
    """What the offsets of a file count. ``UserError`` where its spans do not tell."""
    faults = {counting: Counter[str]() for counting in FOUND}
    undecided = ""
    for where, record in rows.objects(file):
        try:
            text = checks.string(record["text"], "the text")
            if not _beyond(text):
                continue
            told = {counting: Places(text, counting) for counting in FOUND}
            found = {counting: _entities(record, told[counting]) for counting in FOUND}
        except files.FAULTS:
            continue  # said when the records are read
        for counting, places in told.items():
            faults[counting] += places.faults
        if found["characters"] != found["utf-16"]:
            undecided = undecided or where
    ranks = {c: (n["nowhere"], n["torn"]) for c, n in faults.items()}
    if undecided and ranks["characters"] == ranks["utf-16"]:
        raise UserError(
            f"{undecided}: offsets behind a character beyond U+FFFF (an emoji) count characters or "
            "UTF-16 units, and the file's spans do not tell which; say it with the option offsets= "
            "(characters, utf-16 or graphemes)"
        )
    return min(FOUND, key=lambda counting: ranks[counting])


def _beyond(text: str) -> bool:
    return any(character > "\uffff" for character in text)


class Places:
    """Offsets of one text, turned into those of its characters. ``matters``: some would mean other
    characters under another counting; ``faults``: of such spans, how many stand nowhere and how
    many are torn out of a word or begin or end with a space."""

    def __init__(self, text: str, counting: str) -> None:
        self.text, self.matters, self.faults = text, False, Counter[str]()
        self.at: dict[int, int] | None = None  # None: offsets are those of the characters
        self.safe = len(text)  # up to here both countings are the same
        if counting == "graphemes":
            self.at = _graphemes(text)
        elif _beyond(text):
            self.safe = next(at for at, character in enumerate(text) if character > "\uffff")
            self.at = rows.utf16(text) if counting == "utf-16" else None

    def mention(self, start: Any, end: Any) -> Mention:
        start, end = rows.offsets(start, end)
        found = self._mention(start, end)
        if end > self.safe:
            self.matters = True
            self.faults["nowhere"] += not found.text
            self.faults["torn"] += bool(found.text) and self._torn(found)
        return found

    def _mention(self, start: int, end: int) -> Mention:
        if self.at is None:
            return rows.mention(self.text, start, end)
        first, last = self.at.get(start, 0), self.at.get(end, 0)
        if start not in self.at or first >= last:
            return Mention("", start, end)  # behind the text, or inside a character
        return rows.mention(self.text, first, last)

    def _torn(self, found: Mention) -> bool:
        if found.text != found.text.strip():
            return True
        inside = [(self.text[: found.start], found.text), (found.text, self.text[found.end :])]
        return any((left[-1:] + right[:1]).isalnum() and left and right for left, right in inside)


def _graphemes(text: str) -> dict[int, int]:
    """Grapheme clusters before a place -> characters before it."""
    import regex  # type: ignore[import-untyped]

    sizes = map(len, regex.findall(r"\X", text))
    return dict(enumerate(accumulate(sizes, initial=0)))


def _entities(record: Any, places: Places) -> list[tuple[Any, Fact]]:
    """Ids (None where there are none) and spans."""
    present = [name for name in ("label", "labels", "entities") if name in record]
    filled = [name for name in present if record[name]]
    if len(filled) > 1:
        raise ValueError(f"spans stand in {filled[0]!r} and in {filled[1]!r}")
    field = next(iter(filled + present), "label")
    found = []
    for member in checks.members(record, field):
        if isinstance(member, list):
            start, end, label = member
            found.append((None, checks.fact(label, places.mention(start, end))))
            continue
        mention = places.mention(member["start_offset"], member["end_offset"])
        found.append((_id(member.get("id")), checks.fact(member["label"], mention)))
    return found


def _id(value: Any) -> Any:
    if value is not None and not isinstance(value, (int, str)):
        raise TypeError(f"id {value!r} is neither a number nor a string")
    return value


def _relations(record: Any, members: list[tuple[Any, Fact]]) -> list[Fact]:
    found, entities = [], dict(members)
    if None not in entities and len(entities) != len(members):
        raise ValueError("two entities have the same id")
    for relation in checks.members(record, "relations"):
        ends = [_id(relation[name]) for name in ("from_id", "to_id")]
        if unknown := [end for end in ends if end is None or end not in entities]:
            raise ValueError(f"a relation names the entity {unknown[0]!r}, which is not there")
        found.append(checks.fact(relation["type"], *(entities[end].mentions[0] for end in ends)))
    return found
