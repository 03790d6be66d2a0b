"""CASIE: ``annotation/x.json`` and, for its line breaks, ``source/x.txt``.

EET and EEA by sentence (option ``unit``: ``sentence``, ``line`` or ``document``). The type of an
event is its subtype. Names become lower-case words (``PatchVulnerability``: patch vulnerability).
An offset that is wrong by one or two is mended by a search around it, and counted. A file is one
document, held in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruie.readers import Bad, Mention, Source, checks, files, sentences
from ruie.readers.checks import members, number, string
from ruie.readers.documents import Document, DocumentEvent, Instance, cut

SUFFIXES = (".json",)
TASKS = ("EET", "EEA")
OPTIONS = {"unit": sentences.UNITS}
BESIDE = ("**/source/*.txt",)
#: Names that their capitals and hyphens do not tell apart.
WORDS = {"databreach": "data breach", "cve": "common vulnerabilities and exposures"}
MOVED = "offsets wrong by one or two: mended"
_BODY = re.compile(r"<text>\s?(.*?)\s*</text>", re.DOTALL)


def records(file: Path, source: Source) -> Iterator[Instance]:
    unit = source.options.get("unit", "sentence")
    given = files.document(file)
    try:
        document = Document(string(given["content"], "content"))
        document.text = _with_lines(document.text, file)
        hoppers = members(given["cyberevent"], "hopper")
        events = [event for hopper in hoppers for event in members(hopper, "events")]
    except files.FAULTS as error:
        yield Bad(f"{file}#0", f"{files.why(error)}; expected an annotated document")
        return
    bad = []
    for n, event in enumerate(events):
        try:
            document.events.append(_event(event, document))
        except files.FAULTS as error:
            bad.append(Bad(f"{file}#{n}", f"{files.why(error)}; expected an event"))
    yield from bad
    units = sentences.split(document.text, document.spans(), unit)
    yield from cut(document, units, source.task, file)


def _with_lines(content: str, file: Path) -> str:
    """``content`` has lost its line breaks; the source text has them, at the same places."""
    path = file.parent.parent / "source" / f"{file.stem}.txt"
    body = _BODY.search(files.text(path)) if path.is_file() else None
    at = content.find(body[1].replace("\n", " ")) if body else -1
    if body is None or at < 0:
        return content
    return content[:at] + body[1] + content[at + len(body[1]) :]


def name(given: str) -> str:
    """``Compromised-Data``: compromised data."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[-_]", " ", given).lower()
    return WORDS.get(words, words)


def _event(event: Any, document: Document) -> DocumentEvent:
    trigger = checks.fact(
        name(string(event["subtype"], "subtype")), _mention(event["nugget"], document)
    )
    arguments = [
        checks.fact(name(string(a["role"]["type"], "role")), _mention(a, document))
        for a in (members(event, "argument") if "argument" in event else [])
    ]
    return DocumentEvent(trigger, arguments)


def _mention(given: Any, document: Document) -> Mention:
    words = string(given["text"], "text")
    start, end = (
        number(given["startOffset"], "startOffset"),
        number(given["endOffset"], "endOffset"),
    )
    for at in (start, start - 1, start + 1, start - 2, start + 2):
        here = document.text[at : at + len(words)].replace("\n", " ")
        if at >= 0 and words and here == words:
            if (at, at + len(words)) != (start, end):
                document.notes.append(MOVED)
            return Mention(words, at, at + len(words))
    return Mention(words, start, end)
