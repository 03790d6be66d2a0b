"""What a model's texts say, and how it is written in Appendix D's grammar.

The prediction of a supervised model stands in the same table as every other, so the same scorers
read it (ruie/answers.py). Nothing that a model said is left out: what cannot be read is a piece
without a label, marked ``[unreadable]``, which the scorers count as one wrong item.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ruie.answers import IGNORED, SEPARATOR, Item, even, even_label, parse
from ruie.examples import Example
from ruie.prompt import NONE, one_line

#: Keeps a piece from being taken for an item, and lets it be found in the table.
MARK = "[unreadable] "


@dataclass
class Reading:
    """Items as the model names them, in its order; ``unread``: pieces that could not be read;
    ``written``: the whole answer, of a family whose answers are in Appendix D's form as they are;
    ``notes``: what was odd, counted by kind."""

    items: list[Item] = field(default_factory=list)
    written: str | None = None
    unread: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)

    def fault(self, what: str, piece: str) -> None:
        self.unread.append(piece)
        self.notes[what] += 1


def says_nothing(text: str) -> bool:
    """As in Appendix D: ``None``, or nothing at all."""
    return even(text) in IGNORED


def held(text: str, source: str) -> bool:
    """Whether the input holds a text, as the scorers compare."""
    return even(text) in even(source)


def answer(reading: Reading, example: Example) -> str:
    """The answer in Appendix D's form. What has no label of the schema comes first, where no item
    can take it for its continuation."""
    if reading.written is not None:
        return reading.written
    known = {even_label(label) for label in example.schema}
    parts, usual = [MARK + _part(piece) for piece in reading.unread], []
    for label, *spans in reading.items:
        if even_label(label) in known:
            usual.append(_item(one_line(label), spans, example))
        else:  # a colon in it could make another label of it
            said = ", ".join(map(_part, spans))
            parts.append(f"{MARK if ':' in label else ''}{_part(label)}: {said}")
    parts += usual
    return "; ".join(parts) + "." if parts else NONE


def _item(label: str, spans: list[str], example: Example) -> str:
    """An item as the model gave it, unless a separator in it would make two of it."""
    said = f"{label}: " + ", ".join(map(one_line, spans))
    split = SEPARATOR.search(said)
    if split and len(parse(said, example.task, example.schema, example.text)) != 1:
        return f"{label}: " + ", ".join(map(_part, spans))
    return said


def _part(text: str) -> str:
    """On one line and without what separates items."""
    return " ".join(one_line(text).replace(";", ",").split())
