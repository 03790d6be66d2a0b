"""Spans marked in a text, whether they overlap, nest or not: the text is cut at every border, and
each piece is one element.

Answers name strings, not places: each occurrence of a string in the text is marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ruie import scorers
from ruie.examples import Example
from ruie.page import Html, join, tag

#: How marks are told apart without their colours; the first that covers a piece colours it.
SIGNS = {"wrong": "✗", "missed": "missed:", "right": "✓", "gold": ""}
ROLES = ("head", "tail")


@dataclass(frozen=True)
class Mark:
    """Characters ``[start, end)``; ``kind`` of ``SIGNS``."""

    start: int
    end: int
    kind: str
    label: str


def marked(text: str, marks: Iterable[Mark]) -> Html:
    """The text with its marks; a mark is called by a caption at its end, and by a tooltip."""
    kept = sorted(
        {m for m in marks if 0 <= m.start < m.end <= len(text)},
        key=lambda m: (m.start, m.end, list(SIGNS).index(m.kind), m.label),
    )
    borders = sorted({0, len(text), *(b for m in kept for b in (m.start, m.end))})
    parts: list[object] = []
    for start, end in zip(borders, borders[1:], strict=False):
        over = [m for m in kept if m.start <= start and end <= m.end]
        if not over:
            parts.append(text[start:end])
            continue
        # a mark within another is seen, not hidden by it
        shortest = min(m.end - m.start for m in over)
        kinds = [m.kind for m in over if m.end - m.start == shortest]
        ending = [tag("small", caption(m.kind, m.label)) for m in over if m.end == end]
        parts.append(
            tag(
                "mark", text[start:end], *ending, class_=min(kinds, key=list(SIGNS).index),
                title="; ".join(caption(m.kind, m.label) for m in over),
            )
        )  # fmt: skip
    return join(parts)


def caption(kind: str, label: str) -> str:
    return f"{SIGNS[kind]} {label}".strip()


def places(text: str, wanted: str) -> list[tuple[int, int]]:
    """Where an evened string (``scorers.even``) stands in a text, letter case and runs of
    whitespace aside: as words of their own if anywhere, else anywhere."""
    if not wanted:
        return []
    # folding may lengthen a character: each character of the folded text knows where it is from
    folded: list[str] = []
    at: list[int] = []
    for i, c in enumerate(text):
        if c.isspace():
            if not folded or folded[-1] != " ":
                folded.append(" ")
                at.append(i)
            continue
        for piece in c.casefold():
            folded.append(piece)
            at.append(i)
    whole = "".join(folded)
    found, words = [], []
    start = whole.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        place = (at[start], at[end - 1] + 1)
        found.append(place)
        before = start > 0 and whole[start - 1].isalnum() and wanted[0].isalnum()
        after = end < len(whole) and whole[end].isalnum() and wanted[-1].isalnum()
        if not before and not after:
            words.append(place)
        start = whole.find(wanted, start + 1)
    return words or found


def names(item: scorers.Item) -> list[tuple[str, str]]:
    """(caption, string) of each span of an item."""
    label, *spans = item
    roles = [f" ({role})" for role in ROLES] if len(spans) == 2 else [""] * len(spans)
    return [(f"{label}{role}", span) for role, span in zip(roles, spans, strict=True)]


def of_items(text: str, groups: dict[str, set[scorers.Item]]) -> list[Mark]:
    """Marks of items, by kind; an item without a label is no claim about the text."""
    return [
        Mark(start, end, kind, label)
        for kind, items in groups.items()
        for item in items
        if item[0]
        for label, span in names(item)
        for start, end in places(text, span)
    ]


def absent(text: str, items: set[scorers.Item]) -> list[scorers.Item]:
    """Items that cannot be marked: a string is not in the text, or there is no label."""
    return sorted(
        item
        for item in items
        if not item[0] or not all(places(text, span) for _, span in names(item))
    )


def compared(row: dict[str, Any]) -> dict[str, set[scorers.Item]]:
    """Items of a PREDICTIONS row by kind; without an answer all are missed."""
    answers: Sequence[str] = ("" if row["error"] else row["prediction"] or "", row["gold"])
    said, gold = (set(scorers.parse(a, row["task"], row["schema"], row["text"])) for a in answers)
    return {"right": said & gold, "wrong": said - gold, "missed": gold - said}


def of_example(example: Example) -> list[Mark]:
    """Marks of an example's annotations, at their offsets."""
    marks = [
        Mark(span.start, span.end, "gold", label)
        for a in example.annotations
        for (label, _), span in zip(
            names((a.label, *(s.text for s in a.spans))), a.spans, strict=True
        )
    ]
    if example.event:
        trigger = example.event.trigger
        marks.append(Mark(trigger.start, trigger.end, "gold", f"given event: {example.event.type}"))
    return marks
