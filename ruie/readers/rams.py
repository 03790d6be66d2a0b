"""RAMS: JSON lines, one event in a window of five tokenised sentences, joined by spaces.

EET and EEA. Option ``window``: ``all`` (default) or ``sentence``; ``ontology``: a file of all types
and roles below the data's folder, else the schema is what the files hold; ``types=coarse``: the
first level of each type. Roles lose their codes (``evt089arg02place``: place).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruie.readers import Fact, Mention, Schema, Source
from ruie.readers.checks import listed, members, number, string
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

SUFFIXES = (".jsonlines", ".jsonl")
TASKS = ("EET", "EEA")
OPTIONS = {"window": ("all", "sentence"), "ontology": (), "types": TYPES}


def schema(source: Source) -> Schema | None:
    return ontology(source, _role)


def records(file: Path, source: Source) -> Iterator[Instance]:
    return of_records(file, source, _document, "a window with its events")


def _role(name: str) -> str:
    return re.sub(r"^evt\d+arg\d+", "", name)


def _document(given: Any, source: Source) -> tuple[Document, list[tuple[int, int]]]:
    """The window and its units."""
    lengths = [len(listed(sentence, "a sentence")) for sentence in members(given, "sentences")]
    text, places = tokens(
        [string(word, "a token") for words in given["sentences"] for word in words]
    )

    def mention(span: Any) -> Mention:
        first, last = number(span[0], "a token number"), number(span[1], "a token number")
        if not 0 <= first <= last < len(places):
            raise ValueError(f"there are no tokens [{first}, {last}]")
        start, end = places[first][0], places[last][1]
        return Mention(text[start:end], start, end)

    document = Document(text)
    links = [
        (listed(t, "a trigger"), a, string(role, "a role"))
        for t, a, role in members(given, "gold_evt_links")
    ]
    triggers = [listed(t, "a trigger") for t in members(given, "evt_triggers")]
    for trigger in triggers:
        labels = [string(label[0], "label") for label in listed(trigger[2], "types")]
        document.losses += ["further type of an event left out"] * (len(labels) - 1)
        arguments = [Fact(_role(role), (mention(a),)) for t, a, role in links if t == trigger[:2]]
        kind = Fact(type_name(labels[0], source), (mention(trigger),))
        document.events.append(DocumentEvent(kind, arguments))
    known = [trigger[:2] for trigger in triggers]
    document.losses += ["argument of no event left out"] * sum(t not in known for t, _, _ in links)
    if source.options.get("window") != "sentence":
        return document, [(0, len(text))]
    units, at = [], 0
    for n in lengths:
        if n:
            units.append((places[at][0], places[at + n - 1][1]))
        at += n
    return document, units
