"""From an answer's text to counts: the ``strict`` scorer of section 4.2.

An item is correct when all its parts match a gold item: NER (type, span), RE (relation, head,
tail), ED (type, trigger), EAE (role, argument; the event is given). Items are sets: annotations
without offsets cannot tell two mentions of one string apart. Rules of matching:

- letter case, runs of whitespace and a full stop at the end of a span make no difference;
- an answer is a list of ``label: span`` separated by ``;`` or a line break; ``None`` or nothing at
  all is an empty list;
- an item begins where a label of the schema and ``:`` stand at the start or after a separator, so
  labels may hold ``:`` or ``(``, and spans may hold ``;``, ``:`` or ``,`` as far as the input does;
- what is left over (text before the first item, text behind a ``;`` that continues no span of the
  input) has a label that the schema does not know: each piece counts as a wrong item;
- ``head, tail`` is split at the first comma that leaves two spans of the input, else at the first.

Gold answers are read by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ruie.prompt import NONE

Item = tuple[str, ...]
#: Leftovers that claim nothing.
IGNORED = ("", NONE.casefold())


@dataclass(frozen=True)
class Counts:
    """True positives, false positives, false negatives."""

    tp: int
    fp: int
    fn: int


def even(text: str) -> str:
    """Letter case, whitespace and a final full stop evened out."""
    return " ".join(text.casefold().split()).rstrip(". ")


def parse(answer: str, task: str, schema: Sequence[str], text: str) -> set[Item]:
    """Items of an answer: (label, span), or (label, head, tail) for RE; a piece that is no item of
    the schema is kept as ("", piece), which no gold answer holds."""
    source = even(text)
    items: set[Item] = set()
    for label, content in _items(answer, schema):
        parts = re.split(r"[;\n]", content)
        taken = 0
        if label:
            # the longest beginning that the input holds is the item; else the first part is
            fits = (n for n in range(len(parts), 0, -1) if _spans(parts[:n], task, source)[0])
            taken = next(fits, 1)
            items.add((even(label), *_spans(parts[:taken], task, source)[1]))
        items |= {("", rest) for part in parts[taken:] if (rest := even(part)) not in IGNORED}
    return items


def _items(answer: str, schema: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(label, content) in order; label "" for what stands before the first label."""
    labels = "|".join(
        r"\s+".join(map(re.escape, label.split()))
        for label in sorted(schema, key=len, reverse=True)
    )
    start = re.compile(rf"(?:^|(?<=[;\n]))\s*({labels})\s*:", re.IGNORECASE)
    found = list(start.finditer(answer)) if labels else []
    yield "", answer[: found[0].start()] if found else answer
    for here, following in zip(found, [*found[1:], None], strict=False):
        # without the separator that ends the item
        end = following.start() - 1 if following else len(answer.rstrip().removesuffix(";"))
        yield here[1], answer[here.end() : end]


def _spans(parts: Sequence[str], task: str, source: str) -> tuple[bool, tuple[str, ...]]:
    """The spans that an item's content names, and whether the input holds them all."""
    content = even(";".join(parts))
    if task != "RE":
        return content in source, (content,)
    cuts = [m.start() for m in re.finditer(",", content)]
    halves = [(even(content[:c]), even(content[c + 1 :])) for c in cuts]
    for head, tail in halves:
        if head and tail and head in source and tail in source:
            return True, (head, tail)
    return False, halves[0] if halves else (content, "")


def strict(prediction: str, gold: str, task: str, schema: Sequence[str], text: str) -> Counts:
    """Counts of one answer against its gold answer."""
    said, true = (parse(a, task, schema, text) for a in (prediction, gold))
    hits = len(said & true)
    return Counts(hits, len(said) - hits, len(true) - hits)


def measures(tp: int, fp: int, fn: int) -> tuple[float, float, float]:
    """Micro precision, recall and F1 in percent; 0 where there is nothing to divide by."""
    precision = 100 * tp / (tp + fp) if tp + fp else 0.0
    recall = 100 * tp / (tp + fn) if tp + fn else 0.0
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0
