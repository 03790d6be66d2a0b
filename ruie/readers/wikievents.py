"""WikiEvents: JSON lines of documents, NER, EET and EEA by sentence.

The sentences' own texts are kept (``Al-Monitor``, not its tokens ``Al - Monitor``). Option
``ontology``: a file of all types and roles below the data's folder, else the schema is what the
files hold; ``types=coarse``: the first level of each event type.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruie.readers import Mention, Schema, Source
from ruie.readers.checks import fact, listed, members, number, string
from ruie.readers.documents import (
    TYPES,
    Document,
    DocumentEvent,
    Instance,
    of_records,
    ontology,
    tokens,
    type_name,
)

SUFFIXES = (".jsonl",)
TASKS = ("NER", "EET", "EEA")
OPTIONS = {"ontology": (), "types": TYPES}


def schema(source: Source) -> Schema | None:
    return ontology(source)


def records(file: Path, source: Source) -> Iterator[Instance]:
    return of_records(file, source, _document, "a document with sentences")


def _document(given: Any, source: Source) -> tuple[Document, list[tuple[int, int]]]:
    """The sentences' texts, one a line, and where each stands."""
    document = Document("")
    units: list[tuple[int, int]] = []
    places: list[tuple[int, int]] = []  # of each token of the document
    for words, own in members(given, "sentences"):
        text, mine = _sentence(
            listed(words, "a sentence"), string(own, "a sentence").strip(), document
        )
        first = len(document.text)
        document.text += text + "\n"
        units.append((first, first + len(text)))
        places += [(first + start, first + end) for start, end in mine]

    def mention(m: Any) -> Mention:
        first, last = number(m["start"], "start"), number(m["end"], "end") - 1
        if not 0 <= first <= last < len(places):
            raise ValueError(f"there are no tokens [{first}, {last + 1}]")
        start, end = places[first][0], places[last][1]
        return Mention(document.text[start:end], start, end)

    entities = {string(m["id"], "id"): m for m in members(given, "entity_mentions")}
    if source.task == "NER":
        for m in entities.values():
            document.entities.append(fact(m["entity_type"], mention(m)))
        return document, units
    for event in members(given, "event_mentions"):
        arguments = []
        for a in members(event, "arguments"):
            if a["entity_id"] not in entities:
                raise ValueError(f"argument {a['entity_id']!r} is no entity of the document")
            arguments.append(fact(a["role"], mention(entities[a["entity_id"]])))
        kind = type_name(string(event["event_type"], "event_type"), source)
        document.events.append(DocumentEvent(fact(kind, mention(event["trigger"])), arguments))
    return document, units


def _sentence(words: list[Any], text: str, document: Document) -> tuple[str, list[tuple[int, int]]]:
    """A sentence's text and where its tokens stand; their offsets count from anywhere."""
    names = [string(word[0], "a token") for word in words]
    first = number(words[0][1], "an offset") if words else 0
    places = [
        (number(word[1], "an offset") - first, number(word[2], "an offset") - first)
        for word in words
    ]
    if all(s >= 0 and text[s:e] == name for (s, e), name in zip(places, names, strict=True)):
        return text, places
    document.notes.append("sentence that does not hold its tokens: tokens joined by spaces")
    return tokens(names)
