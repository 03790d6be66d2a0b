"""The text blocks of SemEval-2010 Task 8, also of KBP37.

Number, tab and the quoted sentence with ``<e1>...</e1>`` and ``<e2>...</e2>``; a line with the
relation, ``Cause-Effect(e1,e2)`` or a name alone, such as ``Other``; perhaps lines of comment, of
which the first begins with ``Comment``; a blank line. The head is the end that stands first in
the brackets, e1 where there are none. Option ``direction=keep``: the label keeps its brackets and
e1 is always the head.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ruie.cli import UserError
from ruie.readers import Bad, Mention, Record, Source, checks, files

SUFFIXES = (".txt",)
TASKS = ("RE",)
OPTIONS = {"direction": ("fold", "keep")}
FIRST = re.compile(r"\s*[0-9]+\s*\t(.*)", re.DOTALL)
RELATION = re.compile(r"(.+?)\s*\(\s*(e[12])\s*,\s*(e[12])\s*\)")
#: A mark goes with the spaces on its inner side: ``<e1> Acme </e1> sued`` is ``Acme sued``.
MARK = re.compile(r"<(e[12])>\s*|\s*</(e[12])>")


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    keep = source.options.get("direction") == "keep"
    for number, block in enumerate(_blocks(file)):
        where = f"{file}#{number}"
        try:
            yield _record(where, block, keep)
        except ValueError as error:
            yield Bad(where, str(error))


def _blocks(file: Path) -> Iterator[list[str]]:
    """The sentence of each block and the lines below it that are not blank."""
    block: list[str] = []
    for number, line in files.lines(file):
        first = FIRST.fullmatch(line)
        if first:
            if block:
                yield block
            block = [first[1]]
        elif block and line.strip():
            block.append(line.strip())
        elif line.strip():
            raise UserError(
                f"{file}: line {number}: must begin with the sentence's number and a tab; correct "
                "the file"
            )
    if block:
        yield block


def _record(where: str, block: list[str], keep: bool) -> Record:
    sentence, *below = block
    if not below or below[0].startswith("Comment"):
        raise ValueError("no line with the relation below the sentence")
    relation, *rest = below
    if rest and not rest[0].startswith("Comment"):
        raise ValueError(f"{rest[0]!r} below the relation is no comment")
    text, ends = _marked(sentence)
    head, tail, label = "e1", "e2", relation
    match = RELATION.fullmatch(relation)
    if match and match[2] == match[3]:
        raise ValueError(f"the relation {relation!r} names {match[2]} twice")
    if match and not keep:
        label, head, tail = match[1], match[2], match[3]
    return Record(where, text, [checks.fact(label, ends[head], ends[tail])])


def _marked(sentence: str) -> tuple[str, dict[str, Mention]]:
    """The sentence without its marks and quotes, and what stood between the marks."""
    sentence = sentence.strip()
    if len(sentence) > 1 and sentence[0] == sentence[-1] == '"':
        sentence = sentence[1:-1].strip()
    text, at = "", 0
    starts: dict[str, int] = {}
    stops: dict[str, int] = {}
    for mark in MARK.finditer(sentence):
        text += sentence[at : mark.start()]
        at = mark.end()
        places, name = (starts, mark[1]) if mark[1] else (stops, mark[2])
        if name in places:
            raise ValueError(f"the sentence marks {name} twice")
        places[name] = len(text)
    text += sentence[at:]
    for name in ("e1", "e2"):
        if name not in starts or name not in stops or stops[name] <= starts[name]:
            raise ValueError(f"the sentence has no <{name}>...</{name}>")
    return text, {
        name: Mention(text[starts[name] : stops[name]], starts[name], stops[name])
        for name in ("e1", "e2")
    }
