"""From an answer's text to its items, with the schema and the input at hand.

An answer is a list of ``label: span`` (RE: ``label: head, tail``) separated by ``;`` or a line
break; ``None`` or nothing at all is an empty list. Rules of reading, for gold answers too:

- letter case, runs of whitespace and a full stop or ``;`` at the end of a span make no difference;
- an item begins where a label of the schema and ``:`` stand at the start or after a separator (the
  longest label that fits), so labels may hold any sign;
- a span goes on over ``;`` and line breaks as far as the input holds it, in whole words, and over
  ``:`` and ``,``;
- ``head, tail`` is split at a comma that leaves two spans of the input, where they reach furthest,
  else at the first;
- what is left over (text before the first item, text behind a ``;`` that continues no span of the
  input) has no label of the schema: each piece is an item ("", piece), and wrong unless the gold
  answer holds the same piece.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from ruie.prompt import NONE

#: (label, span), or (label, head, tail) for RE; ("", piece) for what has no label of the schema.
Item = tuple[str, ...]
#: Leftovers that claim nothing.
IGNORED = ("", NONE.casefold())
SEPARATOR = re.compile(r"[;\n]")


def even(text: str) -> str:
    """Letter case, composed characters, whitespace and what ends a sentence or an item evened
    out."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.casefold().split()).rstrip(".; ")


#: Answers to one query come one after the other.
_source = lru_cache(maxsize=16)(even)


@lru_cache(maxsize=10_000)
def even_label(label: str) -> str:
    """A label as it stands in an item; never empty, which would say that there is none."""
    return even(label) or label.strip()


def parse(answer: str, task: str, schema: Sequence[str], text: str) -> list[Item]:
    """The items of an answer in their order, repeated ones included."""
    beginning = starts(tuple(schema))
    if beginning is None or answer == NONE:
        return _leftovers(SEPARATOR.split(answer))
    # what stands before the first item; then a label, its content, a label, its content, ...
    before, *pieces = beginning.split(answer.rstrip().removesuffix(";"))
    items = _leftovers(SEPARATOR.split(before)) if before else []
    for label, content in zip(pieces[::2], pieces[1::2], strict=True):
        content = content.lstrip()
        if task != "RE" and not SEPARATOR.search(content):
            items.append((even_label(label), even(content)))
            continue
        end, spans = _read(content, task, _source(text))
        items.append((even_label(label), *spans))
        items += _leftovers(SEPARATOR.split(content[end:]))
    return items


def _leftovers(parts: Sequence[str]) -> list[Item]:
    return [("", rest) for part in parts if (rest := even(part)) not in IGNORED]


@lru_cache(maxsize=1024)
def starts(schema: tuple[str, ...]) -> re.Pattern[str] | None:
    """What begins an item: a separator, a label of the schema, a colon."""
    labels = [label.split() for label in sorted(schema, key=len, reverse=True)]
    names = "|".join(r"\s+".join(map(re.escape, words)) for words in labels if words)
    # no line break behind a separator: it is one itself, and runs of them would take long
    start = rf"(?:\A\s*|[;\n][^\S\n]*)({names})[^\S\n]*:"
    return re.compile(start, re.IGNORECASE) if names else None


def _read(content: str, task: str, source: str) -> tuple[int, tuple[str, ...]]:
    """Where an item ends in its content, and its spans: the longest beginning that the input holds,
    else the first part alone."""
    if task != "RE":
        end = _reach(content, 0, source)
        return end, (even(content[:end]),)
    best: tuple[int, tuple[str, ...]] | None = None
    for comma in re.finditer(",", content):
        head = even(content[: comma.start()])
        if head not in source:
            break  # and so is none that goes on
        tail_end = _reach(content, comma.end(), source)
        tail = even(content[comma.end() : tail_end])
        if head and tail and tail in source and (best is None or tail_end > best[0]):
            best = tail_end, (head, tail)
    if best:
        return best
    end = _first(content, 0)
    head, _, tail = content[:end].partition(",")
    return end, (even(head), even(tail))


def _first(content: str, start: int) -> int:
    """Where the part ends that holds ``start``."""
    found = SEPARATOR.search(content, start)
    return found.start() if found else len(content)


def _reach(content: str, start: int, source: str) -> int:
    """Where the span that begins at ``start`` ends: at the last separator up to which the input
    holds it, in whole words, else at the first."""
    end = reached = _first(content, start)
    if even(content[start:end]) not in source:
        return reached
    while end < len(content):
        part, end = end + 1, _first(content, end + 1)
        if not even(content[part:end]):
            continue  # a span does not end in a separator, but may hold two
        span = even(content[start:end])
        if span not in source:
            break
        if _is_whole(span, source):
            reached = end
    return reached


def _is_whole(span: str, source: str) -> bool:
    """Whether the text holds the span, and no letter or digit follows that its last word lacks."""
    at = source.find(span)
    while at >= 0:
        if not (span[-1].isalnum() and source[at + len(span) : at + len(span) + 1].isalnum()):
            return True
        at = source.find(span, at + 1)
    return False
