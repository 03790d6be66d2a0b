"""Distant supervision by lines: six columns between tabs, one pair of entities a line.

Ids of head and tail, their names, the relation, and the sentence, which may end in ``###END###``.
Names are single words, spaces written as ``_``, and so they stand in the sentence. Each is taken at
its first place as a word of its own, else where its letters first stand; there are no offsets.
Relation ``NA``: no relation. Option ``underscores=spaces``: the spaces of both names are put back
into the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ruie.readers import Bad, Mention, Record, Source, checks, files

SUFFIXES = (".tsv", ".txt")
TASKS = ("RE",)
OPTIONS = {"underscores": ("keep", "spaces")}
END = "###END###"
COLUMNS = 6
SEARCHED = "offsets found by literal search"


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    spaces = source.options.get("underscores") == "spaces"
    number = -1
    for at, line in files.lines(file):
        if not line.strip():
            continue
        number += 1
        where = f"{file}#{number}"
        columns = line.split("\t", COLUMNS - 1)
        if len(columns) < COLUMNS:
            yield Bad(where, f"line {at} has {len(columns)} columns, not {COLUMNS} between tabs")
            continue
        _, _, head, tail, relation, sentence = columns
        yield _record(where, head.strip(), tail.strip(), relation.strip(), sentence, spaces)


def _record(where: str, head: str, tail: str, relation: str, sentence: str, spaces: bool) -> Record:
    text = sentence.strip()
    if text[-len(END) :].upper() == END:
        text = text[: -len(END)].strip()
    found = [_mention(text, head), _mention(text, tail)]
    notes = [SEARCHED for m in found if m.start is not None]
    if spaces:
        for m in found:
            if m.start is not None and m.end is not None:
                text = text[: m.start] + m.text.replace("_", " ") + text[m.end :]
        found = [_spaced(text, m) for m in found]
    return Record(where, text, [checks.fact(relation, *found)], notes=notes)


def _mention(text: str, name: str) -> Mention:
    """Without a place where it stands nowhere."""
    word = re.search(rf"(?<!\S){re.escape(name)}(?!\S)", text) if name else None
    start = word.start() if word else text.find(name) if name else -1
    return Mention(name, start, start + len(name)) if start >= 0 else Mention(name)


def _spaced(text: str, m: Mention) -> Mention:
    """The same characters with spaces in them, those at either end left out."""
    if m.start is None or m.end is None:
        return m
    name = text[m.start : m.end]
    start = m.start + len(name) - len(name.lstrip())
    return Mention(name.strip(), start, start + len(name.strip()))
