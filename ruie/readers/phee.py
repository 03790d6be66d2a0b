"""PHEE: JSON lines of one sentence each, with its events and their nested arguments.

EET and EEA. An argument inside another is named with it (``Treatment.Drug``), drugs given together
are ``Combination.Drug``. Each mention of an argument, and each piece of a discontinuous one, is an
annotation; a trigger keeps its first piece. Negated, Speculated and Severity say something of the
event and are no arguments: left out, counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruie.readers import Fact, Mention, Source
from ruie.readers.checks import fact, listed, members, number, string
from ruie.readers.documents import Document, DocumentEvent, Instance, of_records

SUFFIXES = (".json", ".jsonl")
TASKS = ("EET", "EEA")
OPTIONS: dict[str, tuple[str, ...]] = {}
ATTRIBUTES = ("Negated", "Severity", "Speculated")
#: Fields of an argument, and of an event, that hold no argument.
OWN = ("text", "start", "entity_id", "value", "event_id", "event_type", "Trigger")
PIECES = "discontinuous span: each piece kept by itself"
FIRST_PIECE = "trigger of several pieces: first piece kept"


def records(file: Path, source: Source) -> Iterator[Instance]:
    return of_records(file, source, _document, "a sentence with its events")


def _document(record: Any, source: Source) -> tuple[Document, list[tuple[int, int]]]:
    document = Document(string(record["context"], "context"))
    for annotation in members(record, "annotations"):
        for event in members(annotation, "events"):
            first = _mentions(event["Trigger"], document, FIRST_PIECE)[0]
            further = len(event["Trigger"]["text"]) - 1
            document.losses += ["further trigger of an event left out"] * further
            given = list(_arguments(event, "", document))
            found = list(dict.fromkeys(given))
            document.notes += ["annotation given twice: kept once"] * (len(given) - len(found))
            found.sort(key=lambda argument: (argument.mentions[0].start, argument.mentions[0].end))
            trigger = fact(event["event_type"], first)
            document.events.append(DocumentEvent(trigger, found))
    return document, [(0, len(document.text))]


def _arguments(given: Any, path: str, document: Document) -> Iterator[Fact]:
    """Of an event or an argument: its own, and those inside them."""
    for name, value in given.items():
        if name in OWN:
            continue
        if name in ATTRIBUTES:
            document.notes.append(f"{name} of an event left out")
            continue
        role = f"{path}.{name}" if path else name
        if name == "Combination":
            for drugs in listed(value, name):
                yield from _arguments(drugs, name, document)
            continue
        yield from (fact(role, m) for m in _mentions(value, document, PIECES))
        yield from _arguments(value, role, document)


def _mentions(given: Any, document: Document, note: str) -> list[Mention]:
    """Each piece of each mention; ``note`` where one has several. ``ValueError`` for none."""
    out = []
    texts, starts = members(given, "text"), members(given, "start")
    for words, places in zip(texts, starts, strict=True):
        pieces = list(zip(listed(words, "text"), listed(places, "start"), strict=True))
        document.notes += [note] * (len(pieces) > 1)
        for piece, start in pieces:
            out.append(Mention(string(piece, "text"), number(start, "start"), start + len(piece)))
    if not out:
        raise ValueError("a trigger or an argument without a mention")
    return out
