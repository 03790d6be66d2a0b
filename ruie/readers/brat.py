"""Brat stand-off: ``x.txt`` and, beside it, ``x.ann``.

NER takes the T lines that are no triggers, RE the R lines, EET and EEA the E lines. Option
``unit``: ``sentence`` (default), ``line`` or ``document``. A discontinuous entity or argument gives
one mention for each piece; triggers and ends of relations keep the first piece. An event as an
argument, or in a relation, is its trigger. Numbers that only tell equal roles apart (``Theme2``)
are dropped. A, M, N, ``*`` and ``#`` lines are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ruie.readers import Bad, Fact, Mention, Source, files, sentences
from ruie.readers.documents import Document, DocumentEvent, Instance, cut

SUFFIXES = (".ann",)
TASKS = ("NER", "RE", "EET", "EEA")
OPTIONS = {"unit": sentences.UNITS}
_SPAN = re.compile(r"(\S+) +(\d+ \d+(?:;\d+ \d+)*)$")
LEFT_OUT = {
    "A": "attribute left out",
    "M": "attribute left out",
    "N": "normalisation left out",
    "*": "equivalence left out",
    "#": "annotator's note left out",
}
DISCONTINUOUS = "discontinuous span: each piece kept by itself"
FIRST_PIECE = "discontinuous span of a trigger or in a relation: first piece kept"


@dataclass
class Lines:
    """Lines by their kind. ``spans``: name -> label and pieces; ``events``: name -> where, type,
    trigger, (role, name) of each argument; ``relations``: where, type, names of the two ends."""

    spans: dict[str, Fact] = field(default_factory=dict)
    events: dict[str, tuple[str, str, str, list[tuple[str, str]]]] = field(default_factory=dict)
    relations: list[tuple[str, str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)


def records(file: Path, source: Source) -> Iterator[Instance]:
    yield from standoff(file.with_suffix(".txt"), [file], source)


def standoff(file: Path, annotations: Sequence[Path], source: Source) -> Iterator[Instance]:
    """Instances of the text ``file`` with the annotations of one or more files."""
    unit = source.options.get("unit", "sentence")
    text = files.text(file)
    lines = Lines()
    for path in annotations:
        for number, line in files.lines(path):
            where = f"{path}:{number}"
            try:
                _read(line, text, where, lines)
            except ValueError as error:
                lines.bad.append(Bad(where, str(error), part=True))
    document = _document(text, lines, source.task)
    yield from lines.bad
    pieces = [m for span in lines.spans.values() for m in span.mentions]
    units = sentences.split(text, [(m.start or 0, m.end or 0) for m in pieces], unit)
    yield from cut(document, units, source.task, file)


def _read(line: str, text: str, where: str, lines: Lines) -> None:
    """Raises ``ValueError`` for a line that cannot be understood."""
    if not line.strip():
        return
    name, _, rest = line.partition("\t")
    head, _, words = rest.partition("\t")
    kind = name[:1]
    if kind in LEFT_OUT:
        lines.notes.append(LEFT_OUT[kind])
    elif name in lines.spans or name in lines.events:
        raise ValueError(f"{name} is given twice")
    elif kind == "T":
        lines.spans[name] = _span(head.strip(), words, text)
    elif kind == "E":
        (label, trigger), *given = _pairs(head)
        arguments = [(role.rstrip("0123456789") or role, of) for role, of in given]
        lines.events[name] = (where, label, trigger, arguments)
    elif kind == "R":
        label, _, ends = head.strip().partition(" ")
        pairs = _pairs(ends)
        if len(pairs) != 2:
            raise ValueError("a relation must be TYPE Arg1:NAME Arg2:NAME")
        lines.relations.append((where, label, pairs[0][1], pairs[1][1]))
    else:
        raise ValueError(f"no line of this format: {line[:40]!r}")


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = [tuple(word.rsplit(":", 1)) for word in text.split()]
    found = [(p[0], p[1]) for p in pairs if len(p) == 2 and all(p)]
    if not pairs or len(found) != len(pairs):
        raise ValueError(f"must be NAME:ID, with spaces between: {text[:40]!r}")
    return found


def _span(head: str, words: str, text: str) -> Fact:
    match = _SPAN.match(head)
    if match is None:
        raise ValueError(f"must be TYPE START END: {head[:40]!r}")
    places = [(int(p.split()[0]), int(p.split()[1])) for p in match[2].split(";")]
    if not all(0 <= start < end <= len(text) for start, end in places):
        raise ValueError(f"span {words!r} [{match[2]}] is outside the text")
    found = tuple(Mention(text[start:end], start, end) for start, end in places)
    # the line's own words have a space for a line break, and one between pieces
    if " ".join(words.split()) == " ".join(" ".join(m.text for m in found).split()):
        return Fact(match[1], found)
    if len(found) > 1:
        raise ValueError(f"the pieces of {words!r} do not stand at [{match[2]}]")
    return Fact(match[1], (Mention(words, *places[0]),))  # the builder judges wrong offsets


def _document(text: str, lines: Lines, task: str) -> Document:
    """Puts spans in the place of names; a name that no line gives makes its line bad."""
    document = Document(text, notes=lines.notes)

    def pieces(name: str, where: str, whole: bool = False) -> tuple[Mention, ...]:
        span = lines.events[name][2] if name in lines.events else name
        if span not in lines.spans:
            lines.bad.append(Bad(where, f"{name} is named, but no line gives it", part=True))
            return ()
        found = lines.spans[span].mentions
        if name != span:
            document.notes.append("event as an argument: its trigger kept")
        if len(found) > 1:
            document.notes.append(DISCONTINUOUS if whole else FIRST_PIECE)
        return found if whole else found[:1]

    triggers = {trigger for _, _, trigger, _ in lines.events.values()}
    if task == "NER":
        for name in lines.spans:
            if name not in triggers:
                label = lines.spans[name].label
                document.entities += [Fact(label, (m,)) for m in pieces(name, "", whole=True)]
    elif task == "RE":
        for where, label, head, tail in lines.relations:
            ends = pieces(head, where) + pieces(tail, where)
            if len(ends) == 2:
                document.relations.append(Fact(label, ends))
    else:
        for where, label, trigger, given in lines.events.values():
            found = pieces(trigger, where)
            if found:
                arguments = [
                    Fact(role, (m,))
                    for role, name in (given if task == "EEA" else ())
                    for m in pieces(name, where, whole=True)
                ]
                document.events.append(DocumentEvent(Fact(label, found), arguments))
    return document
