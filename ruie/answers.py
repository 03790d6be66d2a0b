"""From an answer's text to its items, with the schema and the input at hand.

An answer is a list of ``label: span`` (RE: ``label: head, tail``) separated by ``;`` or a line
break; ``None`` or nothing at all is an empty list. Rules of reading, for gold answers too:

- letter case, runs of whitespace and a full stop at the end of a span make no difference;
- an item begins where a label of the schema and ``:`` stand at the start or after a separator (the
  longest label that fits), so labels may hold any sign;
- a span goes on over ``;`` and line breaks as far as the input holds it, and over ``:`` and ``,``;
- ``head, tail`` is split at the first comma that leaves two spans of the input, else at the first;
- what is left over (text before the first item, text behind a ``;`` that continues no span of the
  input) has no label of the schema: each piece is an item ("", piece), and wrong unless the gold
  answer holds the same piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from ruie.prompt import NONE

#: (label, span), or (label, head, tail) for RE; ("", piece) for what has no label of the schema.
Item = tuple[str, ...]
#: Leftovers that claim nothing.
IGNORED = ("", NONE.casefold())
SEPARATOR = re.compile(r"[;\n]")


def even(text: str) -> str:
    """Letter case, whitespace and a final full stop evened out."""
    return " ".join(text.casefold().split()).rstrip(". ")


#: Answers to one query come one after the other.
_source = lru_cache(maxsize=16)(even)


@lru_cache(maxsize=10_000)
def even_label(label: str) -> str:
    """A label as it stands in an item; never empty, which would say that there is none."""
    return even(label) or label.strip()


def parse(answer: str, task: str, schema: Sequence[str], text: str) -> list[Item]:
    """The items of an answer in their order, repeated ones included."""
    starts = _starts(tuple(schema))
    if starts is None or answer == NONE:
        return _leftovers(SEPARATOR.split(answer))
    # what stands before the first item; then a label, its content, a label, its content, ...
    before, *pieces = starts.split(answer.rstrip().removesuffix(";"))
    items = _leftovers(SEPARATOR.split(before)) if before else []
    for label, content in zip(pieces[::2], pieces[1::2], strict=True):
        parts = SEPARATOR.split(content)
        if len(parts) == 1 and task != "RE":
            items.append((even_label(label), even(content)))
            continue
        taken, spans = _read(parts, task, _source(text))
        items.append((even_label(label), *spans))
        items += _leftovers(parts[taken:])
    return items


def _leftovers(parts: Sequence[str]) -> list[Item]:
    return [("", rest) for part in parts if (rest := even(part)) not in IGNORED]


@lru_cache(maxsize=1024)
def _starts(schema: tuple[str, ...]) -> re.Pattern[str] | None:
    """What begins an item: a separator, a label of the schema, a colon."""
    labels = [label.split() for label in sorted(schema, key=len, reverse=True)]
    names = "|".join(r"\s+".join(map(re.escape, words)) for words in labels if words)
    return re.compile(rf"(?:\A|[;\n])\s*({names})\s*:", re.IGNORECASE) if names else None


def _read(parts: Sequence[str], task: str, source: str) -> tuple[int, tuple[str, ...]]:
    """How many parts make the item, and its spans: the longest beginning that the input holds, else
    the first part alone."""
    for n in range(len(parts), 0, -1):
        content = even(";".join(parts[:n]))
        for spans in _pairs(content) if task == "RE" else [(content,)]:
            if all(span and span in source for span in spans):
                return n, spans
    content = even(parts[0])
    return 1, next(_pairs(content)) if task == "RE" else (content,)


def _pairs(content: str) -> Iterator[tuple[str, ...]]:
    """(head, tail) for each comma; without one there is no tail."""
    at = content.find(",")
    if at < 0:
        yield content, ""
    while at >= 0:
        yield even(content[:at]), even(content[at + 1 :])
        at = content.find(",", at + 1)
