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

from ruie.readers import Fact, Mention, Source, checks
from ruie.readers.checks import members, number, string
from ruie.readers.documents import Document, DocumentEvent, Instance, of_records, tokens

SUFFIXES = (".json",)
TASKS = ("NER", "EET", "EEA")
OPTIONS: dict[str, tuple[str, ...]] = {}
BRACKETS = {"LRB": "(", "RRB": ")", "LSB": "[", "RSB": "]", "LCB": "{", "RCB": "}"}
_BRACKET = re.compile(r"-([LR][RSC]B)-")


def records(file: Path, source: Source) -> Iterator[Instance]:
    return of_records(file, source, _document, "a sentence with its mentions")


def _brackets(text: str) -> str:
    return _BRACKET.sub(lambda m: BRACKETS[m[1]], text)


def _document(given: Any, source: Source) -> tuple[Document, list[tuple[int, int]]]:
    text, places = tokens([_brackets(string(word, "a token")) for word in members(given, "words")])

    def fact(label: Any, m: Any) -> Fact:
        first, last = number(m["start"], "start"), number(m["end"], "end") - 1
        if not 0 <= first <= last < len(places):
            raise ValueError(f"there are no tokens [{first}, {last + 1}]")
        start, end = places[first][0], places[last][1]
        words = _brackets(string(m["text"], "text"))
        # spaces between tokens are the text's own; other words are for the builder to judge
        same = "".join(words.split()) == "".join(text[start:end].split())
        return checks.fact(label, Mention(text[start:end] if same else words, start, end))

    document, units = Document(text), [(0, len(text))]
    if source.task == "NER":
        document.entities = [
            fact(m["entity-type"], m) for m in members(given, "golden-entity-mentions")
        ]
        return document, units
    for event in members(given, "golden-event-mentions"):
        arguments = [fact(a["role"], a) for a in members(event, "arguments")]
        document.events.append(
            DocumentEvent(fact(event["event_type"], event["trigger"]), arguments)
        )
    return document, units
