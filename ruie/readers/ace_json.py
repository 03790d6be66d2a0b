"""JSON of the common ACE preprocessing: a list of tokenised sentences with
``golden-entity-mentions`` and ``golden-event-mentions``, which count tokens, ends excluded.

NER, EET and EEA. The text is ``words`` joined by spaces, with the brackets of the Penn Treebank
(``-LRB-``) turned back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruie.readers import Bad, Fact, Mention, Record, Source, files
from ruie.readers.documents import (
    Document,
    DocumentEvent,
    cut,
    members,
    number,
    string,
    tokens,
)

SUFFIXES = (".json",)
TASKS = ("NER", "EET", "EEA")
OPTIONS: dict[str, tuple[str, ...]] = {}
BRACKETS = {"LRB": "(", "RRB": ")", "LSB": "[", "RSB": "]", "LCB": "{", "RCB": "}"}
_BRACKET = re.compile(r"-([LR][RSC]B)-")


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    for n, given in enumerate(files.array(file)):
        where = f"{file}#{n}"
        try:
            document = _document(given, source.task)
        except files.FAULTS as error:
            yield Bad(where, f"{files.why(error)}; expected a sentence with its mentions")
            continue
        units = [(0, len(document.text))]
        yield from cut(document, units, source.task, file, n)


def _brackets(text: str) -> str:
    return _BRACKET.sub(lambda m: BRACKETS[m[1]], text)


def _document(given: Any, task: str) -> Document:
    text, places = tokens([_brackets(string(word)) for word in members(given["words"])])

    def fact(label: Any, m: Any) -> Fact:
        first, last = number(m["start"]), number(m["end"]) - 1
        if not 0 <= first <= last < len(places):
            raise ValueError(f"there are no tokens [{first}, {last + 1}]")
        start, end = places[first][0], places[last][1]
        words = _brackets(string(m["text"]))
        # spaces between tokens are the text's own; other words are for the builder to judge
        same = "".join(words.split()) == "".join(text[start:end].split())
        return Fact(string(label), (Mention(text[start:end] if same else words, start, end),))

    document = Document(text)
    if task == "NER":
        document.entities = [
            fact(m["entity-type"], m) for m in members(given["golden-entity-mentions"])
        ]
        return document
    for event in members(given["golden-event-mentions"]):
        arguments = [fact(a["role"], a) for a in members(event["arguments"])]
        document.events.append(
            DocumentEvent(fact(event["event_type"], event["trigger"]), arguments)
        )
    return document
